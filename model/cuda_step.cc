#include "model/cuda_step.h"

#include <algorithm>
#include <bit>

namespace vade {

namespace cuda = kernels::cuda;

namespace {

// Short sequences need not tell their lengths apart.
constexpr uint64_t kLeastIndices = 1024;

}  // namespace

AttendArrays::AttendArrays(const AttentionShape& shape, std::span<const AttentionSpan> of,
                           uint32_t enough_blocks) {
  const auto append = [&](const auto& values) {
    const auto at = static_cast<int32_t>(indices.size());
    indices.insert(indices.end(), values.begin(), values.end());
    return at;
  };
  const auto last_of = [](int32_t last, std::span<const int32_t> values) {
    return values.empty() ? last : std::max(last, *std::ranges::max_element(values));
  };
  std::vector<cuda::AttendShape> shapes;
  for (const AttentionSpan& span : of) {
    if (span.row_count == 0) continue;
    cuda::SpanIndex& index = spans.emplace_back();
    index.first_row = span.first_row;
    index.row_count = span.row_count;
    index.visible = append(span.visible);
    index.row_positions = append(span.row_positions);
    index.pages = append(span.pages);
    index.key_positions = append(span.key_positions);
    shapes.push_back({static_cast<uint32_t>(span.row_count), span.visible,
                      static_cast<uint32_t>(span.first_row), span.pages, span.key_positions});
    rows = std::max<uint64_t>(rows, static_cast<uint64_t>(span.first_row + span.row_count));
    last_page = last_of(last_page, span.pages);
    last_position = last_of(last_of(last_position, span.key_positions), span.row_positions);
  }
  plan = cuda::PlanAttention(shapes, static_cast<uint32_t>(shape.heads / shape.kv_heads),
                             static_cast<uint32_t>(shape.kv_heads), enough_blocks);
  for (const cuda::SharedKeys& shared : plan.shared) AddShared(shared);
}

// A span with the rows of all that share their first keys.
void AttendArrays::AddShared(const cuda::SharedKeys& shared) {
  cuda::SpanIndex index = spans[shared.first_span];
  index.row_count = static_cast<int32_t>(shared.rows);
  index.visible = static_cast<int32_t>(indices.size());
  indices.insert(indices.end(), shared.rows,
                 static_cast<int32_t>(shared.splits * cuda::kSplitKeys));
  index.row_positions = static_cast<int32_t>(indices.size());
  for (uint32_t s = shared.first_span; s < shared.first_span + shared.span_count; ++s) {
    const cuda::SpanIndex of = spans[s];
    for (int32_t row = 0; row < of.row_count; ++row) {
      indices.push_back(indices[static_cast<size_t>(of.row_positions + row)]);
    }
  }
  spans.push_back(index);
}

AttendRoom AttendArrays::RoomFor(Room room) const {
  const auto of = [&](uint64_t count) {
    return room == Room::kExact || count == 0 ? count : std::bit_ceil(count);
  };
  const uint64_t least = room == Room::kExact ? 0 : kLeastIndices;
  return {.indices = of(std::max<uint64_t>(indices.size(), least)),
          .spans = static_cast<uint32_t>(spans.size()),
          .items = static_cast<uint32_t>(of(plan.items.size())),
          .merges = static_cast<uint32_t>(of(plan.merges.size())),
          .partials = static_cast<uint32_t>(of(plan.partials))};
}

AttendPlace StepBytes::Put(const AttendArrays& arrays, Room room) {
  AttendPlace place;
  place.room = arrays.RoomFor(room);
  place.spans = Put(std::span<const cuda::SpanIndex>(arrays.spans));
  place.items = Put(std::span<const cuda::AttendItem>(arrays.plan.items), place.room.items);
  place.merges = Put(std::span<const cuda::MergeItem>(arrays.plan.merges), place.room.merges);
  place.indices = Put(std::span<const int32_t>(arrays.indices), place.room.indices);
  return place;
}

// What there is room for beyond the values is zeros: an item or a merge without pairs.
uint64_t StepBytes::PutBytes(std::span<const uint8_t> values, uint64_t room_bytes) {
  const uint64_t at = bytes_.size();
  bytes_.insert(bytes_.end(), values.begin(), values.end());
  bytes_.resize((at + room_bytes + 255) / 256 * 256);
  return at;
}

std::vector<int32_t> SlotWords(std::span<const KvSlot> slots) {
  std::vector<int32_t> words;
  words.reserve(2 * slots.size());
  for (const KvSlot slot : slots) {
    words.push_back(slot.page);
    words.push_back(slot.slot);
  }
  return words;
}

}  // namespace vade
