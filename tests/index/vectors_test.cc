// Nearest vectors: walks against an exact scan, deletions, groups, and damage of every derived
// file.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <utility>

#include "base/files.h"
#include "tests/index/vectors_fixture.h"

namespace vade {
namespace {

TEST_F(NearestVectors, ScanOfTheTailIsAllButExact) {
  PutVectors(0, 3000);
  EXPECT_GE(Recall(40), 0.995);
}

TEST_F(NearestVectors, WalkFindsTheNeighbours) {
  PutVectors(0, 6000);
  Seal();
  ASSERT_EQ(SegmentFiles().size(), 1u);
  EXPECT_GE(Recall(100), 0.95);
  EXPECT_EQ(Problems(), "");
}

TEST_F(NearestVectors, SegmentsAndTailAreSearchedTogether) {
  for (size_t part = 0; part < 3; ++part) {
    PutVectors(part * 1000, 1000);
    Seal();
  }
  PutVectors(3000, 500);
  EXPECT_EQ(SegmentFiles().size(), 3u);
  EXPECT_GE(Recall(40), 0.97);
}

TEST_F(NearestVectors, SmallSegmentsAreMerged) {
  for (size_t part = 0; part < 4; ++part) {
    PutVectors(part * 500, 500);
    Seal();
  }
  EXPECT_EQ(SegmentFiles().size(), 1u);
  EXPECT_GE(Recall(40), 0.95);
  Open();
  EXPECT_GE(Recall(40), 0.95);
  EXPECT_EQ(Problems(), "");
}

TEST_F(NearestVectors, SegmentsAreNotMergedBeyondTheLimit) {
  options_.max_segment_rows = 1999;
  Open();
  for (size_t part = 0; part < 4; ++part) {
    PutVectors(part * 500, 500);
    Seal();
  }
  EXPECT_EQ(SegmentFiles().size(), 4u);
  PutVectors(2000, 4500);  // more than one segment may hold
  Seal();
  EXPECT_EQ(SegmentFiles().size(), 7u);
  EXPECT_EQ(Problems(), "");
  options_.max_segment_rows = 2000;
  Open();
  Seal();
  EXPECT_EQ(SegmentFiles().size(), 4u);
  EXPECT_GE(Recall(40), 0.95);
  EXPECT_EQ(Problems(), "");
}

TEST_F(NearestVectors, WithoutABackgroundOnlyWhatIsDueIsSealedAndOnlyWhenAsked) {
  options_.seal_tail_at = 300;
  Open();
  PutVectors(0, 200);
  EXPECT_EQ(store_->SealDue(Context()), OkStatus());
  EXPECT_EQ(SegmentFiles().size(), 0u);
  PutVectors(200, 200);
  Open();
  EXPECT_EQ(SegmentFiles().size(), 0u);
  EXPECT_EQ(store_->SealDue(Context()), OkStatus());
  EXPECT_EQ(SegmentFiles().size(), 1u);
  EXPECT_EQ(Problems(), "");
}

TEST_F(NearestVectors, AsManyHitsAsAskedForAfterNineInTenWereDeleted) {
  PutVectors(0, 5000);
  Seal();
  KeepOneIn(10, 3, 50);
  std::mt19937 random(5);
  for (int q = 0; q < 20; ++q) EXPECT_EQ(Nearest(Vector(&random, q), 100).size(), 100u);
  EXPECT_GE(Recall(40), 0.95);
  Seal();  // rewrites the half-dead segment
  EXPECT_GE(Recall(40), 0.95);
  EXPECT_EQ(Problems(), "");
}

TEST_F(NearestVectors, WalkPassesThroughWhatMayNotBeFound) {
  options_.flat_below = 64;
  Open();
  PutAndAskForGroups();
  for (size_t i = 4000; i < 6000; ++i) all_.erase(StrCat("p", i));
  EXPECT_GE(Recall(60), 0.95);  // without groups: a third of the nodes is not to be found
}

TEST_F(NearestVectors, DeletingWhileASegmentIsNotYetMadeIsNotForgotten) {
  PutVectors(0, 1000);
  Delete({"d3"});
  Seal();
  Delete({"d4"});
  Open();
  Forget("d3");
  Forget("d4");
  EXPECT_GE(Recall(40), 0.95);
  EXPECT_EQ(Problems(), "");
}

TEST_F(NearestVectors, DamagedSegmentsAreMadeAnewWithTheSameAnswers) {
  PutVectors(0, 1000);
  Seal();
  std::mt19937 random(5);
  std::vector<std::vector<float>> queries;
  for (int q = 0; q < 10; ++q) queries.push_back(Vector(&random, q));
  std::vector<std::vector<std::string>> expected;
  for (const auto& query : queries) expected.push_back(Nearest(query, 10));
  store_.reset();
  const std::string path = SegmentFiles().at(0);
  const std::string whole = *ReadFile(path, 1 << 30);

  const auto expect_same_with = [&](const std::string& bytes, const std::string& what) {
    store_.reset();
    for (const std::string& file : SegmentFiles()) ASSERT_EQ(RemoveFile(file), OkStatus());
    std::ofstream(path, std::ios::binary) << bytes;
    Open();
    EXPECT_EQ(Problems(), "") << what;
    size_t same = 0, all = 0;
    for (size_t q = 0; q < queries.size(); ++q) {
      const auto got = Nearest(queries[q], 10);
      ASSERT_EQ(got.size(), 10u) << what;
      for (const std::string& text : expected[q]) same += std::count(got.begin(), got.end(), text);
      all += 10;
    }
    EXPECT_GE(same, all * 95 / 100) << what;
  };
  // One byte in each part of the file: header fields and every section.
  for (size_t at = 0; at < whole.size(); at = at < 128 ? at + 4 : at + whole.size() / 40) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x41);
    expect_same_with(bytes, StrCat("byte ", at));
  }
  for (size_t size :
       {size_t{0}, size_t{1}, size_t{127}, size_t{128}, whole.size() / 2, whole.size() - 1}) {
    expect_same_with(whole.substr(0, size), StrCat("cut to ", size));
  }
  expect_same_with(whole + "x", "one byte more");
  store_.reset();
  for (const std::string& file : SegmentFiles()) ASSERT_EQ(RemoveFile(file), OkStatus());
  Open();
  EXPECT_EQ(Problems(), "");
  EXPECT_EQ(Nearest(queries[0], 10).size(), 10u);
}

