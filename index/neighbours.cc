#include "index/neighbours.h"

#include <algorithm>

#include "base/strings.h"

namespace vade {
namespace {

// The first and the last passage within reach; ids ascend with the passages' order.
std::pair<PassageId, PassageId> Within(const std::vector<PassageRange>& ranges, PassageId id,
                                       uint64_t reach) {
  uint64_t before = 0, total = 0;
  for (const PassageRange& range : ranges) {
    if (id - range.first < range.count) before = total + (id - range.first);
    total += range.count;
  }
  const auto at = [&](uint64_t ordinal) {
    for (const PassageRange& range : ranges) {
      if (ordinal < range.count) return range.first + ordinal;
      ordinal -= range.count;
    }
    return id;
  };
  return {at(before > reach ? before - reach : 0), at(std::min(before + reach, total - 1))};
}

}  // namespace

Result<PassageRecord> NeighbourJoiner::Record(PassageId id) const {
  ASSIGN_OR_RETURN(const auto bytes,
                   kv_.Get(Family::kPassages, PassageKey(collection_, id), snapshot_));
  if (!bytes) return DataLoss(StrCat("passage ", id, " is missing; run vade verify"));
  return DecodePassage(*bytes);
}

Result<bool> NeighbourJoiner::Join(const DocumentRecord& document, Hit* hit) {
  Passage& passage = hit->passage;
  std::vector<Range>& shown = shown_[document.revision_key];
  const auto [first, last] =
      Within(document.ranges, passage.id, static_cast<uint64_t>(std::max(reach_, 0)));
  ASSIGN_OR_RETURN(const PassageRecord first_record, Record(first));
  ASSIGN_OR_RETURN(const PassageRecord last_record, Record(last));
  Range joined{std::min(first_record.begin, passage.begin),
               std::max(last_record.begin + last_record.length, passage.end)};
  for (const Range& other : shown) {
    if (other.end < passage.end) {
      joined.begin = std::max(joined.begin, other.end);  // it ends before the passage does
    } else if (other.begin > passage.begin) {
      joined.end = std::min(joined.end, other.begin);
    } else {
      return false;
    }
  }
  if (joined.begin >= joined.end) return false;  // several together hold it
  hit->found_begin = passage.begin;
  hit->found_end = passage.end;
  if (joined.begin != passage.begin) passage.page = first_record.page;
  passage.begin = joined.begin;
  passage.end = joined.end;
  TextReader text(kv_, snapshot_, collection_, document.revision_key);
  ASSIGN_OR_RETURN(passage.text, text.Read(joined.begin, joined.end - joined.begin));
  shown.push_back(joined);
  return true;
}

}  // namespace vade
