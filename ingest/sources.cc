#include "ingest/sources.h"

#include <unordered_map>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

class Lister {
 public:
  Lister(const IngestOptions& options, const Context& ctx) : options_(options), ctx_(ctx) {}

  Status Resolve() {
    if (options_.source_root.empty()) return OkStatus();
    ASSIGN_OR_RETURN(root_, AbsolutePath(options_.source_root));
    return OkStatus();
  }

  // One of the user's paths. CANCELLED is the only error that is about more than this path.
  Status Add(const std::string& path) {
    // Ids are made of the names as they stand in the folders: what a link leads to does not matter.
    const bool folder = IsDirectory(path);
    const std::string above = folder ? path : FolderOf(path);
    ASSIGN_OR_RETURN(const std::string absolute_above, AbsolutePath(above));
    auto visit = [&](const FileEntry& entry) -> Status {
      RETURN_IF_ERROR(ctx_.Check());
      const std::string name = folder ? RelativePath(entry.path, path) : BaseName(entry.path);
      AddFile(entry, name, JoinPath(absolute_above, name));
      return OkStatus();
    };
    return WalkFiles(path, visit, [&](const std::string& where, const Status& problem) {
      Refuse(where, problem.message());
    });
  }

  void Refuse(const std::string& path, std::string_view reason) {
    list_.errors.push_back({path, std::string(reason)});
  }

  SourceList Take() { return std::move(list_); }

 private:
  static std::string FolderOf(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
  }

  void AddFile(const FileEntry& entry, const std::string& name, const std::string& absolute) {
    std::string id = name;
    if (!root_.empty()) {
      id = RelativePath(absolute, root_);
      if (id == absolute) {
        return Refuse(entry.path, StrCat("is not below the source root ", options_.source_root));
      }
    }
    // File names are bytes; ids are text.
    if (!IsValidUtf8(id)) return Refuse(entry.path, "has a name that is not UTF-8; rename it");
    const auto [other, fresh] = ids_.emplace(id, std::pair(entry.path, absolute));
    if (!fresh) {
      if (other->second.second == absolute) return;  // named twice
      return Refuse(entry.path, StrCat("would be the document '", id, "', as ", other->second.first,
                                       " is; give a --source-root that is above both"));
    }
    list_.total_bytes += entry.size_bytes;
    list_.files.push_back({entry.path, std::move(id), entry.size_bytes});
  }

  const IngestOptions& options_;
  const Context& ctx_;
  std::string root_;
  SourceList list_;
  std::unordered_map<std::string, std::pair<std::string, std::string>>
      ids_;  // id -> path, absolute path
};

}  // namespace

Result<SourceList> ListSources(const std::vector<std::string>& paths, const IngestOptions& options,
                               const Context& ctx) {
  if (paths.empty()) return InvalidArgument("nothing to ingest; name a file or a folder");
  Lister lister(options, ctx);
  RETURN_IF_ERROR(lister.Resolve().WithContext("source root"));
  size_t bad = 0;
  Status first;
  for (const std::string& path : paths) {
    Status status = lister.Add(path);
    RETURN_IF_ERROR(ctx.Check());
    if (status.ok()) continue;
    lister.Refuse(path, status.message());
    if (bad++ == 0) first = std::move(status);
  }
  if (bad == paths.size()) return first;
  return lister.Take();
}

}  // namespace vade
