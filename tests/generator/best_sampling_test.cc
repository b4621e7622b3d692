// Tokens that are chosen among the best logits are those that are chosen among all of them, and
// where the best do not tell, that is known.
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <random>

#include "generator/sampler.h"
#include "tests/generator/engine_jobs.h"
#include "tests/testing/best_logits.h"

namespace vade {
namespace {

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

// Both samplers take many tokens of many rows; how many the best alone told.
int ToldOf(const Sampling& sampling, Shape shape, int count) {
  Sampler over_all(sampling), over_best(sampling);
  const int wanted = over_best.WantedBest(kLimit);
  int told = 0;
  for (int i = 0; i < count; ++i) {
    const auto row = Row(shape, static_cast<uint32_t>(i));
    const auto expected = over_all.Next(row);
    EXPECT_TRUE(expected.ok());
    if (wanted == 0) continue;
    auto best = BestOf(row, static_cast<size_t>(wanted), over_best.temperature());
    best.tempered_sum *= i % 2 == 0 ? 1 + 0.9 * kBestSumError : 1 - 0.9 * kBestSumError;
    auto token = over_best.NextOf(best);
    EXPECT_TRUE(token.ok());
    if (*token) {
      ++told;
      EXPECT_EQ((*token)->id, expected->id) << "row " << i;
      EXPECT_NEAR((*token)->probability, expected->probability,
                  kBestSumError * expected->probability);
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
    return Sampler(sampling).WantedBest(limit);
  };
  EXPECT_EQ(wanted({}), 1);
  EXPECT_EQ(wanted({}, 0), 0);
  EXPECT_EQ(wanted({.temperature = 1}), 0);
  EXPECT_EQ(wanted({.temperature = 1, .top_k = 40}), kLimit);
  EXPECT_EQ(wanted({.temperature = 1, .top_k = 256}), 0);
  EXPECT_EQ(wanted({.temperature = 1, .top_p = 0.9}), kLimit);
  EXPECT_EQ(wanted({.temperature = 1, .top_p = 0.9, .typical_p = 0.9}), 0);
  EXPECT_EQ(wanted({.temperature = 1, .min_p = 0.1}), kLimit);
  EXPECT_EQ(wanted({.temperature = 1e-8, .top_k = 40}), 0);
  EXPECT_EQ(wanted({.repetition_penalty = 1.1}), 0);
  EXPECT_EQ(wanted({.presence_penalty = 0.5}), 0);
  EXPECT_EQ(wanted({.logit_bias = {{3, 1.0}}}), 0);
  EXPECT_EQ(wanted({.top_logprobs = 5}), 0);
}

TEST(BestSampling, RowsThatAreNoNumbersAreLeftToTheWholeRow) {
  auto best = BestOf(Row(Shape::kModel, 1), 1, 1);
  best.finite = false;
  EXPECT_EQ(*Sampler({}).NextOf(best), std::nullopt);
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

}  // namespace
}  // namespace vade
