// Files and folders: whole reads with a limit, atomic writes, mappings, locks, walks.
// Paths are UTF-8 strings as the operating system takes them. Errors name the path and what to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace vade {

// The file's bytes. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (a folder, a device),
// RESOURCE_EXHAUSTED (more than limit_bytes).
Result<std::string> ReadFile(const std::string& path, uint64_t limit_bytes);

// Writes beside the target, flushes to the disk, renames over it: readers see the old or the new
// file.
Status WriteFileAtomically(const std::string& path, std::string_view bytes);
// The same without waiting for the disk, for what is checked when it is read and can be made again:
// after a loss of power the file may be torn or missing. The pieces one after the other.
Status WriteDerivedFile(const std::string& path, std::span<const std::string_view> pieces);

Status MakeDirectories(const std::string& path);
Status RemoveFile(const std::string& path);     // OK when it is not there
Status SyncDirectory(const std::string& path);  // makes renames and removals in it durable
bool FileExists(const std::string& path);
bool IsDirectory(const std::string& path);
Result<uint64_t> FileSize(const std::string& path);
Result<uint64_t> FreeDiskBytes(const std::string& path);
// Whether `bytes` more can be written below `directory`, by writing them to a file without a name:
// quotas and what a file system promises in vain are found too. RESOURCE_EXHAUSTED, or what else
// stands in the way.
Status TryToWrite(const std::string& directory, uint64_t bytes);

std::string JoinPath(std::string_view a, std::string_view b);
std::string BaseName(std::string_view path);
std::string ExecutableFolder();  // of the program that runs; "" when it is unknown
std::string ParentFolder(const std::string& path);          // "." for a bare name
std::string Extension(std::string_view path);               // lower case with the dot, or ""
Result<std::string> AbsolutePath(const std::string& path);  // symbolic links resolved
std::string RelativePath(const std::string& path, const std::string& root);
std::string HomeDirectory();   // "" when unknown
std::string CacheDirectory();  // $XDG_CACHE_HOME or ~/.cache, + "/vade"

// A read-only mapping of a whole file. Bytes stay valid for the object's life.
class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const uint8_t> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

  // Tells the system that [offset, offset + size) will not be read again soon (frees page-cache
  // memory of this process), or will be.
  void DontNeed(size_t offset, size_t size) const;
  void WillNeed(size_t offset, size_t size) const;

 private:
  MappedFile() = default;
  std::span<const uint8_t> bytes_;
  std::string path_;
};

// An advisory exclusive lock on `path` (created when missing) held for the object's life.
class FileLock {
 public:
  // UNAVAILABLE when another process holds it.
  static Result<std::unique_ptr<FileLock>> Acquire(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  FileLock() = default;
  int fd_ = -1;
};

struct FileEntry {
  std::string path;
  uint64_t size_bytes = 0;
  int64_t modified_unix_ns = 0;
  uint64_t device = 0;  // of the file system
};

// Calls `visit` for every regular file under `root` (or for `root` itself when it is one), in byte
// order of the path. Symbolic links to files are followed; links to folders are followed once, and
// a loop is reported through `problem` and not entered. Names that begin with '.' are skipped below
// the root. An unreadable folder is reported through `problem` and skipped. Stops when `visit` is
// not OK.
Status WalkFiles(const std::string& root, const std::function<Status(const FileEntry&)>& visit,
                 const std::function<void(const std::string& path, const Status&)>& problem);

}  // namespace vade
