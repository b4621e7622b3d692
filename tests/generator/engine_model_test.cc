// A passage from memory, from its file and read anew, with a real model: the same bits, and those
// of reading the whole prompt at once, over pages of either kind of blocks.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/threads.h"
#include "generator/engine.h"
#include "tests/testing/model_files.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

constexpr char kModel[] = "smollm2-135m-instruct-q4_1.gguf";

class RealReadings : public ::testing::TestWithParam<kernels::KvType> {
 protected:
  void SetUp() override {
    const std::string path = testing::ModelPath(kModel);
    VADE_SKIP_IF_MISSING(path, kModel);
    decoder_ = Load(GetParam());
    ASSERT_NE(decoder_, nullptr);
    ASSERT_EQ(decoder_->info().kv_type, kernels::KvTypeName(GetParam()));
    auto files = BlockFiles::Open({.directory = dir_.path(), .min_free_bytes = 0});
    ASSERT_TRUE(files.ok());
    files_ = *std::move(files);
  }

  std::unique_ptr<Decoder> Load(kernels::KvType type) {
    auto decoder = LoadDecoder(
        testing::ModelPath(kModel),
        {.pool = &pool_, .context_tokens = 2048, .kv_type = type, .device = DeviceChoice::kCpu});
    EXPECT_TRUE(decoder.ok()) << decoder.status().message();
    return decoder.ok() ? *std::move(decoder) : nullptr;
  }
  Tokens Encode(std::string_view text) {
    return decoder_->tokenizer().Encode(text, Special::kText);
  }
  ReadJob Job() {
    ReadJob job;
    job.prefix = Encode("Answer the question with the shortest words from the document.\n\n");
    for (const char* text : {" Leave\nSick leave is 14 days a year, annual leave is 25 days.\n\n",
                             " The ferry\nThe ferry from Vellmouth takes three hours and ten "
                             "minutes; it leaves at nine on weekdays only.\n\n"}) {
      const Tokens block = Encode(text);
      const PassageId passage = job.blocks.size() + 1;
      job.blocks.push_back({{1, "doc", passage, BlockContent(job.prefix, block)}, block});
    }
    job.suffix = Encode("Question: How long does the ferry take?\nAnswer:");
    job.scored_begin = 2;
    job.scored_end = 9;
    job.asker.commit = 1;
    return job;
  }
  std::vector<std::unique_ptr<ReadBlock>> Read(Engine& engine, ReadJob job) {
    auto read = engine.Read(std::move(job));
    EXPECT_TRUE(read.ok()) << read.status().message();
    return read.ok() ? *std::move(read) : std::vector<std::unique_ptr<ReadBlock>>();
  }
  // Everything at once into a fresh sequence.
  std::vector<float> AtOnce(const ReadJob& job, size_t block) {
    Tokens all = job.prefix;
    all.insert(all.end(), job.blocks[block].tokens.begin(), job.blocks[block].tokens.end());
    all.insert(all.end(), job.suffix.begin(), job.suffix.end());
    auto sequence = decoder_->NewSequence();
    const auto last = static_cast<int32_t>(all.size()) - 1;
    ForwardItem item{sequence->get(), all};
    item.wanted = {&last, 1};
    auto logits = decoder_->Forward({&item, 1}, {});
    EXPECT_TRUE(logits.ok());
    return logits->values;
  }
  static bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }

  ThreadPool pool_{2};
  testing::TempDir dir_;
  std::unique_ptr<BlockFiles> files_;
  std::unique_ptr<Decoder> decoder_;
};

TEST_P(RealReadings, MemoryFileAndReadingAnewGiveTheBitsOfThePromptReadAtOnce) {
  const EngineOptions options{.kept_bytes = 64 << 20,
                              .block_files = files_.get(),
                              .turns_kept_for = std::chrono::milliseconds(0)};
  std::vector<std::vector<float>> expected;
  for (size_t block : {0, 1}) expected.push_back(AtOnce(Job(), block));
  std::vector<double> scores;
  {
    Engine engine(decoder_.get(), options);
    for (const bool warm : {false, true}) {
      const auto read = Read(engine, Job());
      ASSERT_EQ(read.size(), 2u);
      for (size_t i : {0, 1}) {
        EXPECT_TRUE(SameBits(read[i]->logits, expected[i])) << "block " << i << " warm " << warm;
        if (!warm) scores.push_back(read[i]->scored_log_probability);
        EXPECT_EQ(read[i]->scored_log_probability, scores[i]);
        EXPECT_EQ(read[i]->cached_tokens >= read[i]->prompt_tokens - Job().suffix.size(), warm);
      }
    }
  }
  EXPECT_GT(scores[1], scores[0]) << "the question is likelier behind what it asks about";
  EXPECT_EQ(files_->files(), 3u);

  Engine engine(decoder_.get(), options);
  ReadJob job = Job();
  auto load = [&](const BlockKey& key, size_t tokens) {
    auto saved = engine.kept_blocks().Load(key, static_cast<int>(tokens));
    EXPECT_TRUE(saved.has_value());
    return std::make_shared<const std::string>(saved.value_or(""));
  };
  job.saved_prefix = load(KeptBlocks::PrefixKey(job.blocks[0].key.content[0]), job.prefix.size());
  for (BlockToRead& block : job.blocks) block.saved = load(block.key, block.tokens.size());
  const auto read = Read(engine, std::move(job));
  for (size_t i : {0, 1}) {
    EXPECT_TRUE(SameBits(read[i]->logits, expected[i])) << "block " << i << " from its file";
    EXPECT_EQ(read[i]->scored_log_probability, scores[i]);
  }
}

