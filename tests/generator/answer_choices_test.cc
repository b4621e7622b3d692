// Several answers to one question, beams, and the tokens' log probabilities, as a caller gets them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "generator/generator.h"
#include "tests/testing/scripted_decoder.h"

namespace vade {
namespace {

using testing::ByteTokenizer;
using testing::ScriptedDecoder;

class AnswerChoices : public ::testing::TestWithParam<ReadingMode> {
 protected:
  // Of the two durations that may be drawn or searched for, 14 is likelier at first.
  void SetUp() override {
    decoder_.Say("sick leave", "14 days.");
    decoder_.SetLogits([this](const std::vector<int32_t>& sequence, std::span<float> logits) {
      const std::string all = decoder_.bytes().Show(sequence);
      const size_t begin = all.rfind("assistant\n");
      const std::string said = begin == all.npos ? "" : all.substr(begin + 10);
      if (said == "1") logits['2'] = 9.5f;
      const std::string other = "12 days.";
      if (said.starts_with("12") && said.size() <= other.size())
        Prefer(other.substr(said.size()), logits);
      if (said.starts_with("14") && wavers_) logits['?'] = 10;
    });
  }
  static void Prefer(const std::string& rest, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    logits[static_cast<size_t>(rest.empty() ? ByteTokenizer::kImEnd : rest[0])] = 12;
  }
  static GenerateRequest Question(Sampling sampling) {
    GenerateRequest request;
    request.question = "How long is sick leave?";
    request.sampling = std::move(sampling);
    for (const char* text : {"Sick leave is 14 days.", "Once sick leave was 12 days."}) {
      Hit& hit = request.hits.emplace_back();
      hit.passage.id = request.hits.size();
      hit.passage.document_id = "doc-" + std::to_string(hit.passage.id);
      hit.passage.text = text;
      hit.passage.end = hit.passage.text.size();
      hit.dense_score = hit.score = .8;
    }
    return request;
  }
  Result<Answer> Ask(const GenerateRequest& request) {
    auto generator = Generator::Create(&decoder_, {.reading = GetParam()});
    EXPECT_TRUE(generator.ok());
    std::string streamed;
    auto answer = (*generator)
                      ->Generate(request,
                                 [&](const GenerateEvent& event) {
                                   streamed += event.text;
                                   return true;
                                 },
                                 {});
    if (answer.ok()) {
      EXPECT_EQ(streamed, answer->text) << "only the first answer is streamed";
    }
    return answer;
  }

  ScriptedDecoder decoder_;
  bool wavers_ = false;
};

TEST_P(AnswerChoices, OtherAnswersStandBesideTheFirstWithTheirCitations) {
  const auto answer = Ask(Question({.temperature = 1, .seed = 5, .answers = 8}));
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  ASSERT_FALSE(answer->abstained);
  ASSERT_EQ(answer->alternatives.size(), 7u);
  std::vector<std::string> seen = {answer->text};
  uint64_t cited = 0;
  for (const Alternative& one : answer->alternatives) {
    seen.push_back(one.text);
    cited += one.citations.size();
    EXPECT_GE(one.confidence, 0);
    EXPECT_LE(one.confidence, 1);
  }
  EXPECT_GT(std::count(seen.begin(), seen.end(), "14 days."), 0);
  EXPECT_GT(std::count(seen.begin(), seen.end(), "12 days."), 0);
  EXPECT_GT(cited, 0u);
  EXPECT_GT(answer->usage.completion_tokens, 8u * 4);
}

TEST_P(AnswerChoices, OneAnswerHasNoOthers) {
  const auto answer = Ask(Question({}));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->text, "14 days.");
  EXPECT_TRUE(answer->alternatives.empty());
  EXPECT_TRUE(answer->tokens.empty());
}

TEST_P(AnswerChoices, BeamsGiveTheAnswerThatIsLikelierAsAWhole) {
  wavers_ = true;
  const auto greedy = Ask(Question({.max_tokens = 8}));
  ASSERT_TRUE(greedy.ok());
  EXPECT_TRUE(greedy->text.starts_with("14")) << greedy->text;
  const auto searched = Ask(Question({.beams = 4, .max_tokens = 10}));
  ASSERT_TRUE(searched.ok());
  EXPECT_EQ(searched->text, "12 days.");
  EXPECT_FALSE(searched->citations.empty());
}

TEST_P(AnswerChoices, TokensComeWithTheLikeliestOnesAtTheirPlace) {
  const auto answer = Ask(Question({.top_logprobs = 2}));
  ASSERT_TRUE(answer.ok());
  ASSERT_EQ(answer->tokens.size(), 8u);
  std::string text;
  for (const TokenChoice& token : answer->tokens) {
    text += token.chosen.bytes;
    ASSERT_EQ(token.likeliest.size(), 2u);
    EXPECT_EQ(token.likeliest[0].id, token.chosen.id) << "greedy";
    EXPECT_NEAR(token.likeliest[0].log_probability, token.chosen.log_probability, 1e-9);
    EXPECT_GE(token.likeliest[0].log_probability, token.likeliest[1].log_probability);
  }
  EXPECT_EQ(text, "14 days.");
  EXPECT_EQ(answer->tokens[1].likeliest[1].bytes, "2");
  EXPECT_NEAR(answer->tokens[1].likeliest[1].log_probability,
              answer->tokens[1].chosen.log_probability - .5, 1e-6);
}

TEST_P(AnswerChoices, SeveralAnswersWithoutATemperatureAreRefused) {
  EXPECT_EQ(Ask(Question({.answers = 2})).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Ask(Question({.temperature = 1, .beams = 2})).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Ask(Question({.beams = 9})).status().code(), StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Modes, AnswerChoices,
                         ::testing::Values(ReadingMode::kAlone, ReadingMode::kTogether),
                         [](const auto& mode) {
                           return mode.param == ReadingMode::kAlone ? "Alone" : "Together";
                         });

}  // namespace
}  // namespace vade
