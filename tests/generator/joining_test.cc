// Questions that several passages answer together.
#include "generator/joining.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "generator/generator.h"
#include "tests/generator/hits.h"
#include "tests/testing/scripted_decoder.h"

namespace vade {
namespace {

using testing::HitOf;
using testing::ScriptedDecoder;

TEST(AsksForSeveral, QuestionsAboutTwoThings) {
  for (const char* question :
       {"Are Sutera and Rhodotypos both types of shrub?", "What do the two have in common?",
        "Which mountain is taller, Gasherbrum II or Langtang Ri?",
        "Is Muskegon County Airport or John Wayne Airport further west?",
        "Who was born first, Iain Pears or Richard Llewellyn?",
        "Which dog is a giant breed, the Leonberger or the Basset Hound?",
        "Were the two from the same country?", "How long is the lease compared to the loan?",
        "长江和黄河分别有多长？", "他们出生在北京还是上海？"}) {
    EXPECT_TRUE(AsksForSeveral(question)) << question;
  }
}

TEST(AsksForSeveral, QuestionsAboutOne) {
  for (const char* question :
       {"How long is sick leave?", "Which band released Counterparts?",
        "What is a ship or boat called in Norse?", "Who wrote it, and when?",
        "Did it take one or two weeks to reach Paris?", "What did Norman Foster build?",
        "黄河有多长？", "", " or ", "A or ", " or B", "who or", "Is X or"}) {
    EXPECT_FALSE(AsksForSeveral(question)) << question;
  }
}

TEST(HelpingReadings, ThoseThatSpeakOfWhatIsAsked) {
  const std::vector<Reading> readings = {{.question_gain = .05, .score = .9},
                                         {.question_gain = .8, .score = .8},
                                         {.question_gain = .5, .score = .7},
                                         {.question_gain = .2, .score = .7}};
  const Choice choice = ChooseReading(readings, CalibrationOf(""));
  EXPECT_EQ(HelpingReadings(readings, choice), (std::vector<size_t>{1, 2}));
  EXPECT_TRUE(HelpingReadings({}, ChooseReading({}, CalibrationOf(""))).empty());
  const std::vector<Reading> nothing(3);
  EXPECT_TRUE(HelpingReadings(nothing, ChooseReading(nothing, CalibrationOf(""))).empty());
  const std::vector<Reading> many(9, Reading{.question_gain = 1});
  EXPECT_EQ(HelpingReadings(many, ChooseReading(many, CalibrationOf(""))).size(), kMostJoined);
}

class JoinedAnswers : public ::testing::Test {
 protected:
  JoinedAnswers() {
    // A question is likelier behind what it asks about.
    decoder_.SetScores([this](const std::vector<int32_t>& sequence, int32_t) {
      const std::string text = decoder_.bytes().Show(sequence);
      return text.find(" leave is") != std::string::npos ? -.1f : -2.f;
    });
    decoder_.Say("[2]", both_);
    decoder_.Say("Sick leave", "None");
    decoder_.Say("Annual leave", "None");
    decoder_.Say("Parking", "None");
  }
  GenerateRequest Longer() {
    GenerateRequest request;
    request.question = "Which is longer, Sick Leave or Annual Leave?";
    request.collection = request.commit = 1;
    const std::string more(200, '.');
    request.hits = {HitOf(1, "Annual leave is 25 days." + more, .9),
                    HitOf(2, "Parking is free." + more, .85),
                    HitOf(3, "Sick leave is 14 days." + more, .8)};
    return request;
  }
  Answer Ask(const GenerateRequest& request, GeneratorOptions options = {}) {
    options.kept_bytes = 1 << 20;
    auto generator = Generator::Create(&decoder_, options);
    EXPECT_TRUE(generator.ok());
    streamed_.clear();
    auto answer = (*generator)
                      ->Generate(request,
                                 [this](const GenerateEvent& event) {
                                   streamed_ += event.text;
                                   return true;
                                 },
                                 {});
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    counts_ = (*generator)->counts();
    return answer.ok() ? *answer : Answer();
  }

