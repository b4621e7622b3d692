// Documents that hold only from some time on, or that take another one's place: what of a
// collection is hidden at a given time.
//
// At time t a document is hidden when its valid_from lies behind t, and when another document that
// is valid at t (or without a valid_from) supersedes it, whoever may see that one, and superseded
// itself or not. Of most collections nothing is listed here, and nothing is asked.
//
// A table is immutable but for what it remembers, and shared between views; the committer makes
// another one when a document that it lists, or that one of these supersedes, has changed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "index/passage_set.h"
#include "index/records.h"

namespace vade {

struct CollectionState;

class VersionTable {
 public:
  using Versions = std::map<std::string, VersionRecord, std::less<>>;  // by document id
  // The passages of a document as it is now; none when there is no such document.
  using FindRanges = std::function<Result<std::vector<PassageRange>>(std::string_view document_id)>;

  explicit VersionTable(Versions versions);
  const Versions& versions() const { return versions_; }
  // Whether a change of this document changes the answers.
  bool Concerns(std::string_view document_id) const;
  // What is hidden at that time; null: nothing. Passages that are gone may be listed.
  Result<std::shared_ptr<const PassageSet>> Hidden(int64_t unix_micros,
                                                   const FindRanges& find) const;

 private:
  const Versions versions_;
  std::set<std::string, std::less<>> superseded_;
  std::vector<int64_t> times_;  // valid_from of all, ascending: between two of them nothing changes
  mutable std::mutex mutex_;
  mutable std::map<size_t, std::shared_ptr<const PassageSet>> hidden_;  // by how many have passed
};

// What the directory of versions says of a document; nothing when it has neither.
std::optional<VersionRecord> VersionOf(const DocumentRecord& record);

// The state's table after this document was put, or deleted (no version).
void UpdateVersions(CollectionState* state, const std::string& document_id,
                    std::optional<VersionRecord> version);

}  // namespace vade
