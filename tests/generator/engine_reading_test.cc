// Passages that are each asked alone, and what is kept of them.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "generator/engine.h"
#include "tests/generator/engine_jobs.h"
#include "tests/testing/scripted_decoder.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::ByteTokenizer;
using testing::ScriptedDecoder;

constexpr char kPrefix[] = "the shared prefix:";
constexpr char kQuestion[] = " how long?";
constexpr std::chrono::milliseconds kNoTurns{0};

class EngineReadings : public EngineJobs {
 protected:
  EngineReadings() {
    decoder_.Say("lease", "14 days");
    decoder_.Say("ferry", "None");
    decoder_.Say("logger", "nine days");
  }

  Tokens Encode(const std::string& text) {
    return decoder_.tokenizer().Encode(text, Special::kText);
  }
  Tokens Suffix() {
    Tokens suffix = Encode(kQuestion);
    suffix.push_back(ByteTokenizer::kImStart);
    for (int32_t id : Encode("assistant\n")) suffix.push_back(id);
    return suffix;
  }
  BlockToRead Block(const std::string& text, PassageId passage) {
    const Tokens tokens = Encode(text);
    return {{1, "doc.md", passage, BlockContent(Encode(kPrefix), tokens)}, tokens};
  }
  ReadJob Job(const std::vector<std::string>& texts) {
    ReadJob job;
    job.prefix = Encode(kPrefix);
    for (const std::string& text : texts) job.blocks.push_back(Block(text, job.blocks.size() + 1));
    job.suffix = Suffix();
    job.watched = Encode("N");
    job.asker.commit = 1;
    return job;
  }
};

TEST_F(EngineReadings, EachPassageIsAskedAloneAndAnAnswerGoesOnFromOne) {
  Engine engine(&decoder_, {});
  auto read = engine.Read(Job({"the lease.", "the ferry.", "the logger."}));
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_EQ(read->size(), 3u);
  EXPECT_LT((*read)[0]->watched_probability, 0.01);
  EXPECT_GT((*read)[1]->watched_probability, 0.9);
  EXPECT_LT((*read)[2]->watched_probability, 0.01);
  EXPECT_EQ(decoder_.bytes().Show((*read)[1]->tokens),
            "the shared prefix:the ferry. how long?<|im_start|>assistant\n");
  EXPECT_EQ(AnswerFrom(engine, std::move((*read)[2])), "nine days");
  EXPECT_EQ(AnswerFrom(engine, std::move((*read)[0])), "14 days");
}

TEST_F(EngineReadings, WhatWasReadIsNotReadAgain) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20, .turns_kept_for = kNoTurns});
  auto first = engine.Read(Job({"the lease.", "the ferry."}));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ((*first)[1]->cached_tokens, sizeof(kPrefix) - 1) << "the prefix, read for the first";
  const size_t before = decoder_.tokens_read();
  auto second = engine.Read(Job({"the lease.", "the ferry."}));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(decoder_.tokens_read() - before, 2 * Suffix().size());
  EXPECT_EQ((*second)[0]->logits, (*first)[0]->logits);
  EXPECT_EQ((*second)[0]->cached_tokens, sizeof(kPrefix) - 1 + 10);
  EXPECT_EQ(AnswerFrom(engine, std::move((*second)[0])), "14 days");
}

TEST_F(EngineReadings, NothingIsKeptWithoutABudget) {
  Engine engine(&decoder_, {});
  ASSERT_TRUE(engine.Read(Job({"the lease."})).ok());
  const size_t before = decoder_.tokens_read();
  ASSERT_TRUE(engine.Read(Job({"the lease."})).ok());
  EXPECT_EQ(decoder_.tokens_read() - before, 10 + Suffix().size());
  EXPECT_EQ(engine.kept_blocks().blocks(), 0u);
}

