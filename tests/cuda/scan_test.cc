// Searches over all rows of codes on the GPU's path, over the emulated kernels or a real device,
// against the plain loop: the same rows with the same scores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/cuda/scan_operations.h"
#include "model/cuda_scanner.h"
#include "model/scanner_check.h"
#include "tests/testing/cuda/memory.h"

namespace vade {
namespace {

using kernels::RowQuestion;
using kernels::ScoredRow;
using ::testing::HasSubstr;

class CudaScan : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(testing::DeviceFaults(), "");
  }
  void TearDown() override { EXPECT_EQ(testing::DeviceFaults(), ""); }

  static std::unique_ptr<CudaScanner> Scanner(uint64_t budget = 64ull << 20) {
    return CudaScanner::Create(testing::NewDevice().value(), budget).value();
  }
};

// Made-up rows and a question. Few different codes, so that many scores are equal.
struct MadeUp {
  MadeUp(size_t row_count, size_t dim, std::vector<uint16_t> of_labels, uint32_t seed)
      : count(row_count), dimension(dim), stride((dim + 63) / 64 * 64) {
    std::mt19937 random(seed);
    codes.resize(count * stride);
    for (size_t i = 0; i < count; ++i) {
      for (size_t c = 0; c < dimension; ++c) {
        codes[i * stride + c] = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
      }
      // Rows of two kinds repeat, so that equal scores occur.
      if (i >= 7 && i % 7 < 2) {
        std::copy_n(codes.begin() + static_cast<long>((i - 7) * stride), stride,
                    codes.begin() + static_cast<long>(i * stride));
      }
      scales.push_back(i % 7 < 2 ? 0.5f : static_cast<float>(random() % 1000) / 1000.0f);
      labels.push_back(of_labels[i % 7 < 2 ? 0 : random() % of_labels.size()]);
    }
    code.resize(stride);
    for (size_t c = 0; c < dimension; ++c) {
      code[c] = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    }
    std::sort(of_labels.begin(), of_labels.end());
    for (size_t i = 0; i < of_labels.size(); ++i) {
      lifts.push_back(100.0f * static_cast<float>(i) - 50.5f);
    }
    sorted_labels = of_labels;
  }

  kernels::ScanRows rows() const {
    return {count, dimension, stride, codes.data(), scales.data(), labels.data()};
  }
  float Score(size_t row) const {
    int32_t dot = 0;
    for (size_t c = 0; c < dimension; ++c) dot += codes[row * stride + c] * code[c];
    const auto label = std::lower_bound(sorted_labels.begin(), sorted_labels.end(), labels[row]);
    const float product = static_cast<float>(dot) * scales[row];
    return product + lifts[static_cast<size_t>(label - sorted_labels.begin())];
  }
  // Sorted, the first among equals first.
  std::vector<ScoredRow> Best(size_t best, const std::vector<uint64_t>& kept) const {
    std::vector<ScoredRow> all;
    for (uint32_t row = 0; row < count; ++row) {
      if (kept.empty() || (kept[row / 64] >> (row % 64) & 1)) all.push_back({Score(row), row});
    }
    return Sorted(std::move(all), best);
  }
  static std::vector<ScoredRow> Sorted(std::vector<ScoredRow> all, size_t best) {
    std::sort(all.begin(), all.end(), [](const ScoredRow& a, const ScoredRow& b) {
      return a.score != b.score ? a.score > b.score : a.row < b.row;
    });
    if (all.size() > best) all.resize(best);
    return all;
  }

  size_t count, dimension, stride;
  std::vector<int8_t> codes, code;
  std::vector<float> scales, lifts;
  std::vector<uint16_t> labels, sorted_labels;
};

void ExpectBest(kernels::RowScanner& scanner, const kernels::HeldRows& held, const MadeUp& made,
                size_t best, const std::vector<uint64_t>& kept) {
  const auto found =
      scanner.Best(held, {.code = made.code, .lifts = made.lifts, .kept = kept, .best = best});
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(MadeUp::Sorted(*found, best), made.Best(best, kept))
      << made.count << " rows of " << made.dimension << ", best " << best;
}

std::vector<uint64_t> OneIn(size_t count, uint32_t one_in) {
  std::mt19937 random(one_in);
  std::vector<uint64_t> bits((count + 63) / 64);
  for (size_t i = 0; i < count; ++i) {
    bits[i / 64] |= uint64_t{random() % one_in == 0} << (i % 64);
  }
  return bits;
}

TEST_F(CudaScan, FindsWhatTheLoopFindsForEveryShapeAndNumber) {
  const auto scanner = Scanner();
  for (const size_t dimension : {1, 63, 64, 200, 384}) {
    for (const size_t count : {1, 5, 127, 129, 700}) {
      const MadeUp made(count, dimension, {9}, 1);
      const auto held = scanner->Hold(made.rows()).value();
      EXPECT_EQ(held->count(), count);
      for (const size_t best : {1, 50, 256}) ExpectBest(*scanner, *held, made, best, {});
    }
  }
}

