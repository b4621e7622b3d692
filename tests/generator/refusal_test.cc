#include "generator/refusal.h"

#include <gtest/gtest.h>

#include "base/unicode.h"
#include "generator/generator.h"

namespace vade {
namespace {

TEST(Refusal, TheAgreedWordIsRecognisedInAnyDress) {
  for (const char* reply :
       {"None", "none.", " NONE\n", "\"None\"", "**None**", "None. The documents differ.", "无",
        "无。", " “无”", "无\n", "N/A", "Unanswerable.", "没有答案。", "Unknown", ""}) {
    EXPECT_EQ(JudgeReply(reply, true), RefusalVerdict::kRefusal) << reply;
  }
}

TEST(Refusal, NaturalVariantsAreRecognised) {
  for (const char* reply :
       {"The documents do not say who it was.", "the passage doesn't mention this", "I don't know.",
        "I don\u2019t know", "The provided documents do not contain the answer to this question.",
        "There is no information about it.", "Based on the documents, the answer is not mentioned.",
        "Sorry, I cannot tell.", "文档中没有提到这个问题的答案。", "根据提供的文档，没有相关信息。",
        "抱歉，我无法回答。", "文章未提及此事",
        "According to the passages, there is no mention of a fee.",
        "Based on the given text it is not mentioned.", "The texts do not say",
        "The provided information does not specify a date.", "The answer is not",
        "根据上述资料，没有提到费用。"}) {
    EXPECT_EQ(JudgeReply(reply, true), RefusalVerdict::kRefusal) << reply;
  }
}

TEST(Refusal, OurOwnSentencesAreRecognised) {
  EXPECT_EQ(JudgeReply(RefusalText("Who?"), true), RefusalVerdict::kRefusal);
  EXPECT_EQ(JudgeReply(RefusalText("谁发现了它？"), true), RefusalVerdict::kRefusal);
}

TEST(Refusal, AnswersThatBeginAlikeAreAnswers) {
  for (const char* reply :
       {"None of the crew survived.", "无线电", "无锡市", "The documents were signed in 1945.",
        "The text of the treaty", "Nonetheless 14", "未知数", "Based on the report, 14 days.",
        "没有", "no", "No", "根据法律规定，十四天。", "14 days", "文章发表于1905年。"}) {
    EXPECT_EQ(JudgeReply(reply, true), RefusalVerdict::kAnswer) << reply;
  }
}

// A word that only begins like one of the openings, and a frame that is not about the documents.
TEST(Refusal, AnAnswerIsNotWithheldForItsFirstLetters) {
  for (const char* reply :
       {"The answer is Nottingham.", "The answer is notable: 14.",
        "The textile mill does not contain asbestos.", "The documentary does not mention him.",
        "The contextual menu does not include it.",
        "According to the lease, the rent does not include heating.",
        "According to the textile report, it does not contain cotton.",
        "Based on the tariff, a return ticket does not include a seat.",
        "The given name does not include a hyphen.", "The provided tent does not include pegs.",
        "根据合同，房租不包含暖气费。", "No informational meeting was held."}) {
    EXPECT_EQ(JudgeReply(reply, true), RefusalVerdict::kAnswer) << reply;
  }
  EXPECT_EQ(JudgeReply("The answer is Nottingham", false), RefusalVerdict::kAnswer);
  EXPECT_EQ(JudgeReply("The answer is not", false), RefusalVerdict::kUndecided);
  EXPECT_EQ(JudgeReply("The answer is not ", false), RefusalVerdict::kRefusal);
}

// The stream is held back only while both are possible, and a verdict once given stays.
TEST(Refusal, AVerdictIsStableWhileTheReplyGrows) {
  for (const char* reply :
       {"None", "None of the crew survived.", "无线电", "The documents do not say. But", "14 days",
        "文档中没有提到。", "The documents were signed in 1945. They do not say why.",
        "I don't know", "Based on page 4 it is 9.", "The answer is Nottingham.",
        "The textile mill does not contain it.", "The texts do not say.",
        "According to the lease, it does not include heating.",
        "According to the documents, no mention.", "根据合同，不包含暖气费。"}) {
    const std::string text(reply);
    RefusalVerdict last = RefusalVerdict::kUndecided;
    for (size_t n = 1; n <= text.size(); ++n) {
      if (FloorToCodePoint(text, n) != n) continue;
      const RefusalVerdict now = JudgeReply(std::string_view(text).substr(0, n), false);
      ASSERT_TRUE(last == RefusalVerdict::kUndecided || now == last) << text.substr(0, n);
      last = now;
    }
    ASSERT_TRUE(last == RefusalVerdict::kUndecided || JudgeReply(text, true) == last) << text;
  }
}

TEST(Refusal, APlainAnswerIsDecidedAtItsFirstWord) {
  EXPECT_EQ(JudgeReply("14", false), RefusalVerdict::kAnswer);
  EXPECT_EQ(JudgeReply("Paris", false), RefusalVerdict::kAnswer);
  EXPECT_EQ(JudgeReply("十四", false), RefusalVerdict::kAnswer);
}

TEST(Refusal, HeldTextIsBounded) {
  EXPECT_EQ(JudgeReply("The documents " + std::string(400, 'x'), false), RefusalVerdict::kAnswer);
}

TEST(Refusal, TheSentenceIsInTheLanguageOfTheQuestion) {
  EXPECT_NE(RefusalText("什么时候？").find("文档"), std::string::npos);
  EXPECT_NE(RefusalText("When?").find("documents"), std::string::npos);
}

}  // namespace
}  // namespace vade
