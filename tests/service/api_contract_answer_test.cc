// What an Api promises of answers: of their events, their form, and how they are stopped.
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "base/strings.h"
#include "base/trace.h"
#include "tests/service/api_contract.h"

namespace vade {
namespace {

using testing::AskEndlessly;
using testing::kLeaveText;
using testing::kQuayText;
using testing::MakeAsk;
using testing::MakePut;
using testing::Pace;
using testing::Side;

class AnswerContract : public testing::ApiContract {};

INSTANTIATE_TEST_SUITE_P(Sides, AnswerContract, ::testing::Values(Side::kLocal, Side::kRemote),
                         testing::SideName);

TEST_P(AnswerContract, AnAnswerIsStreamedAndThenWhole) {
  Put("leave.md", kLeaveText);
  Trace trace("req-2");
  std::string streamed;
  std::vector<Citation> cited;
  size_t retrieved_events = 0;
  AskObserver observer;
  observer.on_retrieved = [&](const Retrieved& found) {
    ++retrieved_events;
    EXPECT_TRUE(streamed.empty()) << "the passages come before the words";
    EXPECT_EQ(found.hits.at(0).passage.document_id, "leave.md");
    return true;
  };
  observer.on_event = [&](const GenerateEvent& event) {
    if (event.kind == GenerateEvent::Kind::kToken) {
      streamed += event.text;
    } else {
      cited.push_back(event.citation);
    }
    return true;
  };
  const auto reply =
      api().Ask(MakeAsk("How much paid leave is there?"), observer, ctx_.WithTrace(&trace));
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_EQ(retrieved_events, 1u);
  EXPECT_EQ(reply->answer.text, "Everyone has thirty days of paid leave a year.");
  EXPECT_EQ(streamed, reply->answer.text);
  EXPECT_FALSE(reply->answer.abstained);
  EXPECT_EQ(reply->retrieved.hits.size(), 1u);
  EXPECT_EQ(reply->retrieved.commit, fake_.store->commit_number());
  ASSERT_EQ(reply->answer.citations.size(), 1u);
  ASSERT_EQ(cited.size(), 1u);
  const Citation& citation = reply->answer.citations[0];
  EXPECT_EQ(citation.document_id, "leave.md");
  EXPECT_EQ(citation.quote,
            std::string(kLeaveText)
                .substr(citation.source_begin, citation.source_end - citation.source_begin));
  EXPECT_EQ(cited[0].quote, citation.quote);
  EXPECT_EQ(cited[0].source_begin, citation.source_begin);
  EXPECT_GT(reply->answer.usage.prompt_tokens, 0u);
  EXPECT_EQ(reply->answer.usage.completion_tokens > 0, true);
  std::set<std::string> stages;
  for (const auto& [stage, ms] : trace.times_ms()) stages.insert(stage);
  for (const char* stage : {"embed", "search", "prefill", "first_token", "total"}) {
    EXPECT_TRUE(stages.count(stage)) << stage;
  }
}

// Of every way in, what is said of an answer is what the decoder did for it.
TEST_P(AnswerContract, UsageSaysWhatWasReadAndWhatWasKept) {
  Put("leave.md", kLeaveText);
  for (const bool again : {false, true}) {
    const EngineCounts before = fake_.local->Counts().generator.engine;
    const auto reply = api().Ask(MakeAsk("How much paid leave is there?"), {}, ctx_);
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    const EngineCounts after = fake_.local->Counts().generator.engine;
    const Usage& usage = reply->answer.usage;
    EXPECT_EQ(usage.cached_tokens, after.prompt_tokens_kept - before.prompt_tokens_kept);
    EXPECT_EQ(usage.prompt_tokens - usage.cached_tokens,
              after.prompt_tokens_read - before.prompt_tokens_read);
    EXPECT_EQ(reply->answer.rounds, 1);
    ASSERT_EQ(reply->answer.readings.size(), 1u);
    EXPECT_EQ(reply->answer.readings[0].kept, again);
    EXPECT_EQ(after.passages_from_memory - before.passages_from_memory, again ? 1u : 0u);
    EXPECT_EQ(after.passages_read - before.passages_read, again ? 0u : 1u);
  }
}

TEST_P(AnswerContract, AnAnswerHasTheFormThatIsAskedFor) {
  Put("leave.md", kLeaveText);
  AskRequest ask = MakeAsk("How much paid leave is there?");
  ask.form = {AnswerForm::Kind::kJsonSchema, R"({"enum": ["thirty days", [1]]})"};
  auto reply = api().Ask(ask, {}, ctx_);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_EQ(reply->answer.text, R"("thirty days")");
  ask.form = {AnswerForm::Kind::kGrammar, R"(root ::= "Every" [a-z]+ " has")"};
  reply = api().Ask(ask, {}, ctx_);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_EQ(reply->answer.text, "Everyone has");
  ask.form = {AnswerForm::Kind::kJson};
  reply = api().Ask(ask, {}, ctx_);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_EQ(reply->answer.text.find("Everyone"), std::string::npos);

  ask.strict = true;
  EXPECT_EQ(api().Ask(ask, {}, ctx_).status().code(), StatusCode::kInvalidArgument);
  ask.strict = false;
  ask.form = {AnswerForm::Kind::kJsonSchema, R"({"type": "object", "patternProperties": {}})"};
  const Status unknown = api().Ask(ask, {}, ctx_).status();
  EXPECT_EQ(unknown.code(), StatusCode::kUnimplemented) << unknown.ToString();
  EXPECT_NE(unknown.message().find("patternProperties"), std::string::npos) << unknown.ToString();
  ask.form = {AnswerForm::Kind::kGrammar, std::string(70000, 'x')};
  EXPECT_EQ(api().Ask(ask, {}, ctx_).status().code(), StatusCode::kInvalidArgument);
}

// The decoder's word has a logit of 10, every other one 0.
TEST_P(AnswerContract, BiasAndPenaltiesChangeWhatIsSaid) {
  Put("leave.md", kLeaveText);
  AskRequest ask = MakeAsk("How much paid leave is there?");
  ask.sampling.logit_bias = {{'D', 1}, {'d', -100}};
  auto reply = api().Ask(ask, {}, ctx_);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_EQ(reply->answer.text, "Everyone has thirty Days of paiD leave a year.");

  ask.sampling.logit_bias = {{'x', 5}};
  ask.sampling.repetition_penalty = 10;  // the second e: 10 / 10 against 5
  reply = api().Ask(ask, {}, ctx_);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_EQ(reply->answer.text.substr(0, 12), "Everyonx has");

  ask.sampling.repetition_penalty = 1;
  ask.sampling.presence_penalty = 2;
  ask.sampling.frequency_penalty = 2;  // the second e: 10 - 2 - 2 against 8.5
  ask.sampling.logit_bias = {{'x', 8.5}};
  reply = api().Ask(ask, {}, ctx_);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_EQ(reply->answer.text.substr(0, 12), "Everyonx has");

  ask.sampling.logit_bias = {{1'000'000, 1}};
  const Status status = api().Ask(ask, {}, ctx_).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
  EXPECT_NE(status.message().find("logit_bias names token 1000000"), std::string::npos);
}

TEST_P(AnswerContract, EarlierTurnsAndTheCallersSystemReachTheModel) {
  Put("leave.md", kLeaveText);
  AskRequest ask = MakeAsk("And how is paid leave asked for?");
  ask.history = {{Role::kUser, "Good morning, Ada."}, {Role::kAssistant, "Good morning, Grace."}};
  ask.system = "Answer like a harbour master.";
  const auto reply = api().Ask(ask, {}, ctx_);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  const std::string prompt = fake_.decoder->last_prompt();
  EXPECT_NE(prompt.find("Good morning, Ada."), std::string::npos) << prompt;
  EXPECT_NE(prompt.find("Good morning, Grace."), std::string::npos);
  EXPECT_NE(prompt.find("harbour master"), std::string::npos);
}

TEST_P(AnswerContract, AFollowUpIsSearchedForTogetherWithTheQuestionsBeforeIt) {
  Put("leave.md", kLeaveText);
  Put("quay.md", kQuayText);
  AskRequest ask = MakeAsk("And how many days at all?");
  ask.query.k = 1;
  const auto best = [&] {
    const auto reply = api().Ask(ask, {}, ctx_);
    EXPECT_TRUE(reply.ok()) << reply.status().ToString();
    return reply.ok() && !reply->retrieved.hits.empty()
               ? reply->retrieved.hits[0].passage.document_id
               : "";
  };
  for (const bool about_the_quay : {true, false}) {
    const std::string before = about_the_quay ? "Are helmets worn on the quay?"
                                              : "Has everyone thirty days of paid leave?";
    ask.history = {{Role::kUser, before}, {Role::kAssistant, "Yes."}};
    ask.search_as_asked = false;
    EXPECT_EQ(best(), about_the_quay ? "quay.md" : "leave.md");
  }
  const std::string together = best();
  ask.search_as_asked = true;
  const std::string alone = best();
  ask.history.clear();
  ask.search_as_asked = false;
  EXPECT_EQ(best(), alone);
  EXPECT_EQ(together, "leave.md");
}

TEST_P(AnswerContract, AnEmptyCollectionAbstains) {
  ASSERT_TRUE(api().CreateCollection("default", ctx_).ok());
  const auto reply = api().Ask(MakeAsk("Is there paid leave?"), {}, ctx_);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_TRUE(reply->answer.abstained);
  EXPECT_EQ(reply->answer.reason, "no_passages");
  EXPECT_FALSE(reply->answer.text.empty());
  EXPECT_TRUE(reply->retrieved.hits.empty());
}

TEST_P(AnswerContract, AnObserverThatSaysNoStopsTheWork) {
  Put("leave.md", kLeaveText);
  const Pace pace(fake_.decoder, std::chrono::milliseconds(10));
  AskObserver observer;
  int tokens = 0;
  observer.on_event = [&](const GenerateEvent&) { return ++tokens < 3; };
  const auto reply = api().Ask(AskEndlessly(), observer, ctx_);
  EXPECT_EQ(reply.status().code(), StatusCode::kCancelled) << reply.status().ToString();
  EXPECT_EQ(tokens, 3);
  EXPECT_TRUE(pace.Ceases()) << "the decoder still works for nobody";
}

TEST_P(AnswerContract, AnObserverMayStopAtThePassages) {
  Put("leave.md", kLeaveText);
  const Pace pace(fake_.decoder, std::chrono::milliseconds(10));
  AskObserver observer;
  observer.on_retrieved = [](const Retrieved&) { return false; };
  const auto reply = api().Ask(AskEndlessly(), observer, ctx_);
  EXPECT_EQ(reply.status().code(), StatusCode::kCancelled) << reply.status().ToString();
  EXPECT_TRUE(pace.Ceases());
}

TEST_P(AnswerContract, CancellationStopsWithinAStep) {
  Put("leave.md", kLeaveText);
  const Pace pace(fake_.decoder, std::chrono::milliseconds(10));
  CancelSource cancel;
  AskObserver observer;
  observer.on_event = [&](const GenerateEvent&) {
    cancel.Cancel();
    return true;
  };
  const auto reply = api().Ask(AskEndlessly(), observer, ctx_.WithCancel(cancel.token()));
  EXPECT_EQ(reply.status().code(), StatusCode::kCancelled) << reply.status().ToString();
  EXPECT_TRUE(pace.Ceases());
}

TEST_P(AnswerContract, CancellationIsHeardBeforeTheFirstWord) {
  Put("leave.md", kLeaveText);
  const Pace pace(fake_.decoder, std::chrono::milliseconds(100));
  CancelSource cancel;
  std::thread hurry([&] {
    EXPECT_TRUE(pace.AwaitSteps(1));
    cancel.Cancel();
  });
  const auto reply = api().Ask(AskEndlessly(), {}, ctx_.WithCancel(cancel.token()));
  hurry.join();
  EXPECT_EQ(reply.status().code(), StatusCode::kCancelled) << reply.status().ToString();
  EXPECT_TRUE(pace.Ceases());
}

TEST_P(AnswerContract, ADeadlineStopsWithinAStep) {
  Put("leave.md", kLeaveText);
  const Pace pace(fake_.decoder, std::chrono::milliseconds(10));
  const auto reply =
      api().Ask(AskEndlessly(), {}, ctx_.WithTimeout(std::chrono::milliseconds(500)));
  EXPECT_EQ(reply.status().code(), StatusCode::kDeadlineExceeded) << reply.status().ToString();
  EXPECT_TRUE(pace.Ceases());
}

TEST_P(AnswerContract, WhatIsNotWantedAnyMoreIsNotBegun) {
  Put("a", "text");
  CancelSource cancel;
  cancel.Cancel();
  const Context gone = ctx_.WithCancel(cancel.token());
  const uint64_t before = fake_.store->commit_number();
  EXPECT_EQ(api().Search({.question = "q"}, gone).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(api().PutDocument("default", MakePut("b", "text"), gone).status().code(),
            StatusCode::kCancelled);
  EXPECT_EQ(api().DeleteDocuments("default", {"a"}, gone).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(api().ListCollections(gone).status().code(), StatusCode::kCancelled);
  const Context late = ctx_.WithTimeout(std::chrono::nanoseconds(0));
  EXPECT_EQ(api().Search({.question = "q"}, late).status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(fake_.store->commit_number(), before);
}

TEST_P(AnswerContract, TheStoresFailureComesWithItsCode) {
  Put("a", "text");
  fake_.store->FailNext("search", DataLoss("segment 3 is damaged; run vade verify --repair"));
  const Status status = api().Search({.question = "q"}, ctx_).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("segment 3 is damaged"), std::string::npos) << status.ToString();
}

}  // namespace
}  // namespace vade
