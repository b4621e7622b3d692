// Segments with cells, of collections that have outgrown the memory for graphs.
#include "index/cells.h"

#include <gtest/gtest.h>

#include "index/cell_search.h"
#include "tests/index/vectors_fixture.h"

namespace vade {
namespace {

class SegmentsWithCells : public NearestVectors {
 protected:
  void SetUp() override {
    options_.graph_bytes = 1;
    NearestVectors::SetUp();
  }
  static uint32_t Number(const std::string& file, size_t at) {
    uint32_t number = 0;
    std::memcpy(&number, file.data() + at, 4);
    return number;
  }
  std::string File() const { return *ReadFile(SegmentFiles().at(0), 1 << 30); }
  static uint32_t LinksOf(const std::string& file) { return Number(file, 72); }
};

TEST_F(SegmentsWithCells, FindTheNeighbours) {
  PutVectors(0, 6000);
  Seal();
  ASSERT_EQ(SegmentFiles().size(), 1u);
  EXPECT_EQ(CellsOfSegment(File()), CellCount(6000));
  EXPECT_EQ(LinksOf(File()), 0u);
  EXPECT_GE(Recall(100), 0.95);
  EXPECT_EQ(Problems(), "");
  Open();
  EXPECT_GE(Recall(40), 0.95);
}

TEST_F(SegmentsWithCells, TakeThePlaceOfGraphsWhenTheCollectionOutgrowsTheMemory) {
  options_.graph_bytes = 1 << 30;
  Open();
  PutVectors(0, 3000);
  Seal();
  EXPECT_GT(LinksOf(File()), 0u);
  options_.graph_bytes = 1;
  Open();
  Seal();
  ASSERT_EQ(SegmentFiles().size(), 1u);
  EXPECT_EQ(CellsOfSegment(File()), CellCount(3000));
  EXPECT_GE(Recall(40), 0.95);
  options_.graph_bytes = 1 << 30;
  Open();
  Seal();
  EXPECT_GT(CellsOfSegment(File()), 0u) << "made anew without need";
}

TEST_F(SegmentsWithCells, FewRowsGetAGraphAllTheSame) {
  PutVectors(0, 1000);
  Seal();
  EXPECT_GT(LinksOf(File()), 0u);
}

TEST_F(SegmentsWithCells, AsManyHitsAsAskedForAfterFourInFiveWereDeleted) {
  options_.flat_below = 64;
  Open();
  PutVectors(0, 5000);
  Seal();
  KeepOneIn(5, 3, 50);
  std::mt19937 random(5);
  for (int q = 0; q < 20; ++q) EXPECT_EQ(Nearest(Vector(&random, q), 100).size(), 100u);
  EXPECT_GE(Recall(40), 0.95);
}

TEST_F(SegmentsWithCells, HideWhatTheCallerMayNotSee) {
  options_.flat_below = 64;
  Open();
  PutAndAskForGroups();
  EXPECT_GT(CellsOfSegment(File()), 0u);
}

TEST_F(SegmentsWithCells, AreRefusedWithSlotsOutOfRangeUnderAGoodChecksum) {
  PutVectors(0, 2000);
  Seal();
  const std::string whole = CloseAndReadSegment();
  // The last sections: begins, slots, codes (docs/formats.md).
  const auto padded = [](size_t bytes) { return (bytes + 63) / 64 * 64; };
  const size_t n = 2000, cells = CellsOfSegment(whole);
  const size_t codes = whole.size() - padded(n * CellParts(kDimension));
  const size_t slots = codes - padded(n * 4), begins = slots - padded((cells + 1) * 4);
  ASSERT_EQ(Number(whole, begins + cells * 4), n);
  const auto open_with = [&](size_t at, uint64_t value) {
    OpenWithChanged(whole, at, value, 4);
    return SegmentFiles().size();
  };
  EXPECT_EQ(open_with(slots, Number(whole, slots)), 1u) << "unchanged, and refused";
  EXPECT_EQ(open_with(slots, n), 0u) << "slot behind the last one";
  EXPECT_EQ(open_with(slots, Number(whole, slots + 4)), 0u) << "slot in two places";
  EXPECT_EQ(open_with(begins, 1), 0u) << "the first cell begins late";
  EXPECT_EQ(open_with(begins + cells * 4, n - 1), 0u) << "the last cell ends early";
  EXPECT_EQ(open_with(begins + 4, 0x7fffffff), 0u) << "a cell behind the end";
  EXPECT_EQ(open_with(92, n + 1), 0u) << "more cells than rows";
  EXPECT_EQ(open_with(72, 32), 0u) << "a graph as well";
}

TEST_F(SegmentsWithCells, GiveHitsWhateverByteIsChangedUnderAGoodChecksum) {
  PutVectors(0, 2000);
  Seal();
  const std::string whole = CloseAndReadSegment();
  for (size_t at = 128; at + 4 < whole.size(); at += whole.size() / 60 / 4 * 4) {
    OpenWithChanged(whole, at, 0x7fc00000, 4);  // as a float not a number
  }
}

// Vectors without clusters, so that neighbours lie in many cells.
TEST(SearchCells, FindsMoreTheMoreCellsItLooksInto) {
  constexpr size_t kRows = 3000, kDimension = 18, kBest = 20;  // not whole parts of a code
  std::mt19937 random(11);
  std::normal_distribution<float> any;
  VectorBuffer buffer(kDimension);
  std::vector<float> v(kDimension);
  for (size_t i = 0; i < kRows; ++i) {
    for (float& x : v) x = any(random);
    buffer.Append({.id = i + 1}, v.data());
  }
  const auto cells = BuildCells(buffer.rows(), std::atomic<bool>(false));
  ASSERT_TRUE(cells.ok()) << cells.status().ToString();
  const CellsView view = cells->view();
  Source source{buffer.rows(), SlotFilter(buffer.rows().group_sets, nullptr, 0)};
  source.cells = &view;
  const auto found_by_scan_too = [&](size_t probes) {
    std::mt19937 asking(12);
    size_t found = 0;
    for (int q = 0; q < 30; ++q) {
      for (float& x : v) x = any(asking);
      const Question question(LanguageSums(), v);
      Head head(kBest);
      EXPECT_EQ(Scan(source, 0, question, {.k = kBest}, Context(), &head), OkStatus());
      const auto near =
          SearchCells(source, question, {.probes = probes, .k = kBest, .candidates = 4 * kBest});
      EXPECT_GE(near.size(), kBest);
      for (const Found& best : head.Take()) {
        found += std::count_if(near.begin(), near.end(), [&](const SlotScore& one) {
          return one.slot == best.slot && one.score == best.score;
        });
      }
    }
    return static_cast<double>(found) / (30 * kBest);
  };
  const double few = found_by_scan_too(1), some = found_by_scan_too(10);
  EXPECT_LT(few, some);
  EXPECT_LT(some, 0.9);
  EXPECT_GE(found_by_scan_too(CellCount(kRows)), 0.95);
}

TEST(BuildCells, StopsWhenItIsToldTo) {
  VectorBuffer buffer(16);
  std::vector<float> v(16, 0.25f);
  for (size_t i = 0; i < kMinCellRows; ++i) buffer.Append({.id = i + 1}, v.data());
  EXPECT_EQ(BuildCells(buffer.rows(), std::atomic<bool>(true)).status().code(),
            StatusCode::kCancelled);
  const auto cells = BuildCells(buffer.rows(), std::atomic<bool>(false));  // all rows the same
  ASSERT_TRUE(cells.ok()) << cells.status().ToString();
  EXPECT_EQ(cells->slots.size(), kMinCellRows);
  buffer.Resize(kMinCellRows - 1);
  EXPECT_EQ(BuildCells(buffer.rows(), std::atomic<bool>(false)).status().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
