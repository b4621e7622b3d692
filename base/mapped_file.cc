// MappedFile and FileLock of files.h.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/files.h"
#include "base/posix.h"
#include "base/strings.h"

namespace vade {
namespace {

size_t PageBytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// The part of [offset, offset + size) that lies in the file.
std::span<const uint8_t> Clip(std::span<const uint8_t> bytes, size_t offset, size_t size) {
  offset = std::min(offset, bytes.size());
  return bytes.subspan(offset, std::min(size, bytes.size() - offset));
}

}  // namespace

Result<std::unique_ptr<MappedFile>> MappedFile::Open(const std::string& path) {
  const Fd fd = OpenFile(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open", path);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "cannot examine", path);
  if (!S_ISREG(info.st_mode)) return InvalidArgument(StrCat(path, " is no regular file; name one"));
  if (static_cast<uint64_t>(info.st_size) > std::numeric_limits<size_t>::max()) {
    return ResourceExhausted(StrCat(path, " is larger than the address space"));
  }
  std::unique_ptr<MappedFile> file(new MappedFile());
  file->path_ = path;
  const auto size = static_cast<size_t>(info.st_size);
  if (size == 0) return file;  // mmap refuses length 0
  void* address = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (address == MAP_FAILED) return ErrnoStatus(errno, "cannot map", path);
  file->bytes_ = {static_cast<const uint8_t*>(address), size};
  return file;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

// Advice only, so failures are of no interest.

void MappedFile::DontNeed(size_t offset, size_t size) const {
  const auto part = Clip(bytes_, offset, size);
  const size_t page = PageBytes();
  // Whole pages inside the range only: the neighbours' bytes stay. The file's last page is its own.
  const auto at = static_cast<size_t>(part.data() - bytes_.data());
  const size_t begin = (at + page - 1) / page * page;
  const size_t end =
      at + part.size() == bytes_.size() ? bytes_.size() : (at + part.size()) / page * page;
  if (begin >= end) return;
  madvise(const_cast<uint8_t*>(bytes_.data()) + begin, end - begin, MADV_DONTNEED);
}

void MappedFile::WillNeed(size_t offset, size_t size) const {
  const auto part = Clip(bytes_, offset, size);
  if (part.empty()) return;
  const auto at = static_cast<size_t>(part.data() - bytes_.data());
  const size_t begin = at / PageBytes() * PageBytes();
  madvise(const_cast<uint8_t*>(bytes_.data()) + begin, at + part.size() - begin, MADV_WILLNEED);
}

Result<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path) {
  Fd fd = OpenFile(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (!fd.valid()) return ErrnoStatus(errno, "cannot open the lock file", path);
  int result;
  do {
    result = flock(fd.get(), LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EWOULDBLOCK) {
    return Unavailable(
        StrCat(path, " is locked by another process; stop it, or talk to it instead"));
  }
  if (result != 0) return ErrnoStatus(errno, "cannot lock", path);
  std::unique_ptr<FileLock> lock(new FileLock());
  lock->fd_ = fd.Release();
  return lock;
}

// The file stays: removing it would let two processes lock two files of one name.
FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace vade
