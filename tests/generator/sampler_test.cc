#include "generator/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

namespace vade {
namespace {

std::vector<float> SomeLogits(int n, uint64_t seed) {
  std::vector<float> logits(n);
  for (int i = 0; i < n; ++i) logits[i] = static_cast<float>(UniformAt(seed, i) * 12 - 6);
  return logits;
}

std::vector<int32_t> Draws(const Sampling& sampling, const std::vector<float>& logits, int count) {
  Sampler sampler(sampling);
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) {
    auto token = sampler.Next(logits);
    EXPECT_TRUE(token.ok()) << token.status().ToString();
    ids.push_back(token->id);
  }
  return ids;
}

std::vector<float> LogitsOf(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

// What a thousand draws hold.
std::set<int32_t> Drawn(const Sampling& sampling, const std::vector<float>& logits) {
  const auto ids = Draws(sampling, logits, 1000);
  return {ids.begin(), ids.end()};
}

using Ids = std::vector<int32_t>;
using IdSet = std::set<int32_t>;

TEST(Sampler, GreedyTakesTheGreatestAndTheLowestIdOnATie) {
  Sampler sampler({});
  EXPECT_EQ(sampler.Next(std::vector<float>{1, 5, 2, 5, -3})->id, 1);
  EXPECT_EQ(sampler.Next(std::vector<float>{0, 0, 0})->id, 0);
  EXPECT_EQ(sampler.Next(std::vector<float>{-3, -2, -1})->id, 2);
}

TEST(Sampler, ReportsTheProbabilityOfTheModelsOwnDistribution) {
  Sampler sampler({});
  auto token = sampler.Next(std::vector<float>{0, std::log(3.0f)});
  ASSERT_TRUE(token.ok());
  EXPECT_NEAR(token->probability, 0.75, 1e-6);
}

TEST(Sampler, NonFiniteLogitsAreAnInternalErrorThatNamesTheToken) {
  for (float bad : {std::nanf(""), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    for (const Sampling& sampling : std::vector<Sampling>{
             {}, {.temperature = 1}, {.presence_penalty = 1, .logit_bias = {{2, -100}}}}) {
      Sampler sampler(sampling);
      auto token = sampler.Next(std::vector<float>{0, 1, bad, 2});
      ASSERT_FALSE(token.ok());
      EXPECT_EQ(token.status().code(), StatusCode::kInternal);
      EXPECT_NE(token.status().message().find("token 2"), std::string::npos);
    }
  }
  EXPECT_EQ(Sampler({}).Next({}).status().code(), StatusCode::kInternal);
}

TEST(Sampler, SameSeedGivesTheSameTokensAndAnotherSeedOthers) {
  const auto logits = SomeLogits(500, 7);
  const Sampling a{.temperature = 1, .seed = 1}, b{.temperature = 1, .seed = 2};
  EXPECT_EQ(Draws(a, logits, 100), Draws(a, logits, 100));
  EXPECT_NE(Draws(a, logits, 100), Draws(b, logits, 100));
}

// These numbers are the promise "same bytes on every machine": a change of them breaks replay.
TEST(Sampler, TheStreamOfNumbersIsPinned) {
  std::vector<int> percent;
  for (int i = 0; i < 8; ++i) percent.push_back(static_cast<int>(UniformAt(42, i) * 1000));
  EXPECT_EQ(percent, (std::vector<int>{775, 29, 974, 255, 505, 77, 384, 842}));
}

TEST(Sampler, NumbersAreUniform) {
  std::vector<int> buckets(10);
  for (int i = 0; i < 20000; ++i) ++buckets[static_cast<int>(UniformAt(3, i) * 10)];
  for (int count : buckets) EXPECT_NEAR(count, 2000, 200);
}

TEST(Sampler, DrawsFollowTheDistributionAtTheTemperature) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f)};
  auto share = [&](double temperature) {
    int last = 0;
    for (int32_t id : Draws({.temperature = temperature, .seed = 5}, logits, 20000))
      last += id == 2;
    return last / 20000.0;
  };
  EXPECT_NEAR(share(1), 5.0 / 8, 0.02);
  EXPECT_NEAR(share(0.5), 25.0 / 30, 0.02);
  EXPECT_NEAR(share(1e-9), 1, 1e-9);
  EXPECT_NEAR(share(100), 1.0 / 3, 0.03);
}

