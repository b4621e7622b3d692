#include "generator/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

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
    for (double temperature : {0.0, 1.0}) {
      Sampler sampler({.temperature = temperature});
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

TEST(Sampler, TheExponentialAgreesWithTheLibrary) {
  for (double x = -690; x <= 0; x += 0.37) {
    EXPECT_NEAR(DeterministicExp(x) / std::exp(x), 1, 1e-14) << x;
  }
  EXPECT_EQ(DeterministicExp(-1e308), 0);
  EXPECT_EQ(DeterministicExp(std::nan("")), 0);
  EXPECT_EQ(DeterministicExp(0), 1);
}

TEST(Sampler, ProbabilityOfASetIgnoresIdsOutsideTheVocabulary) {
  const std::vector<float> logits = {0, 0, 0, 0};
  const std::vector<int32_t> ids = {1, 3, -1, 4, 1 << 30};
  EXPECT_NEAR(ProbabilityOf(logits, ids), 0.5, 1e-9);
  EXPECT_EQ(ProbabilityOf({}, ids), 0);
}

TEST(Sampler, SettingsOutOfRangeAreRefusedByName) {
  auto message = [](const Sampling& sampling) { return CheckSampling(sampling).message(); };
  EXPECT_TRUE(CheckSampling({}).ok());
  EXPECT_NE(message({.temperature = -1}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.temperature = std::nan("")}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.top_p = 0}).find("top_p"), std::string::npos);
  EXPECT_NE(message({.top_k = -1}).find("top_k"), std::string::npos);
  EXPECT_NE(message({.max_tokens = 0}).find("max_tokens"), std::string::npos);
  EXPECT_NE(message({.max_tokens = 8193}).find("8193"), std::string::npos);
  EXPECT_NE(message({.stop = {""}}).find("stop"), std::string::npos);
  EXPECT_NE(message({.stop = std::vector<std::string>(17, "x")}).find("17"), std::string::npos);
}

}  // namespace
}  // namespace vade
