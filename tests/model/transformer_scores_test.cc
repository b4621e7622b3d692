// Log probabilities of tokens that are read: what they are, and that nothing else shows in them.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/model/transformer_fixture.h"

namespace vade {
namespace {

using testing::Must;
using testing::RandomTokens;
using testing::SameBits;
using testing::TransformerTest;

TEST_F(TransformerTest, ScoresAreTheLogProbabilitiesOfTheTokensThatFollow) {
  ThreadPool pool(2);
  const auto decoder = Load({}, &pool);
  const auto tokens = RandomTokens(90, 21);
  const auto sequence = Must(decoder->NewSequence()), plain = Must(decoder->NewSequence());
  const std::vector<int32_t> scored = {0, 3, 63, 64, 88}, wanted = {3, 89};
  ForwardItem item{sequence.get(), tokens};
  item.wanted = wanted;
  item.scored = scored;
  const Logits got = Must(decoder->Forward({&item, 1}, {}));
  ASSERT_EQ(got.scores.size(), scored.size());

  std::vector<int32_t> all(tokens.size());
  std::iota(all.begin(), all.end(), 0);
  const Logits rows = Must(testing::Read(*decoder, *plain, tokens, all));
  for (size_t i = 0; i < scored.size(); ++i) {
    const auto expected = testing::LogSoftmax(rows.row(scored[i]));
    EXPECT_NEAR(got.scores[i], expected[tokens[scored[i] + 1]], 1e-4) << scored[i];
  }
  EXPECT_TRUE(SameBits(got.row(0), rows.row(3)));
  EXPECT_TRUE(SameBits(got.row(1), rows.row(89)));
}

TEST_F(TransformerTest, AScoreIsTheSameWhateverElseIsInTheBatch) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(40, 22), others = RandomTokens(600, 23);
  const std::vector<int32_t> scored = {5, 20, 38}, more = {1, 500};
  auto scores = [&](bool together) {
    const auto sequence = Must(decoder->NewSequence()), other = Must(decoder->NewSequence());
    std::vector<ForwardItem> items(2);
    items[0] = {.sequence = other.get(), .tokens = others};
    items[0].scored = more;
    items[1] = {.sequence = sequence.get(), .tokens = tokens};
    items[1].scored = scored;
    const auto batch = together ? std::span(items) : std::span(items).subspan(1);
    auto all = Must(decoder->Forward(batch, {})).scores;
    return std::vector<float>(all.end() - 3, all.end());
  };
  EXPECT_TRUE(SameBits(scores(true), scores(false)));
}

TEST_F(TransformerTest, ScoredRowsNeedATokenBehindThem) {
  const auto decoder = Load();
  const auto tokens = RandomTokens(10, 24);
  const auto sequence = Must(decoder->NewSequence());
  for (const std::vector<int32_t>& scored : {std::vector<int32_t>{9}, {-1}, {4, 4}, {5, 3}}) {
    ForwardItem item{sequence.get(), tokens};
    item.scored = scored;
    EXPECT_EQ(decoder->Forward({&item, 1}, {}).status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(sequence->length(), 0);
  }
}

}  // namespace
}  // namespace vade
