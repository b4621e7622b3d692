#include "ingest/folder_watch.h"

#include <dirent.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "ingest/sources.h"

namespace vade {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;
// Looking takes at most this share of the time.
constexpr int kLookShare = 20;

// File systems that other machines, or programs, change without the kernel's knowing.
bool ChangesUnseen(const std::string& path) {
  struct statfs info;
  if (statfs(path.c_str(), &info) != 0) return false;
  constexpr std::array<uint32_t, 6> kRemote = {0x6969,     0x517B,     0xFF534D42,   // NFS, SMB
                                               0xFE534D42, 0x65735546, 0x01021997};  // FUSE, 9P
  return std::count(kRemote.begin(), kRemote.end(), static_cast<uint32_t>(info.f_type)) > 0;
}

// Such files must be read at once, or they are read in part.
std::string LimitOf(const char* name) {
  std::string limit;
  return std::ifstream(StrCat("/proc/sys/fs/inotify/", name)) >> limit ? limit : "?";
}

std::string WhyNoWatch(int error) {
  const char* const limit = error == ENOSPC ? "max_user_watches" : "max_user_instances";
  if (error != ENOSPC && error != EMFILE) return StrCat("inotify: ", std::strerror(error));
  return StrCat("this machine's limit fs.inotify.", limit, " of ", LimitOf(limit),
                " is reached; raise it (sudo sysctl fs.inotify.", limit, "=1000000)");
}

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FolderWatch::FolderWatch(std::vector<std::string> roots, const FolderWatchOptions& options)
    : roots_(std::move(roots)), options_(options) {
  for (const std::string& root : roots_) {
    if (ChangesUnseen(root)) GiveUp(StrCat(root, " is on a network file system"));
  }
  if (!limitation_.empty()) return;
  inotify_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (inotify_ < 0) GiveUp(WhyNoWatch(errno));
  WatchRoots();
}

FolderWatch::~FolderWatch() {
  if (inotify_ >= 0) close(inotify_);
}

void FolderWatch::GiveUp(const std::string& why) {
  if (!limitation_.empty()) return;
  limitation_ = StrCat(why, "; until then folders are looked through every ",
                       options_.look_every.count() / 1000.0, " s instead of being watched");
  if (inotify_ >= 0) close(std::exchange(inotify_, -1));
  folder_of_.clear();
  watch_of_.clear();
  snapshot_ = LookAtAll();
  look_at_ = SteadyClock::now() + options_.look_every;
}

void FolderWatch::WatchRoots() {
  for (const std::string& root : roots_) {
    if (!limitation_.empty()) return;
    if (IsDirectory(root)) {
      WatchFolder(root);
    } else if (FileExists(root)) {
      AddWatch(ParentFolder(root));
    }
  }
}

bool FolderWatch::IsOfARoot(const std::string& path) const {
  return std::any_of(roots_.begin(), roots_.end(),
                     [&](const std::string& root) { return IsAtOrBelow(path, root); });
}

// Whether it is watched, by this name.
bool FolderWatch::AddWatch(const std::string& folder) {
  if (watch_of_.size() >= options_.most_folders && watch_of_.count(folder) == 0) {
    GiveUp(StrCat("there are more than ", options_.most_folders, " folders"));
    return false;
  }
  const int watch = inotify_add_watch(inotify_, folder.c_str(), kEvents);
  if (watch < 0) {
    if (errno == ENOSPC) GiveUp(WhyNoWatch(errno));
    return false;  // it has gone, or may not be read: the run says so
  }
  const auto [at, fresh] = folder_of_.try_emplace(watch, folder);
  // The same folder by another name: it was moved, or a link leads there.
  if (at->second != folder && IsDirectory(at->second)) return false;
  watch_of_.erase(at->second);
  at->second = folder;
  watch_of_[folder] = watch;
  return true;
}

void FolderWatch::WatchFolder(const std::string& folder) {
  if (!AddWatch(folder)) return;
  DIR* directory = opendir(folder.c_str());
  if (directory == nullptr) return;
  std::vector<std::string> inner;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    const std::string path = JoinPath(folder, entry->d_name);
    if (entry->d_type == DT_DIR || (entry->d_type != DT_REG && IsDirectory(path))) {
      inner.push_back(path);
    }
  }
  closedir(directory);
  for (const std::string& path : inner) {
    if (limitation_.empty()) WatchFolder(path);
  }
}

void FolderWatch::Unwatch(const std::string& folder) {
  for (auto at = watch_of_.lower_bound(folder); at != watch_of_.end();) {
    if (!at->first.starts_with(folder)) break;
    if (!IsAtOrBelow(at->first, folder)) {
      ++at;
      continue;
    }
    inotify_rm_watch(inotify_, at->second);
    folder_of_.erase(at->second);
    at = watch_of_.erase(at);
  }
}

