// The greatest logits of rows, against a sort of the whole row.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
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

// What is asked of rows besides how many of the best.
struct Wish {
  std::vector<double> temperatures = {};         // 1 where there is none
  std::vector<std::vector<int32_t>> apart = {};  // one list a row, or none at all
  bool weights = false;
};

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

  static std::vector<BestLogits> Find(CudaBackend& backend, const std::vector<Row>& rows,
                                      const std::vector<int32_t>& which, uint32_t count,
                                      Wish wish) {
    const size_t width = rows[0].size();
    wish.temperatures.resize(which.size(), 1.0);
    const BufferHandle logits = Must(backend.NewBuffer(rows.size() * width * sizeof(float)));
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(rows[i].data());
      EXPECT_TRUE(
          backend.Upload(logits, i * width * sizeof(float), {bytes, width * sizeof(float)}).ok());
    }
    const std::vector<std::span<const int32_t>> apart(wish.apart.begin(), wish.apart.end());
    auto found = Must(backend.FindBest({.logits = logits,
                                        .width = static_cast<int>(width),
                                        .rows = which,
                                        .temperatures = wish.temperatures,
                                        .count = count,
                                        .weights = wish.weights,
                                        .apart = apart}));
    backend.FreeBuffer(logits);
    return found;
  }

  // Finds the best of the rows named by `which` and compares them with those of a sort.
  static void ExpectBest(const std::vector<Row>& rows, const std::vector<int32_t>& which,
                         uint32_t count, Wish wish = {}) {
    const auto backend = Cuda();
    const auto found = Find(*backend, rows, which, count, wish);
    ASSERT_EQ(found.size(), which.size());
    const int width = static_cast<int>(rows[0].size());
    wish.temperatures.resize(which.size(), 1.0);
    wish.apart.resize(which.size());
    for (size_t i = 0; i < which.size(); ++i) {
      const Row& row = rows[static_cast<size_t>(which[i])];
      BestLogits expected = BestOf(row, count, wish.temperatures[i], wish.apart[i]);
      EXPECT_TRUE(found[i].finite);
      EXPECT_EQ(found[i].vocab_size, width);
      EXPECT_EQ(found[i].best, expected.best) << "row " << i << " of " << width;
      EXPECT_EQ(found[i].apart, expected.apart) << "row " << i << " of " << width;
      EXPECT_NEAR(found[i].sum, expected.sum, kBestSumError / 4 * expected.sum);
      EXPECT_NEAR(found[i].tempered_sum, expected.tempered_sum,
                  kBestSumError / 4 * expected.tempered_sum);
      if (!wish.weights) {
        EXPECT_TRUE(found[i].weights.empty());
        continue;
      }
      testing::AddWeights(row, wish.temperatures[i], found[i].part_tokens, &expected);
      ASSERT_EQ(found[i].weights.size(), expected.weights.size());
      for (size_t part = 0; part < expected.weights.size(); ++part) {
        EXPECT_NEAR(found[i].weights[part], expected.weights[part],
                    kBestWeightError * expected.weights[part])
            << "row " << i << ", part " << part;
      }
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
             {.temperatures = {0.5, 2.0}});
}

// Rows with lists of their own, with the same one, and with none; the first and the last token,
// both sides of a word of marks, the greatest; all of them.
TEST_F(CudaBest, WhatIsSetApartIsGivenByItselfAndNotAmongTheBest) {
  for (size_t width : {1u, 33u, 700u, 2500u}) {
    std::vector<Row> rows;
    std::vector<std::vector<int32_t>> apart(5);
    for (uint32_t i = 0; i < 5; ++i) rows.push_back(Random(width, 20 + i));
    std::vector<int32_t> all(width);
    std::iota(all.begin(), all.end(), 0);
    for (int32_t token : all) {
      const bool border = token == 0 || token == 31 || token == 32 || token % 577 == 4;
      if (border || token + 1 == static_cast<int32_t>(width)) apart[0].push_back(token);
      if (token % 3 == 0) apart[3].push_back(token);
    }
    apart[1] = apart[0];
    apart[2] = {static_cast<int32_t>(std::ranges::max_element(rows[2]) - rows[2].begin())};
    apart[3].resize(std::min<size_t>(apart[3].size(), 300));
    for (uint32_t count : {1u, 256u}) {
      ExpectBest(rows, {0, 1, 2, 3, 4}, count, {.temperatures = {1, .3, 2}, .apart = apart});
      ExpectBest(rows, {2, 0}, count, {.apart = {all, {}}, .weights = true});
      ExpectBest(rows, {2, 0}, count, {.apart = {{}, {}}});
    }
  }
}

