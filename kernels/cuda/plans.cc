#include "kernels/cuda/plans.h"

#include <algorithm>

#include "kernels/packed.h"

namespace vade::kernels::cuda {
namespace {

constexpr uint32_t CeilDiv(uint64_t a, uint64_t b) {
  return static_cast<uint32_t>((a + b - 1) / b);
}

}  // namespace

uint32_t VectorTokens(uint32_t tokens) {
  uint32_t size = 1;
  while (size < tokens && size < kVectorTokens) size *= 2;
  return size;
}

LaunchPlan PlanMatrixVector(uint32_t tiles, uint32_t slices, uint32_t tokens) {
  const uint32_t half_warps = kVectorThreads / kTileRows, together = VectorTokens(tokens);
  return {.grid_x = CeilDiv(tiles, half_warps / slices),
          .grid_y = CeilDiv(tokens, together),
          .block = kVectorThreads,
          .shared_bytes = static_cast<uint32_t>(kVectorThreads * together * sizeof(float))};
}

LaunchPlan PlanMatrix(uint32_t tiles, uint32_t tokens) {
  return {.grid_x = CeilDiv(tiles, kMatrixWarps),
          .grid_y = CeilDiv(tokens, kMatrixTokens),
          .block = 32 * kMatrixWarps,
          .shared_bytes = kMatrixTokens * (kStepPitch + kRecordBytes)};
}

bool UsesTensorCores(Format format, uint32_t tokens) {
  return !IsFloat(format) && tokens > kVectorTokens;
}

LaunchPlan PlanRows(uint32_t rows) {
  return {.grid_x = rows, .block = 256, .shared_bytes = 32 * sizeof(float)};
}

LaunchPlan PlanElements(uint64_t count) { return {.grid_x = CeilDiv(count, 256), .block = 256}; }

LaunchPlan PlanStore(uint32_t rows, uint32_t kv_heads, uint32_t head_dim) {
  const uint32_t warps = 2 * kv_heads * CeilDiv(head_dim, 32);
  return {.grid_x = rows, .grid_y = CeilDiv(warps, 4), .block = 128};
}

namespace {

constexpr uint32_t kLeastChunk = 1024;

}  // namespace

BestPlan PlanBest(uint32_t rows, uint32_t width, uint32_t count) {
  BestPlan plan;
  const uint32_t wanted = std::clamp(CeilDiv(width, kLeastChunk), 1u, kMaxBestChunks);
  plan.chunk_values = CeilDiv(width, wanted);
  plan.chunks = CeilDiv(width, plan.chunk_values);  // none is empty
  const auto shared = [&](uint64_t keys) {
    return static_cast<uint32_t>(kBestScratchBytes + (count == 1 ? 0 : keys * sizeof(uint64_t)));
  };
  plan.of_chunks = {.grid_x = plan.chunks,
                    .grid_y = rows,
                    .block = kBestThreads,
                    .shared_bytes = shared(plan.chunk_values)};
  plan.of_rows = {
      .grid_x = rows, .block = kBestThreads, .shared_bytes = shared(uint64_t{plan.chunks} * count)};
  plan.of_sums = {
      .grid_x = plan.chunks, .grid_y = rows, .block = kBestThreads, .shared_bytes = 128};
  return plan;
}

bool CanFindBest(uint32_t width) {
  return width > 0 && PlanBest(1, width, kMaxBest).of_chunks.shared_bytes <= kMaxSharedBytes;
}

uint32_t AttendSharedBytes(uint32_t head_dim) {
  const uint32_t keys = kAttentionTile * (head_dim + 1), values = kAttentionTile * head_dim;
  const uint32_t queries = kAttendPairs * head_dim, weights = kAttendPairs * kAttentionTile;
  return static_cast<uint32_t>((keys + values + queries + weights) * sizeof(float));
}

AttendPlan PlanAttention(std::span<const AttendShape> spans, uint32_t group, uint32_t kv_heads,
                         uint32_t enough_blocks) {
  uint64_t blocks = 0;
  for (const AttendShape& span : spans) {
    blocks += uint64_t{CeilDiv(uint64_t{span.row_count} * group, kAttendPairs)} * kv_heads;
  }
  const bool split = blocks < enough_blocks;
  AttendPlan plan;
  for (size_t s = 0; s < spans.size(); ++s) {
    const uint32_t pairs = spans[s].row_count * group;
    for (uint32_t begin = 0; begin < pairs; begin += kAttendPairs) {
      const uint32_t end = std::min(begin + kAttendPairs, pairs);
      uint32_t keys = 0;
      for (uint32_t row = begin / group; row <= (end - 1) / group; ++row) {
        keys = std::max(keys, spans[s].visible[row]);
      }
      const uint32_t splits = CeilDiv(keys, kSplitKeys);
      AttendItem item = {.span = static_cast<int32_t>(s),
                         .pair_begin = static_cast<int32_t>(begin),
                         .pair_end = static_cast<int32_t>(end),
                         .split_end = static_cast<int32_t>(splits)};
      if (!split || splits == 1) {
        plan.items.push_back(item);
        continue;
      }
      plan.merges.push_back({item.span, item.pair_begin, item.pair_end,
                             static_cast<int32_t>(plan.partials), static_cast<int32_t>(splits)});
      for (uint32_t i = 0; i < splits; ++i) {
        item.split_begin = static_cast<int32_t>(i);
        item.split_end = static_cast<int32_t>(i + 1);
        item.partial = static_cast<int32_t>(plan.partials++);
        plan.items.push_back(item);
      }
    }
  }
  return plan;
}

LaunchPlan PlanScan(uint32_t padded_rows, uint32_t stride) {
  return {.grid_x = CeilDiv(padded_rows, kScanRowsOfBlock),
          .block = kScanThreads,
          .shared_bytes = stride};
}

ScanPieces CutScan(uint32_t rows) {
  const uint32_t count = CeilDiv(rows, kScanPiece);
  return {.count = count, .rows = CeilDiv(rows, count)};
}

LaunchPlan PlanEncoderRows(uint32_t rows) {
  return {.grid_x = rows, .block = kEncoderThreads, .shared_bytes = kEncoderScratchBytes};
}

LaunchPlan PlanCodes(uint32_t tiles, uint32_t tokens) {
  LaunchPlan plan = PlanMatrix(tiles, tokens);
  plan.shared_bytes = kMatrixTokens * kStepPitch;
  return plan;
}

LaunchPlan PlanHeadRows(uint32_t rows) { return {.grid_x = rows, .block = kEncoderThreads}; }

LaunchPlan PlanHeadValues(uint32_t texts, uint32_t heads) {
  return {.grid_x = texts,
          .grid_y = heads,
          .block = kEncoderThreads,
          .shared_bytes = 2 * kEncoderThreads * sizeof(float)};
}

std::vector<TextQueries> PlanTexts(std::span<const uint32_t> lengths) {
  std::vector<TextQueries> items;
  for (size_t text = 0; text < lengths.size(); ++text) {
    for (uint32_t first = 0; first < lengths[text]; first += kTextQueries) {
      items.push_back({static_cast<int32_t>(text), static_cast<int32_t>(first)});
    }
  }
  return items;
}

LaunchPlan PlanAttendTexts(uint32_t items, uint32_t heads) {
  return {.grid_x = items,
          .grid_y = heads,
          .block = kEncoderThreads,
          .shared_bytes = kTextQueries * kWeightsPitch};
}

}  // namespace vade::kernels::cuda
