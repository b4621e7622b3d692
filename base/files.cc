#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/posix.h"
#include "base/strings.h"

namespace vade {
namespace {

Result<Fd> OpenRegular(const std::string& path, struct stat* info) {
  // O_NONBLOCK: opening a pipe without a writer must not hang; for regular files it means nothing.
  Fd fd = OpenFile(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open", path);
  if (fstat(fd.get(), info) != 0) return ErrnoStatus(errno, "cannot examine", path);
  if (S_ISDIR(info->st_mode)) {
    return InvalidArgument(StrCat(path, " is a folder; name a file in it"));
  }
  if (!S_ISREG(info->st_mode)) {
    return InvalidArgument(StrCat(path, " is a device or a pipe; name a regular file"));
  }
  return fd;
}

Status TooLarge(const std::string& path, uint64_t limit_bytes) {
  return ResourceExhausted(StrCat(path, " is larger than the limit of ", limit_bytes,
                                  " bytes; split it or raise the limit"));
}

// A replaced file keeps its permissions; a new one gets what the umask allows.
mode_t ModeFor(const std::string& path, bool* replaces) {
  struct stat info;
  *replaces = stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
  return *replaces ? info.st_mode & 07777 : 0666;
}

enum class Durability { kSynced, kUnsynced };

Status WriteNewFile(const std::string& path, std::span<const std::string_view> pieces,
                    const std::string& target, Durability durability) {
  bool replaces = false;
  const mode_t mode = ModeFor(target, &replaces);
  Fd fd = OpenFile(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, replaces ? mode & 0700 : mode);
  if (!fd.valid()) return ErrnoStatus(errno, "cannot create", path);
  if (replaces && fchmod(fd.get(), mode) != 0) return ErrnoStatus(errno, "cannot set modes", path);
  for (std::string_view piece : pieces) RETURN_IF_ERROR(WriteAll(fd.get(), piece, target));
  if (durability == Durability::kSynced && SyncFd(fd.get()) != 0)
    return ErrnoStatus(errno, "cannot flush", target);
  if (fd.Close() != 0) return ErrnoStatus(errno, "cannot close", target);
  return OkStatus();
}

}  // namespace

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    // Linux writes at most 2 GiB at a time anyway.
    const ssize_t written = write(fd, bytes.data(), std::min<size_t>(bytes.size(), 1 << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "cannot write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return OkStatus();
}

std::string TemporaryNameFor(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return StrCat(path, ".tmp-", static_cast<int64_t>(getpid()), "-", counter.fetch_add(1));
}

Result<Fd> OpenRegularFile(const std::string& path) {
  struct stat info;
  return OpenRegular(path, &info);
}

Result<std::string> ReadFile(const std::string& path, uint64_t limit_bytes) {
  struct stat info;
  ASSIGN_OR_RETURN(const Fd fd, OpenRegular(path, &info));
  const auto expected = static_cast<uint64_t>(info.st_size);
  if (expected > limit_bytes) return TooLarge(path, limit_bytes);
  std::string bytes;
  // The size is a hint only: files in /proc say 0, and others may write to the file meanwhile.
  bytes.resize(static_cast<size_t>(std::min(expected, limit_bytes)) + 1);
  size_t used = 0;
  for (;;) {
    if (used == bytes.size()) bytes.resize(std::max<size_t>(bytes.size() * 2, 4096));
    const ssize_t got = read(fd.get(), bytes.data() + used, bytes.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "cannot read", path);
    if (got == 0) break;
    used += static_cast<size_t>(got);
    if (used > limit_bytes) return TooLarge(path, limit_bytes);
  }
  bytes.resize(used);
  return bytes;
}

namespace {

Status WriteBeside(const std::string& path, std::span<const std::string_view> pieces,
                   Durability durability) {
  const std::string temporary = TemporaryNameFor(path);
  Status status = WriteNewFile(temporary, pieces, path, durability);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(errno, "cannot rename a finished file to", path);
  }
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

}  // namespace

Status WriteFileAtomically(const std::string& path, std::string_view bytes) {
  RETURN_IF_ERROR(WriteBeside(path, {&bytes, 1}, Durability::kSynced));
  return SyncDirectory(ParentFolder(path));
}

Status WriteDerivedFile(const std::string& path, std::span<const std::string_view> pieces) {
  return WriteBeside(path, pieces, Durability::kUnsynced);
}

Status MakeDirectories(const std::string& path) {
  if (path.empty()) return InvalidArgument("a folder's name is empty; name a folder");
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), 0777) != 0) {
      const int error = errno;  // what exists already may be reported as EEXIST, EROFS or EACCES
      if (!IsDirectory(part)) {
        return error == EEXIST ? FailedPrecondition(StrCat(part, " exists and is no folder; ",
                                                           "move it away or choose another path"))
                               : ErrnoStatus(error, "cannot make the folder", part);
      }
    }
    if (end == std::string::npos) return OkStatus();
  }
}

Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return OkStatus();
  return ErrnoStatus(errno, "cannot remove", path);
}

Status SyncDirectory(const std::string& path) {
  const Fd fd = OpenFile(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open the folder", path);
  // Some file systems cannot flush a folder and say EINVAL; there is nothing more to do there.
  if (SyncFd(fd.get()) != 0 && errno != EINVAL) {
    return ErrnoStatus(errno, "cannot flush the folder", path);
  }
  return OkStatus();
}

bool FileExists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<uint64_t> FileSize(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "cannot examine", path);
  return static_cast<uint64_t>(info.st_size);
}

Result<uint64_t> FreeDiskBytes(const std::string& path) {
  struct statvfs info;
  int result;
  do {
    result = statvfs(path.c_str(), &info);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return ErrnoStatus(errno, "cannot ask for the free space of", path);
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

Status TryToWrite(const std::string& directory, uint64_t bytes) {
  // Asked first: a disk that says that it is full need not be filled to the brim to hear it again.
  ASSIGN_OR_RETURN(const uint64_t available, FreeDiskBytes(directory));
  if (available < bytes) {
    return ResourceExhausted(StrCat(directory, ": ", bytes, " bytes are needed on its disk and ",
                                    available, " are free; free some disk space"));
  }
  const std::string path = TemporaryNameFor(JoinPath(directory, "room"));
  const Fd fd = OpenFile(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (!fd.valid()) return ErrnoStatus(errno, "cannot create", path);
  RETURN_IF_ERROR(RemoveFile(path));
  const std::string zeros(static_cast<size_t>(std::min<uint64_t>(bytes, 1 << 20)), '\0');
  for (uint64_t written = 0; written < bytes; written += zeros.size()) {
    const auto part = static_cast<size_t>(std::min<uint64_t>(zeros.size(), bytes - written));
    RETURN_IF_ERROR(WriteAll(fd.get(), std::string_view(zeros).substr(0, part), path));
  }
  if (fsync(fd.get()) != 0) return ErrnoStatus(errno, "cannot write", path);
  return OkStatus();
}

}  // namespace vade
