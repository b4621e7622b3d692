// Our own walk of a graph that FAISS built: no virtual call a distance, neighbours fetched ahead,
// and slots that may not be found are passed through without taking a place in the result.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "index/graph.h"
#include "index/view.h"

namespace vade {

// Which slots may be found: alive, of an allowed set of groups, and kept by the request's filter.
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
  // Only slots whose bit is set; without this call all of them. One bit a slot, from slot 0.
  void Keep(Bitmap kept) {
    kept_ = std::move(kept);
    filtered_ = true;
  }

  bool any_dead() const { return dead_ != nullptr; }
  bool restricted() const { return restricted_ || filtered_; }
  bool Keeps(size_t slot) const {
    if (IsDead(dead_, first_ + slot)) return false;
    if (filtered_ && !(kept_[slot / 64] >> (slot % 64) & 1)) return false;
    if (!restricted_) return true;
    const uint32_t set = group_sets_[slot];
    return set < allowed_.size() && allowed_[set] != 0;
  }
  // How many of the first `slots` are kept; without groups a word at a time.
  size_t Count(size_t slots) const {
    size_t kept = 0;
    if (restricted_ || first_ != 0) {
      for (size_t slot = 0; slot < slots; ++slot) kept += Keeps(slot);
      return kept;
    }
    for (size_t word = 0; word * 64 < slots; ++word) {
      uint64_t bits = WordOf(word);
      if (slots - word * 64 < 64) bits &= (uint64_t{1} << (slots % 64)) - 1;
      kept += static_cast<size_t>(std::popcount(bits));
    }
    return kept;
  }
  // One bit for each of the first `slots`: whether it is kept. Bits behind them may be anything.
  Bitmap Kept(size_t slots) const {
    Bitmap bits((slots + 63) / 64);
    if (restricted_ || first_ != 0) {
      for (size_t slot = 0; slot < slots; ++slot) {
        bits[slot / 64] |= uint64_t{Keeps(slot)} << (slot % 64);
      }
      return bits;
    }
    for (size_t word = 0; word < bits.size(); ++word) bits[word] = WordOf(word);
    return bits;
  }
  // Whether the filter keeps none of [begin, begin + count); begin is a multiple of 64.
  bool KeepsNone(size_t begin, size_t count) const {
    if (!filtered_) return false;
    for (size_t word = begin / 64; word * 64 < begin + count; ++word) {
      if (kept_[word] != 0) return false;
    }
    return true;
  }

 private:
  // Of the slots from 64 * word on, where neither groups nor an offset matter.
  uint64_t WordOf(size_t word) const {
    uint64_t bits = filtered_ ? kept_[word] : ~uint64_t{0};
    if (dead_ && word < dead_->size()) bits &= ~(*dead_)[word];
    return bits;
  }

  const uint32_t* group_sets_;
  const Bitmap* dead_;
  size_t first_;
  std::span<const uint8_t> allowed_;
  bool restricted_ = false;
  Bitmap kept_;
  bool filtered_ = false;
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
