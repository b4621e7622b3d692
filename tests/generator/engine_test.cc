#include "generator/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <condition_variable>
#include <thread>

#include "tests/generator/engine_jobs.h"

namespace vade {
namespace {

using testing::ByteTokenizer;
using testing::ScriptedDecoder;

// Holds the decoder inside Forward until the test opens it.
class Gate {
 public:
  Status Pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_ || passes_ > 0; });
    if (!open_) --passes_;
    return OkStatus();
  }
  void WaitForArrivals(int n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= n; });
  }
  void LetPass(int n) {
    Change([&] { passes_ += n; });
  }
  void Open() {
    Change([&] { open_ = true; });
  }

 private:
  template <typename F>
  void Change(F change) {
    std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0, passes_ = 0;
  bool open_ = false;
};

class Engines : public EngineJobs {
 protected:
  EngineJob Job(const std::string& prompt, int max_tokens = 64, Context ctx = {}) {
    return EngineJobs::Job(prompt, {.max_tokens = max_tokens}, std::move(ctx));
  }
};

TEST_F(Engines, GiveTheTokensOfTheDecoder) {
  decoder_.Say("how long", "14 days");
  Engine engine(&decoder_, {});
  EXPECT_EQ(Ask(engine, Job("how long")), "14 days");
  EXPECT_EQ(Ask(engine, Job("unknown to the script")), "");
}

TEST_F(Engines, EndAtMaxTokensAndSaySo) {
  decoder_.Say("how long", "14 days");
  Engine engine(&decoder_, {});
  auto stream = engine.Start(Job("how long", 4));
  ASSERT_TRUE(stream.ok());
  EXPECT_EQ(Read(**stream), "14 d");
  EXPECT_EQ((*stream)->facts().cause, StopCause::kMaxTokens);
  stream = engine.Start(Job("how long", 8));
  EXPECT_EQ(Read(**stream), "14 days");
  EXPECT_EQ((*stream)->facts().cause, StopCause::kEnd);
}

TEST_F(Engines, ReadPromptsInPiecesAndThePrefixOnce) {
  decoder_.Say("how long", "ok");
  Engine engine(&decoder_, {.prefill_tokens = 16});
  auto first = engine.Start(Job("how long " + std::string(100, 'x')));
  EXPECT_EQ(Read(**first), "ok");
  EXPECT_EQ((*first)->facts().cached_tokens, 0u);
  const size_t before = decoder_.batches().size();
  for (const auto& batch : decoder_.batches()) {
    for (const auto& tokens : batch.tokens) EXPECT_LE(tokens.size(), 16u);
  }
  auto second = engine.Start(Job("how long"));
  EXPECT_EQ(Read(**second), "ok");
  EXPECT_EQ((*second)->facts().cached_tokens, 17u);
  size_t read = 0;
  const auto batches = decoder_.batches();
  for (size_t i = before; i < batches.size(); ++i) read += batches[i].tokens[0].size();
  EXPECT_EQ(read, Job("how long").rest.size() + 2);
}

TEST_F(Engines, KeepOnlyAFewPrefixes) {
  decoder_.Say("how long", "ok");
  Engine engine(&decoder_, {.kept_prefixes = 2});
  auto cached = [&](const std::string& prefix) {
    EngineJob job = Job("how long");
    job.prefix = decoder_.tokenizer().Encode(prefix, Special::kText);
    auto stream = engine.Start(std::move(job));
    EXPECT_EQ(Read(**stream), "ok");
    return (*stream)->facts().cached_tokens;
  };
  EXPECT_EQ(cached("aa"), 0u);
  EXPECT_EQ(cached("bb"), 0u);
  EXPECT_EQ(cached("aa"), 2u);
  EXPECT_EQ(cached("cc"), 0u);  // bb goes
  EXPECT_EQ(cached("aa"), 2u);
  EXPECT_EQ(cached("bb"), 0u);
}

