// Exhaustive scans: what is offered to the head against every product, with and without nibbles.
#include "index/scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace vade {
namespace {

constexpr size_t kDimension = 200;  // not a whole number of pieces
constexpr size_t kRows = 5000;
constexpr size_t kBest = 10;

class ScanOfRows : public testing::Test {
 protected:
  // `shared` is added to the first component of all vectors and of the question.
  void Make(float shared) {
    std::normal_distribution<float> any;
    for (size_t i = 0; i < kRows; ++i) {
      std::vector<float> v(kDimension);
      for (float& x : v) x = any(random_);
      v[0] += shared;
      buffer_.Append({.id = i + 1, .language = ParseLanguage(i % 2 ? "en" : "zh")}, v.data());
    }
    for (float& x : question_) x = any(random_);
    question_[0] += shared;
    rows_ = buffer_.rows();
    nibbles_.resize(kRows * NibbleBytes(kDimension));
    for (size_t i = 0; i < kRows; ++i) {
      PackNibbles(rows_.codes + i * rows_.stride, kDimension,
                  nibbles_.data() + i * NibbleBytes(kDimension));
    }
  }
  Source Rows(const uint8_t* nibbles, const Bitmap* dead = nullptr) const {
    Source source{rows_, SlotFilter(rows_.group_sets, dead, 0)};
    source.rows.nibbles = nibbles;
    return source;
  }
  std::vector<uint32_t> Best(const Source& source) const {
    Head head(kBest);
    head.Offer(-1e9f, 7, 99);  // of another source
    EXPECT_EQ(Scan(source, 3, Question(LanguageSums(), question_), {.k = kBest}, Context(), &head),
              OkStatus());
    std::vector<uint32_t> slots;
    for (const Found& found : head.Take()) {
      if (found.source == 3) slots.push_back(found.slot);
    }
    std::sort(slots.begin(), slots.end());
    return slots;
  }
  // By the products of all codes.
  std::vector<uint32_t> Exact(const Bitmap* dead = nullptr) const {
    const Question question(LanguageSums(), question_);
    std::vector<std::pair<float, uint32_t>> all;
    for (uint32_t slot = 0; slot < kRows; ++slot) {
      int32_t dot = 0;
      for (size_t i = 0; i < kDimension; ++i) {
        dot += question.code[i] * rows_.codes[slot * rows_.stride + i];
      }
      if (!IsDead(dead, slot)) {
        all.emplace_back(-static_cast<float>(dot) * rows_.scales[slot], slot);
      }
    }
    std::sort(all.begin(), all.end());
    std::vector<uint32_t> slots;
    for (size_t i = 0; i < kBest; ++i) slots.push_back(all[i].second);
    std::sort(slots.begin(), slots.end());
    return slots;
  }

  std::mt19937 random_{20261126};
  VectorBuffer buffer_{kDimension};
  VectorRows rows_;
  std::vector<float> question_ = std::vector<float>(kDimension);
  std::vector<uint8_t> nibbles_;
};

TEST_F(ScanOfRows, FindsTheBestByCodesWithoutNibbles) {
  Make(0);
  EXPECT_EQ(Best(Rows(nullptr)), Exact());
}

TEST_F(ScanOfRows, FindsTheSameWithNibbles) {
  Make(0);
  EXPECT_EQ(Best(Rows(nibbles_.data())), Exact());
}

TEST_F(ScanOfRows, LooksAtNibblesFirst) {
  Make(0);
  const std::vector<uint32_t> exact = Exact();
  std::vector<uint8_t> one_is_wrong = nibbles_;
  std::fill_n(one_is_wrong.begin() + exact[0] * NibbleBytes(kDimension), NibbleBytes(kDimension),
              uint8_t{0});
  std::vector<uint32_t> found = Best(Rows(one_is_wrong.data()));
  EXPECT_EQ(std::count(found.begin(), found.end(), exact[0]), 0)
      << "a row whose nibbles say nothing was found: nibbles are not read";
}

// With a great component that all share, four bits leave nothing but the signs of the others.
TEST_F(ScanOfRows, LooksAtAllCodesWhereFourBitsAreNotEnough) {
  for (float shared : {20.0f, 100.0f, 400.0f}) {
    buffer_.Clear();
    Make(shared);
    EXPECT_EQ(Best(Rows(nibbles_.data())), Exact()) << shared;
  }
}

TEST_F(ScanOfRows, LeavesOutTheDeadWhetherManyOrFewAreLeft) {
  Make(0);
  for (size_t one_in : {2, 3, 20}) {
    Bitmap dead((kRows + 63) / 64, 0);
    // Blocks in which all live, and blocks in which few do.
    for (size_t slot = 0; slot < kRows; ++slot) {
      if (slot / 512 % 2 == 0 && slot % one_in != 0) dead[slot / 64] |= uint64_t{1} << slot % 64;
    }
    EXPECT_EQ(Best(Rows(nibbles_.data(), &dead)), Exact(&dead)) << "one in " << one_in;
  }
}

TEST(Head, KeepsTheBestAndTheFirstAmongEquals) {
  Head head(3);
  for (uint32_t slot = 0; slot < 20; ++slot) head.Offer(slot % 2 ? 1.0f : 2.0f, slot % 3, slot);
  head.Offer(std::numeric_limits<float>::quiet_NaN(), 0, 77);
  auto found = head.Take();
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.slot < b.slot; });
  ASSERT_EQ(found.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found[i].score, 2);
    EXPECT_EQ(found[i].source, 0u);
    EXPECT_EQ(found[i].slot, 6 * i);
  }
  EXPECT_TRUE(head.Take().empty());
  EXPECT_EQ(head.floor(), kNoFloor);
}

}  // namespace
}  // namespace vade
