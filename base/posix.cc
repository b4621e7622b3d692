#include "base/posix.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include "base/strings.h"

namespace vade {
namespace {

struct Meaning {
  StatusCode code;
  std::string_view remedy;
};

Meaning MeaningOf(int error) {
  switch (error) {
    case ENOENT: return {StatusCode::kNotFound, "check the path"};
    case ENOTDIR: return {StatusCode::kNotFound, "a part of it is no folder: check the path"};
    case EACCES:
    case EPERM: return {StatusCode::kPermissionDenied, "check the permissions and the owner"};
    case EROFS: return {StatusCode::kPermissionDenied, "it is read-only: choose another folder"};
    case ENOSPC:
    case EDQUOT: return {StatusCode::kResourceExhausted, "free disk space and try again"};
    case EMFILE:
    case ENFILE: return {StatusCode::kResourceExhausted, "raise the limit of files (ulimit -n)"};
    case ENOMEM: return {StatusCode::kResourceExhausted, "free memory and try again"};
    case EFBIG: return {StatusCode::kResourceExhausted, "the disk takes no file of this size"};
    case EISDIR: return {StatusCode::kInvalidArgument, "it is a folder: name a file"};
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL: return {StatusCode::kInvalidArgument, "check the path"};
    case EEXIST: return {StatusCode::kAlreadyExists, "remove it or choose another name"};
    case EIO: return {StatusCode::kDataLoss, "the disk has a fault: see the system log"};
    default: return {StatusCode::kUnknown, "see the system log"};
  }
}

}  // namespace

int Fd::Close() {
  // close(2) is not repeated on EINTR: on Linux the descriptor is gone by then, and may be
  // another's.
  return valid() ? close(Release()) : 0;
}

Fd OpenFile(const std::string& path, int flags, mode_t mode) {
  if (path.find('\0') != std::string::npos) {  // the system would take the part before it
    errno = EINVAL;
    return Fd();
  }
  int fd;
  do {
    fd = open(path.c_str(), flags, mode);
  } while (fd < 0 && errno == EINTR);
  return Fd(fd);
}

int SyncFd(int fd) {
  int result;
  do {
    result = fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result;
}

Status ErrnoStatus(int error, std::string_view what, const std::string& path) {
  const Meaning meaning = MeaningOf(error);
  return {meaning.code, StrCat(what, " ", path.empty() ? std::string("''") : path, ": ",
                               std::generic_category().message(error), "; ", meaning.remedy)};
}

}  // namespace vade