// Two rows that are given one and the same list, as those of guessed tokens are.
TEST_F(CudaBest, RowsShareAList) {
  const auto backend = Cuda();
  const std::vector<Row> rows = {Random(900, 31), Random(900, 32), Random(900, 33)};
  const std::vector<int32_t> tokens = {3, 500, 899}, which = {0, 1, 2};
  const std::vector<double> temperatures = {1, 1, 1};
  const BufferHandle logits = Must(backend->NewBuffer(3 * 900 * sizeof(float)));
  for (size_t i = 0; i < 3; ++i) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(rows[i].data());
    ASSERT_TRUE(backend->Upload(logits, i * 3600, {bytes, 3600}).ok());
  }
  const std::vector<std::span<const int32_t>> apart = {tokens, tokens, {}};
  const auto found = Must(backend->FindBest({.logits = logits,
                                             .width = 900,
                                             .rows = which,
                                             .temperatures = temperatures,
                                             .count = 4,
                                             .apart = apart}));
  for (size_t i = 0; i < 3; ++i) {
    const BestLogits expected = BestOf(rows[i], 4, 1, apart[i]);
    EXPECT_EQ(found[i].apart, expected.apart) << i;
    EXPECT_EQ(found[i].best, expected.best) << i;
  }
}

TEST_F(CudaBest, WeightsOfPartsAreThoseInDoubles) {
  for (size_t width : {1u, 257u, 5000u}) {
    const std::vector<Row> rows = {Random(width, 41), Random(width, 42, 40), Row(width, -7.0f)};
    for (double temperature : {1e-5, 0.3, 1.0, 100.0}) {
      ExpectBest(rows, {0, 1, 2}, 1,
                 {.temperatures = {temperature, temperature, temperature}, .weights = true});
    }
  }
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
    std::vector<Row> rows = {Random(3000, 8), Random(3000, 9)};
    rows[0][2999] = bad;
    for (const auto& apart : {std::vector<int32_t>(), {2999}}) {
      const auto found = Find(*backend, rows, {0, 1}, 3, {.apart = {apart, apart}});
      EXPECT_FALSE(found[0].finite) << "also where it is set apart";
      EXPECT_TRUE(found[1].finite);
    }
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
  const std::vector<int32_t> apart = {0, 7, 50};
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
      if (first > 0) batch[0].apart = apart, batch[2].weights = true;
      return Must(decoder->Forward(batch, Context()));
    };
    const Logits whole = read(0, 0, 0), some = read(256, 0, 1);
    ASSERT_EQ(some.best.size(), 5u);
    ASSERT_EQ(some.values.size(), static_cast<size_t>(whole.vocab_size));
    EXPECT_TRUE(testing::SameBits(some.row(0), whole.row(2)));
    const std::vector<size_t> rows = {0, 1, 3, 4, 5};
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::span<const float> row = whole.row(rows[i]);
      BestLogits expected = i < 2 ? BestOf(row, 256, 1, apart) : BestOf(row, 1, 1);
      EXPECT_EQ(some.best[i].best, expected.best) << i;
      EXPECT_EQ(some.best[i].apart, expected.apart) << i;
      EXPECT_EQ(some.best[i].weights.empty(), i < 2) << i;
      EXPECT_TRUE(
          testing::SameBits(Must(decoder->RowPart(some.forward, i, 5, 20)), row.subspan(5, 20)));
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
  const auto code = [&] { return decoder->Forward({&item, 1}, Context()).status().code(); };
  EXPECT_EQ(code(), StatusCode::kInvalidArgument);
  const int32_t words = decoder->info().vocab_size;
  for (const auto& wrong : {std::vector<int32_t>{words}, {-1}, {3, 3}, {4, 3}}) {
    item.best = 1, item.apart = wrong;
    EXPECT_EQ(code(), StatusCode::kInvalidArgument) << wrong.back();
  }
  item.best = 0, item.apart = apart;
  EXPECT_EQ(code(), StatusCode::kInvalidArgument) << "of a whole row nothing stands apart";
  item.best = 1;
  const ForwardNumber forward = Must(decoder->Forward({&item, 1}, Context())).forward;
  for (const auto& [begin, count] : {std::pair(-1, 2), {0, words + 1}, {words, 1}, {3, -1}}) {
    EXPECT_EQ(decoder->RowPart(forward, 0, begin, count).status().code(), StatusCode::kOutOfRange);
  }
}

}  // namespace
}  // namespace vade
