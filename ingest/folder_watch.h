// Tells what below some paths may have changed: by inotify, or, where that cannot be had, by
// looking at names, sizes and times every second or so.
//
//   FolderWatch watch(roots, {});
//   if (!watch.limitation().empty()) say(watch.limitation());
//   while (...) use(watch.Wait(100ms));
//
// Made before the files are read, it misses nothing that changes while they are. A file counts as
// changed when its writer has closed it. Names that begin with '.' are not looked at. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct inotify_event;

namespace vade {

struct FolderChanges {
  bool all = false;             // nobody knows what: look at everything
  std::set<std::string> paths;  // absolute; files, and folders with all that is in them
  bool empty() const { return !all && paths.empty(); }
};

struct FolderWatchOptions {
  size_t most_folders = 1'000'000;             // watched by inotify; beyond: it is not used
  std::chrono::milliseconds look_every{1000};  // without inotify; more for many files
};

class FolderWatch {
 public:
  // Absolute paths of files and folders.
  FolderWatch(std::vector<std::string> roots, const FolderWatchOptions& options);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Why inotify is not used, and the remedy; "": it is. May come about later.
  const std::string& limitation() const { return limitation_; }

  // What has changed; waits no longer than that for something to do so.
  FolderChanges Wait(std::chrono::milliseconds patience);

 private:
  struct Stamp {
    uint64_t size = 0, inode = 0;
    int64_t modified_unix_ns = 0, changed_unix_ns = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  using Snapshot = std::map<std::string, Stamp>;

  void WatchRoots();
  void WatchFolder(const std::string& folder);
  bool AddWatch(const std::string& folder);
  void Unwatch(const std::string& folder);
  void Take(const inotify_event& event, std::string_view name, FolderChanges* changes);
  void ReadEvents(FolderChanges* changes);
  void CheckRoots(FolderChanges* changes);
  void GiveUp(const std::string& why);
  bool IsOfARoot(const std::string& path) const;

  Snapshot LookAtAll() const;
  void Look(FolderChanges* changes);

  const std::vector<std::string> roots_;
  const FolderWatchOptions options_;
  std::string limitation_;
  int inotify_ = -1;
  std::map<int, std::string> folder_of_;
  std::map<std::string, int> watch_of_;
  std::set<std::string> missing_;  // roots
  Snapshot snapshot_;              // without inotify
  std::chrono::steady_clock::time_point look_at_;
};

}  // namespace vade
