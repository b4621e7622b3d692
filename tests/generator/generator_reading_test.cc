// Answers from passages that are each asked alone.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/trace.h"
#include "generator/generator.h"
#include "generator/prompt.h"
#include "tests/generator/hits.h"
#include "tests/testing/scripted_decoder.h"

namespace vade {
namespace {

using testing::ScriptedDecoder;

class GeneratorReadings : public ::testing::Test {
 protected:
  GeneratorReadings() {
    decoder_.Say("Sick leave is 14 days", "14 days.");
    decoder_.Say("Annual leave", "None");
    decoder_.Say("Parking", "None");
  }

  static Hit Passage(PassageId id, std::string text, double score) {
    Hit hit = testing::HitOf(id, std::move(text), score);
    hit.dense_score = 0.8;
    return hit;
  }
  static GenerateRequest SickLeave() {
    GenerateRequest request;
    request.question = "How long is sick leave?";
    request.collection = 1;
    request.commit = 1;
    const std::string more = " Ask the office." + std::string(200, '.');
    request.hits = {Passage(1, "Annual leave is 25 days." + more, .9),
                    Passage(2, "Sick leave is 14 days." + more, .85),
                    Passage(3, "Parking is free." + more, .8)};
    return request;
  }
  // Without turns, which would hide what is read of a question that is asked again.
  std::unique_ptr<Generator> Make(GeneratorOptions options = {
                                      .kept_bytes = 1 << 20,
                                      .turns_kept_for = std::chrono::seconds(0)}) {
    auto generator = Generator::Create(&decoder_, options);
    EXPECT_TRUE(generator.ok());
    return std::move(generator).value();
  }
  Answer Ask(Generator& generator, const GenerateRequest& request) {
    auto answer = generator.Generate(request, {}, {});
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    return answer.ok() ? *answer : Answer();
  }
  size_t QuestionTokens() {
    const PromptWriter writer(&decoder_.tokenizer(), *decoder_.chat_template());
    return writer.Question(SickLeave().question, PromptLanguage::kEnglish).size();
  }

