#include "index/admission.h"

#include <algorithm>

#include "index/core.h"
#include "index/filter.h"

namespace vade {
namespace {

constexpr size_t kRememberedFilters = 16;
constexpr size_t kRememberedRanges = 1 << 20;  // of all of them together: 16 MiB
constexpr int kChangesFollowed = 10000;        // beyond as many, all documents are gone through

void AddIfKept(const Filter& filter, const DocumentRecord& record,
               std::vector<PassageRange>* kept) {
  if (!filter.Keeps(record.info)) return;
  kept->insert(kept->end(), record.ranges.begin(), record.ranges.end());
}

Result<PassageSet> ScanDocuments(const Kv& kv, const View& view, CollectionId c,
                                 const Filter& filter, const Context& ctx) {
  std::vector<PassageRange> kept;
  const std::string prefix = FamilyPrefix(c, 'd');
  const auto scan = kv.Scan(Family::kDocuments, prefix, PrefixEnd(prefix), view.snapshot);
  for (size_t n = 0; scan->Valid(); scan->Next()) {
    if (n++ % 1024 == 0) RETURN_IF_ERROR(ctx.Check());
    ASSIGN_OR_RETURN(const DocumentRecord record,
                     DecodeDocument(scan->key().substr(prefix.size()), scan->value()));
    AddIfKept(filter, record, &kept);
  }
  RETURN_IF_ERROR(scan->status());
  return PassageSet::Of(std::move(kept));
}

// What was kept as of `commit` and what was put since then. Nothing when that is no longer worth
// it.
Result<std::optional<PassageSet>> BroughtUp(const Kv& kv, const View& view,
                                            const CollectionState& state, const Filter& filter,
                                            uint64_t commit, const PassageSet& before) {
  ASSIGN_OR_RETURN(const ChangeList list, ChangesOf(kv, view, commit, kChangesFollowed));
  if (list.trimmed || list.more) return std::optional<PassageSet>();
  std::vector<PassageRange> kept = before.ranges();
  for (const StoreChange& change : list.changes) {
    if (change.collection != state.id || change.kind != StoreChange::Kind::kPut) continue;
    ASSIGN_OR_RETURN(const auto record,
                     ReadDocument(kv, view.snapshot, state.id, change.document_id));
    if (record) AddIfKept(filter, *record, &kept);
  }
  PassageSet set = PassageSet::Of(std::move(kept));
  // More of it is gone than current.
  if (set.count() > 2 * state.info.passage_count) return std::optional<PassageSet>();
  return std::optional(std::move(set));
}

}  // namespace

bool MaySee(const std::vector<std::string>& document_groups,
            const std::vector<std::string>& caller) {
  if (document_groups.empty()) return true;
  return std::any_of(caller.begin(), caller.end(), [&](const std::string& group) {
    return std::find(document_groups.begin(), document_groups.end(), group) !=
           document_groups.end();
  });
}

std::vector<uint8_t> AllowedSets(const GroupSets& sets, const std::vector<std::string>& caller) {
  std::vector<uint8_t> allowed(sets.size(), 0);
  allowed[0] = 1;
  for (size_t i = 1; i < sets.size(); ++i) allowed[i] = !sets[i].empty() && MaySee(sets[i], caller);
  return allowed;
}

std::optional<FilterCache::Entry> FilterCache::Remembered(CollectionId c,
                                                          const std::string& filter) {
  std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return e.collection == c && e.filter == filter;
  });
  if (found == entries_.end()) return std::nullopt;
  std::rotate(found, found + 1, entries_.end());
  return entries_.back();
}

void FilterCache::Remember(Entry entry) {
  std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const Entry& e) {
    return e.collection == entry.collection && e.filter == entry.filter;
  });
  size_t ranges = entry.kept->ranges().size();
  if (ranges > kRememberedRanges) return;
  for (const Entry& e : entries_) ranges += e.kept->ranges().size();
  while (!entries_.empty() &&
         (ranges > kRememberedRanges || entries_.size() >= kRememberedFilters)) {
    ranges -= entries_.front().kept->ranges().size();
    entries_.erase(entries_.begin());
  }
  entries_.push_back(std::move(entry));
}

Result<std::shared_ptr<const PassageSet>> FilterCache::Find(const Kv& kv, const View& view,
                                                            const CollectionState& state,
                                                            const std::string& filter,
                                                            const Context& ctx) {
  const auto before = Remembered(state.id, filter);
  if (before && before->commit == view.commit) return before->kept;
  ASSIGN_OR_RETURN(const Filter parsed, Filter::Parse(filter));
  std::optional<PassageSet> set;
  if (before && before->commit < view.commit) {
    ASSIGN_OR_RETURN(set, BroughtUp(kv, view, state, parsed, before->commit, *before->kept));
  }
  if (!set) {
    ASSIGN_OR_RETURN(set, ScanDocuments(kv, view, state.id, parsed, ctx));
  }
  auto kept = std::make_shared<const PassageSet>(std::move(*set));
  // A reader of an older view does not take the place of a newer one.
  if (!before || before->commit < view.commit) Remember({state.id, filter, view.commit, kept});
  return kept;
}

}  // namespace vade
