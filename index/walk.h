// Our own walk of a graph that FAISS built: no virtual call a distance, neighbours fetched ahead,
// and slots that may not be found are passed through without taking a place in the result.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "index/graph.h"
#include "index/view.h"

namespace vade {

// Which slots may be found: alive, and of an allowed set of groups.
class SlotFilter {
 public:
  // `first` is the bit of slot 0 in `dead`.
  SlotFilter(const uint32_t* group_sets, const Bitmap* dead, size_t first)
      : group_sets_(group_sets), dead_(dead), first_(first) {}
  // Without this call every set is allowed.
  void Allow(std::span<const uint8_t> allowed) {
    allowed_ = allowed;
    restricted_ = true;
  }

  bool restricted() const { return restricted_; }
  bool Keeps(size_t slot) const {
    if (IsDead(dead_, first_ + slot)) return false;
    if (!restricted_) return true;
    const uint32_t set = group_sets_[slot];
    return set < allowed_.size() && allowed_[set] != 0;
  }

 private:
  const uint32_t* group_sets_;
  const Bitmap* dead_;
  size_t first_;
  std::span<const uint8_t> allowed_;
  bool restricted_ = false;
};

struct SlotScore {
  float score = 0;  // code product times the row's scale: greater is nearer
  uint32_t slot = 0;
};

// Up to `ef` slots that the filter keeps, near to `query` (codes, as many as the rows' dimension),
// unordered.
std::vector<SlotScore> WalkGraph(const VectorRows& rows, const GraphView& graph,
                                 const int8_t* query, const SlotFilter& filter, size_t ef);

}  // namespace vade
