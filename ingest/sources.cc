#include "ingest/sources.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/fetch.h"
#include "ingest/web_pages.h"

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
    ASSIGN_OR_RETURN(const std::string above, AbsolutePath(folder ? path : ParentFolder(path)));
    const std::string root = folder ? above : JoinPath(above, BaseName(path));
    if (options_.only.empty()) return Walk({path, above, root}, path, root);
    if (!folder && !FileExists(path)) return NotFound(StrCat(path, " is not there"));
    for (const std::string& part : options_.only) {
      if (!IsAtOrBelow(part, root)) continue;
      const std::string shown = part == root ? path : JoinPath(path, RelativePath(part, root));
      RETURN_IF_ERROR(Walk({path, above, root}, shown, part));
    }
    return OkStatus();
  }

  // A page of the web. CANCELLED is the only error that is about more than this page.
  void AddPage(const std::string& url) {
    if (!options_.only.empty()) return;
    if (!fetcher_) {
      fetcher_ = std::make_unique<Fetcher>(FetchOptionsOf(options_.web));
    }
    auto page = WebPage::Fetch(url, options_.web, fetcher_.get(), ctx_);
    if (!page.ok()) {
      const auto normal = NormalUrl(url);
      if (page.status().code() == StatusCode::kNotFound && normal.ok()) {
        list_.scopes.push_back(*normal);
        list_.gone_pages.insert(*normal);
      }
      return Refuse(url, page.status().message());
    }
    const auto [other, fresh] = ids_.emplace(page->url(), std::pair(url, page->url()));
    if (!fresh) return;  // named twice
    SourceFile file;
    file.path = file.origin = file.document_id = page->url();
    file.size_bytes = page->size_bytes();
    file.hash = page->hash();
    file.mime_type = page->mime_type();
    file.page = std::make_shared<const WebPage>(*std::move(page));
    list_.scopes.push_back(file.origin);
    list_.total_bytes += file.size_bytes;
    list_.files.push_back(std::move(file));
  }

  void Refuse(const std::string& path, std::string_view reason) {
    list_.errors.push_back({path, std::string(reason)});
  }

  SourceList Take() { return std::move(list_); }

 private:
  // One of the user's paths: as it was given, and the absolute folder that its ids begin below.
  struct Named {
    const std::string& path;
    const std::string& above;
    const std::string& root;  // absolute: the path itself
  };

  // `shown` is the path or a part of it, `scope` the same as an absolute path.
  Status Walk(const Named& named, const std::string& shown, const std::string& scope) {
    struct stat info;
    const bool part_has_gone =
        scope != named.root && lstat(scope.c_str(), &info) != 0 && errno != EACCES;
    list_.scopes.push_back(scope);
    if (part_has_gone) return OkStatus();
    const auto visit = [&](const FileEntry& entry) -> Status {
      RETURN_IF_ERROR(ctx_.Check());
      const std::string inner = entry.path == shown ? "" : RelativePath(entry.path, shown);
      const std::string absolute = inner.empty() ? scope : JoinPath(scope, inner);
      AddFile(entry, RelativePath(absolute, named.above), absolute);
      return OkStatus();
    };
    const Status walked = WalkFiles(
        shown, visit,
        [&](const std::string& where, const Status& problem) { Refuse(where, problem.message()); });
    if (walked.ok() || scope == named.root) {
      if (!walked.ok()) list_.scopes.pop_back();
      return walked;
    }
    RETURN_IF_ERROR(ctx_.Check());
    Refuse(shown, walked.message());  // a part: it may have gone this very moment
    return OkStatus();
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
    list_.files.push_back({entry.path, absolute, std::move(id), entry.size_bytes, entry.device});
  }

  const IngestOptions& options_;
  const Context& ctx_;
  std::string root_;
  SourceList list_;
  std::unique_ptr<Fetcher> fetcher_;  // made for the first page
  std::unordered_map<std::string, std::pair<std::string, std::string>>
      ids_;  // id -> path, absolute path
};

// The nearest folder above `path` that exists; "" when none does.
std::string NearestFolder(std::string path) {
  for (struct stat info; path.size() > 1;) {
    path = path.substr(0, std::max<size_t>(path.rfind('/'), 1));
    if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return path;
  }
  return "";
}

bool HasGone(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

}  // namespace

Result<std::string> ReadSource(const SourceFile& file, uint64_t limit_bytes) {
  if (file.size_bytes > limit_bytes) {
    return InvalidArgument(
        StrCat("has ", file.size_bytes, " bytes, and ", limit_bytes, " is the limit; split it"));
  }
  if (file.page) return file.page->Bytes();
  auto bytes = ReadFile(file.path, limit_bytes);
  return bytes.ok() ? std::move(bytes) : InvalidArgument(bytes.status().message());
}

bool IsAtOrBelow(std::string_view path, std::string_view scope) {
  if (!path.starts_with(scope)) return false;
  return path.size() == scope.size() || scope.ends_with('/') || path[scope.size()] == '/';
}

Result<SourceList> ListSources(const std::vector<std::string>& paths, const IngestOptions& options,
                               const Context& ctx) {
  if (paths.empty()) return InvalidArgument("nothing to ingest; name a file or a folder");
  Lister lister(options, ctx);
  RETURN_IF_ERROR(lister.Resolve().WithContext("source root"));
  size_t bad = 0;
  Status first;
  for (const std::string& path : paths) {
    if (IsUrl(path)) {
      lister.AddPage(path);
      RETURN_IF_ERROR(ctx.Check());
      continue;
    }
    Status status = lister.Add(path);
    RETURN_IF_ERROR(ctx.Check());
    if (status.ok()) continue;
    lister.Refuse(path, status.message());
    if (bad++ == 0) first = std::move(status);
  }
  if (bad == paths.size()) return first;
  return lister.Take();
}

VanishedFiles::VanishedFiles(const SourceList& sources) : gone_pages_(sources.gone_pages) {
  for (const SourceFile& file : sources.files) {
    present_.insert(file.origin);
    if (file.page) continue;
    for (std::string folder = file.origin; folder.size() > 1;) {
      folder.resize(std::max<size_t>(folder.rfind('/'), 1));
      if (!with_files_.insert(folder).second) break;
    }
  }
}

bool VanishedFiles::IsVanished(const SourceRecord& record) {
  if (IsUrl(record.origin)) return gone_pages_.count(record.origin) > 0;
  return present_.count(record.origin) == 0 && HasGone(record.origin) && !SeemsUnmounted(record);
}

// The folder that a file system is mounted on is there without it as well, but empty and of another
// device. Devices alone tell nothing: many change their number with every start of the machine.
bool VanishedFiles::SeemsUnmounted(const SourceRecord& record) {
  const std::string folder = NearestFolder(record.origin);
  struct stat info;
  if (folder.empty() || stat(folder.c_str(), &info) != 0) return true;
  if (with_files_.count(folder) > 0 || static_cast<uint64_t>(info.st_dev) == record.device) {
    return false;
  }
  if (told_.insert(folder).second) {
    notes_.push_back({folder,
                      "holds no files any more and is on another file system than before, so what "
                      "was in it was kept; mount it, or use vade docs delete"});
  }
  return true;
}

}  // namespace vade
