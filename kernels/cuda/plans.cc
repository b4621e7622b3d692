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

namespace {

// Whole splits of keys that both sequences begin with and all rows of both see.
uint32_t CommonSplits(const AttendShape& a, const AttendShape& b) {
  const size_t keys = std::min(
      {size_t{a.visible[0]}, size_t{b.visible[0]}, a.key_positions.size(), b.key_positions.size()});
  uint32_t splits = 0;
  const auto same = [](auto x, auto y, size_t begin, size_t count) {
    return x.size() >= begin + count && y.size() >= begin + count &&
           std::ranges::equal(x.subspan(begin, count), y.subspan(begin, count));
  };
  while ((splits + 1) * kSplitKeys <= keys &&
         same(a.pages, b.pages, splits * kPagesOfSplit, kPagesOfSplit) &&
         same(a.key_positions, b.key_positions, splits * kSplitKeys, kSplitKeys)) {
    ++splits;
  }
  return splits;
}

// Whether the keys of a span are walked by one block, or by one for each split of them, whose
// results are then merged.
enum class KeyWalk { kWhole, kSplit };

// Builds the plan span by span.
class AttendPlanner {
 public:
  AttendPlanner(std::span<const AttendShape> spans, uint32_t group, KeyWalk walk)
      : spans_(spans), group_(group), walk_(walk) {
    plan_.shared = FindSharedKeys(spans, group);
  }

  AttendPlan Plan() && {
    auto shared = plan_.shared.begin();
    for (uint32_t s = 0; s < spans_.size(); ++s) {
      if (shared == plan_.shared.end() || s != shared->first_span) {
        AddSpan(s, MergeItem(), 0);
        continue;
      }
      AddGroup(static_cast<uint32_t>(shared - plan_.shared.begin()));
      s += shared->span_count - 1;
      ++shared;
    }
    return std::move(plan_);
  }

 private:
  void AddGroup(uint32_t number) {
    const SharedKeys group = plan_.shared[number];
    const uint32_t pairs = group.rows * group_;
    const uint32_t pieces = walk_ == KeyWalk::kSplit ? group.splits : 1;
    MergeItem merge;
    merge.shared_partial = static_cast<int32_t>(plan_.partials);
    merge.shared_count = static_cast<int32_t>(pieces);
    for (uint32_t begin = 0; begin < pairs; begin += kAttendPairs) {
      AttendItem item = {.span = static_cast<int32_t>(spans_.size() + number),
                         .pair_begin = static_cast<int32_t>(begin),
                         .pair_end = static_cast<int32_t>(std::min(begin + kAttendPairs, pairs))};
      AddPartials(item, 0, group.splits, group.splits / pieces);
    }
    for (uint32_t s = group.first_span; s < group.first_span + group.span_count; ++s) {
      AddSpan(s, merge, group.splits);
      merge.shared_pair += static_cast<int32_t>(spans_[s].row_count * group_);
    }
  }

  // The splits of a span behind its shared ones; `shared` is where those lie.
  void AddSpan(uint32_t s, const MergeItem& shared, uint32_t shared_splits) {
    const uint32_t pairs = spans_[s].row_count * group_;
    for (uint32_t begin = 0; begin < pairs; begin += kAttendPairs) {
      const uint32_t end = std::min(begin + kAttendPairs, pairs);
      uint32_t keys = 0;
      for (uint32_t row = begin / group_; row <= (end - 1) / group_; ++row) {
        keys = std::max(keys, spans_[s].visible[row]);
      }
      const uint32_t splits = CeilDiv(keys, kSplitKeys);
      AttendItem item = {.span = static_cast<int32_t>(s),
                         .pair_begin = static_cast<int32_t>(begin),
                         .pair_end = static_cast<int32_t>(end),
                         .split_end = static_cast<int32_t>(splits)};
      if (shared_splits == 0 && (walk_ == KeyWalk::kWhole || splits == 1)) {
        plan_.items.push_back(item);
        continue;
      }
      MergeItem merge = shared;
      merge.span = item.span;
      merge.pair_begin = item.pair_begin;
      merge.pair_end = item.pair_end;
      merge.partial = static_cast<int32_t>(plan_.partials);
      merge.split_count = static_cast<int32_t>(splits - shared_splits);
      plan_.merges.push_back(merge);
      AddPartials(item, shared_splits, splits, 1);
    }
  }

  // Items for the splits [begin, end), `each` of them an item.
  void AddPartials(AttendItem item, uint32_t begin, uint32_t end, uint32_t each) {
    for (uint32_t split = begin; split < end; split += each) {
      item.split_begin = static_cast<int32_t>(split);
      item.split_end = static_cast<int32_t>(split + each);
      item.partial = static_cast<int32_t>(plan_.partials++);
      plan_.items.push_back(item);
    }
  }

  std::span<const AttendShape> spans_;
  uint32_t group_;
  KeyWalk walk_;
  AttendPlan plan_;
};

}  // namespace

std::vector<SharedKeys> FindSharedKeys(std::span<const AttendShape> spans, uint32_t group) {
  const auto small = [&](uint32_t s) { return spans[s].row_count * group < kAttendPairs; };
  std::vector<SharedKeys> all;
  for (uint32_t first = 0; first < spans.size();) {
    SharedKeys best, run = {first, 1, UINT32_MAX, spans[first].row_count};
    uint32_t most_saved = 0;
    for (uint32_t s = first + 1; s < spans.size() && small(first) && small(s); ++s) {
      const AttendShape& before = spans[s - 1];
      if (before.first_row + before.row_count != spans[s].first_row) break;
      run.splits = std::min(run.splits, CommonSplits(before, spans[s]));
      if (run.splits == 0) break;
      ++run.span_count;
      run.rows += spans[s].row_count;
      const uint32_t blocks = CeilDiv(uint64_t{run.rows} * group, kAttendPairs);
      const uint32_t saved = (run.span_count - blocks) * run.splits;
      if (saved < most_saved || saved == 0) continue;
      most_saved = saved;
      best = run;
    }
    if (best.span_count > 0) all.push_back(best);
    first += std::max(best.span_count, 1u);
  }
  return all;
}

AttendPlan PlanAttention(std::span<const AttendShape> spans, uint32_t group, uint32_t kv_heads,
                         uint32_t enough_blocks) {
  uint64_t blocks = 0;
  for (const AttendShape& span : spans) {
    blocks += uint64_t{CeilDiv(uint64_t{span.row_count} * group, kAttendPairs)} * kv_heads;
  }
  const KeyWalk walk = blocks < enough_blocks ? KeyWalk::kSplit : KeyWalk::kWhole;
  return AttendPlanner(spans, group, walk).Plan();
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
