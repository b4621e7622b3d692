// Exhaustive search over the rows of one source, and what scans and walks have in common: the
// question in codes, and the best candidates so far.
//
// A scan is bound by the memory that it reads. Where all rows are looked at and a large source has
// nibbles, it scores those first and then, by their codes, the rows that may be best: half of the
// bytes, and all but surely the same rows. What a row may be by its codes is taken as what its
// nibbles say and four standard deviations of their rounding (independent and uniform from one
// component to the next); when a row that was left out may be among the best k, all codes are
// scanned after all.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/cells.h"
#include "index/device_slot.h"
#include "index/graph.h"
#include "index/language_lift.h"
#include "index/vectors.h"
#include "index/walk.h"

namespace vade {

// One source of slots: a segment or a block of the tail.
struct Source {
  VectorRows rows;
  SlotFilter filter;
  const GraphView* graph = nullptr;  // one of both or none
  const CellsView* cells = nullptr;
  std::optional<LanguageCode> language = std::nullopt;  // of all rows, where that is known
  size_t dead_count = 0;         // of a segment's slots; 0 for blocks, which are only scanned
  DeviceSlot* device = nullptr;  // where a segment's rows may lie as well
};

// A question as the search sees it.
struct Question {
  std::span<const float> vector;
  std::vector<int8_t> code;  // padded with zeros to whole pieces of nibbles
  float scale = 0;           // component = code * scale
  LanguageLift lift;

  // Borrows `asked`.
  Question(const LanguageSums& sums, std::span<const float> asked);
  // In the measure of products of codes.
  float LiftOfCodes(LanguageCode language) const {
    return lift.none() || scale == 0 ? 0 : lift.Of(language) / scale;
  }
};

struct Found {
  float score = 0;  // product of codes times the row's scale, and the lift of its language
  uint32_t source = 0;
  uint32_t slot = 0;
};

inline constexpr float kNoFloor = -std::numeric_limits<float>::infinity();

// The best `capacity` candidates so far; among equal scores those of lower source and slot.
class Head {
 public:
  explicit Head(size_t capacity) : capacity_(capacity) { found_.reserve(2 * capacity); }
  // No candidate with a lower score can be among the best any more.
  float floor() const { return floor_; }
  size_t capacity() const { return capacity_; }
  void Offer(float score, uint32_t source, uint32_t slot) {
    if (!(score >= floor_)) return;
    found_.push_back({score, source, slot});
    if (found_.size() == 2 * capacity_) Shrink();
  }
  // Takes out those of one source, all of which are about to be offered again.
  void Remove(uint32_t source);
  // Unordered. Leaves it empty.
  std::vector<Found> Take();

 private:
  void Shrink();

  size_t capacity_;
  float floor_ = kNoFloor;
  std::vector<Found> found_;  // less than twice the capacity
};

// Of these rows, by their codes: products times the rows' scales, without lifts.
std::vector<SlotScore> ScoreByCodes(const VectorRows& rows, const Question& question,
                                    std::span<const uint32_t> slots);

struct ScanOptions {
  size_t k = 0;
  size_t nibbles_from_bytes = 0;  // of codes: fewer are scored as they are
};

// Offers the rows of `source`, which is number `number` in what is offered, that its filter keeps.
// The best `k` of them are surely among what is offered.
Status Scan(const Source& source, uint32_t number, const Question& question,
            const ScanOptions& options, const Context& ctx, Head* head);

}  // namespace vade