FolderChanges FolderWatch::Wait(std::chrono::milliseconds patience) {
  FolderChanges changes;
  if (limitation_.empty()) {
    pollfd one{.fd = inotify_, .events = POLLIN, .revents = 0};
    if (poll(&one, 1, static_cast<int>(patience.count())) > 0) ReadEvents(&changes);
    CheckRoots(&changes);
    return changes;
  }
  const auto now = SteadyClock::now();
  if (now < look_at_) {
    std::this_thread::sleep_for(std::min<SteadyClock::duration>(patience, look_at_ - now));
  }
  if (SteadyClock::now() >= look_at_) Look(&changes);
  return changes;
}

void FolderWatch::ReadEvents(FolderChanges* changes) {
  alignas(inotify_event) std::array<char, 64 << 10> buffer;
  while (limitation_.empty()) {
    const ssize_t size = read(inotify_, buffer.data(), buffer.size());
    if (size <= 0) return;
    for (size_t at = 0; at < static_cast<size_t>(size) && limitation_.empty();) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      const char* const name = buffer.data() + at + sizeof(event);
      Take(event, event.len > 0 ? std::string_view(name) : std::string_view(), changes);
      at += sizeof(event) + event.len;
    }
  }
  changes->all = true;  // what was not read is lost
}

void FolderWatch::Take(const inotify_event& event, std::string_view name, FolderChanges* changes) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    changes->all = true;  // and folders may have come about unseen: CheckRoots() watches them
    return;
  }
  const auto at = folder_of_.find(event.wd);
  if (at == folder_of_.end()) return;
  const std::string folder = at->second;
  if ((event.mask & IN_IGNORED) != 0) {
    watch_of_.erase(folder);
    folder_of_.erase(at);
    return;
  }
  if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
    return;  // CheckRoots() sees it if it is one
  }
  if (name.empty() || name[0] == '.') return;
  const std::string path = JoinPath(folder, name);
  if (!IsOfARoot(path)) return;  // beside a file that is a root
  if ((event.mask & IN_ISDIR) != 0) {
    if ((event.mask & (IN_DELETE | IN_MOVED_FROM)) != 0) Unwatch(path);
    if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0) WatchFolder(path);
    if ((event.mask & IN_CLOSE_WRITE) == 0) changes->paths.insert(path);
    return;
  }
  if ((event.mask & IN_CREATE) != 0) {
    // A new file says so again when it has been written; links do not.
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) return;
    if (S_ISLNK(info.st_mode) && IsDirectory(path)) WatchFolder(path);
    if (!S_ISLNK(info.st_mode) && info.st_nlink < 2) return;
  }
  changes->paths.insert(path);
}

// A root that has gone is not the end: a program may write it anew, a disk may be mounted again.
// That it has may have no event: a folder above it was renamed.
void FolderWatch::CheckRoots(FolderChanges* changes) {
  for (const std::string& root : roots_) {
    const bool there = IsDirectory(root) || FileExists(root);
    if (!there && missing_.insert(root).second) Unwatch(root);
    if (there && missing_.erase(root) > 0) changes->all = true;
  }
  if (changes->all) WatchRoots();
}

FolderWatch::Snapshot FolderWatch::LookAtAll() const {
  Snapshot all;
  for (const std::string& root : roots_) {
    const auto visit = [&](const FileEntry& entry) {
      struct stat info;
      if (lstat(entry.path.c_str(), &info) != 0) return OkStatus();
      all[entry.path] = {entry.size_bytes, static_cast<uint64_t>(info.st_ino),
                         entry.modified_unix_ns, Nanoseconds(info.st_ctim)};
      return OkStatus();
    };
    (void)WalkFiles(root, visit, nullptr);  // a root that is missing has nothing at the moment
  }
  return all;
}

void FolderWatch::Look(FolderChanges* changes) {
  const auto begin = SteadyClock::now();
  Snapshot now = LookAtAll();
  for (const auto& [path, stamp] : now) {
    const auto before = snapshot_.find(path);
    if (before == snapshot_.end() || !(before->second == stamp)) changes->paths.insert(path);
  }
  for (const auto& [path, stamp] : snapshot_) {
    if (now.count(path) == 0) changes->paths.insert(path);
  }
  snapshot_ = std::move(now);
  const auto end = SteadyClock::now();
  look_at_ = end + std::max<SteadyClock::duration>(options_.look_every, kLookShare * (end - begin));
}

}  // namespace vade