TEST_F(Engines, ABatchGivesWhatEachGivesAlone) {
  std::vector<std::string> prompts, expected;
  for (int i = 0; i < 12; ++i) {
    prompts.push_back("<question " + std::to_string(i) + ">" + std::string(i * 37, 'x'));
    expected.push_back("answer " + std::to_string(i) + std::string(i * 5, '.'));
    decoder_.Say("<question " + std::to_string(i) + ">", expected.back());
  }
  Gate gate;
  decoder_.BeforeForward([&](auto) { return gate.Pass(); });
  Engine engine(&decoder_, {.max_active = 5, .max_waiting = 20, .prefill_tokens = 32});
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (const std::string& prompt : prompts) {
    auto stream = engine.Start(Job(prompt, 200));
    ASSERT_TRUE(stream.ok());
    streams.push_back(std::move(*stream));
  }
  gate.Open();
  for (size_t i = 0; i < streams.size(); ++i) EXPECT_EQ(Read(*streams[i]), expected[i]);
  size_t widest = 0;
  for (const auto& batch : decoder_.batches()) widest = std::max(widest, batch.tokens.size());
  EXPECT_GT(widest, 2u);
  EXPECT_LE(widest, 5u);
}

TEST_F(Engines, SampledAnswersDoNotDependOnTheBatchEither) {
  decoder_.SetLogits([](const std::vector<int32_t>& sequence, std::span<float> logits) {
    uint64_t hash = 1469598103934665603u;
    for (int32_t id : sequence) hash = (hash ^ static_cast<uint64_t>(id)) * 1099511628211u;
    for (size_t i = 0; i < logits.size(); ++i)
      logits[i] = static_cast<float>((hash >> (i % 50)) % 7);
  });
  auto job = [&](int i) {
    EngineJob made = Job("prompt " + std::to_string(i), 20);
    made.sampling.temperature = 1;
    made.sampling.seed = i;
    return made;
  };
  std::vector<std::string> alone;
  {
    Engine engine(&decoder_, {.max_active = 1});
    for (int i = 0; i < 6; ++i) alone.push_back(Ask(engine, job(i)));
  }
  Engine engine(&decoder_, {.max_active = 6});
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (int i = 0; i < 6; ++i) streams.push_back(*engine.Start(job(i)));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(Read(*streams[i]), alone[i]) << i;
}

// An answer that quotes its prompt takes fewer steps, and is the same.
TEST_F(Engines, WhatStandsInThePromptIsReadSeveralTokensAtATime) {
  const std::string quotation = "the boiler is serviced in the second week of March";
  decoder_.Say("how long", quotation + ", they say.");
  const std::string prompt = "how long? " + quotation + " every year";
  Engine plain(&decoder_, {});
  EXPECT_EQ(Ask(plain, Job(prompt)), quotation + ", they say.");
  const size_t plain_steps = decoder_.batches().size();
  Engine guessing(&decoder_, {.guessed_tokens = 8});
  auto stream = guessing.Start(Job(prompt));
  EXPECT_EQ(Read(**stream), quotation + ", they say.");
  const size_t steps = decoder_.batches().size() - plain_steps;
  EXPECT_LT(steps * 2, plain_steps);
  EXPECT_GT((*stream)->facts().held_tokens, quotation.size() / 2);
  EXPECT_LE((*stream)->facts().held_tokens, (*stream)->facts().guessed_tokens);
}