// Where the parts of a segment's graph lie: docs/formats.md, "Vector segments".
struct GraphParts {
  explicit GraphParts(const std::string& file) {
    n = Number(file, 64);
    links = Number(file, 72);
    upper_links = Number(file, 76);
    entry = Number(file, 80);
    lists = Number(file, 88);
    size_t at = 128;
    const auto skip = [&](size_t bytes) { return std::exchange(at, (at + bytes + 63) / 64 * 64); };
    for (size_t bytes :
         {n * 8, n * 4, n * 2, n * 4, n * Number(file, 68), n * Number(file, 52) * 2})
      skip(bytes);
    levels = skip(n);
    first_upper = skip(n * 4);
    level0 = skip(n * links * 4);
    upper = skip(lists * upper_links * 4);
    nibbles = skip(n * ((Number(file, 52) + 127) / 128 * 64));
    end = at;
  }
  static uint32_t Number(const std::string& file, size_t at) {
    uint32_t number = 0;
    std::memcpy(&number, file.data() + at, 4);
    return number;
  }
  size_t n, links, upper_links, entry, lists, levels, first_upper, level0, upper, nibbles, end;
};

// A scan looks at four bits of each code first. A file of version 2 has none, so that its codes are
// scanned: the answers must be the same.
class ScannedSegment : public NearestVectors {
 protected:
  void SealForScans() {
    PutVectors(0, 4000);
    Seal();
    options_.flat_below = 1000000;
    options_.nibbles_from_bytes = 0;
    Open();
  }
  void ExpectTheSameWithoutNibbles() {
    std::mt19937 random(5);
    std::vector<std::vector<float>> queries;
    for (size_t q = 0; q < 40; ++q) queries.push_back(Vector(&random, q));
    std::vector<std::vector<std::string>> expected;
    for (const auto& query : queries) expected.push_back(Nearest(query, 10));
    store_.reset();
    const std::string path = SegmentFiles().at(0);
    std::string file = *ReadFile(path, 1 << 30);
    file.resize(GraphParts(file).nibbles);
    SetNumber(&file, 8, 2, 4);
    SetNumber(&file, 24, file.size(), 8);
    SetChecksum(&file);
    std::ofstream(path, std::ios::binary) << file;
    Open();
    ASSERT_EQ(SegmentFiles().size(), 1u) << "the file of version 2 was refused";
    for (size_t q = 0; q < queries.size(); ++q) {
      EXPECT_EQ(Nearest(queries[q], 10), expected[q]) << "question " << q;
    }
    EXPECT_EQ(Problems(), "");
  }
};

