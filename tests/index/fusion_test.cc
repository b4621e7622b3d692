// One order out of nearness and words.
#include "index/fusion.h"

#include <gtest/gtest.h>

#include <string>

#include "base/strings.h"

namespace vade {
namespace {

constexpr std::string_view kQuestion = "How many days does the logger run without any sun at all?";

Candidate Make(PassageId id, double dense, double terms, const std::string& language = "") {
  return {.id = id,
          .cosine = dense,
          .dense = dense,
          .terms = terms,
          .language = ParseLanguage(language),
          .near = true};
}

class FuseTest : public ::testing::Test {
 protected:
  // Ids, best first.
  std::string Order(std::vector<Candidate> candidates) {
    fused_ = std::move(candidates);
    Fuse(kQuestion, ranking_, &fused_);
    std::vector<std::string> ids;
    for (const Candidate& c : fused_) ids.push_back(StrCat(c.id));
    return Join(ids, " ");
  }
  RankingOptions ranking_;
  std::vector<Candidate> fused_;
};

TEST_F(FuseTest, WordsBringUpWhatVectorsPutSecond) {
  EXPECT_EQ(Order({Make(1, .87, 0), Make(2, .86, 4), Make(3, .80, 0)}), "2 1 3");
  EXPECT_EQ(fused_[0].cosine, .86);
  EXPECT_EQ(fused_[0].terms, 4);
}

TEST_F(FuseTest, APassageInAnotherLanguageDoesNotLoseForLackOfTheQuestionsWords) {
  EXPECT_EQ(Order({Make(1, .86, 0), Make(2, .84, 3)}), "2 1");
  EXPECT_EQ(Order({Make(1, .86, 0, "zh"), Make(2, .84, 3, "en")}), "1 2");
}

TEST_F(FuseTest, WhereAllPassagesAreInOneLanguageWordsCountForAllOfThem) {
  EXPECT_EQ(Order({Make(1, .86, 0, "zh"), Make(2, .84, 3, "zh")}), "2 1");
}

TEST_F(FuseTest, WhatTheLanguageTookOffIsGivenBack) {
  Candidate given = Make(2, .95, 0);
  given.cosine = .8;
  EXPECT_EQ(Order({Make(1, .9, 0), given}), "2 1");
}

TEST_F(FuseTest, WithoutAnyMatchTheVectorsDecide) {
  EXPECT_EQ(Order({Make(1, .7, 0), Make(2, .9, 0), Make(3, .8, 0)}), "2 3 1");
  EXPECT_NEAR(fused_[0].score, .7, 1e-12);
  EXPECT_NEAR(fused_[1].score, .35, 1e-12);
  EXPECT_NEAR(fused_[2].score, 0, 1e-12);
}

TEST_F(FuseTest, NearEqualsOfAShortListStayNear) {
  Order({Make(1, .86, 0), Make(2, .85, 0)});
  EXPECT_NEAR(fused_[0].score, .7, 1e-12);
  EXPECT_NEAR(fused_[0].score - fused_[1].score, .7 * .01 / kLeastDenseSpan, 1e-9);
}

TEST_F(FuseTest, WhatOnlyWordsProposeDoesNotStretchTheVectorsSpan) {
  Candidate far = Make(3, .2, 1);
  far.near = false;
  EXPECT_EQ(Order({Make(1, .9, 0), Make(2, .8, 0), far}), "1 3 2");
  EXPECT_NEAR(fused_[0].score, .7, 1e-12);
  EXPECT_NEAR(fused_[1].score, .3, 1e-12);
  EXPECT_NEAR(fused_[2].score, 0, 1e-12);
}

TEST_F(FuseTest, OneSourceAloneGivesItsOwnScore) {
  ranking_.source = RankingOptions::Source::kVectors;
  EXPECT_EQ(Order({Make(1, .7, 9), Make(2, .9, 1)}), "2 1");
  EXPECT_EQ(fused_[0].score, .9);
  ranking_.source = RankingOptions::Source::kTerms;
  EXPECT_EQ(Order({Make(1, .7, 9), Make(2, .9, 1)}), "1 2");
  EXPECT_EQ(fused_[0].score, 9);
}

TEST_F(FuseTest, ReciprocalRanksHeedPlacesOnly) {
  ranking_ = {.fusion = RankingOptions::Fusion::kReciprocalRank, .term_weight = .5};
  EXPECT_EQ(Order({Make(1, .99, 1), Make(2, .5, 9), Make(3, .4, 2)}), "2 1 3");
  EXPECT_NEAR(fused_[0].score, .5 + .5 * 61 / 62, 1e-12);
  EXPECT_EQ(Order({Make(1, .9, 0), Make(2, .8, 0)}), "1 2");
  EXPECT_EQ(Order({Make(1, .86, 0, "zh"), Make(2, .84, 3, "en")}), "1 2");
}

TEST_F(FuseTest, EqualOnesComeByTheirIdsAndNothingIsNoProblem) {
  EXPECT_EQ(Order({Make(9, .5, 1), Make(4, .5, 1)}), "4 9");
  EXPECT_EQ(Order({}), "");
}

// Ids with their scores, best first.
std::string Merged(const std::vector<std::vector<std::pair<PassageId, double>>>& lists,
                   const std::vector<double>& weights) {
  std::vector<std::vector<Candidate>> all;
  for (const auto& list : lists) {
    all.emplace_back();
    for (const auto& [id, score] : list) all.back().push_back({.id = id, .score = score});
  }
  std::string order;
  for (const Candidate& c : MergeWordings(all, weights)) order += StrCat(c.id, ":", c.score, " ");
  return order;
}

TEST(MergeWordings, AScoreIsTheWeightedMeanOverTheLists) {
  EXPECT_EQ(Merged({{{1, 1}, {2, .5}}, {{2, 1}, {1, .5}}}, {1, 1}), "1:0.75 2:0.75 ");
  EXPECT_EQ(Merged({{{1, 1}, {2, .5}}, {{2, 1}, {1, .5}}}, {1, 3}), "2:0.875 1:0.625 ");
}

TEST(MergeWordings, WhatAListLacksCountsAsItsLast) {
  EXPECT_EQ(Merged({{{1, 1}, {2, .5}}, {{3, 1}, {2, .25}}}, {1, 1}), "3:0.75 1:0.625 2:0.375 ");
  EXPECT_EQ(Merged({{{1, 1}, {2, .5}}, {}}, {1, 1}), "1:0.5 2:0.25 ");
  EXPECT_EQ(Merged({{}, {}}, {1, 1}), "");
}

TEST(MergeWordings, WhatElseIsKnownIsOfTheFirstListThatHasIt) {
  const std::vector<std::vector<Candidate>> lists = {
      {{.id = 1, .cosine = .9, .terms = 3, .score = 1}},
      {{.id = 2, .cosine = .8, .terms = 2, .score = 1}, {.id = 1, .cosine = .1, .score = .5}}};
  const auto merged = MergeWordings(lists, std::vector<double>{1, 1});
  ASSERT_EQ(merged.size(), 2u);
  EXPECT_EQ(merged[0].id, 2u);
  EXPECT_EQ(merged[0].cosine, .8);
  EXPECT_EQ(merged[1].cosine, .9);
  EXPECT_EQ(merged[1].terms, 3);
}

}  // namespace
}  // namespace vade
