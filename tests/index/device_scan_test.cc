// Segments that a device scans: what it is asked, that its answers are taken, and that whatever it
// refuses, fails at or gets wrong is the processor's. tests/cuda has the same with the GPU's own.
#include "index/device_scan.h"

#include <algorithm>
#include <set>

#include "tests/index/device_search.h"

namespace vade {
namespace {

using kernels::HeldRows;
using kernels::RowQuestion;
using kernels::ScanRows;
using kernels::ScoredRow;

// A device by plain loops, that does as it is told.
class ScriptedScanner final : public kernels::RowScanner {
 public:
  size_t room = SIZE_MAX;  // rows
  bool fails = false, refuses_all = false, finds_the_dead = false, finds_too_few = false;
  size_t held = 0, asked = 0, tried = 0;

  class Rows final : public HeldRows {
   public:
    Rows(ScriptedScanner* of, const ScanRows& rows)
        : scanner(of),
          stride(rows.stride),
          codes(rows.codes, rows.codes + rows.count * rows.stride),
          scales(rows.scales, rows.scales + rows.count),
          row_labels(rows.labels, rows.labels + rows.count) {
      const std::set<uint16_t> different(row_labels.begin(), row_labels.end());
      all_labels.assign(different.begin(), different.end());
      scanner->held += count();
    }
    ~Rows() override { scanner->held -= count(); }
    size_t count() const override { return scales.size(); }
    std::span<const uint16_t> labels() const override { return all_labels; }

    ScriptedScanner* scanner;
    size_t stride;
    std::vector<int8_t> codes;
    std::vector<float> scales;
    std::vector<uint16_t> row_labels, all_labels;
  };

