// Looks through the files of kept passages: vade verify.
#include <set>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "generator/block_files.h"
#include "generator/block_format.h"

namespace vade {
namespace {

// Far beyond what the longest passage takes; a larger file is no such one.
constexpr uint64_t kMostFileBytes = 1ull << 30;

struct File {
  std::string path;  // below the directory
  uint64_t bytes = 0;
};

// All but the file of the applied commit.
Result<std::vector<File>> ListFiles(const std::string& directory,
                                    std::vector<KeptFileProblem>* bad) {
  std::vector<File> files;
  RETURN_IF_ERROR(WalkFiles(
      directory,
      [&](const FileEntry& entry) {
        const std::string path = RelativePath(entry.path, directory);
        if (path != kAppliedFile) files.push_back({path, entry.size_bytes});
        return OkStatus();
      },
      [&](const std::string& path, const Status& status) {
        bad->push_back({.line = StrCat(RelativePath(path, directory), ": ", status.message())});
      }));
  return files;
}

// Whose file it is; DATA_LOSS says why it is nobody's.
Result<BlockKey> CheckFile(const std::string& directory, const File& file) {
  if (!file.path.ends_with(kBlockFileSuffix)) return DataLoss("it is no kept passage");
  if (file.bytes > kMostFileBytes) return DataLoss("it is damaged: it is too large");
  auto bytes = ReadFile(JoinPath(directory, file.path), kMostFileBytes);
  if (!bytes.ok()) return DataLoss(StrCat("it cannot be read: ", bytes.status().message()));
  ASSIGN_OR_RETURN(BlockFileFacts facts, ReadBlockFile(*bytes));
  const std::string own = BlockPath(facts.model, facts.key);
  if (own != file.path)
    return DataLoss(StrCat("it stands under another's name: it belongs at ", own));
  return std::move(facts.key);
}

// "": nothing. An error is the store's.
Result<std::string> ProblemOf(const std::string& directory, const File& file,
                              const BlockFiles::IsCurrent& is_current) {
  const auto key = CheckFile(directory, file);
  if (!key.ok()) return key.status().message();
  if (key->passage_id == 0) return std::string();  // a prefix, of no document
  ASSIGN_OR_RETURN(const bool current, is_current(*key));
  if (current) return std::string();
  return StrCat("it is stale: document '", key->document_id,
                "' was deleted, or has another text now");
}

}  // namespace

Result<KeptFilesReport> BlockFiles::Verify(const IsCurrent& is_current, Repair repair,
                                           const Context& ctx) {
  KeptFilesReport report;
  if (options_.directory.empty()) return report;
  ASSIGN_OR_RETURN(const std::vector<File> files, ListFiles(options_.directory, &report.problems));
  std::set<std::string> folders;
  for (const File& file : files) {
    RETURN_IF_ERROR(ctx.Check());
    ++report.files;
    report.bytes += file.bytes;
    ASSIGN_OR_RETURN(const std::string problem, ProblemOf(options_.directory, file, is_current));
    if (problem.empty()) continue;
    KeptFileProblem& found = report.problems.emplace_back();
    found.line = StrCat(file.path, ": ", problem);
    if (repair == Repair::kNothing) continue;
    const std::string full = JoinPath(options_.directory, file.path);
    std::lock_guard lock(mutex_);
    const Status gone = entries_.contains(file.path) ? Remove(file.path) : RemoveFile(full);
    found.removed = gone.ok();
    if (!gone.ok()) found.line += StrCat("; ", gone.message());
    if (gone.ok()) folders.insert(full.substr(0, full.rfind('/')));
  }
  // Durably, as every removal for a deleted document.
  for (const std::string& folder : folders) RETURN_IF_ERROR(SyncDirectory(folder));
  return report;
}

}  // namespace vade
