// A file system for RocksDB that forgets what was not synced: what is left when the power goes.
//
// All goes to the files of the machine, but for waiting for the disk, which this stands in for.
// Each append, sync, rename, and each creation, removal or syncing of a name is a step; Arm(n) lets
// n of them happen and lets the next one and all later ones fail. LosePower() then takes away from
// the directory what a disk need not have: bytes of a file behind its last sync, and files and
// renames that their folder was not synced after. (A removal that was not synced may be undone by a
// disk; it is kept here.) One database at a time; any thread.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <utility>

namespace vade::testing {

class LosingFileSystem : public rocksdb::FileSystemWrapper {
 public:
  using IOOptions = rocksdb::IOOptions;
  using IOStatus = rocksdb::IOStatus;
  using Debug = rocksdb::IODebugContext;

  LosingFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "LosingFileSystem"; }

  void Arm(int64_t steps) {
    left_ = steps;
    steps_ = 0;
  }
  int64_t steps() const { return steps_; }
  bool failed() const { return left_ < 0; }

  void LosePower() {
    std::lock_guard lock(mutex_);
    for (const auto& [path, file] : files_) {
      std::error_code error;
      const auto size = std::filesystem::file_size(path, error);
      if (!error && size > file.synced) std::filesystem::resize_file(path, file.synced, error);
    }
    for (const auto& [to, undo] : renamed_) {
      std::error_code ignored;
      if (undo.existed) {
        std::ofstream(to, std::ios::binary | std::ios::trunc) << undo.before;
      } else {
        std::filesystem::remove(to, ignored);
      }
    }
    for (const std::string& path : unlisted_) {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
    }
    files_.clear();
    renamed_.clear();
    unlisted_.clear();
  }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           Debug* debug) override {
    if (!Step()) return Lost();
    rocksdb::FileOptions plain = options;
    plain.use_mmap_writes = plain.use_direct_writes = false;
    std::unique_ptr<rocksdb::FSWritableFile> file;
    const IOStatus made = target()->NewWritableFile(path, plain, &file, debug);
    if (!made.ok()) return made;
    std::lock_guard lock(mutex_);
    files_[path] = {};
    unlisted_.insert(path);
    *result = std::make_unique<File>(this, path, std::move(file));
    return made;
  }
  // A log that is used again would need its old bytes remembered; RocksDB does without.
  IOStatus ReuseWritableFile(const std::string&, const std::string&, const rocksdb::FileOptions&,
                             std::unique_ptr<rocksdb::FSWritableFile>*, Debug*) override {
    return IOStatus::NotSupported("files are not used again");
  }

  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      Debug* debug) override {
    if (!Step()) return Lost();
    std::lock_guard lock(mutex_);
    Undo undo{std::filesystem::exists(to), Bytes(to)};
    const IOStatus renamed = target()->RenameFile(from, to, options, debug);
    if (!renamed.ok()) return renamed;
    renamed_.emplace(to, std::move(undo));  // an earlier one keeps what was there first
    if (const auto moved = files_.extract(from)) files_[to] = moved.mapped();
    unlisted_.erase(from);
    return renamed;
  }

  IOStatus DeleteFile(const std::string& path, const IOOptions& options, Debug* debug) override {
    if (!Step()) return Lost();
    std::lock_guard lock(mutex_);
    files_.erase(path);
    unlisted_.erase(path);
    return target()->DeleteFile(path, options, debug);
  }

  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* result, Debug* debug) override {
    std::unique_ptr<rocksdb::FSDirectory> directory;
    const IOStatus opened = target()->NewDirectory(path, options, &directory, debug);
    if (opened.ok()) *result = std::make_unique<Directory>(this, path, std::move(directory));
    return opened;
  }

 private:
  struct State {
    uint64_t written = 0, synced = 0;
  };
  struct Undo {
    bool existed = false;
    std::string before;
  };

  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(LosingFileSystem* system, std::string path, std::unique_ptr<rocksdb::FSWritableFile> file)
        : FSWritableFileOwnerWrapper(std::move(file)), system_(system), path_(std::move(path)) {}
    IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, Debug* debug) override {
      if (!system_->Step()) return Lost();
      const IOStatus written = FSWritableFileOwnerWrapper::Append(data, options, debug);
      if (written.ok()) system_->Wrote(path_, data.size());
      return written;
    }
    IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                    const rocksdb::DataVerificationInfo&, Debug* debug) override {
      return Append(data, options, debug);
    }
    IOStatus Truncate(uint64_t size, const IOOptions& options, Debug* debug) override {
      return system_->failed() ? Lost()
                               : FSWritableFileOwnerWrapper::Truncate(size, options, debug);
    }
    IOStatus Sync(const IOOptions&, Debug*) override { return Synced(); }
    IOStatus Fsync(const IOOptions&, Debug*) override { return Synced(); }
    // Begins to write and promises nothing.
    IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, Debug*) override {
      return IOStatus::OK();
    }

   private:
    IOStatus Synced() {
      if (!system_->Step()) return Lost();
      system_->Sync(path_);
      return IOStatus::OK();
    }
    LosingFileSystem* const system_;
    const std::string path_;
  };

  class Directory : public rocksdb::FSDirectoryWrapper {
   public:
    Directory(LosingFileSystem* system, std::string path,
              std::unique_ptr<rocksdb::FSDirectory> directory)
        : FSDirectoryWrapper(std::move(directory)), system_(system), path_(std::move(path)) {}
    IOStatus Fsync(const IOOptions&, Debug*) override { return Synced(); }
    IOStatus FsyncWithDirOptions(const IOOptions&, Debug*,
                                 const rocksdb::DirFsyncOptions&) override {
      return Synced();
    }

   private:
    IOStatus Synced() {
      if (!system_->Step()) return Lost();
      system_->SyncNames(path_);
      return IOStatus::OK();
    }
    LosingFileSystem* const system_;
    const std::string path_;
  };

  static IOStatus Lost() { return IOStatus::IOError("the power is gone"); }
  static std::string Bytes(const std::string& path) {
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return bytes.str();
  }
  bool Step() {
    if (left_.fetch_sub(1) <= 0) {
      left_ = -1;
      return false;
    }
    ++steps_;
    return true;
  }
  void Wrote(const std::string& path, uint64_t bytes) {
    std::lock_guard lock(mutex_);
    files_[path].written += bytes;
  }
  void Sync(const std::string& path) {
    std::lock_guard lock(mutex_);
    files_[path].synced = files_[path].written;
  }
  void SyncNames(const std::string& folder) {
    std::lock_guard lock(mutex_);
    const auto inside = [&](const std::string& path) {
      return std::filesystem::path(path).parent_path() ==
             std::filesystem::path(folder + "/").parent_path();
    };
    std::erase_if(renamed_, [&](const auto& one) { return inside(one.first); });
    std::erase_if(unlisted_, inside);
  }

  std::atomic<int64_t> left_{INT64_MAX}, steps_{0};
  std::mutex mutex_;  // guards the rest
  std::map<std::string, State> files_;
  std::map<std::string, Undo> renamed_;
  std::set<std::string> unlisted_;  // whose folder was not synced since they were made
};

}  // namespace vade::testing