TEST_F(Engines, GuessesChangeNoTokenOfAnyAnswer) {
  // Logits that depend on all that was read, over few ids, so that guesses hold now and then.
  decoder_.SetLogits([](const std::vector<int32_t>& sequence, std::span<float> logits) {
    uint64_t hash = 1469598103934665603u;
    for (size_t i = sequence.size() - 3; i < sequence.size(); ++i)
      hash = (hash ^ static_cast<uint64_t>(sequence[i])) * 1099511628211u;
    hash ^= sequence.size() % 7 == 0;
    for (size_t i = 'a'; i < 'e'; ++i) logits[i] = 8 + static_cast<float>((hash >> (i % 16)) % 5);
    if (sequence.size() % 97 == 0) logits[ByteTokenizer::kImEnd] = 30;
  });
  auto job = [&](int i, double temperature) {
    EngineJob made = Job("abacadabcd prompt " + std::string(i, 'a'), 40 + i);
    made.sampling.temperature = temperature;
    made.sampling.seed = i;
    return made;
  };
  for (double temperature : {0.0, 0.5}) {
    std::vector<std::string> expected;
    Engine plain(&decoder_, {.max_active = 1});
    for (int i = 0; i < 8; ++i) expected.push_back(Ask(plain, job(i, temperature)));
    Engine guessing(&decoder_, {.max_active = 5, .guessed_tokens = 6});
    std::vector<std::unique_ptr<TokenStream>> streams;
    for (int i = 0; i < 8; ++i) streams.push_back(*guessing.Start(job(i, temperature)));
    uint64_t held = 0, guessed = 0;
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(Read(*streams[i]), expected[i]) << i << " at " << temperature;
      held += streams[i]->facts().held_tokens;
      guessed += streams[i]->facts().guessed_tokens;
    }
    EXPECT_GT(held, 0u);
    EXPECT_LT(held, guessed);
  }
  EXPECT_EQ(decoder_.sequences_alive(), 0);
}

TEST_F(Engines, AGuessNeitherPassesMaxTokensNorTheContext) {
  decoder_.Say("abcabcabc", "abcabcabcabcabc");
  Engine engine(&decoder_, {.guessed_tokens = 8});
  EXPECT_EQ(Ask(engine, Job("abcabcabc", 5)), "abcab");
  ScriptedDecoder small({}, 64);
  small.Say("abcabcabc", std::string(100, 'a'));
  Engine tight(&small, {.guessed_tokens = 8});
  EngineJob job = Job("abcabcabc", 100);
  const size_t room = 64 - job.prefix.size() - job.rest.size();
  auto stream = tight.Start(std::move(job));
  std::string text;
  for (;;) {
    auto token = (*stream)->Next();
    if (!token.ok()) {
      EXPECT_EQ(token.status().code(), StatusCode::kOutOfRange);
      break;
    }
    ASSERT_TRUE(token->has_value());
    text += small.tokenizer().Piece((*token)->id);
  }
  EXPECT_EQ(text.size(), room + 1);  // the last one needs not be read
}

TEST_F(Engines, WithoutAPageForAGuessTheAnswerGoesOnWithoutIt) {
  decoder_.Say("abcabc", "abcabcabc");
  EngineJob job = Job("abcabc");
  // Room for the prompt, its kept prefix and the answer, and for no token more.
  decoder_.LimitPages(static_cast<int>(job.prefix.size() * 2 + job.rest.size() + 9));
  Engine engine(&decoder_, {.guessed_tokens = 8});
  EXPECT_EQ(Ask(engine, std::move(job)), "abcabcabc");
}

