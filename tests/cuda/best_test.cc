// The greatest logits of rows, against a sort of the whole row.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "model/cuda_backend.h"
#include "model/transformer.h"
#include "tests/model/transformer_fixture.h"
#include "tests/testing/best_logits.h"
#include "tests/testing/cuda/memory.h"

namespace vade {
namespace {

using testing::BestOf;
using testing::LastLogits;
using testing::Must;
using testing::RandomTokens;
using Row = std::vector<float>;

class CudaBest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(testing::DeviceFaults(), "");
  }
  void TearDown() override { EXPECT_EQ(testing::DeviceFaults(), ""); }

  static std::unique_ptr<CudaBackend> Cuda() {
    return Must(CudaBackend::Create(Must(testing::NewDevice()), {.memory_bytes = 128ull << 20}));
  }

  // Finds the best of the rows named by `which` and compares them with those of a sort.
  static void ExpectBest(const std::vector<Row>& rows, const std::vector<int32_t>& which,
                         uint32_t count, std::vector<float> temperatures = {}) {
    const auto backend = Cuda();
    const size_t width = rows[0].size();
    temperatures.resize(which.size(), 1.0f);
    const BufferHandle logits = Must(backend->NewBuffer(rows.size() * width * sizeof(float)));
    for (size_t i = 0; i < rows.size(); ++i) {
      ASSERT_TRUE(
          backend
              ->Upload(logits, i * width * sizeof(float),
                       {reinterpret_cast<const uint8_t*>(rows[i].data()), width * sizeof(float)})
              .ok());
    }
    const auto found = Must(backend->FindBest({.logits = logits,
                                               .width = static_cast<int>(width),
                                               .rows = which,
                                               .temperatures = temperatures,
                                               .count = count}));
    ASSERT_EQ(found.size(), which.size());
    for (size_t i = 0; i < which.size(); ++i) {
      const BestLogits expected =
          BestOf(rows[static_cast<size_t>(which[i])], count, temperatures[i]);
      EXPECT_TRUE(found[i].finite);
      EXPECT_EQ(found[i].vocab_size, static_cast<int>(width));
      EXPECT_EQ(found[i].best, expected.best) << "row " << i << " of " << width;
      EXPECT_NEAR(found[i].sum, expected.sum, kBestSumError / 4 * expected.sum);
      EXPECT_NEAR(found[i].tempered_sum, expected.tempered_sum,
                  kBestSumError / 4 * expected.tempered_sum);
    }
  }
  static Row Random(size_t width, uint32_t seed, float scale = 4) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, scale);
    Row row(width);
    for (float& x : row) x = normal(random);
    return row;
  }
};

TEST_F(CudaBest, IsThatOfASortForEveryWidthAndNumber) {
  for (size_t width : {1u, 31u, 255u, 256u, 257u, 1100u, 5000u}) {
    for (uint32_t count : {1u, 2u, 40u, 256u}) {
      ExpectBest({Random(width, 1), Random(width, 2)}, {0, 1}, count);
    }
  }
}

TEST_F(CudaBest, OnlyTheNamedRowsAreLookedAt) {
  ExpectBest({Random(700, 3), Random(700, 4), Random(700, 5), Random(700, 6)}, {1, 3}, 20,
             {0.5f, 2.0f});
}

TEST_F(CudaBest, AmongEqualsTheLowerTokenComesFirst) {
  Row flat(2500, 1.5f), steps(2500), zeros(2500);
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i] = static_cast<float>(i % 7);
    zeros[i] = i % 3 == 0 ? -0.0f : i % 3 == 1 ? 0.0f : -1.0f;
  }
  for (uint32_t count : {1u, 5u, 256u}) {
    ExpectBest({flat, steps, zeros}, {0, 1, 2}, count);
  }
}

TEST_F(CudaBest, LogitsOfEverySizeAreOrdered) {
  Row row = Random(600, 7, 1e-3f);
  row[5] = std::numeric_limits<float>::max();
  row[6] = std::numeric_limits<float>::lowest();
  row[7] = std::numeric_limits<float>::denorm_min();
  row[8] = -std::numeric_limits<float>::denorm_min();
  row[9] = 0;
  ExpectBest({row}, {0}, 256);
}

