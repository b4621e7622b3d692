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

TEST(GuessRecord, CountsOnlyWhatWasJudgedAndEachTokenByItsMatch) {
  GuessRecord record;
  const double unseen = record.Rate(4, nullptr);
  for (int i = 0; i < 100; ++i) record.Observe(2, 8, 1);  // one held, one was wrong, six unknown
  EXPECT_GT(record.Rate(2, nullptr), 0.95);
  EXPECT_LT(record.Rate(3, nullptr), 0.05);
  EXPECT_EQ(record.Rate(4, nullptr), unseen);
}

TEST(StepTimes, AreOnTheLineBetweenWhatWasSeen) {
  StepTimes times;
  const double unseen = times.Cost(4);
  EXPECT_GT(unseen, 1);
  times.Observe(0, 20);
  EXPECT_EQ(times.Cost(0), 1);
  EXPECT_EQ(times.Cost(4), unseen);
  times.Observe(3, 20);
  times.Observe(7, 24);
  times.Observe(8, 36);
  EXPECT_NEAR(times.Cost(2), 1, 1e-9);
  EXPECT_NEAR(times.Cost(5), 1.1, 1e-9);
  EXPECT_NEAR(times.Cost(7), 1.2, 1e-9);
  EXPECT_NEAR(times.Cost(8), 1.8, 1e-9);
  EXPECT_NEAR(times.Cost(16), 2.6, 1e-9);
}

TEST(StepTimes, HardlyHeedAStepThatWasHeldUp) {
  StepTimes times;
  for (int i = 0; i < 10; ++i) times.Observe(0, 20);
  for (int i = 0; i < 10; ++i) times.Observe(4, 22);
  times.Observe(4, 2000);
  EXPECT_LT(times.Cost(4), 1.3);
  times.Observe(0, 2000);
  EXPECT_GT(times.Cost(4), 1.05);
}

// Of guesses of eight tokens behind a long match, of which so many held each time.
GuessRecord RecordOf(int held) {
  GuessRecord record;
  for (int i = 0; i < 100; ++i) record.Observe(4, 8, held);
  return record;
}

TEST(GuessPolicy, GuessesFarWhereGuessesHoldAndNotWhereTheyFail) {
  const GuessPolicy policy;
  EXPECT_EQ(policy.BestLength(4, RecordOf(8), 1, 8), 8);
  EXPECT_EQ(policy.BestLength(4, RecordOf(0), 1, 8), 0);
  EXPECT_EQ(policy.BestLength(4, RecordOf(8), 1, 3), 3);
}

TEST(GuessPolicy, StopsWhereATokenMoreCostsAsMuchAsAStep) {
  GuessPolicy policy;
  GuessRecord record;
  for (int i = 0; i < 20; ++i) record.Observe(1, 4, 2);
  EXPECT_GT(policy.BestLength(1, record, 1, 8), 0);
  for (int i = 0; i < 20; ++i) policy.ObserveStep(1, 0, 50);
  for (int i = 0; i < 50; ++i) policy.ObserveStep(1, 4, 50 + 4 * 50);
  EXPECT_NEAR(policy.Cost(1, 4), 5, 0.1);
  EXPECT_EQ(policy.BestLength(1, record, 1, 8), 0);
  for (int i = 0; i < 200; ++i) policy.ObserveStep(1, 4, 50 + 4 * 2);
  EXPECT_NEAR(policy.Cost(1, 4), 1.16, 0.01);
  EXPECT_GT(policy.BestLength(1, record, 1, 8), 2);
}

struct Step {
  int guessed;
  double milliseconds;
};

GuessPolicy PolicyAfter(int answers, const std::vector<Step>& steps) {
  GuessPolicy policy;
  for (int i = 0; i < 20; ++i) {
    for (const Step& step : steps) policy.ObserveStep(answers, step.guessed, step.milliseconds);
  }
  return policy;
}

TEST(GuessPolicy, StopsBeforeAWidthThatCostsMore) {
  const GuessPolicy policy = PolicyAfter(1, {{0, 20}, {7, 24}, {8, 38}});
  EXPECT_EQ(policy.BestLength(4, RecordOf(8), 1, 8), 7);
}

TEST(GuessPolicy, CountsTheGuessesOfAllAnswers) {
  const GuessPolicy policy = PolicyAfter(4, {{0, 20}, {4, 22}, {8, 120}});
  EXPECT_EQ(policy.BestLength(4, RecordOf(8), 4, 8), 1);
}

}  // namespace
}  // namespace vade
