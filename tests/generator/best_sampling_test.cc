// Tokens that are chosen among the best logits are those that are chosen among all of them, and
// where the best do not tell, that is known.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <string>

#include "generator/sampler.h"
#include "tests/generator/engine_jobs.h"
#include "tests/testing/best_logits.h"

namespace vade {
namespace {

using testing::AddWeights;
using testing::BestOf;

constexpr int kVocab = 3000, kLimit = 256;

// Of a model's shape: few that are likely, a long tail; or flat, or with many equals.
enum class Shape { kPeaked, kModel, kFlat, kSteps, kEqual };

std::vector<float> Row(Shape shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> row(kVocab);
  for (float& x : row) {
    switch (shape) {
      case Shape::kPeaked: x = 12 * normal(random) - 20; break;
      case Shape::kModel: x = 3.5f * normal(random); break;
      case Shape::kFlat: x = 0.01f * normal(random); break;
      case Shape::kSteps: x = std::round(2 * normal(random)); break;
      case Shape::kEqual: x = 1; break;
    }
  }
  return row;
}

// What a device would find, as far from the truth as it may be.
BestLogits FoundOf(const std::vector<float>& row, const WantedBest& wanted, double temperature,
                   bool above) {
  auto best = BestOf(row, static_cast<size_t>(wanted.count), temperature, wanted.apart);
  best.tempered_sum *= above ? 1 + 0.9 * kBestSumError : 1 - 0.9 * kBestSumError;
  if (!wanted.weights) return best;
  AddWeights(row, temperature, 70, &best);
  for (double& weight : best.weights) {
    weight *= above ? 1 + 0.9 * kBestWeightError : 1 - 0.9 * kBestWeightError;
  }
  return best;
}

void ExpectSame(const SampledToken& token, const SampledToken& expected) {
  EXPECT_EQ(token.id, expected.id);
  EXPECT_NEAR(token.probability, expected.probability, kBestSumError * expected.probability);
  ASSERT_EQ(token.alternatives.size(), expected.alternatives.size());
  for (size_t i = 0; i < token.alternatives.size(); ++i) {
    EXPECT_EQ(token.alternatives[i].first, expected.alternatives[i].first) << "place " << i;
    EXPECT_NEAR(token.alternatives[i].second, expected.alternatives[i].second, kBestSumError);
  }
}

// Both samplers take many tokens of many rows; how many the best alone told.
int ToldOf(const Sampling& sampling, Shape shape, int count, int limit = kLimit) {
  Sampler over_all(sampling), over_best(sampling);
  int told = 0;
  for (int i = 0; i < count; ++i) {
    const auto row = Row(shape, static_cast<uint32_t>(i));
    const WantedBest wanted = over_best.Wanted(limit);
    const auto expected = over_all.Next(row);
    EXPECT_TRUE(expected.ok());
    if (wanted.count == 0) continue;
    const BestLogits best = FoundOf(row, wanted, over_best.temperature(), i % 2 == 0);
    const auto part = [&](int32_t begin, int32_t size) {
      return Result<std::vector<float>>(
          std::vector<float>(row.begin() + begin, row.begin() + begin + size));
    };
    auto token = over_best.NextOf(best, part);
    EXPECT_TRUE(token.ok());
    if (*token) {
      ++told;
      SCOPED_TRACE("row " + std::to_string(i));
      ExpectSame(**token, *expected);
    } else {
      EXPECT_EQ(over_best.Next(row)->id, expected->id) << "nothing has happened before";
    }
  }
  return told;
}

constexpr Shape kShapes[] = {Shape::kPeaked, Shape::kModel, Shape::kFlat, Shape::kSteps,
                             Shape::kEqual};

TEST(BestSampling, GreedyIsToldByOneLogitAlways) {
  for (Shape shape : kShapes) EXPECT_EQ(ToldOf({}, shape, 40), 40);
}

TEST(BestSampling, ANumberOfTheMostProbableIsToldUnlessEqualsGoOnBeyondTheBest) {
  for (const double temperature : {0.3, 1.0, 5.0}) {
    const Sampling sampling = {.temperature = temperature, .top_k = 40, .seed = 7};
    EXPECT_EQ(ToldOf(sampling, Shape::kPeaked, 40), 40);
    EXPECT_EQ(ToldOf(sampling, Shape::kModel, 40), 40);
    EXPECT_EQ(ToldOf(sampling, Shape::kFlat, 40), 40);
    EXPECT_EQ(ToldOf(sampling, Shape::kEqual, 40), 0);
    ToldOf(sampling, Shape::kSteps, 40);  // some of them
  }
}

TEST(BestSampling, CutsBehindTheNumberAreThoseOverAllTokens) {
  const Sampling all_cuts = {
      .temperature = 0.8, .top_p = 0.9, .top_k = 50, .min_p = 0.02, .typical_p = 0.95, .seed = 3};
  EXPECT_EQ(ToldOf(all_cuts, Shape::kModel, 60), 60);
}

TEST(BestSampling, AMassIsToldWhereTheBestHoldItAndItsBorderIsClear) {
  const Sampling low = {.temperature = 0.7, .top_p = 0.8, .seed = 9};
  EXPECT_GT(ToldOf(low, Shape::kModel, 100), 80);
  EXPECT_GT(ToldOf(low, Shape::kPeaked, 100), 80);
  EXPECT_EQ(ToldOf({.temperature = 1, .top_p = 0.95, .seed = 9}, Shape::kFlat, 20), 0)
      << "256 of 3,000 equals hold no such mass";
  ToldOf(low, Shape::kSteps, 60);
}

TEST(BestSampling, AShareOfTheMostProbableIsToldWhereTheBestGoBelowIt) {
  EXPECT_GT(ToldOf({.temperature = 1, .min_p = 0.05, .seed = 4}, Shape::kModel, 60), 50);
  EXPECT_EQ(ToldOf({.temperature = 1, .min_p = 0.05, .seed = 4}, Shape::kFlat, 20), 0);
}

// With so low a temperature what is beyond the best cannot be drawn: no cut is needed, but that is
// only seen once they are there; a cut that is off asks for all.
TEST(BestSampling, WhatIsNegligibleBeyondTheBestMakesThemAll) {
  const Sampling sampling = {.temperature = 0.02, .top_p = 0.999, .seed = 5};
  EXPECT_EQ(ToldOf(sampling, Shape::kModel, 40), 40);
}

TEST(BestSampling, WhatNeedsAllLogitsAsksForThem) {
  const auto wanted = [](const Sampling& sampling, int limit = kLimit) {
    return Sampler(sampling).Wanted(limit).count;
  };
  EXPECT_EQ(wanted({}), 1);
  EXPECT_EQ(wanted({}, 0), 0);
  EXPECT_EQ(wanted({.temperature = 1}), 1);
  EXPECT_TRUE(Sampler({.temperature = 1}).Wanted(kLimit).weights);
  EXPECT_FALSE(Sampler({.temperature = 1, .top_p = 0.9}).Wanted(kLimit).weights);
  EXPECT_EQ(wanted({.temperature = 1, .top_k = 40}), kLimit);
  EXPECT_EQ(wanted({.temperature = 1, .top_k = 256}), 0);
  EXPECT_EQ(wanted({.temperature = 1, .top_p = 0.9}), kLimit);
  EXPECT_EQ(wanted({.temperature = 1, .top_p = 0.9, .typical_p = 0.9}), 0);
  EXPECT_EQ(wanted({.temperature = 1, .min_p = 0.1}), kLimit);
  EXPECT_EQ(wanted({.temperature = 1e-8, .top_k = 40}), 0);
  EXPECT_EQ(wanted({.repetition_penalty = 1.1}), 1);
  EXPECT_EQ(wanted({.top_logprobs = 5}), 5);
  EXPECT_EQ(wanted({.top_logprobs = 5}, 4), 0);
  EXPECT_EQ(wanted({.temperature = 1, .top_logprobs = 5}), 5);
}

TEST(BestSampling, TokensThatAreChangedAreSetApart) {
  using Tokens = std::vector<int32_t>;
  Sampler biased({.logit_bias = {{9, 1.0}, {3, -100.0}}});
  EXPECT_EQ(biased.Wanted(kLimit).apart, (Tokens{3, 9}));
  EXPECT_EQ(biased.Wanted(kLimit, Tokens{5}).apart, (Tokens{3, 9})) << "nothing is counted";
  Sampler penalized({.presence_penalty = 0.5, .logit_bias = {{9, 1.0}}});
  for (int32_t token : {20, 4, 9, 4}) EXPECT_TRUE(penalized.Accept(token).ok());
  EXPECT_EQ(penalized.Wanted(kLimit).apart, (Tokens{4, 9, 20}));
  EXPECT_EQ(penalized.Wanted(kLimit, Tokens{5, 4, 1}).apart, (Tokens{1, 4, 5, 9, 20}));
}

// Of what the device knows nothing the whole row is asked, and nothing has happened.
TEST(BestSampling, ATokenThatIsChangedAndWasNotSetApartIsLeftToTheWholeRow) {
  const auto row = Row(Shape::kModel, 3);
  Sampler sampler({.temperature = 1, .repetition_penalty = 1.5, .logit_bias = {{7, 2.0}}});
  ASSERT_TRUE(sampler.Accept(11).ok());
  for (const std::vector<int32_t>& apart : {std::vector<int32_t>{7}, {11}, {}}) {
    const BestLogits best = FoundOf(row, {.count = 1, .weights = true, .apart = apart}, 1, true);
    const auto part = [&](int32_t, int32_t) -> Result<std::vector<float>> {
      ADD_FAILURE() << "it is known before";
      return Internal("no part");
    };
    EXPECT_EQ(*sampler.NextOf(best, part), std::nullopt);
  }
}

// Every way to change logits, with every way to choose: tokens repeat, so that counts grow; biases
// of all sizes and bans, also of what would be chosen.
TEST(BestSampling, ChangedLogitsGiveTheTokensThatTheyGiveOverAllOfThem) {
  const auto bias_of = [](Shape shape) {
    std::vector<std::pair<int32_t, double>> bias = {{5, 100.0}, {6, -99.5}, {kVocab - 1, 8.0}};
    const auto row = Row(shape, 0);
    bias.emplace_back(std::ranges::max_element(row) - row.begin(), -100.0);
    for (int32_t token = 100; token < 700; token += 7) bias.emplace_back(token, 0.01 * token - 3);
    return bias;
  };
  Sampling ways[] = {{},
                     {.top_logprobs = 20},
                     {.temperature = 0.8, .top_k = 40},
                     {.temperature = 1.5, .top_k = 7},
                     {.temperature = 0.7, .top_p = 0.8, .top_logprobs = 3},
                     {.temperature = 1, .min_p = 0.05},
                     {.temperature = 1.3}};
  for (Sampling& sampling : ways) {
    for (int change = 0; change < 5; ++change) {
      for (Shape shape : {Shape::kPeaked, Shape::kModel, Shape::kSteps}) {
        sampling.seed = static_cast<uint64_t>(change) + 17;
        sampling.repetition_penalty = change == 0 ? 1.8 : change == 3 ? 0.5 : 1;
        sampling.presence_penalty = change == 1 ? 2 : change == 3 ? -1.5 : 0;
        sampling.frequency_penalty = change == 1 ? 1 : change == 4 ? -2 : 0;
        sampling.logit_bias = {};
        if (change == 2 || change == 3) sampling.logit_bias = bias_of(shape);
        SCOPED_TRACE("change " + std::to_string(change));
        const int told = ToldOf(sampling, shape, 12);
        if (sampling.temperature == 0 || sampling.temperature == 1.3) {
          EXPECT_EQ(told, 12);
        }
        ToldOf(sampling, shape, 12, 8);  // what is changed is often behind the best, or among more
      }
    }
  }
}

TEST(BestSampling, WhereAllIsBannedTheWholeRowSaysSo) {
  const std::vector<float> row = {1, 2, 3};
  for (const double temperature : {0.0, 1.0}) {
    for (const int top_k : {0, 2}) {
      Sampling sampling = {.temperature = temperature, .top_k = top_k};
      sampling.logit_bias = {{0, -100.0}, {1, -100.0}, {2, -100.0}};
      Sampler sampler(sampling);
      const BestLogits best = FoundOf(row, sampler.Wanted(kLimit), sampler.temperature(), true);
      const auto part = [&](int32_t, int32_t) { return Result<std::vector<float>>(row); };
      EXPECT_EQ(*sampler.NextOf(best, part), std::nullopt);
      EXPECT_EQ(sampler.Next(row).status().code(), StatusCode::kInvalidArgument);
    }
  }
}

TEST(BestSampling, AlternativesAreThoseOfTheWholeRow) {
  for (Shape shape : kShapes) {
    EXPECT_EQ(ToldOf({.top_logprobs = 20}, shape, 10), 10);
    EXPECT_EQ(ToldOf({.temperature = 1, .top_logprobs = 1, .seed = 5}, shape, 10), 10);
  }
}

// Most draws fall well within a token: the whole row is for the few that do not.
TEST(BestSampling, DrawsWithoutACutAreToldByTheWeightsOfParts) {
  for (const double temperature : {0.05, 0.7, 1.0, 5.0, 100.0}) {
    for (Shape shape : kShapes) {
      for (uint64_t seed : {1, 2, 3}) {
        EXPECT_EQ(ToldOf({.temperature = temperature, .seed = seed}, shape, 60), 60)
            << temperature << ", seed " << seed;
      }
    }
  }
}

// Two tokens; the temperature moves the border between them to where the draw falls, or just
// beside.
TEST(BestSampling, ADrawOnTheBorderOfATokenIsLeftToTheWholeRow) {
  int near = 0, far = 0, tried = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (const double aside : {0.0, 1e-9, -1e-9, 1e-3, -1e-3}) {
      const double share = UniformAt(seed, 0) * (1 + aside);
      const std::vector<float> row =
          share < 0.5 ? std::vector<float>{-1, 0} : std::vector<float>{0, -1};
      const double odds = share / (1 - share), temperature = 1 / std::abs(std::log(odds));
      if (!(temperature < 100)) continue;
      const Sampling sampling = {.temperature = temperature, .seed = seed};
      const auto part = [&](int32_t begin, int32_t count) {
        return Result<std::vector<float>>(
            std::vector<float>(row.begin() + begin, row.begin() + begin + count));
      };
      for (const int part_tokens : {1, 2}) {
        BestLogits best = BestOf(row, 1, temperature);
        AddWeights(row, temperature, part_tokens, &best);
        const auto token = Sampler(sampling).NextOf(best, part);
        ASSERT_TRUE(token.ok());
        (std::abs(aside) < 1e-6 ? near : far) += token->has_value() ? 1 : 0;
        tried += std::abs(aside) < 1e-6 ? 0 : 1;
        if (*token) {
          EXPECT_EQ((*token)->id, Sampler(sampling).Next(row)->id);
        }
      }
    }
  }
  EXPECT_EQ(near, 0);
  EXPECT_EQ(far, tried);
}

TEST(BestSampling, AnErrorOfThePartIsReturned) {
  BestLogits best = BestOf(Row(Shape::kModel, 1), 1, 1);
  AddWeights(Row(Shape::kModel, 1), 1, 70, &best);
  const auto fails = [](int32_t, int32_t) -> Result<std::vector<float>> {
    return Unavailable("the device is gone");
  };
  EXPECT_EQ(Sampler({.temperature = 1}).NextOf(best, fails).status().code(),
            StatusCode::kUnavailable);
}

TEST(BestSampling, RowsThatAreNoNumbersAreLeftToTheWholeRow) {
  auto best = BestOf(Row(Shape::kModel, 1), 1, 1);
  best.finite = false;
  EXPECT_EQ(*Sampler({}).NextOf(best, {}), std::nullopt);
}

class BestInEngine : public EngineJobs {};

// What an engine asks of a decoder that offers the best, and that the answer is the same.
TEST_F(BestInEngine, AnswersAreThoseOverWholeRows) {
  decoder_.Say("how long", "It is fourteen days, as the lease says.");
  decoder_.SetLogits([](const std::vector<int32_t>& sequence, std::span<float> logits) {
    std::mt19937 random(static_cast<uint32_t>(sequence.size()));
    for (float& x : logits) x += static_cast<float>(random() % 1000) / 150;
  });
  const Sampling kinds[] = {{.max_tokens = 30},
                            {.temperature = 0.9, .top_p = 0.9, .seed = 2, .max_tokens = 30},
                            {.temperature = 0.9, .top_k = 30, .seed = 3, .max_tokens = 30},
                            {.temperature = 1.5, .seed = 4, .max_tokens = 30},
                            {.repetition_penalty = 1.2, .max_tokens = 30},
                            {.temperature = 1.2,
                             .frequency_penalty = 1,
                             .logit_bias = {{40, 2.0}, {41, -100.0}},
                             .top_logprobs = 2,
                             .seed = 5,
                             .max_tokens = 30},
                            {.beams = 2, .max_tokens = 12}};
  std::vector<std::string> whole;
  for (const Sampling& sampling : kinds) {
    Engine engine(&decoder_, {});
    whole.push_back(Ask(engine, Job("how long", sampling)));
  }
  EXPECT_EQ(whole[0], "It is fourteen days, as the le");
  for (const int limit : {256, 8}) {  // with 8 the best often do not tell
    decoder_.OfferBest(limit);
    const int before = decoder_.whole_rows();
    for (size_t i = 0; i < whole.size(); ++i) {
      Engine engine(&decoder_, {});
      EXPECT_EQ(Ask(engine, Job("how long", kinds[i])), whole[i]) << i << " of " << limit;
    }
    EXPECT_TRUE(limit > 8 || decoder_.whole_rows() > before);
    EXPECT_GT(decoder_.row_parts(), 40);
  }
}

// Guessed tokens are judged row by row; their rows are of the best as well.
TEST_F(BestInEngine, GuessedTokensAreJudgedByTheBest) {
  decoder_.Say("how long", "the shared prefix the shared prefix the shared prefix");
  decoder_.OfferBest(256);
  Engine engine(&decoder_, {.guessed_tokens = 8});
  auto stream = engine.Start(Job("how long is the shared prefix", {.max_tokens = 60}));
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(Read(**stream), "the shared prefix the shared prefix the shared prefix");
  EXPECT_GT((*stream)->facts().held_tokens, 0u);
  EXPECT_EQ(decoder_.whole_rows(), 0);
}

// As above, where what the penalties count depends on the guesses that held before.
TEST_F(BestInEngine, GuessedTokensAreCountedByThePenalties) {
  const std::string text = "the shared prefix the shared prefix the shared prefix";
  decoder_.Say("how long", text);
  const Sampling kinds[] = {
      {.frequency_penalty = 0.001, .max_tokens = 60},
      {.temperature = 0.05, .presence_penalty = 0.01, .seed = 3, .max_tokens = 60}};
  for (const Sampling& sampling : kinds) {
    decoder_.OfferBest(256);
    Engine engine(&decoder_, {.guessed_tokens = 8});
    auto stream = engine.Start(Job("how long is the shared prefix", sampling));
    ASSERT_TRUE(stream.ok());
    EXPECT_EQ(Read(**stream), text);
    EXPECT_GT((*stream)->facts().held_tokens, 0u);
    EXPECT_EQ(decoder_.whole_rows(), 0);
  }
}

// What a bias names must be in the vocabulary; the device is not asked for what it does not have.
TEST_F(BestInEngine, ABiasBeyondTheVocabularyIsSaidAsOverWholeRows) {
  decoder_.Say("how long", "fourteen days");
  decoder_.OfferBest(256);
  Engine engine(&decoder_, {});
  EXPECT_EQ(Ask(engine, Job("how long", {.logit_bias = {{1 << 20, 1.0}}, .max_tokens = 9})),
            "INVALID_ARGUMENT");
}

}  // namespace
}  // namespace vade