TEST(Sampler, TopKKeepsTheMostProbable) {
  const auto logits = SomeLogits(300, 9);
  std::vector<std::pair<float, int32_t>> order;
  for (size_t i = 0; i < logits.size(); ++i)
    order.emplace_back(-logits[i], static_cast<int32_t>(i));
  std::sort(order.begin(), order.end());
  std::set<int32_t> best;
  for (int i = 0; i < 4; ++i) best.insert(order[i].second);
  for (int32_t id : Draws({.temperature = 2, .top_k = 4, .seed = 1}, logits, 500)) {
    EXPECT_TRUE(best.contains(id)) << id;
  }
  for (int32_t id : Draws({.temperature = 2, .top_k = 1, .seed = 1}, logits, 20)) {
    EXPECT_EQ(id, order[0].second);
  }
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesTheMass) {
  // Probabilities .5, .3, .15, .05: a mass of .75 needs the first two.
  const std::vector<float> logits = {std::log(.05f), std::log(.5f), std::log(.15f), std::log(.3f)};
  std::set<int32_t> seen;
  for (int32_t id : Draws({.temperature = 1, .top_p = .75, .seed = 3}, logits, 1000))
    seen.insert(id);
  EXPECT_EQ(seen, (std::set<int32_t>{1, 3}));
  seen.clear();
  for (int32_t id : Draws({.temperature = 1, .top_p = 1e-12, .seed = 3}, logits, 50))
    seen.insert(id);
  EXPECT_EQ(seen, (std::set<int32_t>{1}));
}

TEST(Sampler, TopPOverManyTokensAgreesWithAFullSort) {
  const auto logits = SomeLogits(5000, 11);
  std::vector<std::pair<double, int32_t>> order;
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    order.emplace_back(std::exp(logits[i]), static_cast<int32_t>(i));
    total += order.back().first;
  }
  std::sort(order.rbegin(), order.rend());
  std::set<int32_t> kept;
  double mass = 0;
  for (size_t i = 0; i < order.size() && mass < 0.9 * total; ++i) {
    kept.insert(order[i].second);
    mass += order[i].first;
  }
  for (int32_t id : Draws({.temperature = 1, .top_p = 0.9, .seed = 8}, logits, 300)) {
    EXPECT_TRUE(kept.contains(id)) << id;
  }
}

TEST(Sampler, MinPKeepsWhatReachesItsShareOfTheMostProbable) {
  const auto logits = LogitsOf({.05, .5, .15, .3});
  auto drawn = [&](double min_p) {
    return Drawn({.temperature = 1, .min_p = min_p, .seed = 4}, logits);
  };
  EXPECT_EQ(drawn(0.09), (IdSet{0, 1, 2, 3}));
  EXPECT_EQ(drawn(0.29), (IdSet{1, 2, 3}));
  EXPECT_EQ(drawn(0.31), (IdSet{1, 3}));
  EXPECT_EQ(drawn(1), (IdSet{1}));
  EXPECT_EQ(Drawn({.temperature = 1, .min_p = 1}, LogitsOf({.4, .2, .4})), (IdSet{0, 2}));
}

// Surprises .511, 1.204, 2.303 around an entropy of .898: .306 away is the second, .387 the first.
TEST(Sampler, TypicalPKeepsWhatIsAsSurprisingAsExpected) {
  const auto logits = LogitsOf({.6, .3, .1});
  auto drawn = [&](double typical_p) {
    return Drawn({.temperature = 1, .typical_p = typical_p, .seed = 4}, logits);
  };
  EXPECT_EQ(drawn(.2), (IdSet{1}));
  EXPECT_EQ(drawn(.29), (IdSet{1}));
  EXPECT_EQ(drawn(.31), (IdSet{0, 1}));
  EXPECT_EQ(drawn(.91), (IdSet{0, 1, 2}));
  EXPECT_EQ(drawn(1e-12), (IdSet{1}));
}

