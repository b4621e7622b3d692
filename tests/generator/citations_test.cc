#include "generator/citations.h"

#include <gtest/gtest.h>

#include "generator/sentences.h"

namespace vade {
namespace {

class Citations : public ::testing::Test {
 protected:
  void Passage(std::string text, uint64_t begin = 1000, std::string title = "") {
    Hit hit;
    hit.passage.id = hits_.size() + 1;
    hit.passage.document_id = "doc-" + std::to_string(hits_.size() + 1);
    hit.passage.begin = begin;
    hit.passage.end = begin + text.size();
    hit.passage.text = std::move(text);
    hit.passage.page = 7;
    hit.title = std::move(title);
    hits_.push_back(std::move(hit));
  }

  // "1:quote" of each citation; every one's range must hold its quote.
  std::string Cite(std::string question, std::string sentence, std::vector<int> hints = {}) {
    std::vector<const Hit*> hits;
    for (const Hit& hit : hits_) hits.push_back(&hit);
    const Citer citer(question, hits);
    std::string out;
    for (const Citation& citation : citer.Cite(sentence, hints)) {
      const vade::Passage& passage = hits_[citation.label - 1].passage;
      EXPECT_EQ(citation.passage_id, passage.id);
      EXPECT_EQ(citation.document_id, passage.document_id);
      EXPECT_EQ(citation.page, passage.page);
      EXPECT_GE(citation.source_begin, passage.begin);
      EXPECT_LE(citation.source_end, passage.end);
      EXPECT_EQ(citation.quote, passage.text.substr(citation.source_begin - passage.begin,
                                                    citation.source_end - citation.source_begin));
      EXPECT_LE(ReaderSentences(citation.quote).size(), 2u);
      if (!out.empty()) out += " | ";
      out += std::to_string(citation.label) + ":" + citation.quote;
    }
    return out;
  }