TEST_F(EngineReadings, TheNextProcessGoesOnFromFiles) {
  testing::TempDir dir;
  auto files = BlockFiles::Open({.directory = dir.path(), .min_free_bytes = 0}).value();
  const EngineOptions options{.kept_bytes = 1 << 20, .block_files = files.get()};
  { ASSERT_TRUE(Engine(&decoder_, options).Read(Job({"the lease.", "the ferry."})).ok()); }
  EXPECT_EQ(files->files(), 3u) << "two blocks and the prefix";

  Engine engine(&decoder_, options);
  ReadJob job = Job({"the lease.", "the ferry."});
  auto load = [&](const BlockKey& key, size_t tokens) {
    auto saved = engine.kept_blocks().Load(key, static_cast<int>(tokens));
    EXPECT_TRUE(saved.has_value());
    return std::make_shared<const std::string>(saved.value_or(""));
  };
  for (BlockToRead& block : job.blocks) block.saved = load(block.key, block.tokens.size());
  job.saved_prefix = load(KeptBlocks::PrefixKey(job.blocks[0].key.content[0]), job.prefix.size());
  const size_t before = decoder_.tokens_read();
  auto read = engine.Read(std::move(job));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(decoder_.tokens_read() - before, 2 * Suffix().size());
  EXPECT_GT((*read)[1]->watched_probability, 0.9);
  EXPECT_EQ(AnswerFrom(engine, std::move((*read)[0])), "14 days");
}

TEST_F(EngineReadings, AScoreDoesNotDependOnWhatElseIsRead) {
  // A token is as probable as the place it stands at, so that a place that is left out shows.
  decoder_.SetScores([](const std::vector<int32_t>& sequence, int32_t next) {
    return -static_cast<float>(sequence.size() * 1000 + static_cast<size_t>(next));
  });
  auto score = [&](Engine& engine, const std::string& text) {
    ReadJob job = Job({text});
    job.scored_begin = 1;
    job.scored_end = 9;
    auto read = engine.Read(std::move(job));
    EXPECT_TRUE(read.ok());
    return read.ok() ? (*read)[0]->scored_log_probability : 0.0;
  };
  const std::string text = "the lease.";
  double expected = 0;
  const std::string all = std::string(kPrefix) + text + kQuestion;
  for (size_t i = all.size() - 9; i < all.size() - 1; ++i)
    expected -= static_cast<double>(i * 1000 + static_cast<size_t>(all[i]));
  for (int prefill : {9, 10, 12, 17, 256}) {
    Engine engine(&decoder_, {.prefill_tokens = prefill});
    EXPECT_EQ(score(engine, text), expected) << prefill;
  }
}

TEST_F(EngineReadings, SavedBytesThatDoNotFitAreReadAnew) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  ReadJob job = Job({"the lease."});
  job.blocks[0].saved = std::make_shared<const std::string>("torn");
  auto read = engine.Read(std::move(job));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(AnswerFrom(engine, std::move((*read)[0])), "14 days");
}

TEST_F(EngineReadings, WhatWasForgottenIsReadAgain) {
  auto files = BlockFiles::Open({}).value();
  Engine engine(&decoder_, {.kept_bytes = 1 << 20, .block_files = files.get()});
  ASSERT_TRUE(engine.Read(Job({"the lease.", "the ferry."})).ok());
  EXPECT_EQ(engine.kept_blocks().blocks(), 2u);
  ASSERT_TRUE(files->Forget({1, "doc.md", 2}).ok());
  engine.kept_blocks().Forget(1, "doc.md");
  EXPECT_EQ(engine.kept_blocks().blocks(), 0u);
  // A question whose view is older than the delete must not bring the text back.
  ASSERT_TRUE(engine.Read(Job({"the lease.", "the ferry."})).ok());
  EXPECT_EQ(engine.kept_blocks().blocks(), 0u);
}

