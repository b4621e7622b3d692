#include "service/eval_scoring.h"

#include <gtest/gtest.h>

#include <cmath>

namespace vade {
namespace {

using Tokens = std::vector<std::string>;

TEST(EnglishScoring, LowersCaseAndDropsPunctuationAndArticles) {
  EXPECT_EQ(ScoringTokens("The Quay, an A-frame!", "en"), (Tokens{"quay", "aframe"}));
  EXPECT_EQ(ScoringTokens("  thirty\tdays\nof leave ", "en"),
            (Tokens{"thirty", "days", "of", "leave"}));
  EXPECT_EQ(ScoringTokens("another theatre", "en"), (Tokens{"another", "theatre"}));
}

TEST(EnglishScoring, PunctuationIsDeletedNotMadeASpace) {
  EXPECT_EQ(ScoringTokens("U.S. 1,000 it's", "en"), (Tokens{"us", "1000", "its"}));
}

TEST(EnglishScoring, UnicodeWhiteSpaceSplits) {
  EXPECT_EQ(ScoringTokens("nine\xC2\xA0knots\xE3\x80\x80wind", "en"),
            (Tokens{"nine", "knots", "wind"}));
}

TEST(EnglishScoring, LettersBeyondAsciiAreLoweredAndKept) {
  EXPECT_EQ(ScoringTokens("ÉCOLE Łódź", "en"), (Tokens{"école", "łódź"}));
}

// SQuAD's script folds nothing: "km²" and "km2" differ.
TEST(EnglishScoring, CompatibilityCharactersStayWhatTheyAre) {
  EXPECT_EQ(ScoringTokens("5 km²", "en"), (Tokens{"5", "km²"}));
  EXPECT_EQ(ScoreAnswer("5 km²", {"5 km2"}, "en").em, 0);
}

TEST(EnglishScoring, AnArticleBehindATypographicQuoteGoes) {
  EXPECT_EQ(ScoringTokens("“The quay”", "en"), (Tokens{"“", "quay”"}));
}

TEST(EnglishScoring, OnlyPunctuationAndArticlesIsNothing) {
  EXPECT_TRUE(ScoringTokens("The ... a!", "en").empty());
  EXPECT_TRUE(ScoringTokens("", "en").empty());
}

TEST(ChineseScoring, EachHanCharacterIsATokenAndARunOfDigitsIsOne) {
  EXPECT_EQ(ScoringTokens("1998年，北京。", "zh"), (Tokens{"1998", "年", "北", "京"}));
  EXPECT_EQ(ScoringTokens("望潮W6能扛12级", "zh"),
            (Tokens{"望", "潮", "w6", "能", "扛", "12", "级"}));
}

TEST(ChineseScoring, FullWidthFormsAreFolded) {
  EXPECT_EQ(ScoringTokens("ＡＢＣ１２３", "zh"), (Tokens{"abc123"}));
}

// They are deleted, so what stands on both sides is one run.
TEST(ChineseScoring, WhiteSpacePunctuationAndSymbolsDoNotSplitARun) {
  EXPECT_EQ(ScoringTokens("3.14 %+ 《GDP》", "zh"), (Tokens{"314gdp"}));
}

TEST(ChineseScoring, KanaAndHangulStandAloneToo) {
  EXPECT_EQ(ScoringTokens("カタ한국", "zh"), (Tokens{"カ", "タ", "한", "국"}));
}

TEST(ChineseScoring, TraditionalScriptIsScoredByCharactersAndNotConverted) {
  EXPECT_EQ(ScoringTokens("臺灣", "zh-Hant"), (Tokens{"臺", "灣"}));
  EXPECT_EQ(ScoreAnswer("臺灣", {"台湾"}, "zh-Hant").f1, 0);
}

TEST(AnswerScoring, ExactMatchHeedsOnlyTheNormalisedTokens) {
  const AnswerScore score = ScoreAnswer("The thirty days.", {"thirty days"}, "en");
  EXPECT_EQ(score.em, 1);
  EXPECT_EQ(score.f1, 1);
  EXPECT_EQ(score.contains, 1);
}

// prediction {leave is thirty days}, answer {thirty days a year -> thirty days year}: 2 common,
// precision 2/4, recall 2/3, F1 = 2*2/(4+3).
TEST(AnswerScoring, F1IsTheHarmonicMeanOverBagsOfTokens) {
  const AnswerScore score = ScoreAnswer("Leave is thirty days", {"thirty days a year"}, "en");
  EXPECT_EQ(score.em, 0);
  EXPECT_DOUBLE_EQ(score.f1, 4.0 / 7.0);
  EXPECT_EQ(score.contains, 0);
}

// {go go go} against {go go}: the bag counts two of three.
TEST(AnswerScoring, ARepeatedTokenCountsAsOftenAsInBoth) {
  EXPECT_DOUBLE_EQ(ScoreAnswer("go go go", {"go go"}, "en").f1, 4.0 / 5.0);
}

TEST(AnswerScoring, TheBestOfTheAnswersCountsForEachMeasureAlone) {
  const AnswerScore score =
      ScoreAnswer("in May 1998 exactly", {"June", "1998", "in May 1998"}, "en");
  EXPECT_EQ(score.em, 0);
  EXPECT_DOUBLE_EQ(score.f1, 6.0 / 7.0);
  EXPECT_EQ(score.contains, 1);
}

TEST(AnswerScoring, ContainmentNeedsTheTokensInARowAndWhole) {
  EXPECT_EQ(ScoreAnswer("It has thirty paid days", {"thirty days"}, "en").contains, 0);
  EXPECT_EQ(ScoreAnswer("thirteen days", {"thirteen day"}, "en").contains, 0);
  EXPECT_EQ(ScoreAnswer("共有1998人", {"199"}, "zh").contains, 0);
  EXPECT_EQ(ScoreAnswer("共有1998人", {"1998 人"}, "zh").contains, 1);
}

// 北京市 against 北京: two of three, F1 = 4/5.
TEST(AnswerScoring, ChineseF1IsOverCharacters) {
  EXPECT_DOUBLE_EQ(ScoreAnswer("北京市", {"北京"}, "zh").f1, 4.0 / 5.0);
}

TEST(AnswerScoring, AnEmptyPredictionScoresNothing) {
  for (const char* prediction : {"", "  ", "The.", "..."}) {
    const AnswerScore score = ScoreAnswer(prediction, {"thirty days"}, "en");
    EXPECT_EQ(score.em + score.f1 + score.contains, 0) << prediction;
  }
}

TEST(AnswerScoring, WithoutAnswersNothingIsScored) {
  const AnswerScore score = ScoreAnswer("thirty days", {}, "en");
  EXPECT_EQ(score.em + score.f1 + score.contains, 0);
}

TEST(RankingScoring, TheFirstRelevantRankSetsTheReciprocal) {
  const RankingScore score = ScoreRanking({"x", "y", "gold"}, {{"gold", 1}});
  EXPECT_EQ(score.recall_at_1, 0);
  EXPECT_EQ(score.recall_at_5, 1);
  EXPECT_DOUBLE_EQ(score.mrr_at_10, 1.0 / 3.0);
  EXPECT_DOUBLE_EQ(score.ndcg_at_10, 0.5);  // 1/log2(4), ideal 1
}

TEST(RankingScoring, RecallIsOverAllThatIsRelevant) {
  const RankingScore score =
      ScoreRanking({"a", "x", "b", "y", "z", "c"}, {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}});
  EXPECT_DOUBLE_EQ(score.recall_at_1, 0.25);
  EXPECT_DOUBLE_EQ(score.recall_at_5, 0.5);
  EXPECT_DOUBLE_EQ(score.recall_at_10, 0.75);
  EXPECT_DOUBLE_EQ(score.mrr_at_10, 1);
}

// Grades 3, 2, 1 found in the order 1, 3, (none), 2:
// DCG = 1/1 + 3/log2(3) + 2/log2(5); ideal = 3/1 + 2/log2(3) + 1/log2(4).
TEST(RankingScoring, GradedGainIsLinearInTheGrade) {
  const RankingScore score =
      ScoreRanking({"low", "high", "x", "middle"}, {{"high", 3}, {"middle", 2}, {"low", 1}});
  const double gain = 1 + 3 / 1.584962500721156 + 2 / 2.321928094887362;
  const double ideal = 3 + 2 / 1.584962500721156 + 0.5;
  EXPECT_NEAR(score.ndcg_at_10, gain / ideal, 1e-12);
  EXPECT_NEAR(score.ndcg_at_10, 0.788377, 1e-6);
}

TEST(RankingScoring, EqualGradesMayStandInAnyOrder) {
  const std::map<std::string, int> grades = {{"a", 2}, {"b", 2}, {"c", 1}};
  EXPECT_DOUBLE_EQ(ScoreRanking({"a", "b", "c"}, grades).ndcg_at_10, 1);
  EXPECT_DOUBLE_EQ(ScoreRanking({"b", "a", "c"}, grades).ndcg_at_10, 1);
  EXPECT_LT(ScoreRanking({"a", "c", "b"}, grades).ndcg_at_10, 1);
}

TEST(RankingScoring, RankElevenIsTooLate) {
  std::vector<std::string> ranked(10, "");
  for (int i = 0; i < 10; ++i) ranked[i] = "x" + std::to_string(i);
  ranked.push_back("gold");
  const RankingScore score = ScoreRanking(ranked, {{"gold", 1}});
  EXPECT_EQ(score.recall_at_10 + score.mrr_at_10 + score.ndcg_at_10, 0);
}

// Twelve relevant, ten of them in front: the ideal has ten places too.
TEST(RankingScoring, TheIdealHasTenPlaces) {
  std::map<std::string, int> grades;
  std::vector<std::string> ranked;
  for (int i = 0; i < 12; ++i) grades["g" + std::to_string(i)] = 1;
  for (int i = 0; i < 10; ++i) ranked.push_back("g" + std::to_string(i));
  const RankingScore score = ScoreRanking(ranked, grades);
  EXPECT_DOUBLE_EQ(score.ndcg_at_10, 1);
  EXPECT_DOUBLE_EQ(score.recall_at_10, 10.0 / 12.0);
}

TEST(RankingScoring, NothingFoundScoresNothing) {
  const RankingScore score = ScoreRanking({}, {{"gold", 1}});
  EXPECT_EQ(score.recall_at_1 + score.recall_at_10 + score.mrr_at_10 + score.ndcg_at_10, 0);
}

}  // namespace
}  // namespace vade