TEST_F(Engines, AFullQueueRefusesWithAHintWhenToRetry) {
  decoder_.Say("how long", "ok");
  Gate gate;
  decoder_.BeforeForward([&](auto) { return gate.Pass(); });
  Engine engine(&decoder_, {.max_active = 1, .max_waiting = 2});
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(*engine.Start(Job("how long")));
  auto refused = engine.Start(Job("how long"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_NE(refused.status().message().find("retry in about"), std::string::npos);
  gate.Open();
  for (auto& stream : streams) EXPECT_EQ(Read(*stream), "ok");
  EXPECT_EQ(Ask(engine, Job("how long")), "ok");
}

TEST_F(Engines, ACancelledAnswerEndsWithinOneStep) {
  decoder_.Say("how long", std::string(1000, 'x'));
  Gate gate;
  decoder_.BeforeForward([&](auto) { return gate.Pass(); });
  Engine engine(&decoder_, {});
  CancelSource cancel;
  auto stream = engine.Start(Job("how long", 2000, Context().WithCancel(cancel.token())));
  gate.LetPass(3);
  gate.WaitForArrivals(4);  // the fourth step is under way
  cancel.Cancel();
  gate.Open();
  EXPECT_EQ(Read(**stream), "CANCELLED");
  EXPECT_EQ(decoder_.batches().size(), 4u);
}

TEST_F(Engines, AWaitingAnswerIsCancelledWithoutBeingAdmitted) {
  decoder_.Say("first", std::string(50, 'x'));
  Gate gate;
  decoder_.BeforeForward([&](auto) { return gate.Pass(); });
  Engine engine(&decoder_, {.max_active = 1});
  auto first = engine.Start(Job("first"));
  gate.WaitForArrivals(1);
  CancelSource cancel;
  auto second = engine.Start(Job("second", 64, Context().WithCancel(cancel.token())));
  cancel.Cancel();
  gate.LetPass(1);
  EXPECT_EQ(Read(**second), "CANCELLED");
  gate.Open();
  EXPECT_EQ(Read(**first), std::string(50, 'x'));
}

TEST_F(Engines, ADeadlineEndsAnAnswer) {
  decoder_.Say("how long", std::string(100000, 'x'));
  decoder_.BeforeForward([&](auto) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return OkStatus();
  });
  Engine engine(&decoder_, {});
  EXPECT_EQ(
      Ask(engine, Job("how long", 8000, Context().WithTimeout(std::chrono::milliseconds(30)))),
      "DEADLINE_EXCEEDED");
  EXPECT_EQ(Ask(engine, Job("how long", 5, Context().WithTimeout(std::chrono::seconds(-1)))),
            "DEADLINE_EXCEEDED");
}

TEST_F(Engines, AReaderThatLeavesFreesItsPlace) {
  decoder_.Say("endless", std::string(100000, 'x'));
  decoder_.Say("short", "ok");
  Engine engine(&decoder_, {.max_active = 1});
  auto stream = engine.Start(Job("endless", 8000));
  ASSERT_TRUE((*stream)->Next().ok());
  stream->reset();
  EXPECT_EQ(Ask(engine, Job("short")), "ok");
}

TEST_F(Engines, ShutdownEndsActiveAndWaitingAnswers) {
  decoder_.Say("endless", std::string(100000, 'x'));
  std::vector<std::unique_ptr<TokenStream>> streams;
  {
    Engine engine(&decoder_, {.max_active = 2, .max_waiting = 8});
    for (int i = 0; i < 6; ++i) streams.push_back(*engine.Start(Job("endless", 8000)));
    ASSERT_TRUE(streams[0]->Next().ok());
  }
  for (auto& stream : streams) EXPECT_EQ(Read(*stream), "UNAVAILABLE");
  EXPECT_EQ(decoder_.sequences_alive(), 0);
}

TEST_F(Engines, WhenPagesRunOutTheNewestWaitsAndComesOutTheSame) {
  std::vector<std::string> expected;
  for (int i = 0; i < 6; ++i) {
    expected.push_back("answer " + std::to_string(i) + std::string(40, 'a' + i));
    decoder_.Say("<question " + std::to_string(i) + ">", expected.back());
  }
  decoder_.LimitPages(260);  // an answer needs about 90
  Engine engine(&decoder_, {.max_active = 6});
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (int i = 0; i < 6; ++i)
    streams.push_back(*engine.Start(Job("<question " + std::to_string(i) + ">", 100)));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(Read(*streams[i]), expected[i]);
}

TEST_F(Engines, AnAnswerThatDoesNotFitAloneFailsAndTheNextWorks) {
  decoder_.Say("how long", "ok");
  decoder_.LimitPages(100);
  Engine engine(&decoder_, {});
  EXPECT_EQ(Ask(engine, Job("how long " + std::string(500, 'x'))), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(Ask(engine, Job("how long")), "ok");
}

TEST_F(Engines, LogitsThatAreNoNumbersFailTheirAnswerOnly) {
  decoder_.Say("good", "fine");
  decoder_.SetLogits([&](const std::vector<int32_t>& sequence, std::span<float> logits) {
    if (decoder_.bytes().Show(sequence).find("bad") != std::string::npos) logits[3] = std::nanf("");
  });
  Engine engine(&decoder_, {});
  auto bad = engine.Start(Job("bad"));
  auto good = engine.Start(Job("good"));
  EXPECT_EQ(Read(**bad), "INTERNAL");
  EXPECT_EQ(Read(**good), "fine");
}

TEST_F(Engines, AnErrorOfTheDecoderEndsOnlyTheAnswerAtFault) {
  decoder_.Say("good", "fine");
  decoder_.BeforeForward([&](std::span<const ForwardItem> batch) {
    for (const ForwardItem& item : batch) {
      if (std::count(item.tokens.begin(), item.tokens.end(), 'B') > 0)
        return DataLoss("a bad page");
    }
    return OkStatus();
  });
  Engine engine(&decoder_, {});
  auto bad = engine.Start(Job("BAD"));
  auto good = engine.Start(Job("good"));
  EXPECT_EQ(Read(**bad), "DATA_LOSS");
  EXPECT_EQ(Read(**good), "fine");
}

// A batch that fails is repeated one by one; when there is no page for the first of them alone, the
// newest is set aside in the middle of that.
TEST_F(Engines, AnAnswerThatIsSetAsideWhileABatchIsRepeatedComesOutTheSame) {
  std::vector<std::string> expected;
  for (int i = 0; i < 4; ++i) {
    expected.push_back(std::string(static_cast<size_t>(i) + 1, static_cast<char>('a' + i)));
    decoder_.Say("<question " + std::to_string(i) + ">", expected.back());
  }
  Gate gate;
  std::atomic<bool> repeating{false}, lost{false};
  std::atomic<int> full{0};
  decoder_.BeforeForward([&](std::span<const ForwardItem> batch) {
    EXPECT_TRUE(gate.Pass().ok());
    for (const ForwardItem& item : batch) {
      if (item.sequence != nullptr) continue;
      lost = true;
      return Internal("an answer without its sequence");
    }
    if (batch.size() > 1) {
      if (!repeating.exchange(true)) full = 2;  // of the answers that are repeated now
      return DataLoss("not together");
    }
    return repeating && full-- > 0 ? ResourceExhausted("no page is left") : OkStatus();
  });
  Engine engine(&decoder_, {.max_active = 4, .kept_prefixes = 0});
  std::vector<std::unique_ptr<TokenStream>> streams;
  for (int i = 0; i < 4; ++i)
    streams.push_back(*engine.Start(Job("<question " + std::to_string(i) + ">")));
  gate.Open();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Read(*streams[i]), expected[i]) << i;
  EXPECT_TRUE(repeating);
  EXPECT_FALSE(lost);
}

TEST_F(Engines, ReportTheProbabilityOfWatchedFirstTokens) {
  decoder_.Say("how long", "N");
  Engine engine(&decoder_, {});
  EngineJob job = Job("how long");
  job.watched = {'N'};
  auto stream = engine.Start(std::move(job));
  Read(**stream);
  const double expected = std::exp(10.0) / (std::exp(10.0) + decoder_.tokenizer().vocab_size() - 1);
  EXPECT_NEAR((*stream)->facts().watched_probability, expected, 1e-6);
}

TEST_F(Engines, ManyThreadsMayAskAtOnce) {
  for (int i = 0; i < 8; ++i)
    decoder_.Say("<" + std::to_string(i) + ">", "answer " + std::to_string(i));
  Engine engine(&decoder_, {.max_active = 3, .max_waiting = 100});
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 5; ++k) {
        right += Ask(engine, Job("<" + std::to_string(i) + ">")) == "answer " + std::to_string(i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 40);
}

}  // namespace
}  // namespace vade
