#include "index/passage_set.h"

#include <algorithm>

namespace vade {

PassageSet PassageSet::Of(std::vector<PassageRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const PassageRange& a, const PassageRange& b) { return a.first < b.first; });
  PassageSet set;
  for (const PassageRange& range : ranges) {
    if (!set.ranges_.empty() &&
        range.first <= set.ranges_.back().first + set.ranges_.back().count) {
      PassageRange& last = set.ranges_.back();
      last.count = std::max(last.count, range.first + range.count - last.first);
    } else {
      set.ranges_.push_back(range);
    }
  }
  for (const PassageRange& range : set.ranges_) set.count_ += range.count;
  return set;
}

bool PassageCursor::Has(PassageId id) {
  if (at_ < ranges_->size() && Holds(at_, id)) return true;
  const auto after =
      std::upper_bound(ranges_->begin(), ranges_->end(), id,
                       [](PassageId wanted, const PassageRange& r) { return wanted < r.first; });
  if (after == ranges_->begin()) return false;
  at_ = static_cast<size_t>(after - ranges_->begin()) - 1;
  return Holds(at_, id);
}

}  // namespace vade