TEST(Sampler, OfEquallyTypicalTokensTheLowestIdIsKept) {
  const std::vector<float> logits(5, 1.5f);
  EXPECT_EQ(Drawn({.temperature = 1, .typical_p = .1}, logits), (IdSet{0}));
  EXPECT_EQ(Drawn({.temperature = 1, .typical_p = .5}, logits), (IdSet{0, 1, 2}));
  EXPECT_EQ(Drawn({.temperature = 1, .top_p = .5}, logits), (IdSet{0, 1, 2}));
  EXPECT_EQ(Drawn({.temperature = 1, .top_k = 2}, logits), (IdSet{0, 1}));
}

TEST(Sampler, TypicalPOverManyTokensAgreesWithAFullSort) {
  const auto logits = SomeLogits(5000, 21);
  double total = 0, entropy = 0;
  for (float logit : logits) total += std::exp(logit);
  for (float logit : logits) entropy -= std::exp(logit) / total * (logit - std::log(total));
  std::vector<std::pair<double, int32_t>> order;
  for (size_t i = 0; i < logits.size(); ++i) {
    order.emplace_back(std::abs(std::log(total) - logits[i] - entropy), static_cast<int32_t>(i));
  }
  std::sort(order.begin(), order.end());
  IdSet kept;
  double mass = 0;
  for (size_t i = 0; i < order.size() && mass < .6 * total; ++i) {
    kept.insert(order[i].second);
    mass += std::exp(logits[order[i].second]);
  }
  for (int32_t id : Draws({.temperature = 1, .typical_p = .6, .seed = 8}, logits, 300)) {
    EXPECT_TRUE(kept.contains(id)) << id;
  }
}

TEST(Sampler, ARepetitionPenaltyDividesWhatIsPositiveAndMultipliesWhatIsNegative) {
  const Sampling penalty{.repetition_penalty = 2};
  // 2; then 1 against 1.5; then 1 against .75: how often a token came does not matter.
  EXPECT_EQ(Draws(penalty, {2, 1.5f, -1}, 5), (Ids{0, 1, 0, 0, 0}));
  // -1; then -2 against -1.5; then -2 against -3.
  EXPECT_EQ(Draws(penalty, {-1, -1.5f}, 4), (Ids{0, 1, 0, 0}));
  // Below 1 it draws towards what the answer holds: 1 / .5 against 1.5.
  Sampler sampler({.repetition_penalty = .5});
  EXPECT_EQ(sampler.Next(std::vector<float>{1, 0})->id, 0);
  EXPECT_EQ(sampler.Next(std::vector<float>{1, 1.5f})->id, 0);
}

TEST(Sampler, APresencePenaltyIsTakenOnce) {
  // 2; then .5 against 1; then .5 against -.5 and 0.
  EXPECT_EQ(Draws({.presence_penalty = 1.5}, {2, 1, 0}, 5), (Ids{0, 1, 0, 0, 0}));
  Sampler sampler({.presence_penalty = -2});
  EXPECT_EQ(sampler.Next(std::vector<float>{1, 0})->id, 0);
  EXPECT_EQ(sampler.Next(std::vector<float>{0, 1})->id, 0);
  EXPECT_EQ(sampler.Next(std::vector<float>{0, 2.5f})->id, 1);
}

TEST(Sampler, AFrequencyPenaltyIsTakenForEachOccurrence) {
  // 2; 1.2; .4 against 1; .4 against .2; -.4 against .2.
  EXPECT_EQ(Draws({.frequency_penalty = .8}, {2, 1}, 5), (Ids{0, 0, 1, 0, 1}));
}

TEST(Sampler, ABiasIsAddedAndMinusAHundredBans) {
  EXPECT_EQ(Draws({.logit_bias = {{2, 1.5}}}, {1, 0, 0}, 1), (Ids{2}));
  EXPECT_EQ(Draws({.logit_bias = {{0, -99}}}, {200, 0}, 1), (Ids{0}));
  EXPECT_EQ(Draws({.logit_bias = {{0, -100}}}, {200, 0}, 1), (Ids{1}));
  EXPECT_EQ(Drawn({.temperature = 100, .logit_bias = {{0, -100}, {2, -100}}}, {9, 0, 9, 1}),
            (IdSet{1, 3}));
}

