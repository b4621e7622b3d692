// What changes from one step to the next, as the GPU's kernels read it: tokens, slots, and for the
// attention its spans, its plan and its index arrays. All of it lies in one piece of device memory
// that is written by one copy, so that the launches themselves can stay the same: that is what a
// recorded graph does. Where it may be used again, lists have room for the next power of two, and
// what they do not need is empty.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/operations.h"
#include "model/backend.h"

namespace vade {

// How many entries each list of an attention has room for.
struct AttendRoom {
  uint64_t indices = 0;
  uint32_t spans = 0, items = 0, merges = 0, partials = 0;
  auto operator<=>(const AttendRoom&) const = default;
};

enum class Room : uint8_t { kExact, kPowersOfTwo };

// The attention of a step's rows.
struct AttendArrays {
  AttendArrays() = default;
  AttendArrays(const AttentionShape& shape, std::span<const AttentionSpan> of,
               uint32_t enough_blocks);

  AttendRoom RoomFor(Room room) const;
  bool empty() const { return spans.empty(); }

  std::vector<kernels::cuda::SpanIndex> spans;
  std::vector<int32_t> indices;
  kernels::cuda::AttendPlan plan;
  uint64_t rows = 0;
  int32_t last_page = -1, last_position = 0;

 private:
  void AddShared(const kernels::cuda::SharedKeys& shared);
};

// Where an attention's lists lie, from the beginning of a step's bytes.
struct AttendPlace {
  AttendRoom room;
  uint64_t spans = 0, indices = 0, items = 0, merges = 0;
};

// The bytes of a step while they are put together. Every list begins at a multiple of 256.
class StepBytes {
 public:
  template <typename T>
  uint64_t Put(std::span<const T> values, uint64_t room) {
    return PutBytes({reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)},
                    room * sizeof(T));
  }
  template <typename T>
  uint64_t Put(std::span<const T> values) {
    return Put(values, values.size());
  }
  AttendPlace Put(const AttendArrays& arrays, Room room);

  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  uint64_t PutBytes(std::span<const uint8_t> values, uint64_t room_bytes);

  std::vector<uint8_t> bytes_;
};

// (page, slot) pairs as the kernels read them.
std::vector<int32_t> SlotWords(std::span<const KvSlot> slots);

}  // namespace vade
