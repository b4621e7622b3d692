#include "retriever/term_scores.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vade {
namespace {

Hit MakeHit(const std::string& id, const std::string& text, double dense) {
  Hit hit;
  hit.passage.document_id = id;
  hit.passage.text = text;
  hit.dense_score = dense;
  hit.score = dense;
  return hit;
}

std::vector<std::string> Order(const std::vector<Hit>& hits) {
  std::vector<std::string> ids;
  for (const Hit& hit : hits) ids.push_back(hit.passage.document_id);
  return ids;
}

TEST(TermScores, RareWordWeighsMoreThanWordOfAllCandidates) {
  const std::vector<Hit> hits = {MakeHit("a", "the logger has a display", 0.8),
                                 MakeHit("b", "the logger runs nine days", 0.8),
                                 MakeHit("c", "the logger has a fuse", 0.8)};
  const auto scores = TermScores("how many days does the logger run", hits);
  EXPECT_GT(scores[1], 3 * scores[0]);
  EXPECT_DOUBLE_EQ(scores[0], scores[2]);
}

TEST(TermScores, ScoreIsThatOfTheFormula) {
  // n = 2, df(fuse) = 1, both texts as long as the mean: idf ln(1 + 1.5/1.5), tf part 1 * 2.2 / (1
  // + 1.2).
  const std::vector<Hit> hits = {MakeHit("a", "fuse box", 0), MakeHit("b", "tide table", 0)};
  const auto scores = TermScores("fuse", hits);
  EXPECT_NEAR(scores[0], 0.6931471805599453, 1e-12);
  EXPECT_EQ(scores[1], 0);
}

TEST(TermScores, InflectedEnglishWordsMatch) {
  const std::vector<Hit> hits = {MakeHit("a", "calibrations", 0), MakeHit("b", "nothing", 0)};
  EXPECT_GT(TermScores("calibration", hits)[0], 0);
}

TEST(TermScores, ChineseMatchesByPairsOfCharacters) {
  const std::vector<Hit> hits = {MakeHit("a", "测得最大波高五米", 0),
                                 MakeHit("b", "仪器下水后第三天", 0)};
  const auto scores = TermScores("最大波高是多少", hits);
  EXPECT_GT(scores[0], 0);
  EXPECT_EQ(scores[1], 0);
}

TEST(TermScores, WidthAndCaseDoNotMatter) {
  const std::vector<Hit> hits = {MakeHit("a", "ＦＬ-20/B", 0), MakeHit("b", "other", 0)};
  EXPECT_GT(TermScores("fl-20/b", hits)[0], 0);
}

TEST(TermScores, TitleAndHeadingsCount) {
  Hit hit = MakeHit("a", "It lasts six weeks.", 0);
  hit.title = "Handbook";
  hit.passage.heading_path = "Handbook > Sick leave";
  const auto scores = TermScores("sick leave", {hit, MakeHit("b", "It lasts six days.", 0)});
  EXPECT_GT(scores[0], 0);
  EXPECT_EQ(scores[1], 0);
}

TEST(FuseTermScores, WordsBringUpWhatVectorsPutSecond) {
  std::vector<Hit> hits = {MakeHit("a", "the logger has a display", 0.87),
                           MakeHit("b", "nine days without sun", 0.86), MakeHit("c", "x", 0.80)};
  FuseTermScores("how many days without sun", 0.3, &hits);
  EXPECT_EQ(Order(hits), (std::vector<std::string>{"b", "a", "c"}));
  EXPECT_DOUBLE_EQ(hits[0].dense_score, 0.86);
  EXPECT_GT(hits[0].term_score, 0);
}

Hit InLanguage(Hit hit, const std::string& language) {
  hit.passage.language = language;
  return hit;
}

TEST(FuseTermScores, APassageInAnotherLanguageDoesNotLoseForLackOfTheQuestionsWords) {
  const std::string question = "How many days does the logger run without any sun at all?";
  const Hit foreign = MakeHit("zh", "没有阳光可以工作九天", 0.86);
  const Hit own = MakeHit("en", "the logger has a display and any colour at all", 0.84);
  std::vector<Hit> unknown = {foreign, own};
  FuseTermScores(question, 0.3, &unknown);
  EXPECT_EQ(Order(unknown), (std::vector<std::string>{"en", "zh"}));
  std::vector<Hit> hits = {InLanguage(foreign, "zh"), InLanguage(own, "en")};
  FuseTermScores(question, 0.3, &hits);
  EXPECT_EQ(Order(hits), (std::vector<std::string>{"zh", "en"}));
  EXPECT_EQ(hits[0].term_score, 0);
}

TEST(FuseTermScores, WhereAllPassagesAreInOneLanguageWordsCountForAllOfThem) {
  std::vector<Hit> hits = {InLanguage(MakeHit("a", "没有阳光可以工作九天", 0.86), "zh"),
                           InLanguage(MakeHit("b", "FL-20 可以工作九天", 0.84), "zh")};
  FuseTermScores("How many days does the FL-20 run without any sun?", 0.3, &hits);
  EXPECT_EQ(Order(hits), (std::vector<std::string>{"b", "a"}));
}

TEST(FuseTermScores, TheSearchesScoreIsWhatCountsNotTheBareCosine) {
  std::vector<Hit> hits = {MakeHit("a", "x", 0.9), MakeHit("b", "y", 0.8)};
  hits[1].score = 0.95;  // its language was given back
  FuseTermScores("unrelated", 0.3, &hits);
  EXPECT_EQ(Order(hits), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(hits[0].dense_score, 0.8);
}

TEST(FuseTermScores, WithoutAnyMatchTheVectorsDecide) {
  std::vector<Hit> hits = {MakeHit("a", "x", 0.7), MakeHit("b", "y", 0.9), MakeHit("c", "z", 0.8)};
  FuseTermScores("unrelated", 0.3, &hits);
  EXPECT_EQ(Order(hits), (std::vector<std::string>{"b", "c", "a"}));
}

TEST(FuseTermScores, NearEqualsOfAShortListStayNear) {
  std::vector<Hit> hits = {MakeHit("a", "x", 0.86), MakeHit("b", "y", 0.85)};
  FuseTermScores("unrelated", 0.3, &hits);
  EXPECT_NEAR(hits[0].score, 0.7, 1e-12);
  EXPECT_NEAR(hits[0].score - hits[1].score, 0.7 * 0.01 / kLeastDenseSpan, 1e-9);
}

TEST(FuseTermScores, TheBestAndTheLeastOfALongListSpanTheWholeShareOfVectors) {
  std::vector<Hit> hits = {MakeHit("a", "x", 0.9), MakeHit("b", "y", 0.8), MakeHit("c", "z", 0.7)};
  FuseTermScores("unrelated", 0.3, &hits);
  EXPECT_NEAR(hits[0].score, 0.7, 1e-12);
  EXPECT_NEAR(hits[1].score, 0.35, 1e-12);
  EXPECT_NEAR(hits[2].score, 0, 1e-12);
}

TEST(FuseTermScores, EqualCandidatesKeepTheirOrder) {
  std::vector<Hit> hits = {MakeHit("a", "same", 0.5), MakeHit("b", "same", 0.5)};
  FuseTermScores("same", 0.3, &hits);
  EXPECT_EQ(Order(hits), (std::vector<std::string>{"a", "b"}));
}

TEST(FuseTermScores, NoCandidatesIsNoProblem) {
  std::vector<Hit> hits;
  FuseTermScores("anything", 0.3, &hits);
  EXPECT_TRUE(hits.empty());
}

}  // namespace
}  // namespace vade