TEST(Sampler, ABiasOfATokenThatTheModelLacksIsRefusedAtUse) {
  Sampler sampler({.logit_bias = {{3, 1}}});
  const auto token = sampler.Next(std::vector<float>{0, 1, 2});
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(token.status().message(), "logit_bias names token 3; the model has tokens 0 to 2");
  EXPECT_EQ(Draws({.logit_bias = {{2, 1}}}, {0, 1, 2}, 1), (Ids{2}));
}

TEST(Sampler, TheLastTokenThatIsNotBannedIsDrawnWithoutEndAndNoneIsAnError) {
  const std::vector<float> logits = {-5, 3, 3};
  for (double temperature : {0.0, 1.0}) {
    const Sampling one{.temperature = temperature,
                       .top_p = .1,
                       .top_k = 1,
                       .min_p = 1,
                       .typical_p = .1,
                       .repetition_penalty = 10,
                       .presence_penalty = 2,
                       .frequency_penalty = 2,
                       .logit_bias = {{1, -100}, {2, -100}}};
    EXPECT_EQ(Draws(one, logits, 50), Ids(50, 0));
    Sampler none({.temperature = temperature, .logit_bias = {{0, -100}, {1, -100}, {2, -100}}});
    const auto token = none.Next(logits);
    ASSERT_FALSE(token.ok());
    EXPECT_EQ(token.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(token.status().message(), "logit_bias bans every token; leave some");
  }
}

TEST(Sampler, LogitsAtTheEdgeOfTheirRangeStayFiniteAndUnbanned) {
  const float most = std::numeric_limits<float>::max();
  for (double temperature : {0.0, 1e-300, 1.0, 100.0}) {
    Sampler sampler({.temperature = temperature,
                     .repetition_penalty = .1,
                     .logit_bias = {{0, 100}, {1, -99}},
                     .top_logprobs = 2});
    for (const std::vector<float>& logits : {std::vector<float>{most, -most}, {-most, -most}}) {
      for (int i = 0; i < 3; ++i) {
        const auto token = sampler.Next(logits);
        ASSERT_TRUE(token.ok()) << token.status().ToString();
        EXPECT_TRUE(std::isfinite(token->probability) && std::isfinite(token->log_probability()));
        for (const auto& [id, log] : token->alternatives) EXPECT_TRUE(std::isfinite(log)) << id;
      }
    }
  }
}

TEST(Sampler, LogitsChangeInTheOrderOfBiasRepetitionPresence) {
  // (3 - 1) / 2 = 1 against .8; the other way round 3 / 2 - 1 = .5.
  EXPECT_EQ(Draws({.repetition_penalty = 2, .logit_bias = {{0, -1}}}, {3, .8f}, 2), (Ids{0, 0}));
  // 4 / 2 - 1 = 1 against 1.2; the other way round (4 - 1) / 2 = 1.5.
  EXPECT_EQ(Draws({.repetition_penalty = 2, .presence_penalty = 1}, {4, 1.2f}, 2), (Ids{0, 1}));
}

TEST(Sampler, CutsWorkOnWhatIsLeftInTheirOrder) {
  const auto three = LogitsOf({.6, .3, .1});
  // The temperature first: at .5 the shares are .783, .196, .022 and the first is the most typical.
  EXPECT_EQ(Drawn({.temperature = .5, .typical_p = .2}, three), (IdSet{0}));
  // At 2 the third has .547 of the first's probability, at 1 only .3.
  EXPECT_EQ(Drawn({.temperature = 2, .min_p = .5}, LogitsOf({.5, .3, .15, .05})), (IdSet{0, 1, 2}));
  // top_k leaves the first alone, which would not have been the most typical.
  EXPECT_EQ(Drawn({.temperature = 1, .top_k = 1, .typical_p = .2}, three), (IdSet{0}));
  // typical_p leaves the second alone, which top_p would have cut.
  EXPECT_EQ(Drawn({.temperature = 1, .top_p = .5, .typical_p = .2}, three), (IdSet{1}));
  // After top_k = 2 the first has .571 of the mass: enough for .55, which .4 is not.
  const auto four = LogitsOf({.4, .3, .2, .1});
  EXPECT_EQ(Drawn({.temperature = 1, .top_p = .55, .top_k = 2}, four), (IdSet{0}));
  EXPECT_EQ(Drawn({.temperature = 1, .top_p = .55}, four), (IdSet{0, 1}));
  // top_p needs two for .6; were the third cut by min_p before it, the first alone would do.
  EXPECT_EQ(Drawn({.temperature = 1, .top_p = .6, .min_p = .5}, LogitsOf({.5, .3, .2})),
            (IdSet{0, 1}));
}

TEST(Sampler, OptionsThatAreOffChangeNothing) {
  const auto logits = SomeLogits(800, 31);
  const Sampling plain{.temperature = 1.3, .top_p = .9, .seed = 6};
  Sampling with = plain;
  with.logit_bias = {{5, 0}};  // takes the path that copies
  EXPECT_EQ(Draws(plain, logits, 200), Draws(with, logits, 200));
}

TEST(Sampler, WhatIsReportedIsOfTheModelsOwnDistribution) {
  const auto logits = LogitsOf({.5, .25, .125, .125});
  Sampler sampler({.temperature = 3,
                   .repetition_penalty = 5,
                   .presence_penalty = 1,
                   .logit_bias = {{0, -100}, {1, -100}, {2, -100}},
                   .top_logprobs = 3});
  for (int i = 0; i < 3; ++i) {
    const auto token = sampler.Next(logits);
    ASSERT_TRUE(token.ok());
    EXPECT_EQ(token->id, 3);
    EXPECT_NEAR(token->probability, .125, 1e-7);
    EXPECT_NEAR(token->log_probability(), std::log(.125), 1e-6);
    ASSERT_EQ(token->alternatives.size(), 3u);  // the chosen one loses its tie and is not there
    const std::pair<int32_t, double> expected[] = {{0, .5}, {1, .25}, {2, .125}};
    for (int k = 0; k < 3; ++k) {
      EXPECT_EQ(token->alternatives[k].first, expected[k].first);
      EXPECT_NEAR(token->alternatives[k].second, std::log(expected[k].second), 1e-6);
    }
  }
}

TEST(Sampler, AlternativesAreTheMostProbableOfMany) {
  const auto logits = SomeLogits(3000, 13);
  std::vector<std::pair<float, int32_t>> order;
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    order.emplace_back(-logits[i], static_cast<int32_t>(i));
    total += std::exp(logits[i]);
  }
  std::sort(order.begin(), order.end());
  const auto token = Sampler({.top_logprobs = 20}).Next(logits);
  ASSERT_TRUE(token.ok());
  ASSERT_EQ(token->alternatives.size(), 20u);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(token->alternatives[i].first, order[i].second) << i;
    EXPECT_NEAR(token->alternatives[i].second, -order[i].first - std::log(total), 1e-9) << i;
  }
  EXPECT_EQ(Sampler({.top_logprobs = 20}).Next(std::vector<float>{1, 2})->alternatives.size(), 2u);
  EXPECT_TRUE(Sampler({}).Next(logits)->alternatives.empty());
}

