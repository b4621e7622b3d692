#include "generator/block_files.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "generator/block_format.h"

namespace vade {
namespace {

// So many documents are remembered one by one; then views older than the last of them keep nothing.
constexpr size_t kMaxForgotten = 4096;

}  // namespace

std::array<uint64_t, 2> BlockContent(std::span<const int32_t> prefix,
                                     std::span<const int32_t> block) {
  auto sum = [](std::span<const int32_t> tokens) {
    return Checksum64(std::span(reinterpret_cast<const uint8_t*>(tokens.data()),
                                tokens.size() * sizeof(int32_t)));
  };
  return {sum(prefix), sum(block)};
}

Result<std::unique_ptr<BlockFiles>> BlockFiles::Open(const BlockFilesOptions& options) {
  std::unique_ptr<BlockFiles> files(new BlockFiles(options));
  if (!options.directory.empty()) RETURN_IF_ERROR(files->ReadDirectory());
  return files;
}

// Which file was used how often is not remembered between processes: the youngest are worth most.
Status BlockFiles::ReadDirectory() {
  RETURN_IF_ERROR(MakeDirectories(options_.directory));
  struct Found {
    std::string path;
    FileEntry entry;
  };
  std::vector<Found> found;
  RETURN_IF_ERROR(WalkFiles(
      options_.directory,
      [&](const FileEntry& entry) {
        const std::string path = RelativePath(entry.path, options_.directory);
        if (path == kAppliedFile) return OkStatus();
        if (path.ends_with(kBlockFileSuffix)) {
          found.push_back({path, entry});
        } else {
          leftovers_.push_back(entry.path);
        }
        return OkStatus();
      },
      [](const std::string&, const Status&) {}));
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return a.entry.modified_unix_ns < b.entry.modified_unix_ns;
  });
  const double step = found.empty() ? 0 : 1.0 / static_cast<double>(found.size());
  for (size_t i = 0; i < found.size(); ++i) {
    entries_[found[i].path] = {found[i].entry.size_bytes, step * static_cast<double>(i), 1};
    total_bytes_ += found[i].entry.size_bytes;
  }
  const auto applied = ReadFile(JoinPath(options_.directory, kAppliedFile), 64);
  if (applied.ok()) applied_commit_ = ParseUint(StripAsciiWhitespace(*applied)).value_or(0);
  return OkStatus();
}

bool BlockFiles::Has(std::string_view model, const BlockKey& key) const {
  std::lock_guard lock(mutex_);
  return entries_.contains(BlockPath(model, key));
}

std::optional<std::string> BlockFiles::Load(std::string_view model, const BlockKey& key,
                                            Expected expected) {
  const std::string path = BlockPath(model, key);
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(path);
    if (found == entries_.end()) return std::nullopt;
    Touch(&found->second);
  }
  const std::string description = DescribeBlock(model, key, expected.tokens, expected.bytes);
  const size_t header = BlockHeader(description, 0).size();
  auto bytes = ReadFile(JoinPath(options_.directory, path), header + expected.bytes);
  if (bytes.ok() && bytes->size() == header + expected.bytes) {
    const std::string_view payload = std::string_view(*bytes).substr(header);
    if (bytes->starts_with(BlockHeader(description, Checksum64(payload)))) {
      // How young a file is, is all that the next process knows of its use.
      std::error_code ignored;
      std::filesystem::last_write_time(JoinPath(options_.directory, path),
                                       std::filesystem::file_time_type::clock::now(), ignored);
      bytes->erase(0, header);
      return std::move(bytes).value();
    }
  }
  LogWarning(StrCat("the kept passage ", path, " is damaged; it is read anew"));
  std::lock_guard lock(mutex_);
  (void)Remove(path);  // else it is found damaged again
  return std::nullopt;
}

bool BlockFiles::Save(std::string_view model, const BlockKey& key, const Block& block) {
  if (options_.directory.empty()) return false;
  const std::string path = BlockPath(model, key);
  const std::string header = BlockHeader(
      DescribeBlock(model, key, block.tokens, block.bytes.size()), Checksum64(block.bytes));
  const uint64_t size = header.size() + block.bytes.size();
  std::lock_guard lock(mutex_);  // held while writing: Forget() must not return before a file is in
  if (!MayKeepLocked(key, block.commit)) return false;
  if (entries_.contains(path)) return true;
  (void)RemoveLeftovers();  // else again with the next one
  const auto free = FreeDiskBytes(options_.directory);
  if (!free.ok() || *free < size + options_.min_free_bytes || !MakeRoom(size)) return false;
  const std::string full = JoinPath(options_.directory, path);
  if (!MakeDirectories(full.substr(0, full.rfind('/'))).ok()) return false;
  const std::string_view pieces[] = {
      header, {reinterpret_cast<const char*>(block.bytes.data()), block.bytes.size()}};
  const Status written = WriteDerivedFile(full, pieces);
  if (!written.ok()) {
    LogWarning(StrCat("a passage is not kept: ", written.message()));
    return false;
  }
  Entry entry{size, 0, 0};
  Touch(&entry);
  entries_[path] = entry;
  total_bytes_ += size;
  return true;
}