TEST_F(CudaScan, OnlyKeptRowsAreFoundHoweverFew) {
  const auto scanner = Scanner();
  const MadeUp made(1500, 70, {3}, 2);
  const auto held = scanner->Hold(made.rows()).value();
  for (const uint32_t one_in : {1, 2, 40, 1400, 1000000}) {
    ExpectBest(*scanner, *held, made, 50, OneIn(1500, one_in));
  }
}

TEST_F(CudaScan, EveryLabelHasItsLift) {
  const auto scanner = Scanner();
  const MadeUp made(900, 64, {500, 7, 12}, 3);
  const auto held = scanner->Hold(made.rows()).value();
  EXPECT_TRUE(std::ranges::equal(held->labels(), made.sorted_labels));
  ExpectBest(*scanner, *held, made, 100, {});
  ExpectBest(*scanner, *held, made, 100, OneIn(900, 3));
}

// More rows than one piece: each piece gives its own best.
TEST_F(CudaScan, RowsBeyondAPieceAreSearchedToo) {
  const size_t count = kernels::cuda::kScanPiece + 77;
  const auto scanner = Scanner();
  const MadeUp made(count, 8, {3}, 4);
  const auto held = scanner->Hold(made.rows()).value();
  ExpectBest(*scanner, *held, made, 30, OneIn(count, 2));
}

// What `vade doctor --gpu` does.
TEST_F(CudaScan, TheChecksOfTheDoctorPass) {
  const auto checks = CheckScanner(*Scanner());
  ASSERT_TRUE(checks.ok()) << checks.status().ToString();
  ASSERT_EQ(checks->size(), 2u);
  for (const BackendCheck& check : *checks) {
    EXPECT_TRUE(check.passed()) << check.what << ": " << check.difference;
  }
}

TEST_F(CudaScan, SeveralRowsAreHeldAndLeaveWhenTheyAreLetGo) {
  const auto scanner = Scanner();
  const MadeUp a(300, 64, {3}, 5), b(2000, 128, {3, 4}, 6);
  auto held_a = scanner->Hold(a.rows()).value();
  const uint64_t with_a = scanner->used_bytes();
  auto held_b = scanner->Hold(b.rows()).value();
  ExpectBest(*scanner, *held_a, a, 50, {});
  ExpectBest(*scanner, *held_b, b, 50, {});
  held_b.reset();
  ExpectBest(*scanner, *held_a, a, 50, {});
  held_a.reset();
  held_b = scanner->Hold(b.rows()).value();
  ExpectBest(*scanner, *held_b, b, 50, {});
  held_b.reset();
  EXPECT_LT(scanner->used_bytes(), with_a + (1 << 20)) << "the scratch alone is left";
}

TEST_F(CudaScan, WhatDoesNotFitIsSaidWithTheRemedyAndHarmsNothing) {
  const auto scanner = Scanner(2 << 20);
  const MadeUp small(300, 64, {3}, 7), large(40'000, 64, {3}, 8);
  const auto held = scanner->Hold(small.rows()).value();
  const auto refused = scanner->Hold(large.rows());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(), HasSubstr("search.gpu_bytes"));
  EXPECT_THAT(refused.status().message(), HasSubstr("search.device = cpu"));
  ExpectBest(*scanner, *held, small, 50, {});
}

TEST_F(CudaScan, WhatItCannotTakeIsRefused) {
  const auto scanner = Scanner();
  std::vector<uint16_t> many(300);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<uint16_t>(i);
  MadeUp made(1000, 64, {3}, 9);
  for (size_t i = 0; i < made.count; ++i) made.labels[i] = many[i % many.size()];
  EXPECT_EQ(scanner->Hold(made.rows()).status().code(), StatusCode::kUnimplemented);
  const MadeUp long_rows(1, kernels::cuda::kMaxScanStride + 1, {3}, 10);
  EXPECT_EQ(scanner->Hold(long_rows.rows()).status().code(), StatusCode::kUnimplemented);

  const MadeUp sane(100, 64, {3, 4}, 11);
  const auto held = scanner->Hold(sane.rows()).value();
  const std::vector<float> one_lift = {0};
  const std::vector<uint64_t> few_bits = {1};
  const std::vector<int8_t> short_code(63);
  const RowQuestion bad[] = {{.code = sane.code, .lifts = one_lift, .best = 5},
                             {.code = sane.code, .lifts = sane.lifts, .best = 0},
                             {.code = sane.code, .lifts = sane.lifts, .best = 257},
                             {.code = short_code, .lifts = sane.lifts, .best = 5},
                             {.code = sane.code, .lifts = sane.lifts, .kept = few_bits, .best = 5}};
  for (const RowQuestion& question : bad) {
    EXPECT_EQ(scanner->Best(*held, question).status().code(), StatusCode::kInternal);
  }
}

}  // namespace
}  // namespace vade
