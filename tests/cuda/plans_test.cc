// Launch plans for every size: within the limits of a device, covering everything once.
#include "kernels/cuda/plans.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>
#include <utility>

namespace vade::kernels::cuda {
namespace {

void ExpectPossible(const LaunchPlan& plan) {
  EXPECT_GE(plan.grid_x, 1u);
  EXPECT_GE(plan.grid_y, 1u);
  EXPECT_LE(plan.grid_x, kMaxGridX);
  EXPECT_LE(plan.grid_y, kMaxGridY);
  EXPECT_TRUE(plan.block % 32 == 0 && plan.block >= 32 && plan.block <= 1024);
  EXPECT_LE(plan.shared_bytes, kMaxSharedBytes);
}

TEST(CudaPlans, SlicesCoverTheUnitsOfEveryWidthOnce) {
  for (uint32_t units = 1; units <= 2000; ++units) {
    const uint32_t slices = SliceCount(units);
    ASSERT_TRUE(slices >= 1 && slices <= kMaxSlices && slices <= units &&
                (slices & (slices - 1)) == 0);
    ASSERT_EQ(SliceBegin(units, slices, 0), 0u);
    ASSERT_EQ(SliceBegin(units, slices, slices), units);
    for (uint32_t s = 0; s < slices; ++s) {
      ASSERT_LT(SliceBegin(units, slices, s), SliceBegin(units, slices, s + 1)) << units;
    }
  }
}

TEST(CudaPlans, UnitsAreWholeBlocksAndCoverOddWidthsOfFloats) {
  EXPECT_EQ(UnitCount(Format::kQ4Super, 1536), 6u);
  EXPECT_EQ(UnitCount(Format::kQ8Block32, 896), 28u);
  EXPECT_EQ(UnitCount(Format::kF32, 33), 2u);
}

TEST(CudaPlans, ProductsOfEverySizeCoverTheirTilesAndTokens) {
  for (uint32_t tiles : {1u, 2u, 3u, 15u, 16u, 17u, 96u, 9496u, 100000u}) {
    for (uint32_t slices : {1u, 2u, 4u, 8u, 16u}) {
      for (uint32_t tokens : {1u, 2u, 3u, 4u, 5u, 8u, 9u, 64u, 512u}) {
        const LaunchPlan dots = PlanMatrixVector(tiles, slices, tokens);
        ExpectPossible(dots);
        const uint32_t tiles_of_block = 16 / slices;
        EXPECT_GE(uint64_t{dots.grid_x} * tiles_of_block, tiles);
        EXPECT_LT(uint64_t{dots.grid_x - 1} * tiles_of_block, tiles);
        EXPECT_GE(dots.grid_y * VectorTokens(tokens), tokens);
        EXPECT_LT((dots.grid_y - 1) * VectorTokens(tokens), tokens);
        const LaunchPlan tensors = PlanMatrix(tiles, tokens);
        ExpectPossible(tensors);
        EXPECT_GE(uint64_t{tensors.grid_x} * kMatrixWarps, tiles);
        EXPECT_GE(tensors.grid_y * kMatrixTokens, tokens);
      }
    }
  }
}

TEST(CudaPlans, TextsOfEveryLengthAreCutIntoQueriesOnce) {
  const std::vector<uint32_t> lengths = {1, 31, 32, 33, 64, 512, 0, 7};
  std::vector<uint32_t> covered(lengths.size());
  const auto items = PlanTexts(lengths);
  for (const TextQueries& item : items) {
    uint32_t& at = covered[static_cast<size_t>(item.text)];
    EXPECT_EQ(static_cast<uint32_t>(item.first), at);
    at = std::min(at + kTextQueries, lengths[static_cast<size_t>(item.text)]);
  }
  EXPECT_EQ(covered, lengths);
  for (uint32_t heads : {1u, 12u, 1024u}) {
    ExpectPossible(PlanAttendTexts(static_cast<uint32_t>(items.size()), heads));
    ExpectPossible(PlanHeadValues(static_cast<uint32_t>(lengths.size()), heads));
  }
}

TEST(CudaPlans, EncodersOfEverySizeArePossible) {
  for (uint32_t tokens : {1u, 31u, 32u, 33u, 8192u, 100000u}) {
    ExpectPossible(PlanEncoderRows(tokens));
    ExpectPossible(PlanHeadRows(tokens));
    for (uint32_t tiles : {1u, 3u, 4u, 5u, 24u, 4096u}) {
      const LaunchPlan plan = PlanCodes(tiles, tokens);
      ExpectPossible(plan);
      EXPECT_GE(uint64_t{plan.grid_x} * kMatrixWarps, tiles);
      EXPECT_GE(plan.grid_y * kMatrixTokens, tokens);
      EXPECT_EQ(plan.shared_bytes, kMatrixTokens * kStepPitch);
    }
  }
}

TEST(CudaPlans, ScansOfEverySizeAreCutIntoPiecesThatCoverThem) {
  for (uint32_t rows : {1u, 127u, 65535u, 65536u, 65537u, 262144u, 10'000'000u, 0x7fffffffu}) {
    const ScanPieces pieces = CutScan(rows);
    EXPECT_LE(pieces.rows, kScanPiece);
    EXPECT_GE(uint64_t{pieces.count} * pieces.rows, rows);
    EXPECT_LT(uint64_t{pieces.count} * pieces.rows, uint64_t{rows} + pieces.count);
    for (uint32_t stride : {64u, 384u, kMaxScanStride}) {
      const LaunchPlan plan = PlanScan(pieces.count * pieces.rows, stride);
      ExpectPossible(plan);
      EXPECT_GE(uint64_t{plan.grid_x} * kScanRowsOfBlock, rows);
    }
    ExpectPossible(PlanBest(pieces.count, pieces.rows, kMaxBest).of_chunks);
  }
}

TEST(CudaPlans, RowsAndStoresOfEverySizeArePossible) {
  for (uint32_t rows : {1u, 2u, 64u, 512u}) {
    ExpectPossible(PlanRows(rows));
    for (uint32_t kv_heads : {1u, 2u, 8u, 128u}) {
      for (uint32_t dim : {1u, 31u, 32u, 48u, 64u, 128u, 256u}) {
        const LaunchPlan plan = PlanStore(rows, kv_heads, dim);
        ExpectPossible(plan);
        EXPECT_GE(plan.grid_y * (plan.block / 32), 2 * kv_heads * ((dim + 31) / 32));
      }
    }
  }
  for (uint64_t count : {uint64_t{1}, uint64_t{256}, uint64_t{257}, uint64_t{1} << 33}) {
    ExpectPossible(PlanElements(count));
    EXPECT_GE(uint64_t{PlanElements(count).grid_x} * 256, count);
  }
}

TEST(CudaPlans, TheGreatestLogitsOfEveryWidthAreCutIntoChunksThatFit) {
  for (uint32_t width : {1u, 2u, 300u, 1024u, 1025u, 32000u, 49152u, 151936u, 262144u, 600000u}) {
    ASSERT_TRUE(CanFindBest(width)) << width;
    for (uint32_t count : {1u, 2u, kMaxBest}) {
      const BestPlan plan = PlanBest(7, width, count);
      for (const LaunchPlan& launch : {plan.of_chunks, plan.of_rows, plan.of_sums}) {
        ExpectPossible(launch);
      }
      EXPECT_LE(plan.chunks, kMaxBestChunks);
      EXPECT_GE(uint64_t{plan.chunks} * plan.chunk_values, width);
      EXPECT_LT(uint64_t{plan.chunks - 1} * plan.chunk_values, width) << "no chunk is empty";
      EXPECT_EQ(plan.of_chunks.grid_y, 7u);
    }
  }
  EXPECT_FALSE(CanFindBest(0));
  EXPECT_FALSE(CanFindBest(700000));
}

TEST(CudaPlans, AttentionFitsIntoSharedMemoryForEveryHead) {
  for (uint32_t dim = 1; dim <= kMaxHeadDim; ++dim) {
    EXPECT_LE(AttendSharedBytes(dim), kMaxSharedBytes) << dim;
  }
  EXPECT_LE(AttendSharedBytes(128), 48u << 10) << "without asking for more, for the usual heads";
  // What stands beside the kernels as their budgets.
  EXPECT_EQ(AttendSharedBytes(128), 43136u);
  EXPECT_EQ(AttendSharedBytes(256), 84096u);
  EXPECT_EQ(PlanMatrix(10, 100).shared_bytes, 11776u);
  EXPECT_EQ(PlanMatrixVector(10, 4, 1).shared_bytes, 1024u);
  EXPECT_EQ(PlanRows(3).shared_bytes, 128u);
}

// The (span, pair) that a pair of an item is: of a span of shared keys, one of those that share.
std::pair<uint32_t, uint32_t> RealPair(const std::vector<AttendShape>& spans, uint32_t group,
                                       const AttendPlan& plan, int span, uint32_t pair) {
  auto s = static_cast<uint32_t>(span);
  if (s < spans.size()) return {s, pair};
  for (s = plan.shared[s - spans.size()].first_span; pair >= spans[s].row_count * group; ++s) {
    pair -= spans[s].row_count * group;
  }
  return {s, pair};
}

// Every pair of every row meets every split of the keys that it sees, once and in order, whether an
// item ends it or a merge does.
void ExpectCovers(const std::vector<AttendShape>& spans, uint32_t group, const AttendPlan& plan) {
  std::map<std::pair<uint32_t, uint32_t>, std::vector<int>> splits;
  std::map<int, const AttendItem*> partials;
  const auto add = [&](const AttendItem& item, std::pair<uint32_t, uint32_t> pair) {
    for (int i = item.split_begin; i < item.split_end; ++i) splits[pair].push_back(i);
  };
  for (const AttendItem& item : plan.items) {
    ASSERT_LE(item.pair_end - item.pair_begin, static_cast<int>(kAttendPairs));
    ASSERT_LT(item.split_begin, item.split_end);
    if (item.partial >= 0) {
      ASSERT_TRUE(partials.emplace(item.partial, &item).second);
      ASSERT_LT(item.partial, static_cast<int>(plan.partials));
      continue;
    }
    for (int pair = item.pair_begin; pair < item.pair_end; ++pair) {
      add(item, RealPair(spans, group, plan, item.span, static_cast<uint32_t>(pair)));
    }
  }
  ASSERT_EQ(plan.partials, partials.size());
  std::set<int> used;
  for (const MergeItem& merge : plan.merges) {
    for (int pair = merge.pair_begin; pair < merge.pair_end; ++pair) {
      const std::pair<uint32_t, uint32_t> wanted = {merge.span, pair};
      const int in_group = merge.shared_pair + pair, block = in_group / int{kAttendPairs};
      const auto take = [&](int partial, int place) {
        ASSERT_TRUE(partials.contains(partial));
        used.insert(partial);
        const AttendItem& item = *partials[partial];
        ASSERT_LT(item.pair_begin + place, item.pair_end);
        ASSERT_EQ(
            RealPair(spans, group, plan, item.span, static_cast<uint32_t>(item.pair_begin + place)),
            wanted);
        add(item, wanted);
      };
      for (int i = 0; i < merge.shared_count; ++i) {
        take(merge.shared_partial + block * merge.shared_count + i, in_group % int{kAttendPairs});
      }
      for (int i = 0; i < merge.split_count; ++i) take(merge.partial + i, pair - merge.pair_begin);
    }
  }
  EXPECT_EQ(used.size(), partials.size()) << "what is computed is merged";
  for (uint32_t s = 0; s < spans.size(); ++s) {
    for (uint32_t pair = 0; pair < spans[s].row_count * group; ++pair) {
      const uint32_t keys = spans[s].visible[pair / group];
      const std::vector<int>& seen = splits[{s, pair}];
      ASSERT_GE(seen.size() * kSplitKeys, keys);
      for (size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i], static_cast<int>(i));
    }
  }
}

TEST(CudaPlans, AttentionCoversEveryRowAndKeyOnce) {
  std::vector<std::vector<uint32_t>> visible;
  for (const auto& [rows, keys] :
       {std::pair{1u, 1u}, {1u, 8000u}, {40u, 300u}, {512u, 512u}, {3u, 257u}}) {
    auto& v = visible.emplace_back();
    for (uint32_t r = 0; r < rows; ++r) v.push_back(keys - rows + r + 1);
  }
  std::vector<AttendShape> spans;
  for (const auto& v : visible) spans.push_back({static_cast<uint32_t>(v.size()), v});
  for (uint32_t group : {1u, 6u, 7u, 16u, 24u}) {
    for (uint32_t enough : {0u, 100u, 1u << 30}) {
      ExpectCovers(spans, group, PlanAttention(spans, group, 2, enough));
    }
  }
}

// Sequences that hold the same keys up to a length, and others from there on.
struct Forks {
  Forks(std::vector<std::pair<uint32_t, uint32_t>> rows_and_keys, uint32_t common) {
    uint32_t row = 0;
    for (const auto& [rows, keys] : rows_and_keys) {
      auto& v = visible.emplace_back();
      for (uint32_t r = 0; r < rows; ++r) v.push_back(keys - rows + r + 1);
      auto& p = pages.emplace_back();
      auto& k = positions.emplace_back();
      const int own = 1000 * static_cast<int>(visible.size());
      for (uint32_t i = 0; i < keys; ++i) {
        k.push_back(static_cast<int32_t>(i));
        if (i % 32 == 0) p.push_back(static_cast<int32_t>(i / 32) + (i + 32 <= common ? 0 : own));
      }
    }
    for (size_t i = 0; i < visible.size(); ++i) {
      const auto rows = static_cast<uint32_t>(visible[i].size());
      spans.push_back({rows, visible[i], row, pages[i], positions[i]});
      row += rows;
    }
  }
  std::vector<std::vector<uint32_t>> visible;
  std::vector<std::vector<int32_t>> pages, positions;
  std::vector<AttendShape> spans;
};

TEST(CudaPlans, KeysThatForksShareAreReadOnceForEachFullBlock) {
  for (uint32_t common : {0u, 255u, 256u, 700u, 1024u}) {
    const Forks forks(
        {{1, 1030}, {2, 1100}, {1, 1025}, {1, 2000}, {3, 1027}, {40, 1200}, {1, 1030}}, common);
    for (uint32_t group : {1u, 6u, 7u, 16u, 24u}) {
      for (uint32_t enough : {0u, 100u, 1u << 30}) {
        const AttendPlan plan = PlanAttention(forks.spans, group, 2, enough);
        ExpectCovers(forks.spans, group, plan);
        const bool worth = common >= 256 && group < 16;
        ASSERT_EQ(plan.shared.size(), worth ? 1u : 0u) << common << ", " << group;
        if (!worth) continue;
        EXPECT_EQ(plan.shared[0].splits, common / 256);
        EXPECT_LE(plan.shared[0].span_count, 5u) << "40 rows fill blocks of their own";
      }
    }
  }
  const Forks eight(std::vector<std::pair<uint32_t, uint32_t>>(8, {1, 520}), 512);
  const AttendPlan plan = PlanAttention(eight.spans, 6, 2, 0);
  ASSERT_EQ(plan.shared.size(), 1u);
  EXPECT_EQ(plan.items.size(), 3u + 8u) << "48 pairs are three blocks of shared keys";
}

TEST(CudaPlans, KeysAreSharedOnlyWhereTheyAreTheSame) {
  Forks forks({{1, 600}, {1, 600}}, 512);
  ASSERT_EQ(FindSharedKeys(forks.spans, 6).size(), 1u);
  EXPECT_TRUE(FindSharedKeys(forks.spans, 16).empty()) << "each fills a block by itself";
  forks.positions[1][300] += 1;  // the same keys, rotated otherwise
  ASSERT_EQ(FindSharedKeys(forks.spans, 6).size(), 1u);
  EXPECT_EQ(FindSharedKeys(forks.spans, 6)[0].splits, 1u);
  forks.positions[1][0] += 1;
  EXPECT_TRUE(FindSharedKeys(forks.spans, 6).empty());
  forks.positions[1][0] -= 1;
  forks.spans[1].first_row += 1;
  EXPECT_TRUE(FindSharedKeys(forks.spans, 6).empty()) << "their rows do not follow one another";
}

TEST(CudaPlans, KeysAreSplitOnlyWhereBlocksAreFew) {
  const std::vector<uint32_t> one = {4000};
  const std::vector<AttendShape> spans = {{1, one}};
  EXPECT_EQ(PlanAttention(spans, 7, 2, 264).items.size(), 16u);
  EXPECT_EQ(PlanAttention(spans, 7, 2, 264).merges.size(), 1u);
  EXPECT_EQ(PlanAttention(spans, 7, 2, 2).items.size(), 1u);
  const std::vector<uint32_t> few = {256};
  const std::vector<AttendShape> short_span = {{1, few}};
  EXPECT_TRUE(PlanAttention(short_span, 7, 2, 264).merges.empty());
}

}  // namespace
}  // namespace vade::kernels::cuda
