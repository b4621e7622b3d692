// Questions come before ingestion.
#include "service/query_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/testing/hashing_embedder.h"

namespace vade {
namespace {

// Keeps the sizes of the calls that reach it.
class CountingEmbedder : public HashingEmbedder {
 public:
  Result<std::vector<float>> Embed(std::span<const std::string_view> texts, EmbedRole role,
                                   const Context& ctx) override {
    largest = std::max(largest.load(), texts.size());
    ++calls;
    return HashingEmbedder::Embed(texts, role, ctx);
  }
  std::atomic<size_t> largest{0}, calls{0};
};

const std::vector<std::string_view> kTexts(16, "some words");

TEST(Politeness, WithoutQuestionsABatchGoesThroughWhole) {
  CountingEmbedder embedder;
  const QueryGate gate;
  PoliteEmbedder polite(&embedder, &gate);
  ASSERT_TRUE(polite.Embed(kTexts, EmbedRole::kPassage, {}).ok());
  EXPECT_EQ(embedder.calls, 1u);
}

TEST(Politeness, AfterAQuestionBatchesGoInPiecesAndGiveTheSame) {
  CountingEmbedder embedder;
  QueryGate gate;
  { const QueryGate::Query question(&gate); }
  PoliteEmbedder polite(&embedder, &gate);
  const auto pieces = polite.Embed(kTexts, EmbedRole::kPassage, {});
  ASSERT_TRUE(pieces.ok());
  EXPECT_LE(embedder.largest, 2u);
  EXPECT_EQ(*pieces, *embedder.Embed(kTexts, EmbedRole::kPassage, {}));
}

TEST(Politeness, APassageWaitsForTheQuestionsAtWorkAndAQuestionForNone) {
  CountingEmbedder embedder;
  QueryGate gate;
  PoliteEmbedder polite(&embedder, &gate);
  std::atomic<bool> asked{false};
  std::thread ingesting;
  {
    const QueryGate::Query question(&gate);
    ASSERT_TRUE(polite.Embed(kTexts, EmbedRole::kQuery, {}).ok());
    asked = true;
    ingesting = std::thread([&] {
      gate.AwaitNone(std::chrono::seconds(60));
      EXPECT_FALSE(asked) << "the question has ended by then";
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    asked = false;
  }
  ingesting.join();
}

TEST(Politeness, QuestionsWithoutEndDoNotStopIt) {
  CountingEmbedder embedder;
  QueryGate gate;
  PoliteEmbedder polite(&embedder, &gate);
  const QueryGate::Query endless(&gate);
  EXPECT_TRUE(polite.Embed(std::span(kTexts).first(4), EmbedRole::kPassage, {}).ok());
  EXPECT_EQ(embedder.calls, 2u);
}

}  // namespace
}  // namespace vade
