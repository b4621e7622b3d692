// WalkFiles of files.h.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "base/files.h"
#include "base/posix.h"
#include "base/strings.h"

namespace vade {
namespace {

// Deeper trees are taken for a mistake (or an attack on the stack).
constexpr size_t kMaxDepth = 200;

using FolderId = std::pair<dev_t, ino_t>;

struct Name {
  std::string name;
  std::string sort_key;  // folders end in '/', so that the order is the byte order of whole paths
  struct stat info = {};
  bool is_link = false;
};

class Walk {
 public:
  Walk(std::string resolved_root, const std::function<Status(const FileEntry&)>& visit,
       const std::function<void(const std::string&, const Status&)>& problem)
      : resolved_root_(std::move(resolved_root)), visit_(visit), problem_(problem) {}

  Status VisitFile(const std::string& path, const struct stat& info) {
    FileEntry entry;
    entry.path = path;
    entry.size_bytes = static_cast<uint64_t>(info.st_size);
    entry.modified_unix_ns = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
    entry.device = static_cast<uint64_t>(info.st_dev);
    return visit_(entry);
  }

  Status EnterFolder(const std::string& path, const struct stat& info, bool is_link) {
    const FolderId id{info.st_dev, info.st_ino};
    if (std::find(ancestors_.begin(), ancestors_.end(), id) != ancestors_.end()) {
      Report(path, FailedPrecondition(StrCat(path, " leads back to a folder above it; skipped")));
      return OkStatus();
    }
    // What lies in the tree is visited under its own name, whether a link to it comes first or not.
    if (is_link && LeadsIntoTree(path)) return OkStatus();
    if (!seen_.insert(id).second) return OkStatus();  // reached by another link already
    if (ancestors_.size() >= kMaxDepth) {
      Report(path, ResourceExhausted(
                       StrCat(path, " is more than ", kMaxDepth, " folders deep; skipped")));
      return OkStatus();
    }
    ancestors_.push_back(id);
    Status status = VisitNames(path);
    ancestors_.pop_back();
    return status;
  }

 private:
  void Report(const std::string& path, const Status& status) {
    if (problem_) problem_(path, status);
  }

  bool LeadsIntoTree(const std::string& path) const {
    const auto target = AbsolutePath(path);
    return target.ok() && RelativePath(*target, resolved_root_) != *target;
  }

  Status VisitNames(const std::string& folder) {
    for (const Name& name : ReadNames(folder)) {
      const std::string path = JoinPath(folder, name.name);
      if (S_ISDIR(name.info.st_mode)) {
        RETURN_IF_ERROR(EnterFolder(path, name.info, name.is_link));
      } else if (S_ISREG(name.info.st_mode)) {
        RETURN_IF_ERROR(VisitFile(path, name.info));
      }  // devices, pipes and sockets hold no documents
    }
    return OkStatus();
  }

  std::vector<Name> ReadNames(const std::string& folder) {
    std::vector<Name> names;
    DIR* directory = opendir(folder.c_str());
    if (directory == nullptr) {
      Report(folder, ErrnoStatus(errno, "cannot read the folder", folder));
      return names;
    }
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(directory);
      if (entry == nullptr) break;
      if (entry->d_name[0] == '.') continue;
      Name name{entry->d_name, entry->d_name};
      const std::string path = JoinPath(folder, name.name);
      if (stat(path.c_str(), &name.info) != 0) {
        Report(path, ErrnoStatus(errno, "cannot examine", path));  // a dangling link, for instance
        continue;
      }
      if (S_ISDIR(name.info.st_mode)) name.sort_key.push_back('/');
      struct stat own;
      name.is_link = lstat(path.c_str(), &own) == 0 && S_ISLNK(own.st_mode);
      names.push_back(std::move(name));
    }
    if (errno != 0) Report(folder, ErrnoStatus(errno, "cannot read all of the folder", folder));
    closedir(directory);
    std::sort(names.begin(), names.end(),
              [](const Name& a, const Name& b) { return a.sort_key < b.sort_key; });
    return names;
  }

  const std::string resolved_root_;
  const std::function<Status(const FileEntry&)>& visit_;
  const std::function<void(const std::string&, const Status&)>& problem_;
  std::vector<FolderId> ancestors_;
  std::set<FolderId> seen_;
};

}  // namespace

Status WalkFiles(const std::string& root, const std::function<Status(const FileEntry&)>& visit,
                 const std::function<void(const std::string& path, const Status&)>& problem) {
  struct stat info;
  if (stat(root.c_str(), &info) != 0) return ErrnoStatus(errno, "cannot examine", root);
  ASSIGN_OR_RETURN(std::string resolved_root, AbsolutePath(root));
  Walk walk(std::move(resolved_root), visit, problem);
  if (S_ISREG(info.st_mode)) return walk.VisitFile(root, info);
  if (S_ISDIR(info.st_mode)) return walk.EnterFolder(root, info, /*is_link=*/false);
  return InvalidArgument(StrCat(root, " is neither a file nor a folder; name one"));
}

}  // namespace vade