TEST(Sampler, AProbabilityTooSmallForADoubleHasALogarithm) {
  Sampler sampler({.logit_bias = {{0, -100}}});
  const auto token = sampler.Next(std::vector<float>{5000, 0});
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token->id, 1);
  EXPECT_EQ(token->probability, 0);
  EXPECT_NEAR(token->log_probability(), -708.4, .1);
}

// Determinism and distribution.

// The promise "same bytes on every machine" again, with every option at once over changing logits.
TEST(Sampler, TokensAreThoseOfEveryOtherMachine) {
  std::vector<Sampling> settings(4, {.temperature = .9, .seed = 123});
  settings[1].top_p = .8;
  settings[1].top_k = 40;
  settings[2].typical_p = .5;
  settings[2].min_p = .02;
  settings[3] = {.temperature = .6,
                 .top_p = .95,
                 .top_k = 300,
                 .min_p = .001,
                 .typical_p = .9,
                 .repetition_penalty = 1.3,
                 .presence_penalty = .4,
                 .frequency_penalty = .7,
                 .logit_bias = {{3, -100}, {900, 4.25}, {17, -2.5}},
                 .seed = 77};
  std::vector<Ids> tokens;
  for (const Sampling& sampling : settings) {
    Sampler sampler(sampling);
    Ids ids;
    for (uint64_t i = 0; i < 12; ++i) {
      std::vector<float> logits = SomeLogits(1000, i % 3);
      for (float& logit : logits) logit *= 2;  // so that few compete and some come again
      ids.push_back(sampler.Next(logits)->id);
    }
    tokens.push_back(ids);
  }
  EXPECT_EQ(tokens[0], (Ids{269, 441, 750, 972, 46, 662, 916, 781, 668, 601, 30, 277}));
  EXPECT_EQ(tokens[1], (Ids{200, 708, 331, 81, 486, 59, 64, 688, 59, 798, 917, 375}));
  EXPECT_EQ(tokens[2], (Ids{594, 525, 789, 658, 15, 703, 2, 688, 703, 127, 549, 173}));
  EXPECT_EQ(tokens[3], (Ids{883, 900, 54, 798, 486, 842, 669, 858, 375, 588, 462, 932}));
}

