#include "base/streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/files.h"
#include "base/posix.h"
#include "base/strings.h"

namespace vade {
namespace {

Result<size_t> ReadSome(int fd, char* out, size_t size, const std::string& path) {
  ssize_t got;
  do {
    got = read(fd, out, size);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return ErrnoStatus(errno, "cannot read", path);
  return static_cast<size_t>(got);
}

Status SeekToBegin(int fd, const std::string& path) {
  if (lseek(fd, 0, SEEK_SET) == 0) return OkStatus();
  return ErrnoStatus(errno, "cannot read from its beginning", path);
}

}  // namespace

Result<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path) {
  if (IsDirectory(path)) return InvalidArgument(StrCat(path, " is a folder; name a file in it"));
  std::string temporary = TemporaryNameFor(path);
  Fd fd = OpenFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (!fd.valid()) return ErrnoStatus(errno, "cannot create", path);
  return std::unique_ptr<AtomicFile>(new AtomicFile(path, std::move(temporary), fd.Release()));
}

AtomicFile::~AtomicFile() {
  Fd(fd_).Close();
  if (!finished_) unlink(temporary_.c_str());
}

Status AtomicFile::Write(std::string_view bytes) { return WriteAll(fd_, bytes, path_); }

Status AtomicFile::Finish() {
  if (SyncFd(fd_) != 0) return ErrnoStatus(errno, "cannot flush", path_);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, "cannot rename a finished file to", path_);
  }
  finished_ = true;
  return SyncDirectory(ParentFolder(path_));
}

Result<std::unique_ptr<FileSource>> FileSource::Open(const std::string& path) {
  ASSIGN_OR_RETURN(Fd fd, OpenRegularFile(path));
  return std::unique_ptr<FileSource>(new FileSource(path, fd.Release()));
}

FileSource::~FileSource() { Fd(fd_).Close(); }

Result<size_t> FileSource::Read(char* out, size_t size) { return ReadSome(fd_, out, size, path_); }

Status FileSource::Rewind() { return SeekToBegin(fd_, path_); }

Result<std::unique_ptr<SpoolFile>> SpoolFile::Create(const std::string& directory,
                                                     uint64_t spare_bytes) {
  const std::string path = TemporaryNameFor(JoinPath(directory, "spool"));
  Fd fd = OpenFile(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (!fd.valid()) return ErrnoStatus(errno, "cannot create", path);
  RETURN_IF_ERROR(RemoveFile(path));
  return std::unique_ptr<SpoolFile>(new SpoolFile(directory, spare_bytes, fd.Release()));
}

SpoolFile::~SpoolFile() { Fd(fd_).Close(); }

Status SpoolFile::CheckRoomFor(uint64_t bytes) const {
  ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(directory_));
  if (free < spare_bytes_ || free - spare_bytes_ < bytes) {
    return ResourceExhausted(StrCat("the disk of ", directory_, " has ", free >> 20,
                                    " MiB left, which is too little for what is sent; free some "
                                    "space and send it again"));
  }
  return OkStatus();
}

Status SpoolFile::Write(std::string_view bytes) {
  RETURN_IF_ERROR(CheckRoomFor(bytes.size()));
  return WriteAll(fd_, bytes, StrCat("a nameless file in ", directory_));
}

Result<size_t> SpoolFile::Read(char* out, size_t size) {
  return ReadSome(fd_, out, size, StrCat("a nameless file in ", directory_));
}

Status SpoolFile::Rewind() { return SeekToBegin(fd_, directory_); }

Status SpoolFile::WriteAt(uint64_t begin, std::string_view bytes) {
  RETURN_IF_ERROR(CheckRoomFor(bytes.size()));
  while (!bytes.empty()) {
    const ssize_t put = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(begin));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return ErrnoStatus(errno, "cannot write a nameless file in", directory_);
    begin += static_cast<uint64_t>(put);
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return OkStatus();
}

Result<std::string> SpoolFile::ReadAt(uint64_t begin, size_t size) const {
  std::string bytes(size, '\0');
  for (size_t at = 0; at < size;) {
    const ssize_t got = pread(fd_, bytes.data() + at, size - at, static_cast<off_t>(begin + at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "cannot read a nameless file in", directory_);
    if (got == 0) return DataLoss(StrCat("a nameless file in ", directory_, " is too short"));
    at += static_cast<size_t>(got);
  }
  return bytes;
}

Status SpoolFile::Clear() {
  if (ftruncate(fd_, 0) == 0) return OkStatus();
  return ErrnoStatus(errno, "cannot clear a nameless file in", directory_);
}

Result<size_t> StringSource::Read(char* out, size_t size) {
  const size_t take = std::min(size, bytes_.size() - at_);
  std::memcpy(out, bytes_.data() + at_, take);
  at_ += take;
  return take;
}

}  // namespace vade