  ScriptedDecoder decoder_;
};

TEST_F(GeneratorReadings, TheAnswerComesFromThePassageThatAnswersWhateverItsRank) {
  const auto generator = Make();
  const Answer answer = Ask(*generator, SickLeave());
  EXPECT_EQ(answer.text, "14 days.");
  ASSERT_EQ(answer.citations.size(), 1u);
  EXPECT_EQ(answer.citations[0].passage_id, 2u);
  EXPECT_EQ(answer.citations[0].label, 1);
  ASSERT_EQ(answer.readings.size(), 3u);
  EXPECT_EQ(answer.readings[0].passage_id, 2u);
  EXPECT_GT(answer.readings[0].answers, answer.readings[1].answers);
  ASSERT_EQ(answer.omitted.size(), 2u);
  for (const Omission& omission : answer.omitted) EXPECT_EQ(omission.reason, "declined");
}

TEST_F(GeneratorReadings, WhereNoPassageAnswersTheReplySaysSo) {
  const auto generator = Make();
  GenerateRequest request = SickLeave();
  request.hits.erase(request.hits.begin() + 1);
  const Answer answer = Ask(*generator, request);
  EXPECT_TRUE(answer.abstained);
  EXPECT_EQ(answer.reason, "model_declined");
  EXPECT_EQ(answer.text, RefusalText(request.question));
  EXPECT_EQ(answer.readings.size(), 2u);
}

TEST_F(GeneratorReadings, ASecondQuestionReadsOnlyItself) {
  const auto generator = Make();
  const Answer first = Ask(*generator, SickLeave());
  EXPECT_FALSE(first.readings[0].kept);
  const size_t before = decoder_.tokens_read();
  const Answer second = Ask(*generator, SickLeave());
  EXPECT_EQ(second.text, first.text);
  EXPECT_TRUE(second.readings[0].kept);
  const size_t written = second.usage.completion_tokens + 1;  // and the end
  // Behind three passages, and once without one.
  EXPECT_LE(decoder_.tokens_read() - before, 4 * QuestionTokens() + 2 * written);
  EXPECT_EQ(second.usage.prompt_tokens, first.usage.prompt_tokens);
  EXPECT_EQ(second.usage.prompt_tokens - second.usage.cached_tokens, 4 * QuestionTokens());
}

TEST_F(GeneratorReadings, WhatWasReadAndWhatWasKeptIsCounted) {
  const auto generator = Make();
  const Answer first = Ask(*generator, SickLeave());
  EXPECT_EQ(first.rounds, 1);
  GeneratorCounts counts = generator->counts();
  EXPECT_EQ(counts.engine.passages_read, 3u);
  EXPECT_EQ(counts.engine.passages_from_memory, 0u);
  EXPECT_EQ(counts.engine.prompt_tokens_read + counts.engine.prompt_tokens_kept,
            first.usage.prompt_tokens);
  EXPECT_EQ(counts.engine.prompt_tokens_kept, first.usage.cached_tokens);
  EXPECT_EQ(counts.kept_blocks, 3u);
  EXPECT_GT(counts.kept_bytes, 0u);
  EXPECT_EQ(counts.kept_budget_bytes, 1u << 20);

  Ask(*generator, SickLeave());
  counts = generator->counts();
  EXPECT_EQ(counts.engine.passages_read, 3u);
  EXPECT_EQ(counts.engine.passages_from_memory, 3u);
  EXPECT_EQ(counts.rounds, 2u);
  EXPECT_EQ(counts.readings, 6u);
  EXPECT_EQ(counts.asked_alone, 2u);
  EXPECT_EQ(counts.ends[static_cast<size_t>(AnswerEnd::kAnswered)], 2u);
  // "14 days." twice; none of the tokens that ended it.
  EXPECT_EQ(counts.engine.answer_tokens, 16u);

  WarmRequest warm{.hits = {Passage(9, "Parking costs nothing.", 0)}, .collection = 1, .commit = 1};
  ASSERT_EQ(generator->Warm(warm, {}).value(), 1u);
  EXPECT_EQ(generator->counts().engine.passages_read_ahead, 1u);
  EXPECT_EQ(generator->counts().engine.passages_read, 3u);
}

TEST_F(GeneratorReadings, AbstentionsAreCountedByTheirReason) {
  const auto generator = Make({.kept_bytes = 1 << 20, .min_dense_score = .5});
  GenerateRequest request = SickLeave();
  request.hits.erase(request.hits.begin() + 1);
  EXPECT_EQ(Ask(*generator, request).reason, "model_declined");
  for (Hit& hit : request.hits) hit.dense_score = .1;
  EXPECT_EQ(Ask(*generator, request).reason, "irrelevant");
  request.hits.clear();
  EXPECT_EQ(Ask(*generator, request).reason, "no_passages");
  request.question = " ";
  EXPECT_FALSE(generator->Generate(request, {}, {}).ok());
  const GeneratorCounts counts = generator->counts();
  for (const AnswerEnd end : {AnswerEnd::kModelDeclined, AnswerEnd::kIrrelevant,
                              AnswerEnd::kNoPassages, AnswerEnd::kFailed}) {
    EXPECT_EQ(counts.ends[static_cast<size_t>(end)], 1u)
        << kAnswerEndNames[static_cast<size_t>(end)];
  }
  EXPECT_EQ(counts.ends[static_cast<size_t>(AnswerEnd::kAnswered)], 0u);
  EXPECT_EQ(counts.asked_alone, 1u);
  EXPECT_EQ(counts.asked_together, 0u);
}

TEST_F(GeneratorReadings, TheTraceSaysWhatWasReadForAQuestion) {
  const auto generator = Make();
  Trace trace("r");
  const auto answer = generator->Generate(SickLeave(), {}, Context().WithTrace(&trace));
  ASSERT_TRUE(answer.ok());
  std::map<std::string, int64_t> counts;
  for (const auto& [name, count] : trace.counts()) counts[name] = count;
  EXPECT_EQ(counts["readings"], 3);
  EXPECT_EQ(counts["rounds"], 1);
  EXPECT_EQ(counts["prompt_tokens"], static_cast<int64_t>(answer->usage.prompt_tokens));
  EXPECT_EQ(counts["cached_tokens"], static_cast<int64_t>(answer->usage.cached_tokens));
}

TEST_F(GeneratorReadings, PassagesWithoutACollectionAreNotKept) {
  const auto generator = Make();
  GenerateRequest request = SickLeave();
  request.collection = 0;
  Ask(*generator, request);
  EXPECT_FALSE(Ask(*generator, request).readings[0].kept);
}

TEST_F(GeneratorReadings, ADocumentThatChangedIsReadAnew) {
  const auto generator = Make();
  Ask(*generator, SickLeave());
  generator->Forget(1, "doc-2");
  const Answer answer = Ask(*generator, SickLeave());
  EXPECT_EQ(answer.text, "14 days.");
  EXPECT_EQ(answer.readings[0].passage_id, 2u);
  EXPECT_FALSE(answer.readings[0].kept);
  EXPECT_TRUE(answer.readings[1].kept);
}

TEST_F(GeneratorReadings, WeakPassagesAreReadOnlyWhereTheyAreKept) {
  const auto generator = Make({.kept_bytes = 1 << 20, .passage_gap = .07});
  const Answer cold = Ask(*generator, SickLeave());
  EXPECT_EQ(cold.readings.size(), 2u);
  ASSERT_EQ(cold.omitted.size(), 2u);
  EXPECT_EQ(cold.omitted[0].reason, "weaker");
  EXPECT_EQ(cold.omitted[0].passage_id, 3u);

  WarmRequest warm{.hits = {SickLeave().hits[2]}, .collection = 1, .commit = 1};
  EXPECT_EQ(generator->Warm(warm, {}).value(), 1u);
  EXPECT_EQ(generator->Warm(warm, {}).value(), 0u);
  EXPECT_EQ(Ask(*generator, SickLeave()).readings.size(), 3u);
}

TEST_F(GeneratorReadings, FurtherPassagesAreReadWhereTheFirstDoNotAnswer) {
  const auto generator = Make();
  GenerateRequest request = SickLeave();
  request.first_hits = 1;
  int further = 0;
  request.on_further = [&] { return ++further > 0; };
  const Answer answer = Ask(*generator, request);
  EXPECT_EQ(answer.text, "14 days.");
  EXPECT_EQ(answer.readings.size(), 3u);
  EXPECT_EQ(answer.considered, 3u);
  EXPECT_EQ(further, 1);
}

TEST_F(GeneratorReadings, FurtherPassagesAreLeftAloneWhereTheFirstAnswer) {
  const auto generator = Make();
  GenerateRequest request = SickLeave();
  request.first_hits = 2;
  request.on_further = [] { return false; };
  const Answer answer = Ask(*generator, request);
  EXPECT_EQ(answer.text, "14 days.");
  EXPECT_EQ(answer.readings.size(), 2u);
  EXPECT_EQ(answer.considered, 2u);
  ASSERT_EQ(answer.omitted.size(), 1u);
  EXPECT_EQ(answer.omitted[0].reason, "declined");
}

TEST_F(GeneratorReadings, AReceiverThatLeavesStopsTheFurtherReading) {
  const auto generator = Make();
  GenerateRequest request = SickLeave();
  request.first_hits = 1;
  request.on_further = [] { return false; };
  EXPECT_EQ(generator->Generate(request, {}, {}).status().code(), StatusCode::kCancelled);
}

TEST_F(GeneratorReadings, WeakPassagesAreReadBeforeTheReplySaysThatNothingAnswers) {
  const auto generator = Make({.kept_bytes = 1 << 20, .passage_gap = .01});
  const Answer answer = Ask(*generator, SickLeave());
  EXPECT_EQ(answer.text, "14 days.");
  EXPECT_EQ(answer.readings.size(), 3u);
}

TEST_F(GeneratorReadings, WhereTheModelDeclinesInWordsFurtherPassagesAreRead) {
  decoder_.Say("Annual leave", "The documents do not contain the answer.");
  const auto generator = Make({.kept_bytes = 1 << 20, .min_confidence = .4});
  GenerateRequest request = SickLeave();
  request.first_hits = 1;
  const Answer answer = Ask(*generator, request);
  EXPECT_EQ(answer.text, "14 days.");
  ASSERT_EQ(answer.citations.size(), 1u);
  EXPECT_EQ(answer.citations[0].passage_id, 2u);
}

TEST_F(GeneratorReadings, NothingAmongAllPassagesIsARefusalThatNamesThemAll) {
  const auto generator = Make();
  GenerateRequest request = SickLeave();
  request.hits.erase(request.hits.begin() + 1);
  request.first_hits = 1;
  const Answer answer = Ask(*generator, request);
  EXPECT_TRUE(answer.abstained);
  EXPECT_EQ(answer.reason, "model_declined");
  EXPECT_EQ(answer.readings.size(), 2u);
  EXPECT_EQ(answer.considered, 2u);
}

TEST_F(GeneratorReadings, ASecondPassageThatSaysTheSameAgrees) {
  decoder_.Say("Illness leave is 14 days", "14 days");
  const auto generator = Make();
  GenerateRequest request = SickLeave();
  request.hits.push_back(Passage(4, "Illness leave is 14 days.", .8));
  const Answer answer = Ask(*generator, request);
  EXPECT_EQ(answer.text, "14 days.");
  ASSERT_EQ(answer.others.size(), 1u);
  EXPECT_TRUE(answer.others[0].agrees);
  EXPECT_EQ(answer.others[0].document_id, "doc-4");
  EXPECT_GT(answer.confidence, .9);
}

TEST_F(GeneratorReadings, OfTwoThatDisagreeTheNewerIsTheAnswerAndBothAreShown) {
  decoder_.Say("Sick leave is 21 days", "21 days.");
  const auto generator = Make();
  GenerateRequest request = SickLeave();
  request.hits.push_back(Passage(4, "Sick leave is 21 days.", .8));
  request.hits[1].valid_from = "2023-01-01";
  request.hits[3].valid_from = "2024-01-01T00:00:00+02:00";
  for (const bool newer_first : {false, true}) {
    if (newer_first) std::swap(request.hits[1], request.hits[3]);
    const Answer answer = Ask(*generator, request);
    EXPECT_EQ(answer.text, "21 days.");
    ASSERT_EQ(answer.citations.size(), 1u);
    EXPECT_EQ(answer.citations[0].document_id, "doc-4");
    ASSERT_EQ(answer.others.size(), 1u);
    EXPECT_FALSE(answer.others[0].agrees);
    EXPECT_EQ(answer.others[0].text, "14 days.");
    EXPECT_EQ(answer.others[0].document_id, "doc-2");
    EXPECT_EQ(answer.others[0].valid_from, "2023-01-01");
  }
}

TEST_F(GeneratorReadings, APassageThatDeclinesHasNoSay) {
  const auto generator = Make();
  EXPECT_TRUE(Ask(*generator, SickLeave()).others.empty());
}

TEST_F(GeneratorReadings, ALongHistoryIsReadOnceBehindAllPassagesTogether) {
  const auto generator = Make();
  decoder_.Say("hello", "14 days.");
  GenerateRequest request = SickLeave();
  request.history = {{Role::kUser, "hello " + std::string(600, 'x')}, {Role::kAssistant, "hi"}};
  const Answer answer = Ask(*generator, request);
  EXPECT_TRUE(answer.readings.empty());
  EXPECT_LT(answer.usage.prompt_tokens, 2500u);
}

TEST_F(GeneratorReadings, AnAnswerOfAFormComesFromTheBestPassageOrNotAtAll) {
  const auto generator = Make();
  GenerateRequest request = SickLeave();
  request.form = {AnswerForm::Kind::kGrammar, "root ::= \"14 days.\" | \"25 days.\""};
  EXPECT_EQ(Ask(*generator, request).text, "14 days.");
  request.hits.erase(request.hits.begin() + 1);
  EXPECT_TRUE(Ask(*generator, request).abstained);
}

}  // namespace
}  // namespace vade