// Pearson's statistic of the first draw of many seeds against expected shares; all of `expected`
// that is 0 must not be drawn.
double ChiSquare(Sampling sampling, const std::vector<float>& logits,
                 const std::vector<double>& expected) {
  constexpr int kSeeds = 20000;
  std::vector<int> counts(logits.size());
  for (int seed = 0; seed < kSeeds; ++seed) {
    sampling.seed = static_cast<uint64_t>(seed);
    ++counts[Sampler(sampling).Next(logits)->id];
  }
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (expected[i] == 0) {
      EXPECT_EQ(counts[i], 0) << i;
      continue;
    }
    const double wanted = expected[i] * kSeeds;
    sum += (counts[i] - wanted) * (counts[i] - wanted) / wanted;
  }
  return sum;
}

// The thresholds are exceeded by one true distribution in a thousand; the seeds are fixed.
TEST(Sampler, FirstDrawsOfManySeedsFollowTheDistribution) {
  const std::vector<double> shares = {.3, .02, .18, .25, .05, .12, .08};
  const auto logits = LogitsOf(shares);
  EXPECT_LT(ChiSquare({.temperature = 1}, logits, shares), 22.46);  // 6 degrees of freedom

  std::vector<double> sharpened;  // p^2, of which min_p leaves what has a fifth of the greatest
  double total = 0;
  for (double p : shares) sharpened.push_back(p * p >= .2 * .09 ? p * p : 0);
  for (double p : sharpened) total += p;
  for (double& p : sharpened) p /= total;
  EXPECT_LT(ChiSquare({.temperature = .5, .min_p = .2}, logits, sharpened), 13.82);  // 2

  // Half of the odds of token 0 by its bias, the second banned; top_k leaves four.
  std::vector<double> biased = {.15, 0, .18, .25, 0, .12, 0};
  for (double& p : biased) p /= .7;
  const Sampling bias{.temperature = 1, .top_k = 4, .logit_bias = {{0, -std::log(2.0)}, {1, -100}}};
  EXPECT_LT(ChiSquare(bias, logits, biased), 16.27);  // 3
}

TEST(Sampler, TheExponentialAgreesWithTheLibrary) {
  for (double x = -690; x <= 0; x += 0.37) {
    EXPECT_NEAR(DeterministicExp(x) / std::exp(x), 1, 1e-14) << x;
  }
  EXPECT_EQ(DeterministicExp(-1e308), 0);
  EXPECT_EQ(DeterministicExp(std::nan("")), 0);
  EXPECT_EQ(DeterministicExp(0), 1);
}

TEST(Sampler, TheLogarithmAgreesWithTheLibrary) {
  auto expect = [](double x) {
    const double right = std::log(x);
    EXPECT_LE(std::abs(DeterministicLog(x) - right), 1e-14 * std::abs(right)) << x;
  };
  for (int i = 0; i < 20000; ++i) {
    expect(std::exp(UniformAt(1, i) * 1400 - 700));
    expect(UniformAt(2, i) * 4 + 1e-9);
    expect(1 + (UniformAt(3, i) - .5) * 1e-3);  // where most digits could be lost
  }
  for (double x : {std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::min(),
                   std::numeric_limits<double>::max(), std::nextafter(1.0, 0), 1 + 0x1p-52,
                   std::sqrt(.5), std::sqrt(2.0), 152000.0}) {
    expect(x);
  }
  EXPECT_EQ(DeterministicLog(1), 0);
}

