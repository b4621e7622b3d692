// Tokens that the sampler chooses with what the GPU's kernels find of a row are those that it
// chooses over the whole row on the host.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "generator/sampler.h"
#include "model/cuda_backend.h"
#include "model/transformer.h"
#include "tests/model/transformer_fixture.h"
#include "tests/testing/cuda/memory.h"

namespace vade {
namespace {

using testing::Must;

// Of answers to several prompts, which take their tokens in the same steps.
struct Answer {
  Sampling sampling;
  Sampler over_row{sampling}, over_best{sampling};
  uint32_t told = 0;
};

class CudaSampling : public ::testing::Test {
 protected:
  static constexpr int kWidth = 2700;

  void SetUp() override {
    if (const auto why = testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(testing::DeviceFaults(), "");
    backend_ = Must(CudaBackend::Create(Must(testing::NewDevice()), {.memory_bytes = 64ull << 20}));
    logits_ = Must(backend_->NewBuffer(uint64_t{kMost} * kWidth * sizeof(float)));
  }
  void TearDown() override {
    backend_.reset();
    EXPECT_EQ(testing::DeviceFaults(), "");
  }

  // Some likely ones, which change slowly from step to step, so that tokens come again; steps of a
  // quarter make equals.
  static std::vector<float> Row(uint32_t seed, uint32_t step) {
    std::mt19937 random(seed), wobble(1000 * seed + step);
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> row(kWidth);
    for (float& x : row) x = normal(random) + static_cast<float>(wobble() % 3) / 4;
    if (seed % 2 == 0) {
      for (float& x : row) x = std::round(4 * x) / 4;
    }
    return row;
  }

  // One step of all answers: found by what each of them wants.
  void Step(std::vector<Answer>& answers, uint32_t step) {
    ASSERT_LE(answers.size(), size_t{kMost});
    std::vector<std::vector<float>> rows;
    std::vector<WantedBest> wanted;
    for (uint32_t i = 0; i < answers.size(); ++i) {
      rows.push_back(Row(i, step));
      const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(rows[i].data()),
                                           kWidth * sizeof(float));
      ASSERT_TRUE(backend_->Upload(logits_, i * bytes.size(), bytes).ok());
      wanted.push_back(answers[i].over_best.Wanted(static_cast<int>(backend_->MaxBest(kWidth))));
    }
    for (const bool weights : {false, true}) {
      for (const int count : {1, 5, 256}) {
        std::vector<int32_t> which;
        std::vector<double> temperatures;
        std::vector<std::span<const int32_t>> apart;
        for (uint32_t i = 0; i < answers.size(); ++i) {
          if (wanted[i].count != count || wanted[i].weights != weights) continue;
          which.push_back(static_cast<int32_t>(i));
          temperatures.push_back(answers[i].over_best.temperature());
          apart.push_back(wanted[i].apart);
        }
        const auto found = Must(backend_->FindBest({.logits = logits_,
                                                    .width = kWidth,
                                                    .rows = which,
                                                    .temperatures = temperatures,
                                                    .count = static_cast<uint32_t>(count),
                                                    .weights = weights,
                                                    .apart = apart}));
        for (size_t i = 0; i < which.size(); ++i) {
          const auto row = static_cast<size_t>(which[i]);
          Choose(answers[row], rows[row], row, found[i]);
        }
      }
    }
  }

  void Choose(Answer& answer, const std::vector<float>& row, size_t at, const BestLogits& best) {
    const SampledToken expected = Must(answer.over_row.Next(row));
    const auto part = [&](int32_t begin, int32_t count) -> Result<std::vector<float>> {
      std::vector<float> values(static_cast<size_t>(count));
      RETURN_IF_ERROR(backend_->Download(
          logits_, (at * kWidth + static_cast<size_t>(begin)) * sizeof(float),
          {reinterpret_cast<uint8_t*>(values.data()), values.size() * sizeof(float)}));
      return values;
    };
    const auto token = Must(answer.over_best.NextOf(best, part));
    if (!token) {
      EXPECT_EQ(Must(answer.over_best.Next(row)).id, expected.id);
      return;
    }
    ++answer.told;
    EXPECT_EQ(token->id, expected.id) << "answer " << at;
    EXPECT_NEAR(token->probability, expected.probability, kBestSumError * expected.probability);
    ASSERT_EQ(token->alternatives.size(), expected.alternatives.size());
    for (size_t i = 0; i < expected.alternatives.size(); ++i) {
      EXPECT_EQ(token->alternatives[i].first, expected.alternatives[i].first) << "answer " << at;
      EXPECT_NEAR(token->alternatives[i].second, expected.alternatives[i].second, kBestSumError);
    }
  }