TEST_F(EngineReadings, TheBudgetInMemoryHolds) {
  Engine engine(&decoder_, {.kept_bytes = 40 * decoder_.info().kv_bytes_per_token});
  std::vector<std::string> texts;
  for (int i = 0; i < 20; ++i) texts.push_back("lease " + std::to_string(i));
  ASSERT_TRUE(engine.Read(Job(texts)).ok());
  EXPECT_LE(engine.kept_blocks().bytes(), 40 * decoder_.info().kv_bytes_per_token);
  EXPECT_GE(engine.kept_blocks().blocks(), 4u);
}

TEST_F(EngineReadings, TwoQuestionsReadACommonPassageOnce) {
  Engine engine(&decoder_, {.prefill_tokens = 8, .kept_bytes = 1 << 20});
  const std::string text = "the lease " + std::string(200, 'x');
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      auto read = engine.Read(Job({text}));
      ASSERT_TRUE(read.ok());
      EXPECT_EQ(AnswerFrom(engine, std::move((*read)[0])), "14 days");
    });
  }
  for (std::thread& thread : threads) thread.join();
  const size_t once = sizeof(kPrefix) - 1 + text.size(), answers = 4 * sizeof("14 days");
  EXPECT_LE(decoder_.tokens_read(), once + 4 * Suffix().size() + answers);
}

TEST_F(EngineReadings, ACancelledReadingEndsAndGivesItsPagesBack) {
  {
    Engine engine(&decoder_, {.prefill_tokens = 4});
    CancelSource cancel;
    decoder_.BeforeForward([&](std::span<const ForwardItem>) {
      cancel.Cancel();
      return OkStatus();
    });
    ReadJob job = Job({"the lease.", "the ferry."});
    job.ctx = Context().WithCancel(cancel.token());
    const auto read = engine.Read(std::move(job));
    EXPECT_EQ(read.status().code(), StatusCode::kCancelled);
  }
  EXPECT_EQ(decoder_.sequences_alive(), 0);
}

TEST_F(EngineReadings, KeptBlocksGiveWayToAnswers) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  decoder_.LimitPages(400);
  for (int i = 0; i < 10; ++i) {
    auto read = engine.Read(Job({"the lease " + std::to_string(i), "the ferry."}));
    ASSERT_TRUE(read.ok()) << i << ": " << read.status().message();
    EXPECT_EQ(AnswerFrom(engine, std::move((*read)[0])), "14 days");
  }
}

TEST_F(EngineReadings, WhatDoesNotFitEvenAloneIsRefused) {
  Engine engine(&decoder_, {.kept_bytes = 1 << 20});
  decoder_.LimitPages(100);
  const auto read = engine.Read(Job({std::string(200, 'x')}));
  EXPECT_EQ(read.status().code(), StatusCode::kResourceExhausted);
}

TEST_F(EngineReadings, ACallerWhoHoldsPagesIsWaitedForAndThenServedFirst) {
  Engine engine(&decoder_, {});
  decoder_.LimitPages(160);
  auto held = engine.Read(Job({"the lease " + std::string(40, 'x')}));  // 90 of the pages
  ASSERT_TRUE(held.ok());
  std::thread other([&] {
    auto read = engine.Read(Job({"the logger " + std::string(40, 'x')}));
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(AnswerFrom(engine, std::move((*read)[0])), "nine days");
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(AnswerFrom(engine, std::move((*held)[0])), "14 days");
  other.join();
}

TEST_F(EngineReadings, AnAnswerThatGoesOnIsNeverRefusedItsPlace) {
  Engine engine(&decoder_, {.max_active = 1, .max_waiting = 0});
  auto first = engine.Read(Job({"the lease."}));
  auto second = engine.Read(Job({"the logger."}));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(AnswerFrom(engine, std::move((*first)[0])), "14 days");
  EXPECT_EQ(AnswerFrom(engine, std::move((*second)[0])), "nine days");
}

}  // namespace
}  // namespace vade
