#include "generator/reading.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace vade {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;

// Round numbers, so that the expected values can be worked out by hand.
constexpr ReadingCalibration kPlain{
    .constant = -1, .answered = 1, .question_gain = 1, .score_gap = 2, .min_answerable = 0.5};

Reading Read(double decline, double gain, double score) {
  return {.decline_probability = decline, .question_gain = gain, .score = score};
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(Reading, ProbabilityIsTheLogisticOfTheWeightedSum) {
  // logit(.5) = 0: -1 + 0 + 1.5 + 2 * (.5 - .75)
  EXPECT_NEAR(AnswersProbability(Read(.5, 1.5, .5), .75, kPlain), Sigmoid(0), 1e-12);
  // logit(.9) = ln 9
  EXPECT_NEAR(AnswersProbability(Read(.1, 0, 1), 1, kPlain), Sigmoid(std::log(9.0) - 1), 1e-12);
}

TEST(Reading, TheLeastDeclinedPassageComesFirst) {
  const Reading readings[] = {Read(.9, 0, .5), Read(.01, 0, .5), Read(.3, 0, .5)};
  EXPECT_THAT(ChooseReading(readings, kPlain).order, ElementsAre(1, 2, 0));
}

TEST(Reading, AFirmReadingBeatsALeadInSearchAndAFaintOneDoesNot) {
  const Reading firm[] = {Read(.9, 0, 1), Read(.01, 1, .6)};
  EXPECT_EQ(ChooseReading(firm, kPlain).order[0], 1u);
  const Reading faint[] = {Read(.30, 0, 1), Read(.28, 0, .6)};
  EXPECT_EQ(ChooseReading(faint, kPlain).order[0], 0u);
}

TEST(Reading, TheBestScoreOfAListSaysNothingOfWhetherAnyAnswers) {
  const Reading high[] = {Read(.3, 1, 1), Read(.5, 0, .6)};
  const Reading low[] = {Read(.3, 1, .5), Read(.5, 0, .1)};
  EXPECT_NEAR(ChooseReading(high, kPlain).answerable, ChooseReading(low, kPlain).answerable, 1e-12);
}

TEST(Reading, APassageThatStandsOutInSearchIsMoreProbable) {
  ReadingCalibration calibration = kPlain;
  calibration.lead = 3;
  Reading reading = Read(.5, 0, 1);
  reading.lead = .5;
  EXPECT_NEAR(AnswersProbability(reading, 1, calibration), Sigmoid(-1 + 3 * .5), 1e-12);
  reading.lead = 0;
  EXPECT_NEAR(AnswersProbability(reading, 1, calibration), Sigmoid(-1), 1e-12);
}

TEST(Reading, EqualReadingsStayInTheOrderOfSearch) {
  const Reading readings[] = {Read(.2, 0, .5), Read(.2, 0, .5), Read(.2, 0, .5)};
  EXPECT_THAT(ChooseReading(readings, kPlain).order, ElementsAre(0, 1, 2));
}

TEST(Reading, OnePassageAnswersAsProbablyAsIfAskedAlone) {
  const Reading reading = Read(.2, .3, .7);
  const Choice choice = ChooseReading({&reading, 1}, kPlain);
  EXPECT_NEAR(choice.answerable, AnswersProbability(reading, .7, kPlain), 1e-12);
  EXPECT_THAT(choice.probabilities, ElementsAre(DoubleNear(choice.answerable, 1e-12)));
}

TEST(Reading, ProbabilitiesAddUpToThatOfAnyAnswering) {
  const Reading readings[] = {Read(.5, 1, .5), Read(.5, 1, .5), Read(.5, 1, .5)};  // utility 0 each
  const Choice choice = ChooseReading(readings, kPlain);
  EXPECT_NEAR(choice.answerable, .75, 1e-12);  // three of four equal options
  EXPECT_THAT(choice.probabilities, Each(DoubleNear(.25, 1e-12)));
}

TEST(Reading, AbstainsExactlyBelowTheThreshold) {
  ReadingCalibration calibration = kPlain;
  const Reading reading = Read(.5, 1, .25);  // probability one half
  EXPECT_FALSE(Abstains(ChooseReading({&reading, 1}, calibration).answerable, calibration));
  calibration.min_answerable = std::nextafter(AnswersProbability(reading, .25, kPlain), 1);
  EXPECT_TRUE(Abstains(ChooseReading({&reading, 1}, calibration).answerable, calibration));
}

TEST(Reading, NothingReadIsAnAbstention) {
  const Choice choice = ChooseReading({}, kPlain);
  EXPECT_TRUE(Abstains(choice.answerable, kPlain));
  EXPECT_EQ(choice.answerable, 0);
  EXPECT_TRUE(choice.order.empty());
}

TEST(Reading, CertainAndBrokenReadingsKeepProbabilitiesInOrder) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  const Reading readings[] = {Read(nan, nan, nan), Read(1, -infinite, 0), Read(0, infinite, 1),
                              Read(.5, 0, .5)};
  const Choice choice = ChooseReading(readings, kPlain);
  EXPECT_EQ(choice.order[0], 2u);
  EXPECT_EQ(choice.order.size(), 4u);
  for (const double p : choice.probabilities) EXPECT_TRUE(p >= 0 && p <= 1) << p;
  EXPECT_TRUE(choice.answerable > .99 && choice.answerable <= 1) << choice.answerable;
}

TEST(Reading, TheFirstTokenOfASmallerOrUnknownModelWeighsLessAgainstSearch) {
  const auto trust = [](const char* name) {
    const ReadingCalibration& calibration = CalibrationOf(name);
    return calibration.answered / calibration.score_gap;
  };
  EXPECT_LT(trust("Qwen2.5 Coder 0.5B Instruct AWQ"), trust("Qwen2.5 Coder 1.5B Instruct GGUF"));
  EXPECT_LT(trust("a model of another house"), trust("Qwen2.5 Coder 0.5B Instruct AWQ"));
}

TEST(Reading, AnUnknownModelFollowsSearchAgainstALoneFirstToken) {
  const Reading readings[] = {Read(.4, .5, 1), Read(.01, .5, .9)};
  EXPECT_EQ(ChooseReading(readings, CalibrationOf("")).order[0], 0u);
}

TEST(Reading, KnownModelsLetWhatReadsLikeAnAnswerThroughAndWithholdTheRest) {
  for (const char* name : {"Qwen2.5 Coder 0.5B Instruct AWQ", "Qwen2.5 Coder 1.5B Instruct GGUF"}) {
    // Means of 1.5B over xquad: of passages that answer, and of the best where none does
    const Reading answers[] = {Read(.01, 2.2, 1), Read(.4, 0, .5)};
    const Reading none[] = {Read(.3, .3, 1), Read(.4, 0, .8)};
    const ReadingCalibration& model = CalibrationOf(name);
    EXPECT_FALSE(Abstains(ChooseReading(answers, model).answerable, model)) << name;
    EXPECT_TRUE(Abstains(ChooseReading(none, model).answerable, model)) << name;
  }
}

}  // namespace
}  // namespace vade
