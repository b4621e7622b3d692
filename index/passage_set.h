// A set of passages by their ids: ranges, ascending and apart. Immutable; shared between threads.
#pragma once

#include <vector>

#include "index/records.h"

namespace vade {

class PassageSet {
 public:
  // Of ranges in any order, which may touch or overlap.
  static PassageSet Of(std::vector<PassageRange> ranges);
  const std::vector<PassageRange>& ranges() const { return ranges_; }
  uint64_t count() const { return count_; }

 private:
  std::vector<PassageRange> ranges_;
  uint64_t count_ = 0;
};

// Looks up one id after the other; cheap where they ascend. Borrows the set; one thread at a time.
class PassageCursor {
 public:
  explicit PassageCursor(const PassageSet& set) : ranges_(&set.ranges()) {}
  bool Has(PassageId id);

 private:
  bool Holds(size_t at, PassageId id) const {
    return id - (*ranges_)[at].first < (*ranges_)[at].count;
  }
  const std::vector<PassageRange>* ranges_;
  size_t at_ = 0;  // a range that began at or before the last id
};

}  // namespace vade
