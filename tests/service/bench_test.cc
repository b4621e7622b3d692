// That the benches run what they say and come out with sane numbers. How fast anything is is not a
// test's matter.
#include "service/bench.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/scripted_decoder.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::ScriptedDecoder;
using testing::TempDir;

TEST(BenchPrefill, ReadsThePromptInOneForwardAndWarmsUpOnce) {
  ScriptedDecoder decoder;
  const auto bench = BenchPrefill(&decoder, 128, 3, {});
  ASSERT_TRUE(bench.ok()) << bench.status().ToString();
  EXPECT_GT(bench->tokens_per_second, 0);
  EXPECT_LT(bench->bandwidth_share, 0);  // not measured
  const auto batches = decoder.batches();
  ASSERT_EQ(batches.size(), 4u);
  for (const auto& batch : batches) {
    ASSERT_EQ(batch.tokens.size(), 1u);
    EXPECT_EQ(batch.tokens[0].size(), 128u);
    EXPECT_EQ(batch.rows, 1u);
  }
  EXPECT_EQ(decoder.sequences_alive(), 0);
}

TEST(BenchDecode, WritesOneTokenAtATimeBehindTheDepth) {
  ScriptedDecoder decoder;
  ThreadPool pool(2);
  const auto bench = BenchDecode(&decoder, &pool, 5, 10, 1, {});
  ASSERT_TRUE(bench.ok()) << bench.status().ToString();
  EXPECT_GT(bench->tokens_per_second, 0);
  EXPECT_GT(bench->read_bytes_per_second, 0);
  EXPECT_GE(bench->bandwidth_share, 0);
  const auto batches = decoder.batches();
  ASSERT_EQ(batches.size(), 6u);
  EXPECT_EQ(batches[0].tokens[0].size(), 11u);
  for (size_t i = 1; i < batches.size(); ++i) EXPECT_EQ(batches[i].tokens[0].size(), 1u);
}

TEST(BenchDecoder, TokensAreOfTheVocabulary) {
  ScriptedDecoder decoder;
  ASSERT_TRUE(BenchPrefill(&decoder, 1000, 1, {}).ok());
  const auto batches = decoder.batches();
  for (int32_t id : batches[0].tokens[0]) {
    ASSERT_GE(id, 0);
    ASSERT_LT(id, decoder.info().vocab_size);
  }
}

TEST(BenchDecoder, WhatDoesNotFitTheContextIsRefused) {
  ScriptedDecoder decoder({}, 100);
  ThreadPool pool(1);
  EXPECT_EQ(BenchPrefill(&decoder, 101, 1, {}).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(BenchDecode(&decoder, &pool, 50, 50, 1, {}).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(BenchPrefill(&decoder, 0, 1, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(BenchPrefill(&decoder, 1, 0, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(decoder.batches().empty());
}

TEST(BenchDecoder, AnInterruptionEndsIt) {
  ScriptedDecoder decoder;
  CancelSource cancel;
  cancel.Cancel();
  EXPECT_EQ(BenchPrefill(&decoder, 8, 1, Context().WithCancel(cancel.token())).status().code(),
            StatusCode::kCancelled);
}

TEST(BenchEmbed, TextsHaveAboutTheLengthAskedFor) {
  HashingEmbedder embedder(16, 512);
  const auto bench = BenchEmbed(&embedder, 40, 4, 2, {});
  ASSERT_TRUE(bench.ok()) << bench.status().ToString();
  EXPECT_NEAR(bench->tokens_per_second / bench->passages_per_second, 38, 4);
}

TEST(BenchEmbed, ATextIsNeverEmptyNorLongerThanTheEmbedderReads) {
  HashingEmbedder embedder(16, 64);
  const auto bench = BenchEmbed(&embedder, 1, 2, 1, {});
  ASSERT_TRUE(bench.ok());
  EXPECT_GT(bench->tokens_per_second, 0);
  EXPECT_EQ(BenchEmbed(&embedder, 65, 2, 1, {}).status().code(), StatusCode::kOutOfRange);
  EXPECT_EQ(BenchEmbed(&embedder, 10, 0, 1, {}).status().code(), StatusCode::kInvalidArgument);
}

class SearchBenchTest : public ::testing::Test {
 protected:
  SearchBenchTest() {
    options_.vectors = 1500;
    options_.dimension = 32;
    options_.queries = 50;
    options_.repeat = 1;
    options_.directory = dir_.File("store");
  }
  TempDir dir_;
  SearchBenchOptions options_;
};

TEST_F(SearchBenchTest, AScanFindsAllButWhatTheCodesLose) {
  options_.hnsw = false;
  const auto bench = BenchSearch(options_, {});
  ASSERT_TRUE(bench.ok()) << bench.status().ToString();
  EXPECT_GT(bench->recall_at_10, 0.95);
  EXPECT_LE(bench->recall_at_10, 1);
  EXPECT_GT(bench->queries_per_second, 0);
  EXPECT_GT(bench->bytes_per_vector, 32);  // a code of a byte a dimension, and its passage
  EXPECT_FALSE(IsDirectory(options_.directory));
}

TEST_F(SearchBenchTest, AWalkFindsMoreWithMoreCandidates) {
  options_.ef = 10;
  const auto few = BenchSearch(options_, {});
  ASSERT_TRUE(few.ok()) << few.status().ToString();
  options_.ef = 200;
  const auto many = BenchSearch(options_, {});
  ASSERT_TRUE(many.ok()) << many.status().ToString();
  EXPECT_GE(many->recall_at_10, few->recall_at_10);
  EXPECT_GT(many->recall_at_10, 0.95);
}

TEST_F(SearchBenchTest, TooFewVectorsAreRefusedAndTheFolderGoesToo) {
  ASSERT_TRUE(MakeDirectories(options_.directory).ok());
  options_.vectors = 99;
  EXPECT_EQ(BenchSearch(options_, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(IsDirectory(options_.directory));
}

}  // namespace
}  // namespace vade