  static constexpr uint32_t kMost = 24;
  std::unique_ptr<CudaBackend> backend_;
  BufferHandle logits_;
};

// Greedy, drawn and cut; with nothing, penalties that discourage and that encourage, biases up to
// both ends and bans of the likeliest.
TEST_F(CudaSampling, TokensAreThoseOverWholeRows) {
  const Sampling ways[] = {{},
                           {.top_logprobs = 5},
                           {.temperature = 0.9, .top_k = 30},
                           {.temperature = 0.6, .top_p = 0.7},
                           {.temperature = 1, .min_p = 0.1},
                           {.temperature = 1.1}};
  std::vector<Answer> answers;
  for (int change = 0; change < 4; ++change) {
    for (Sampling sampling : ways) {
      const auto number = static_cast<uint32_t>(answers.size());
      sampling.seed = 100 + number;
      if (change == 1) sampling.repetition_penalty = 1.7, sampling.frequency_penalty = 0.4;
      if (change == 2) sampling.presence_penalty = -1, sampling.repetition_penalty = 0.8;
      if (change >= 2) {
        const auto row = Row(number, 0);
        const auto likeliest = std::ranges::max_element(row) - row.begin();
        sampling.logit_bias = {{static_cast<int32_t>(likeliest), -100.0}};
        for (int32_t token : {0, 31, 64, 1333, kWidth - 1}) {
          if (token != likeliest) sampling.logit_bias.emplace_back(token, 0.004 * token - 1);
        }
        if (change == 3) sampling.logit_bias.back().second = 9.5;
      }
      answers.push_back({.sampling = sampling});
    }
  }
  constexpr uint32_t kSteps = 12;
  for (uint32_t step = 0; step < kSteps; ++step) Step(answers, step);
  for (size_t i = 0; i < answers.size(); ++i) {
    const Sampling& sampling = answers[i].sampling;
    const bool certain = sampling.temperature == 0 || sampling.temperature == 1.1;
    EXPECT_GE(answers[i].told, certain ? kSteps : 1) << "answer " << i;
  }
}

// What the kernels say is what is believed: of one that is wrong the tokens are others. Else the
// comparison above would prove nothing.
TEST_F(CudaSampling, AWrongFindingWouldBeSeen) {
  const auto row = Row(1, 0);
  ASSERT_TRUE(backend_
                  ->Upload(logits_, 0,
                           {reinterpret_cast<const uint8_t*>(row.data()), kWidth * sizeof(float)})
                  .ok());
  const auto likeliest = static_cast<int32_t>(std::ranges::max_element(row) - row.begin());
  const Sampling sampling = {.logit_bias = {{likeliest, -4.0}}};
  const std::vector<int32_t> which = {0};
  const std::vector<double> temperatures = {1};
  const std::vector<int32_t> tokens = {likeliest};
  const std::vector<std::span<const int32_t>> apart = {tokens};
  BestLogits best = Must(backend_->FindBest({.logits = logits_,
                                             .width = kWidth,
                                             .rows = which,
                                             .temperatures = temperatures,
                                             .count = 1,
                                             .apart = apart}))[0];
  const int32_t expected = Must(Sampler(sampling).Next(row)).id;
  EXPECT_EQ(Must(Sampler(sampling).NextOf(best, {}))->id, expected);
  EXPECT_NE(expected, likeliest);
  best.apart[0].second += 100;  // as if another token's logit had been given
  EXPECT_EQ(Must(Sampler(sampling).NextOf(best, {}))->id, likeliest);
}

}  // namespace
}  // namespace vade
