// Keys and values of passage blocks in files, and what must not be kept any longer.
//
//   ASSIGN_OR_RETURN(auto files, BlockFiles::Open({.directory = dir + "/kv", .budget_bytes = 4 << 30}));
//   auto bytes = files->Load(model, key);          // nullopt: read the passage anew
//   files->Save(model, key, tokens, bytes, commit);
//   files->Forget({.collection = 1, .document_id = "lease.md", .commit = 17});
//
// Derived data: whatever is damaged, foreign or of another version is removed and counts as absent.
// Nothing here can fail a request. Without a directory nothing is written, and Forget() still
// decides what may be kept in memory. Thread-safe. One process a directory (the store's lock).
//
// The file of a block, DIR/MODEL/COLLECTION/DOCUMENT/PASSAGE-CONTENT.kv, is described in
// docs/formats.md.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "generator/block_key.h"

namespace vade {

struct BlockFilesOptions {
  std::string directory;  // "": no files
  uint64_t budget_bytes = 4ull << 30;
  uint64_t min_free_bytes = 1ull << 30;  // nothing is written when less would be left on the disk
};

// A document was replaced or deleted, or a whole collection (document_id "").
struct ForgottenDocument {
  uint32_t collection = 0;
  std::string document_id;
  uint64_t commit = 0;  // of the change
};

// What Verify() found.
struct KeptFileProblem {
  std::string line;      // "path: what is wrong", and why it is still there where it was to go
  bool removed = false;  // it is gone
};
struct KeptFilesReport {
  uint64_t files = 0, bytes = 0;  // that were looked at
  std::vector<KeptFileProblem> problems;

  uint64_t removed() const {
    return static_cast<uint64_t>(std::ranges::count(problems, true, &KeptFileProblem::removed));
  }
};

class BlockFiles {
 public:
  // Changes no file: what is beyond the budget, or was left by a process that died while it wrote,
  // goes with the first Save() or Forget().
  static Result<std::unique_ptr<BlockFiles>> Open(const BlockFilesOptions& options);

  bool Has(std::string_view model, const BlockKey& key) const;

  struct Expected {
    int tokens = 0;
    uint64_t bytes = 0;
  };
  // The keys and values as Save() was given them.
  std::optional<std::string> Load(std::string_view model, const BlockKey& key, Expected expected);

  struct Block {
    int tokens = 0;
    std::span<const uint8_t> bytes;
    uint64_t commit = 0;  // of the view in which the passage was found
  };
  // False when it was not written: it has been forgotten since, is larger than the budget, or the
  // disk refuses.
  bool Save(std::string_view model, const BlockKey& key, const Block& block);
  bool writes() const { return !options_.directory.empty(); }

  // Nothing of it that was found before that commit will be kept; on OK no file of it is left.
  Status Forget(const ForgottenDocument& document);
  Status ForgetEverything(uint64_t commit);
  bool MayKeep(const BlockKey& key, uint64_t view_commit) const;
  uint64_t newest_forgotten() const;  // commit of the newest change that was forgotten; 0: none

  // Whether the document has that passage now; an error ends the verification.
  using IsCurrent = std::function<Result<bool>(const BlockKey&)>;
  enum class Repair { kNothing, kRemove };
  // Reads every file of the directory and names each that is truncated, damaged, another's under
  // this name, of a passage that is no more, or none of ours; removes them where that is asked for.
  // What cannot be listed, examined or removed is named too, and stays.
  Result<KeptFilesReport> Verify(const IsCurrent& is_current, Repair repair, const Context& ctx);

  // The last commit whose changes have been forgotten here, as remembered in the directory; 0:
  // none.
  uint64_t applied_commit() const;
  void SetAppliedCommit(uint64_t commit);

  uint64_t bytes() const;
  uint64_t budget_bytes() const { return options_.budget_bytes; }
  size_t files() const;

 private:
  struct Entry {
    uint64_t bytes = 0;
    double worth = 0;  // grows with each use, from the worth of what was last removed
    uint64_t uses = 0;
  };

  explicit BlockFiles(const BlockFilesOptions& options) : options_(options) {}
  Status ReadDirectory();
  void Touch(Entry* entry);
  Status Remove(const std::string& path);
  Status RemoveLeftovers();
  Status RemoveBelow(const std::string& part);
  bool MakeRoom(uint64_t bytes);
  bool MayKeepLocked(const BlockKey& key, uint64_t view_commit) const;

  const BlockFilesOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // by path below the directory
  uint64_t total_bytes_ = 0;
  double removed_worth_ = 0;
  uint64_t applied_commit_ = 0;
  std::vector<std::string> leftovers_;  // files that are no blocks, by their whole path
  // By collection and document ("": all of it): the commit of the last change.
  std::map<std::pair<uint32_t, std::string>, uint64_t> forgotten_;
  uint64_t newest_forgotten_ = 0;
  uint64_t forgotten_before_ = 0;  // views older than this may keep nothing
};

}  // namespace vade