  std::vector<Hit> hits_;
};

TEST_F(Citations, AShortAnswerIsCitedFromTheSentenceThatHoldsIt) {
  Passage("Annual leave is 25 days. Sick leave is 14 days. Ask your manager.");
  EXPECT_EQ(Cite("How long is sick leave?", "14 days"), "1:Sick leave is 14 days.");
}

TEST_F(Citations, AmongSentencesThatHoldItTheOneThatSpeaksOfTheQuestionWins) {
  Passage("Probation lasts 14 days. Nothing else is said of it.");
  Passage("Parking is free. Sick leave is 14 days. Annual leave is 25.");
  EXPECT_EQ(Cite("How long is sick leave?", "14 days"), "2:Sick leave is 14 days.");
  EXPECT_EQ(Cite("How long is probation?", "14 days."), "1:Probation lasts 14 days.");
}

TEST_F(Citations, AFullSentenceIsCitedByItsRareWords) {
  Passage("The river is long and old. It floods in spring.");
  Passage(
      "The bridge over the river was built by Italian engineers in 1932. It is 300 metres long.");
  EXPECT_EQ(Cite("Who built the bridge?", "The bridge was built in 1932 by Italian engineers."),
            "2:The bridge over the river was built by Italian engineers in 1932.");
}

TEST_F(Citations, TwoSentencesAreQuotedWhenBothAreNeeded) {
  Passage("The bridge was built by engineers from Milan. Its length is 300 metres. It is red.");
  EXPECT_EQ(Cite("Tell me about the bridge",
                 "Engineers from Milan built the bridge, its length is 300 metres."),
            "1:The bridge was built by engineers from Milan. Its length is 300 metres.");
}

TEST_F(Citations, ADifferentNumberIsNoSupport) {
  Passage("Sick leave is 14 days for all employees of the company.");
  EXPECT_EQ(
      Cite("How long is sick leave?", "Sick leave is 15 days for all employees of the company."),
      "");
}

TEST_F(Citations, ADifferentNameIsNoSupport) {
  Passage("The prize of the academy was given to the physicist Marie Curie in Paris.");
  EXPECT_EQ(Cite("Who got the prize?",
                 "The prize of the academy was given to the physicist Lise Meitner in Paris."),
            "");
}

TEST_F(Citations, NumbersAgreeByValue) {
  Passage("The defence gave up 1,200 points and four games.");
  EXPECT_NE(Cite("How many points?", "1200 points"), "");
  EXPECT_NE(Cite("How many games were given up by the defence?", "4 games"), "");
}

TEST_F(Citations, WordsThatAreInNoPassageAreNotCited) {
  Passage("The bridge is red.");
  EXPECT_EQ(Cite("Who?", "Photosynthesis happens inside chloroplasts."), "");
  EXPECT_EQ(Cite("Who?", "Photosynthesis happens inside chloroplasts.", {1}), "");
}

TEST_F(Citations, AWordInsideAnotherIsNotFound) {
  Passage("The cathedral was restored.");
  EXPECT_EQ(Cite("What animal?", "cat"), "");
}

TEST_F(Citations, ChineseIsMatchedWithoutSpaces) {
  Passage("年假为二十五天。病假为十四天。请向经理申请。");
  Passage("大桥由意大利工程师于1932年建造。它长300米。");
  EXPECT_EQ(Cite("病假有多长？", "十四天"), "1:病假为十四天。");
  EXPECT_EQ(Cite("谁建造了大桥？", "意大利工程师建造了这座大桥。"),
            "2:大桥由意大利工程师于1932年建造。");
  EXPECT_EQ(Cite("病假有多长？", "病假是14天"), "1:病假为十四天。");
  EXPECT_EQ(Cite("谁建造了大桥？", "意大利工程师于1935年建造了这座大桥。"), "");
}

TEST_F(Citations, BetweenLanguagesNumbersAndNamesAreCompared) {
  Passage("Annual leave is 25 days. Sick leave is 14 days.");
  Passage("The stadium was built for the Denver Broncos. It is large.");
  EXPECT_EQ(Cite("病假有多长？", "十四天"), "1:Sick leave is 14 days.");
  EXPECT_EQ(Cite("病假有多长？", "病假为14天。"), "1:Sick leave is 14 days.");
  EXPECT_EQ(Cite("体育场为谁而建？", "为Denver Broncos而建。"),
            "2:The stadium was built for the Denver Broncos.");
  EXPECT_EQ(Cite("体育场怎么样？", "体育场非常宏伟壮观。"), "");
}

TEST_F(Citations, BetweenLanguagesTheModelsOwnMarkIsTheLastResort) {
  Passage("Parking is free.");
  Passage("It seats many people. The Broncos play there.");
  EXPECT_EQ(Cite("Broncos在哪里比赛？", "在体育场。", {2}), "2:The Broncos play there.");
  EXPECT_EQ(Cite("Broncos在哪里比赛？", "在体育场。", {9}), "");
}

TEST_F(Citations, LabelsThatDoNotExistAreIgnored) {
  Passage("Sick leave is 14 days.");
  EXPECT_EQ(Cite("How long is sick leave?", "14 days", {0, -3, 2, 99, 1 << 30}),
            "1:Sick leave is 14 days.");
}

TEST_F(Citations, TheModelsMarkDecidesBetweenEquals) {
  Passage("Sick leave is 14 days.");
  Passage("Sick leave is 14 days.");
  EXPECT_EQ(Cite("How long is sick leave?", "14 days", {2}), "2:Sick leave is 14 days.");
  EXPECT_EQ(Cite("How long is sick leave?", "14 days"), "1:Sick leave is 14 days.");
  EXPECT_EQ(Cite("How long is sick leave?", "14 days", {1, 2}),
            "1:Sick leave is 14 days. | 2:Sick leave is 14 days.");
}

TEST_F(Citations, YesIsSupportedByTheSentenceThatTheQuestionRepeats) {
  Passage("Parking is free. Dogs are allowed in the garden.");
  EXPECT_EQ(Cite("Are dogs allowed in the garden?", "Yes."), "1:Dogs are allowed in the garden.");
  EXPECT_EQ(Cite("Is smoking permitted upstairs?", "Yes."), "");
}

TEST_F(Citations, APassageWhoseRangeIsWrongIsNeverCited) {
  Passage("Sick leave is 14 days.");
  for (auto [begin, end] :
       {std::pair<uint64_t, uint64_t>{1000, 1001}, {50, 10}, {0, ~0ull}, {~0ull, 3}}) {
    hits_[0].passage.begin = begin;
    hits_[0].passage.end = end;
    EXPECT_EQ(Cite("How long is sick leave?", "14 days"), "");
  }
}

TEST_F(Citations, HostileTextIsHarmless) {
  Passage("");
  Passage("\xFF\xFE\xE4");
  Passage(std::string(1 << 20, 'a'));
  Passage(std::string(300, '\0'));
  Passage("。。。");
  EXPECT_EQ(Cite("", "14 days", {1, 2, 3}), "");
  EXPECT_EQ(Cite("?", "\xE4\xBD", {1}), "");
  EXPECT_EQ(Cite("?", "...", {1}), "");
  EXPECT_EQ(Cite("?", "", {1}), "");
}

TEST_F(Citations, AnEndlessSentenceIsQuotedInPart) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "word" + std::to_string(i) + " ";
  Passage(text);
  const std::string cited = Cite("what?", "word1500 word1501");
  EXPECT_NE(cited.find("word1500 word1501"), std::string::npos);
  EXPECT_LT(cited.size(), 1300u);
}

TEST(Sentences, AbbreviationsListNumbersAndWrappedLinesAreNoBorders) {
  auto count = [](std::string_view text) { return ReaderSentences(text).size(); };
  EXPECT_EQ(count("Mr. Smith met Dr. Jones. They spoke."), 2u);
  EXPECT_EQ(count("The U.S. Army came. It left."), 2u);
  EXPECT_EQ(count("1. First thing.\n2. Second thing."), 2u);
  EXPECT_EQ(count("This is a line of text that was wrapped by\nits author somewhere. Second."), 2u);
  EXPECT_EQ(count("Heading\nText goes on."), 2u);
  EXPECT_EQ(count("第一句。第二句！第三句？"), 3u);
  EXPECT_EQ(count(""), 0u);
}

TEST(Sentences, SpansCoverTheText) {
  for (const std::string text : {"One. Two", "\n\n a. b \xE4 c", "。。", "x"}) {
    size_t at = 0;
    for (const TextSpan& span : ReaderSentences(text)) {
      EXPECT_EQ(span.begin, at);
      EXPECT_GT(span.end, span.begin);
      at = span.end;
    }
    EXPECT_EQ(at, text.size());
  }
}

TEST(Terms, NumbersAreReadByValue) {
  EXPECT_EQ(TermsOf("1,200.50 and 007").digits, (std::set<std::string>{"1200.50", "7"}));
  EXPECT_TRUE(TermsOf("twenty").numbers.contains("20"));
  EXPECT_TRUE(TermsOf("二〇一六年").numbers.contains("2016"));
  EXPECT_TRUE(TermsOf("三百二十一").numbers.contains("321"));
  EXPECT_TRUE(TermsOf("一万二千").numbers.contains("12000"));
  EXPECT_TRUE(TermsOf("１４天").digits.contains("14"));
}

TEST(Terms, SkeletonsJoinIdeographsAndPartWords) {
  EXPECT_EQ(Skeleton("136 次！"), "136次");
  EXPECT_EQ(Skeleton("The  \"Big\" Day, 1,200"), "the big day 1200");
  EXPECT_TRUE(ContainsWhole(Skeleton("He had 136 sacks."), Skeleton("136")));
  EXPECT_FALSE(ContainsWhole(Skeleton("He had 1136 sacks."), Skeleton("136")));
  EXPECT_TRUE(ContainsWhole("病假为14天", "14天"));
}

}  // namespace
}  // namespace vade