  size_t max_best() const override { return 256; }
  Result<std::unique_ptr<HeldRows>> Hold(const ScanRows& rows) override {
    ++tried;
    if (refuses_all) return Unimplemented("no such rows");
    if (held + rows.count > room) return ResourceExhausted("no room");
    return std::unique_ptr<HeldRows>(std::make_unique<Rows>(this, rows));
  }
  Result<std::vector<ScoredRow>> Best(const HeldRows& held_rows,
                                      const RowQuestion& question) override {
    ++asked;
    if (fails) return Internal("an illegal memory access was encountered");
    const auto& rows = static_cast<const Rows&>(held_rows);
    std::vector<ScoredRow> scored;
    for (uint32_t row = 0; row < rows.count(); ++row) {
      const bool kept = question.kept.empty() || (question.kept[row / 64] >> (row % 64) & 1);
      if (!kept && !finds_the_dead) continue;
      int32_t dot = 0;
      for (size_t i = 0; i < rows.stride; ++i) {
        dot += rows.codes[row * rows.stride + i] * question.code[i];
      }
      const auto label =
          std::lower_bound(rows.all_labels.begin(), rows.all_labels.end(), rows.row_labels[row]);
      const float product = static_cast<float>(dot) * rows.scales[row];
      scored.push_back({product + question.lifts[label - rows.all_labels.begin()], row});
    }
    std::sort(scored.begin(), scored.end(), [](const ScoredRow& a, const ScoredRow& b) {
      return a.score != b.score ? a.score > b.score : a.row < b.row;
    });
    scored.resize(std::min(scored.size(), finds_too_few ? 3 : question.best));
    return scored;
  }
};

class ScriptedSearch : public DeviceSearch {
 protected:
  void SetUp() override {
    DeviceSearch::SetUp();
    CreateOn(scanner_);
  }
  // Without the device the processor scans too, instead of walking a graph, which may miss some.
  void ScanAlways() {
    options_.flat_below = kExact;
    OpenWith(scanner_);
  }
  std::shared_ptr<ScriptedScanner> scanner_ = std::make_shared<ScriptedScanner>();
};

TEST_F(ScriptedSearch, FindsWhatTheProcessorFindsAmongDeletesFiltersAndTheTail) {
  PutDocuments(0, 30);
  Seal();
  EXPECT_EQ(Delete({"d1", "d12", "d25"}), 3u);
  PutDocuments(30, 4);  // in the tail
  ExpectTheProcessorsAnswers();
  EXPECT_GT(scanner_->asked, 0u);
}

TEST_F(ScriptedSearch, RowsComeWithTheFirstSearchAndLeaveWithTheirSegment) {
  PutDocuments(0, 30);
  Seal();
  EXPECT_EQ(scanner_->held, 0u);
  Answers();
  const size_t first = scanner_->held;
  EXPECT_GT(first, 1000u);
  const size_t tried = scanner_->tried;
  Answers();
  EXPECT_EQ(scanner_->tried, tried) << "held rows are not copied again";
  PutDocuments(30, 30);
  Seal();
  Answers();
  EXPECT_GT(scanner_->held, first);
  EXPECT_EQ(store_->DeleteCollection("default"), OkStatus());
  EXPECT_EQ(scanner_->held, 0u);
}

TEST_F(ScriptedSearch, FewRowsAndLongListsAreTheProcessors) {
  PutDocuments(0, 3);
  Seal();
  Answers();
  EXPECT_EQ(scanner_->tried, 0u);
  PutDocuments(3, 30);
  Seal();
  std::mt19937 random(5);
  Nearest(Vector(&random, 1), 65);  // four times as many candidates as are asked for
  EXPECT_EQ(scanner_->asked, 0u);
  Nearest(Vector(&random, 1), 60);
  EXPECT_GT(scanner_->asked, 0u);
}

TEST_F(ScriptedSearch, WhatFailsIsSearchedHereAndNothingIsAskedAgain) {
  ScanAlways();
  PutDocuments(0, 30);
  Seal();
  Answers();
  scanner_->fails = true;
  const size_t asked = scanner_->asked;
  ExpectTheProcessorsAnswers();
  EXPECT_EQ(scanner_->asked, asked + 1);
}

// That what was deleted is not found rests on no device.
TEST_F(ScriptedSearch, ADeviceThatFindsWhatWasDeletedIsNotBelieved) {
  ScanAlways();
  PutDocuments(0, 30);
  Seal();
  Answers();
  EXPECT_EQ(Delete({"d1", "d12", "d25"}), 3u);
  scanner_->finds_the_dead = true;
  const auto answers = Answers();
  for (const std::string& line : answers) EXPECT_NE(line.substr(0, 4), "d12.") << line;
  ExpectTheProcessorsAnswers();
}

TEST_F(ScriptedSearch, ADeviceThatFindsTooFewIsNotBelieved) {
  ScanAlways();
  PutDocuments(0, 30);
  Seal();
  scanner_->finds_too_few = true;
  ExpectTheProcessorsAnswers();
}

TEST_F(ScriptedSearch, RowsThatADeviceCannotTakeAreTriedOnce) {
  ScanAlways();
  scanner_->refuses_all = true;
  PutDocuments(0, 30);
  Seal();
  ExpectTheProcessorsAnswers();
  EXPECT_GT(scanner_->tried, 0u);
  EXPECT_LE(scanner_->tried, SegmentFiles().size());
}

TEST(DeviceScan, RowsWithoutRoomAreTriedAgainOnceOthersHaveLeft) {
  constexpr size_t kRows = 100, kWidth = 8;
  const auto scanner = std::make_shared<ScriptedScanner>();
  scanner->room = kRows;
  VectorBuffer buffer(kWidth);
  std::mt19937 random(3);
  std::normal_distribution<float> any;
  std::vector<float> vector(kWidth);
  for (size_t i = 0; i < kRows; ++i) {
    for (float& x : vector) x = any(random);
    buffer.Append({.id = i + 1}, vector.data());
  }
  DeviceScan device(scanner, 1);
  auto first = std::make_unique<DeviceSlot>();
  DeviceSlot second;
  const Question question(LanguageSums(), vector);
  const auto scan = [&](DeviceSlot* slot) {
    Source source{buffer.rows(), SlotFilter(buffer.rows().group_sets, nullptr, 0)};
    source.device = slot;
    Head head(10);
    EXPECT_TRUE(device.Wants(source, head));
    const bool scanned = device.Scan(source, kRows, 0, question, &head);
    EXPECT_EQ(head.Take().size(), scanned ? 10u : 0u);
    return scanned;
  };
  EXPECT_TRUE(scan(first.get()));
  EXPECT_FALSE(scan(&second));
  EXPECT_EQ(scanner->tried, 2u);
  EXPECT_FALSE(scan(&second));
  EXPECT_EQ(scanner->tried, 2u) << "nothing has left";
  first.reset();
  EXPECT_EQ(scanner->held, 0u);
  EXPECT_TRUE(scan(&second));
  EXPECT_EQ(scanner->tried, 3u);
}

}  // namespace
}  // namespace vade