TEST(Sampler, ProbabilityOfASetIgnoresIdsOutsideTheVocabulary) {
  const std::vector<float> logits = {0, 0, 0, 0};
  const std::vector<int32_t> ids = {1, 3, -1, 4, 1 << 30};
  EXPECT_NEAR(ProbabilityOf(logits, ids), 0.5, 1e-9);
  EXPECT_EQ(ProbabilityOf({}, ids), 0);
}

TEST(Sampler, SettingsOutOfRangeAreRefusedByNameValueAndRange) {
  const double nan = std::nan("");
  const std::vector<std::pair<Sampling, std::vector<std::string>>> cases = {
      {{.temperature = -1}, {"temperature is -1", "0..100"}},
      {{.temperature = nan}, {"temperature is nan", "0..100"}},
      {{.top_p = 0}, {"top_p is 0", "(0, 1]"}},
      {{.top_p = nan}, {"top_p is nan"}},
      {{.top_k = -1}, {"top_k is -1", "negative"}},
      {{.min_p = -.1}, {"min_p is -0.1", "0..1"}},
      {{.min_p = 1.1}, {"min_p is 1.1", "0..1"}},
      {{.min_p = nan}, {"min_p is nan"}},
      {{.typical_p = 0}, {"typical_p is 0", "(0, 1]"}},
      {{.typical_p = 1.5}, {"typical_p is 1.5"}},
      {{.typical_p = nan}, {"typical_p is nan"}},
      {{.repetition_penalty = 0}, {"repetition_penalty is 0", "0.1..10"}},
      {{.repetition_penalty = 11}, {"repetition_penalty is 11"}},
      {{.repetition_penalty = nan}, {"repetition_penalty is nan"}},
      {{.presence_penalty = -2.5}, {"presence_penalty is -2.5", "-2..2"}},
      {{.presence_penalty = nan}, {"presence_penalty is nan"}},
      {{.frequency_penalty = 2.5}, {"frequency_penalty is 2.5", "-2..2"}},
      {{.frequency_penalty = nan}, {"frequency_penalty is nan"}},
      {{.logit_bias = {{4, -101}}}, {"logit_bias of token 4 is -101", "-100..100"}},
      {{.logit_bias = {{4, nan}}}, {"logit_bias of token 4 is nan"}},
      {{.logit_bias = {{-1, 0}}}, {"logit_bias names token -1"}},
      {{.logit_bias = {{4, 1}, {2, 0}, {4, 2}}}, {"logit_bias names token 4 twice"}},
      {{.logit_bias = std::vector<std::pair<int32_t, double>>(1025)}, {"1025", "1024"}},
      {{.top_logprobs = -1}, {"top_logprobs is -1", "0..20"}},
      {{.top_logprobs = 21}, {"top_logprobs is 21", "0..20"}},
      {{.max_tokens = 0}, {"max_tokens is 0", "1..8192"}},
      {{.max_tokens = 8193}, {"max_tokens is 8193"}},
      {{.stop = {""}}, {"stop"}},
      {{.stop = std::vector<std::string>(17, "x")}, {"stop", "17"}},
  };
  for (const auto& [sampling, expected] : cases) {
    const Status status = CheckSampling(sampling);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    for (const std::string& part : expected) {
      EXPECT_NE(status.message().find(part), std::string::npos)
          << part << " / " << status.message();
    }
  }
  EXPECT_TRUE(CheckSampling({}).ok());
  Sampling all{.temperature = 100,
               .top_p = 1e-300,
               .top_k = 1 << 30,
               .min_p = 1,
               .typical_p = 1e-300,
               .repetition_penalty = 10,
               .presence_penalty = -2,
               .frequency_penalty = 2,
               .top_logprobs = 20,
               .max_tokens = 8192};
  for (int32_t id = 0; id < 1024; ++id) all.logit_bias.emplace_back(id, id % 2 == 0 ? -100 : 100);
  EXPECT_TRUE(CheckSampling(all).ok()) << CheckSampling(all).ToString();
}

}  // namespace
}  // namespace vade
