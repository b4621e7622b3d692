#include "generator/draft.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace vade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(GuessNext, GivesWhatFollowedTheLongestMatch) {
  const std::vector<int32_t> text = {1, 2, 3, 9, 7, 2, 3, 5, 6, 8, 2, 3, 5};
  const Guess guess = GuessNext(text, 0, 3);
  EXPECT_EQ(guess.matched, 3);  // 2 3 5, not the 3 5 or the first 2 3
  EXPECT_THAT(guess.tokens, ElementsAre(6, 8, 2));
}

TEST(GuessNext, OfEquallyLongMatchesTheFirstCounts) {
  const std::vector<int32_t> text = {4, 1, 6, 4, 2, 5, 4};
  EXPECT_THAT(GuessNext(text, 0, 2).tokens, ElementsAre(1, 6));
}

TEST(GuessNext, MayRunIntoTheEndOfTheText) {
  const std::vector<int32_t> text = {1, 2, 1, 2};
  EXPECT_THAT(GuessNext(text, 0, 8).tokens, ElementsAre(1, 2));
}

TEST(GuessNext, LooksNoFurtherBackThanItMay) {
  const std::vector<int32_t> text = {1, 2, 3, 1};
  EXPECT_THAT(GuessNext(text, 0, 8).tokens, ElementsAre(2, 3, 1));
  EXPECT_THAT(GuessNext(text, 1, 8).tokens, IsEmpty());
  EXPECT_THAT(GuessNext(text, 4, 8).tokens, IsEmpty());
  EXPECT_THAT(GuessNext({}, 0, 8).tokens, IsEmpty());
  EXPECT_THAT(GuessNext(text, 0, 0).tokens, IsEmpty());
}

TEST(GuessRecord, LearnsPerLengthOfMatch) {
  GuessRecord record;
  const double before = record.Rate(1, nullptr), longer = record.Rate(5, nullptr);
  EXPECT_GT(longer, before);
  for (int i = 0; i < 50; ++i) record.Observe(1, 4, 0);
  EXPECT_LT(record.Rate(1, nullptr), 0.05);
  EXPECT_EQ(record.Rate(5, nullptr), longer);
  for (int i = 0; i < 50; ++i) record.Observe(7, 4, 4);
  EXPECT_GT(record.Rate(4, nullptr), 0.95);
  GuessRecord fresh;
  EXPECT_NEAR(fresh.Rate(1, &record), record.Rate(1, nullptr), 1e-12);
}

TEST(GuessRecord, CountsOnlyWhatWasJudged) {
  GuessRecord record;
  for (int i = 0; i < 100; ++i) record.Observe(2, 8, 1);  // one held, one was wrong, six unknown
  EXPECT_NEAR(record.Rate(2, nullptr), 0.5, 0.03);
}

TEST(GuessPolicy, GuessesFarWhereGuessesHoldAndNotWhereTheyFail) {
  GuessPolicy policy;
  GuessRecord good, bad;
  for (int i = 0; i < 100; ++i) {
    good.Observe(4, 8, 8);
    bad.Observe(4, 8, 0);
  }
  EXPECT_EQ(policy.BestLength(4, good, 1, 8), 8);
  EXPECT_EQ(policy.BestLength(4, bad, 1, 8), 0);
  EXPECT_EQ(policy.BestLength(4, good, 1, 3), 3);
}

TEST(GuessPolicy, StopsWhereATokenMoreCostsAsMuchAsAStep) {
  GuessPolicy policy;
  GuessRecord record;
  for (int i = 0; i < 20; ++i) record.Observe(1, 4, 2);
  EXPECT_GT(policy.BestLength(1, record, 1, 8), 0);
  for (int i = 0; i < 20; ++i) policy.ObserveStep(1, 0, 50);
  for (int i = 0; i < 50; ++i) policy.ObserveStep(1, 4, 50 + 4 * 50);
  EXPECT_NEAR(policy.ExtraCost(1), 1, 0.01);
  EXPECT_EQ(policy.BestLength(1, record, 1, 8), 0);
  for (int i = 0; i < 200; ++i) policy.ObserveStep(1, 4, 50 + 4 * 2);
  EXPECT_NEAR(policy.ExtraCost(1), 0.04, 0.01);
  EXPECT_GT(policy.BestLength(1, record, 1, 8), 2);
}

}  // namespace
}  // namespace vade