// Frequency with aging (greedy-dual): what is used often stays, but not for ever. Cost and size of
// a block both grow with its tokens, so neither is weighed.
void BlockFiles::Touch(Entry* entry) {
  ++entry->uses;
  entry->worth = removed_worth_ + static_cast<double>(entry->uses);
}

// What cannot be removed stays in the list, to be tried again.
Status BlockFiles::Remove(const std::string& path) {
  const auto found = entries_.find(path);
  if (found == entries_.end()) return OkStatus();
  RETURN_IF_ERROR(RemoveFile(JoinPath(options_.directory, path)));
  total_bytes_ -= found->second.bytes;
  entries_.erase(found);
  return OkStatus();
}

bool BlockFiles::MakeRoom(uint64_t bytes) {
  if (bytes > options_.budget_bytes) return false;
  while (total_bytes_ + bytes > options_.budget_bytes && !entries_.empty()) {
    const auto least = std::min_element(
        entries_.begin(), entries_.end(),
        [](const auto& a, const auto& b) { return a.second.worth < b.second.worth; });
    removed_worth_ = std::max(removed_worth_, least->second.worth);
    if (!Remove(std::string(least->first)).ok()) return false;
  }
  return true;
}

// Nobody knows whose text they hold.
Status BlockFiles::RemoveLeftovers() {
  for (; !leftovers_.empty(); leftovers_.pop_back()) {
    const std::string& path = leftovers_.back();
    RETURN_IF_ERROR(RemoveFile(path));
    RETURN_IF_ERROR(SyncDirectory(path.substr(0, path.rfind('/'))));
  }
  return OkStatus();
}

// Files of every model whose path goes on with `part` behind the model's name. Durably: a loss of
// power must not bring a deleted text back behind the remembered commit.
Status BlockFiles::RemoveBelow(const std::string& part) {
  RETURN_IF_ERROR(RemoveLeftovers());
  std::vector<std::string> paths;
  for (const auto& [path, entry] : entries_) {
    const size_t slash = path.find('/');
    if (slash != std::string::npos && path.compare(slash + 1, part.size(), part) == 0)
      paths.push_back(path);
  }
  std::set<std::string> folders;
  for (const std::string& path : paths) {
    RETURN_IF_ERROR(Remove(path));
    folders.insert(path.substr(0, path.rfind('/')));
  }
  for (const std::string& folder : folders)
    RETURN_IF_ERROR(SyncDirectory(JoinPath(options_.directory, folder)));
  return OkStatus();
}

Status BlockFiles::Forget(const ForgottenDocument& document) {
  std::lock_guard lock(mutex_);
  if (forgotten_.size() >= kMaxForgotten) {
    for (const auto& [what, commit] : forgotten_)
      forgotten_before_ = std::max(forgotten_before_, commit);
    forgotten_.clear();
  }
  uint64_t& commit = forgotten_[{document.collection, document.document_id}];
  commit = std::max(commit, document.commit);
  newest_forgotten_ = std::max(newest_forgotten_, document.commit);
  return RemoveBelow(
      document.document_id.empty()
          ? StrCat(document.collection, "/")
          : BlockDocumentPath("", document.collection, document.document_id).substr(1));
}

Status BlockFiles::ForgetEverything(uint64_t commit) {
  std::lock_guard lock(mutex_);
  forgotten_before_ = std::max(forgotten_before_, commit);
  newest_forgotten_ = std::max(newest_forgotten_, commit);
  return RemoveBelow("");
}

uint64_t BlockFiles::newest_forgotten() const {
  std::lock_guard lock(mutex_);
  return newest_forgotten_;
}

bool BlockFiles::MayKeep(const BlockKey& key, uint64_t view_commit) const {
  std::lock_guard lock(mutex_);
  return MayKeepLocked(key, view_commit);
}

bool BlockFiles::MayKeepLocked(const BlockKey& key, uint64_t view_commit) const {
  if (view_commit < forgotten_before_) return false;
  for (const std::string& document : {std::string(), key.document_id}) {
    const auto found = forgotten_.find({key.collection, document});
    if (found != forgotten_.end() && view_commit < found->second) return false;
  }
  return true;
}

uint64_t BlockFiles::applied_commit() const {
  std::lock_guard lock(mutex_);
  return applied_commit_;
}

void BlockFiles::SetAppliedCommit(uint64_t commit) {
  std::lock_guard lock(mutex_);
  if (commit == applied_commit_) return;
  applied_commit_ = commit;
  if (options_.directory.empty()) return;
  const std::string text = StrCat(commit, "\n");
  const std::string_view piece = text;
  const Status written = WriteDerivedFile(JoinPath(options_.directory, kAppliedFile), {&piece, 1});
  if (!written.ok()) LogWarning(StrCat("kept passages: ", written.message()));
}

uint64_t BlockFiles::bytes() const {
  std::lock_guard lock(mutex_);
  return total_bytes_;
}

size_t BlockFiles::files() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace vade