TEST_P(RealReadings, ANextTurnHasTheBitsOfItsPromptReadAtOnce) {
  Engine engine(decoder_.get(), {.guessed_tokens = 8, .kept_bytes = 64 << 20});
  auto read = Read(engine, Job());
  ASSERT_EQ(read.size(), 2u);
  ReadJob next = Job();
  EngineJob from;
  from.from = std::move(read[1]);
  from.sampling.max_tokens = 24;
  auto stream = engine.Start(std::move(from));
  ASSERT_TRUE(stream.ok());
  size_t answered = 0;
  for (;; ++answered) {  // written one by one and guessed, kept all the same
    auto token = (*stream)->Next();
    ASSERT_TRUE(token.ok());
    if (!*token) break;
    next.suffix.push_back((*token)->id);
  }
  ASSERT_GT(answered, 2u);
  const Tokens more = Encode("\nQuestion: And on which days does it leave?\nAnswer:");
  next.scored_begin = next.suffix.size() + 2;
  next.suffix.insert(next.suffix.end(), more.begin(), more.end());
  next.scored_end = next.suffix.size() - 3;

  Engine anew(decoder_.get(), {});
  const auto expected = Read(anew, next);
  const auto second = Read(engine, next);
  for (size_t i : {0, 1}) {
    EXPECT_TRUE(SameBits(second[i]->logits, expected[i]->logits)) << "block " << i;
    EXPECT_TRUE(SameBits(second[i]->logits, AtOnce(next, i))) << "block " << i;
    EXPECT_EQ(second[i]->scored_log_probability, expected[i]->scored_log_probability);
  }
  const size_t asked = Job().suffix.size(), all = next.suffix.size();
  EXPECT_EQ(second[0]->prompt_tokens - second[0]->cached_tokens, all - asked);
  // The last token of an answer that was cut has not been read.
  EXPECT_LE(second[1]->prompt_tokens - second[1]->cached_tokens, all - asked - answered + 1);
}

TEST_P(RealReadings, AnAnswerFromAReadingIsThatOfItsPromptReadAlone) {
  Engine engine(decoder_.get(), {.guessed_tokens = 8, .kept_bytes = 64 << 20});
  auto tokens_of = [&](EngineJob job) {
    job.sampling.max_tokens = 16;
    auto stream = engine.Start(std::move(job));
    EXPECT_TRUE(stream.ok());
    Tokens tokens;
    for (;;) {
      auto token = (*stream)->Next();
      if (!token.ok() || !*token) return tokens;
      tokens.push_back((*token)->id);
    }
  };
  auto read = Read(engine, Job());
  for (size_t i : {1, 0}) {
    EngineJob plain;
    plain.prefix = Job().prefix;
    plain.rest = Job().blocks[i].tokens;
    const Tokens suffix = Job().suffix;
    plain.rest.insert(plain.rest.end(), suffix.begin(), suffix.end());
    EngineJob from;
    from.from = std::move(read[i]);
    EXPECT_EQ(tokens_of(std::move(from)), tokens_of(std::move(plain))) << "block " << i;
  }
}

TEST_P(RealReadings, WhatWasKeptOfOtherPagesIsNotTaken) {
  const EngineOptions options{.kept_bytes = 64 << 20, .block_files = files_.get()};
  const BlockKey key = Job().blocks[0].key;
  {
    Engine engine(decoder_.get(), options);
    ASSERT_EQ(Read(engine, Job()).size(), 2u);
  }
  EXPECT_TRUE(Engine(decoder_.get(), options).kept_blocks().Has(key));
  const bool eight = GetParam() == kernels::KvType::kQ8;
  const auto other = Load(eight ? kernels::KvType::kQ4 : kernels::KvType::kQ8);
  ASSERT_NE(other, nullptr);
  EXPECT_FALSE(Engine(other.get(), options).kept_blocks().Has(key));
}

INSTANTIATE_TEST_SUITE_P(Pages, RealReadings,
                         ::testing::Values(kernels::KvType::kQ8, kernels::KvType::kQ4),
                         [](const auto& test) { return std::string(KvTypeName(test.param)); });

}  // namespace
}  // namespace vade