TEST_F(ScannedSegment, IsAllButExactAndTheSameAsInAFileWithoutNibbles) {
  SealForScans();
  EXPECT_GE(Recall(40), 0.995);
  ExpectTheSameWithoutNibbles();
}

TEST_F(ScannedSegment, IsTheSameWhereMostRowsAreDead) {
  SealForScans();
  KeepOneIn(3, 1, 40);
  EXPECT_GE(Recall(40), 0.995);
  ExpectTheSameWithoutNibbles();
}

// A checksum can be right and the file still hostile: the ranges are checked too.
TEST_F(NearestVectors, SegmentsWithAGoodChecksumAndBadLinksAreRefused) {
  PutVectors(0, 1000);
  Seal();
  const std::string whole = CloseAndReadSegment();
  const GraphParts graph(whole);
  ASSERT_EQ(graph.end, whole.size());
  ASSERT_GT(graph.lists, 0u);
  size_t low = 0;  // a node of level 0
  while (whole[graph.levels + low] != 0) ++low;
  OpenWithChanged(whole, graph.entry * 4 + graph.first_upper,
                  GraphParts::Number(whole, graph.first_upper + graph.entry * 4), 4);
  ASSERT_EQ(SegmentFiles().size(), 1u) << "unchanged but for its checksum, and refused";

  const auto number = [](size_t value) { return static_cast<uint32_t>(value); };
  const uint32_t greatest = GraphParts::Number(whole, 84);
  struct Bad {
    const char* what;
    size_t at, bytes;
    uint32_t value;
  };
  for (const Bad& bad : std::initializer_list<Bad>{
           {"entry behind the last slot", 80, 4, number(graph.n)},
           {"entry on a lower level than the greatest", 80, 4, number(low)},
           {"node above the greatest level", graph.levels + low, 1, greatest + 1},
           {"node of level 0 with upper lists", graph.first_upper + low * 4, 4, 0},
           {"first upper list out of range", graph.first_upper + graph.entry * 4, 4,
            number(graph.lists)},
           {"first upper list far out of range", graph.first_upper + graph.entry * 4, 4,
            0xfffffffe},
           {"link behind the last slot", graph.level0, 4, number(graph.n)},
           {"last link far out of range", graph.level0 + graph.n * graph.links * 4 - 4, 4,
            0x7e000000},
           {"upper link behind the last slot", graph.upper, 4, number(graph.n)},
           {"upper link to a node that is not on that level", graph.upper, 4, number(low)}}) {
    OpenWithChanged(whole, bad.at, bad.value, bad.bytes);
    EXPECT_TRUE(SegmentFiles().empty()) << bad.what;
  }
}

// A changed code, scale or vector cannot be told from the right one and costs a score, never more.
TEST_F(NearestVectors, AnyChangedByteUnderAGoodChecksumStillGivesHits) {
  PutVectors(0, 1000);
  Seal();
  const std::string whole = CloseAndReadSegment();
  for (size_t at = 24; at < whole.size(); at += at < 128 ? 4 : whole.size() / 40 / 4 * 4) {
    OpenWithChanged(whole, at + 3 < whole.size() ? at + 3 : at, 0x7e, 1);
  }
}

}  // namespace
}  // namespace vade
