// For base's own .cc files: descriptors that close themselves, calls that outlast EINTR, errno as a
// Status.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "base/status.h"

namespace vade {

// Owns a file descriptor.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { Close(); }

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  int Close();  // as close(2); 0 when already closed

 private:
  int fd_;
};

Fd OpenFile(const std::string& path, int flags, mode_t mode = 0);  // invalid on failure, with errno
int SyncFd(int fd);                                                // fsync(2), repeated on EINTR

// "cannot open notes.txt: No such file or directory; check the path", with the code that fits
// `error`.
Status ErrnoStatus(int error, std::string_view what, const std::string& path);

// For reading; INVALID_ARGUMENT when it is a folder, a device or a pipe.
Result<Fd> OpenRegularFile(const std::string& path);
// To where the descriptor stands; `path` is for the message.
Status WriteAll(int fd, std::string_view bytes, const std::string& path);
// A name beside `path` that no other writer of this or another process uses at the moment.
std::string TemporaryNameFor(const std::string& path);

}  // namespace vade