  const std::string both_ = "Annual leave is 25 days.";
  ScriptedDecoder decoder_;
  GeneratorCounts counts_;
  std::string streamed_;
};

TEST_F(JoinedAnswers, AreNotGivenWhereTheyAreRuledOut) {
  GenerateRequest request = Longer();
  request.joining = Joining::kNever;
  const Answer answer = Ask(request);
  EXPECT_TRUE(answer.abstained);
  EXPECT_EQ(answer.joined, 0u);
}

TEST_F(JoinedAnswers, AreDetectedWhereARequestDoesNotSay) {
  EXPECT_EQ(Ask(Longer()).text, both_);
}

TEST_F(JoinedAnswers, ComeFromThePassagesThatHelpReadInOnePrompt) {
  GenerateRequest request = Longer();
  request.joining = Joining::kDetected;
  const Answer answer = Ask(request);
  EXPECT_EQ(answer.text, both_);
  EXPECT_EQ(streamed_, both_);
  EXPECT_EQ(answer.joined, 2u);
  EXPECT_EQ(answer.readings.size(), 3u);
  const std::string prompt = decoder_.last_prompt();
  EXPECT_NE(prompt.find("[1] \nAnnual leave is 25 days."), std::string::npos) << prompt;
  EXPECT_NE(prompt.find("[2] \nSick leave is 14 days."), std::string::npos) << prompt;
  EXPECT_EQ(prompt.find("Parking"), std::string::npos) << prompt;
  ASSERT_EQ(answer.citations.size(), 1u);
  EXPECT_EQ(answer.citations[0].passage_id, 1u);
  EXPECT_EQ(answer.citations[0].label, 1);
  ASSERT_EQ(answer.omitted.size(), 1u);
  EXPECT_EQ(answer.omitted[0].passage_id, 2u);
  EXPECT_EQ(answer.omitted[0].reason, "declined");
  EXPECT_EQ(counts_.joined, 1u);
  EXPECT_EQ(answer.usage.prompt_tokens - answer.usage.cached_tokens,
            counts_.engine.prompt_tokens_read);
}

TEST_F(JoinedAnswers, AreThoseOfTheTwoPassagesReadTogetherByThemselves) {
  GenerateRequest request = Longer();
  request.joining = Joining::kAlways;
  const Answer joined = Ask(request);
  const std::string prompt = decoder_.last_prompt();
  request.hits.erase(request.hits.begin() + 1);
  const Answer together = Ask(request, {.reading = ReadingMode::kTogether});
  EXPECT_EQ(joined.text, together.text);
  EXPECT_EQ(joined.confidence, together.confidence);
  EXPECT_EQ(decoder_.last_prompt(), prompt);
}

TEST_F(JoinedAnswers, AQuestionAboutOneThingIsNotJoinedByDetection) {
  GenerateRequest request = Longer();
  request.question = "How long is leave?";
  request.joining = Joining::kDetected;
  EXPECT_EQ(Ask(request).joined, 0u);
  request.joining = Joining::kAlways;
  EXPECT_EQ(Ask(request).joined, 2u);
}

TEST_F(JoinedAnswers, APassageThatSurelyAnswersIsEnoughForDetection) {
  ScriptedDecoder sure;
  sure.Say("[2]", both_);
  sure.Say("Annual leave is", "25 days.");
  sure.Say("", "None");
  sure.SetScores([&](const std::vector<int32_t>& sequence, int32_t) {
    return sure.bytes().Show(sequence).find(" leave is") != std::string::npos ? -.1f : -2.f;
  });
  // Two passages help: it is joined where that is always wanted.
  auto joins = Generator::Create(&sure, {.kept_bytes = 1 << 20, .joining = Joining::kAlways});
  ASSERT_TRUE(joins.ok());
  const auto joined = (*joins)->Generate(Longer(), {}, {});
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ(joined->joined, 2u);
  auto generator = Generator::Create(&sure, {.kept_bytes = 1 << 20, .joining = Joining::kDetected});
  ASSERT_TRUE(generator.ok());
  const auto answer = (*generator)->Generate(Longer(), {}, {});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->text, "25 days.");
  EXPECT_EQ(answer->joined, 0u);
}

TEST_F(JoinedAnswers, OnePassageAloneIsNotJoined) {
  GenerateRequest request = Longer();
  request.joining = Joining::kAlways;
  request.hits.pop_back();
  const Answer answer = Ask(request);
  EXPECT_EQ(answer.joined, 0u);
  EXPECT_TRUE(answer.abstained);
}

TEST_F(JoinedAnswers, WhereTheyDeclineTooThePassagesHaveTheLastWordAlone) {
  ScriptedDecoder declining;
  declining.SetScores([&](const std::vector<int32_t>& sequence, int32_t) {
    return declining.bytes().Show(sequence).find(" leave is") != std::string::npos ? -.1f : -2.f;
  });
  declining.Say("[2]", "None");
  declining.Say("Annual leave is", "25 days.");
  declining.Say("", "None");
  auto generator = Generator::Create(&declining, {.kept_bytes = 1 << 20});
  ASSERT_TRUE(generator.ok());
  GenerateRequest request = Longer();
  request.joining = Joining::kAlways;
  const auto answer = (*generator)->Generate(request, {}, {});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->text, "25 days.");
  EXPECT_EQ(answer->joined, 0u);
  EXPECT_EQ(answer->usage.prompt_tokens - answer->usage.cached_tokens,
            (*generator)->counts().engine.prompt_tokens_read);
}

}  // namespace
}  // namespace vade