TEST_F(CudaBest, WhatIsNoNumberIsSaidOfItsRowAlone) {
  const auto backend = Cuda();
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), HUGE_VALF, -HUGE_VALF}) {
    Row rows = Random(2 * 3000, 8);
    rows[2999] = bad;
    const BufferHandle logits = Must(backend->NewBuffer(rows.size() * sizeof(float)));
    ASSERT_TRUE(
        backend
            ->Upload(logits, 0,
                     {reinterpret_cast<const uint8_t*>(rows.data()), rows.size() * sizeof(float)})
            .ok());
    const std::vector<int32_t> which = {0, 1};
    const std::vector<float> temperatures = {1, 1};
    const auto found = Must(backend->FindBest({.logits = logits,
                                               .width = 3000,
                                               .rows = which,
                                               .temperatures = temperatures,
                                               .count = 3}));
    EXPECT_FALSE(found[0].finite);
    EXPECT_TRUE(found[1].finite);
  }
}

// A whole decoder: the best rows beside whole ones, those that are asked for whole afterwards, and
// a batch that takes several steps.
TEST_F(CudaBest, ADecodersBestAreThoseOfItsWholeRows) {
  const testing::TempDir dir;
  const std::string path = dir.File("model.gguf");
  const testing::TinyModel model = {.layers = 1, .width = 32, .hidden = 32, .heads = 2};
  ASSERT_TRUE(model.Write(path).ok());
  DecoderOptions options = testing::SmallOptions(kernels::KvType::kF16);
  options.kv_budget_bytes = 1 << 20;
  const auto decoder = Must(LoadDecoderOn(Cuda(), path, options));
  ASSERT_EQ(decoder->max_best(), 256);
  std::vector<std::unique_ptr<Sequence>> sequences;
  for (const size_t prompt : {20u, 505u}) {
    const std::vector<std::vector<int32_t>> tokens = {RandomTokens(9, 1), RandomTokens(prompt, 2),
                                                      RandomTokens(3, 3)};
    const std::vector<std::vector<int32_t>> wanted = {
        {6, 8}, {static_cast<int32_t>(prompt) - 1}, {0, 1, 2}};
    const auto read = [&](int first, int second, int third) {
      std::vector<ForwardItem> batch;
      sequences.clear();
      for (size_t i = 0; i < 3; ++i) {
        sequences.push_back(Must(decoder->NewSequence()));
        batch.push_back({sequences.back().get(), tokens[i], {}, wanted[i]});
      }
      batch[0].best = first, batch[1].best = second, batch[2].best = third;
      return Must(decoder->Forward(batch, Context()));
    };
    const Logits whole = read(0, 0, 0), some = read(256, 0, 1);
    ASSERT_EQ(some.best.size(), 5u);
    ASSERT_EQ(some.values.size(), static_cast<size_t>(whole.vocab_size));
    EXPECT_TRUE(testing::SameBits(some.row(0), whole.row(2)));
    const std::vector<size_t> rows = {0, 1, 3, 4, 5};
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(some.best[i].best, BestOf(whole.row(rows[i]), i < 2 ? 256 : 1, 1).best) << i;
      EXPECT_TRUE(testing::SameBits(Must(decoder->WholeRow(some.forward, i)), whole.row(rows[i])));
    }
    EXPECT_EQ(decoder->WholeRow(some.forward, 5).status().code(), StatusCode::kFailedPrecondition);
    LastLogits(*decoder, *sequences[0], tokens[2]);
    EXPECT_EQ(decoder->WholeRow(some.forward, 0).status().code(), StatusCode::kFailedPrecondition);
  }
  const auto sequence = Must(decoder->NewSequence());
  const auto token = RandomTokens(1, 1);
  const std::vector<int32_t> last = {0};
  ForwardItem item{sequence.get(), token, {}, last};
  item.best = 257;
  EXPECT_EQ(decoder->Forward({&item, 1}, Context()).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vade
