#include "index/versions.h"

#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "index/view.h"

namespace vade {
namespace {
constexpr size_t kRememberedTimes = 8;
}  // namespace

VersionTable::VersionTable(Versions versions) : versions_(std::move(versions)) {
  for (const auto& [id, version] : versions_) {
    if (!version.supersedes.empty()) superseded_.insert(version.supersedes);
    times_.push_back(version.valid_from_micros);
  }
  std::sort(times_.begin(), times_.end());
}

bool VersionTable::Concerns(std::string_view document_id) const {
  return versions_.contains(document_id) || superseded_.contains(document_id);
}

Result<std::shared_ptr<const PassageSet>> VersionTable::Hidden(int64_t unix_micros,
                                                               const FindRanges& find) const {
  const auto passed = static_cast<size_t>(
      std::upper_bound(times_.begin(), times_.end(), unix_micros) - times_.begin());
  {
    std::lock_guard lock(mutex_);
    if (const auto found = hidden_.find(passed); found != hidden_.end()) return found->second;
  }
  std::vector<PassageRange> ranges;
  for (const auto& [id, version] : versions_) {
    if (version.valid_from_micros > unix_micros) {
      ranges.insert(ranges.end(), version.ranges.begin(), version.ranges.end());
    } else if (!version.supersedes.empty() && version.supersedes != id) {
      ASSIGN_OR_RETURN(const auto old, find(version.supersedes));
      ranges.insert(ranges.end(), old.begin(), old.end());
    }
  }
  std::shared_ptr<const PassageSet> set;
  if (!ranges.empty()) set = std::make_shared<const PassageSet>(PassageSet::Of(std::move(ranges)));
  std::lock_guard lock(mutex_);
  if (hidden_.size() >= kRememberedTimes) hidden_.erase(hidden_.begin());  // the longest ago
  return hidden_[passed] = std::move(set);
}

std::optional<VersionRecord> VersionOf(const DocumentRecord& record) {
  const DocumentInfo& info = record.info;
  if (info.supersedes.empty() && info.valid_from.empty()) return std::nullopt;
  VersionRecord version{.supersedes = info.supersedes, .ranges = record.ranges};
  // It was checked when it was put.
  const auto time = ParseRfc3339(info.valid_from);
  if (!info.valid_from.empty() && time.ok()) version.valid_from_micros = *time;
  return version;
}

void UpdateVersions(CollectionState* state, const std::string& document_id,
                    std::optional<VersionRecord> version) {
  const bool concerned = state->versions && state->versions->Concerns(document_id);
  if (!concerned && !version) return;
  VersionTable::Versions next;
  if (state->versions) next = state->versions->versions();
  if (version) {
    next[document_id] = std::move(*version);
  } else {
    next.erase(document_id);
  }
  state->versions = next.empty() ? nullptr : std::make_shared<const VersionTable>(std::move(next));
}

}  // namespace vade
