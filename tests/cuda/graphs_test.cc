// Steps that are recorded once and launched again: the same bits as launched kernel by kernel,
// whatever changes between the steps, and kernel by kernel where nothing can be recorded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "model/cuda_backend.h"
#include "model/transformer.h"
#include "tests/model/transformer_fixture.h"
#include "tests/testing/cuda/memory.h"

namespace vade {
namespace {

using testing::Argmax;
using testing::LastLogits;
using testing::Must;
using testing::RandomTokens;
using testing::SameBits;
using testing::TinyModel;

constexpr uint64_t kBudget = 128ull << 20;

// A decoder on the device, and the counts of its backend.
struct Loaded {
  std::unique_ptr<Decoder> decoder;
  const CudaBackend* backend = nullptr;
  const GraphCounts& counts() const { return backend->graph_counts(); }
};

class CudaGraphs : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(testing::DeviceFaults(), "");
    ASSERT_TRUE(
        TinyModel({.architecture = "qwen2", .width = 128, .hidden = 128, .type = TensorType::kQ8_0})
            .Write(path_)
            .ok());
  }
  void TearDown() override { EXPECT_EQ(testing::DeviceFaults(), ""); }

  Loaded LoadOn(std::unique_ptr<kernels::cuda::Device> device, bool graphs) {
    DecoderOptions options = testing::SmallOptions(kernels::KvType::kQ8);
    options.kv_budget_bytes = 1 << 20;
    auto backend =
        Must(CudaBackend::Create(std::move(device), {.memory_bytes = kBudget, .graphs = graphs}));
    Loaded loaded;
    loaded.backend = backend.get();
    loaded.decoder = Must(LoadDecoderOn(std::move(backend), path_, options));
    return loaded;
  }
  Loaded Load(bool graphs = true) { return LoadOn(Must(testing::NewDevice()), graphs); }

  testing::TempDir dir_;
  std::string path_ = dir_.File("model.gguf");
};

// Reads one token after the other into both and compares the bits.
void ExpectSameAnswers(Decoder& a, Decoder& b, std::vector<int32_t> prompt, int tokens) {
  const auto on_a = Must(a.NewSequence()), on_b = Must(b.NewSequence());
  for (int i = 0; i < tokens; ++i) {
    const auto x = LastLogits(a, *on_a, prompt), y = LastLogits(b, *on_b, prompt);
    ASSERT_TRUE(SameBits(x, y)) << "token " << i;
    prompt = {Argmax(x)};
  }
}

// Over a border of pages and over one of splits, where a graph's lists grow.
TEST_F(CudaGraphs, RecordedStepsHaveTheBitsOfSingleLaunches) {
  const Loaded recorded = Load(), plain = Load(false);
  ExpectSameAnswers(*recorded.decoder, *plain.decoder, RandomTokens(245, 3), 24);
  EXPECT_EQ(plain.counts().recorded, 0u);
  EXPECT_GE(recorded.counts().recorded, 2u);
  EXPECT_LE(recorded.counts().recorded, 4u) << "a shape is recorded once";
  EXPECT_GE(recorded.counts().launched, 17u);
}

TEST_F(CudaGraphs, ASecondAnswerUsesTheGraphsOfTheFirst) {
  const Loaded recorded = Load(), plain = Load(false);
  ExpectSameAnswers(*recorded.decoder, *plain.decoder, RandomTokens(70, 4), 8);
  const uint64_t before = recorded.counts().recorded;
  ExpectSameAnswers(*recorded.decoder, *plain.decoder, RandomTokens(71, 5), 8);
  EXPECT_EQ(recorded.counts().recorded, before);
  EXPECT_EQ(recorded.counts().dropped, 0u);
}

TEST_F(CudaGraphs, BatchesAndGuessedTokensHaveGraphsOfTheirOwn) {
  const Loaded recorded = Load(), plain = Load(false);
  const auto read = [](Decoder& decoder) {
    std::vector<std::unique_ptr<Sequence>> sequences;
    std::vector<float> all;
    for (uint32_t i = 0; i < 3; ++i) {
      sequences.push_back(Must(decoder.NewSequence()));
      LastLogits(decoder, *sequences.back(), RandomTokens(10 + i, i));
    }
    for (uint32_t step = 0; step < 6; ++step) {  // 1 + 1 + 4 tokens, each row wanted
      std::vector<std::vector<int32_t>> tokens, wanted;
      for (uint32_t i = 0; i < 3; ++i) {
        tokens.push_back(RandomTokens(i == 2 ? 4 : 1, 100 + 10 * step + i));
        wanted.push_back(testing::AllOf(tokens.back().size()));
      }
      std::vector<ForwardItem> batch;
      for (size_t i = 0; i < 3; ++i)
        batch.push_back({sequences[i].get(), tokens[i], {}, wanted[i]});
      const Logits logits = Must(decoder.Forward(batch, Context()));
      all.insert(all.end(), logits.values.begin(), logits.values.end());
      EXPECT_TRUE(decoder.Truncate(*sequences[2], sequences[2]->length() - 2).ok());
    }
    return all;
  };
  EXPECT_TRUE(SameBits(read(*recorded.decoder), read(*plain.decoder)));
  EXPECT_GE(recorded.counts().launched, 3u);
}

// A longer prompt needs more scratch, which moves: what names the old one must go.
TEST_F(CudaGraphs, GraphsEndWithTheMemoryThatTheyName) {
  const Loaded recorded = Load(), plain = Load(false);
  ExpectSameAnswers(*recorded.decoder, *plain.decoder, RandomTokens(5, 6), 5);
  EXPECT_EQ(recorded.counts().dropped, 0u);
  const uint64_t recorded_before = recorded.counts().recorded;
  ExpectSameAnswers(*recorded.decoder, *plain.decoder, RandomTokens(200, 7), 2);
  EXPECT_GE(recorded.counts().dropped, 1u);
  ExpectSameAnswers(*recorded.decoder, *plain.decoder, RandomTokens(5, 6), 5);
  EXPECT_GT(recorded.counts().recorded, recorded_before);
}

// Rows that nobody wants stop before the last attention: not the launches of a step of as many rows
// that are all wanted.
TEST_F(CudaGraphs, StepsWithoutWantedRowsAreNotTakenForOthers) {
  const Loaded recorded = Load(), plain = Load(false);
  const auto read = [](Decoder& decoder) {
    const auto sequence = Must(decoder.NewSequence());
    std::vector<float> all;
    for (uint32_t i = 0; i < 9; ++i) {
      const auto token = RandomTokens(1, i);
      if (i % 3 == 2) {
        const ForwardItem item{sequence.get(), token};
        EXPECT_TRUE(decoder.Forward({&item, 1}, Context()).ok());
        continue;
      }
      const auto logits = LastLogits(decoder, *sequence, token);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  };
  EXPECT_TRUE(SameBits(read(*recorded.decoder), read(*plain.decoder)));
  EXPECT_GE(recorded.counts().launched, 3u);
}

// What is found of a row's logits is no part of the recorded step; it may grow the scratch that is.
TEST_F(CudaGraphs, TheBestOfRecordedStepsAreThoseOfSingleLaunches) {
  const Loaded recorded = Load(), plain = Load(false);
  const auto read = [](Decoder& decoder) {
    const auto sequence = Must(decoder.NewSequence());
    std::vector<BestLogits> all;
    std::vector<int32_t> tokens = RandomTokens(9, 1), apart;
    for (int step = 0; step < 12; ++step) {
      const std::vector<int32_t> wanted = {static_cast<int32_t>(tokens.size()) - 1};
      ForwardItem item{sequence.get(), tokens, {}, wanted};
      item.best = step % 3 == 0 ? 256 : 1;
      item.weights = step % 3 == 1;
      item.temperature = 0.7;
      item.apart = apart;
      const Logits logits = Must(decoder.Forward({&item, 1}, Context()));
      all.push_back(logits.best[0]);
      const std::vector<float> row = Must(decoder.WholeRow(logits.forward, 0));
      EXPECT_EQ(Must(decoder.RowPart(logits.forward, 0, 3, 9)),
                std::vector<float>(row.begin() + 3, row.begin() + 12));
      tokens = {all.back().best[0].first};
      apart.insert(std::ranges::upper_bound(apart, tokens[0]), tokens[0]);
    }
    return all;
  };
  const auto a = read(*recorded.decoder), b = read(*plain.decoder);
  for (size_t step = 0; step < a.size(); ++step) {
    EXPECT_EQ(a[step].best, b[step].best) << step;
    EXPECT_EQ(a[step].apart.size(), step);
    EXPECT_EQ(a[step].apart, b[step].apart) << step;
    EXPECT_EQ(a[step].weights, b[step].weights) << step;
    EXPECT_EQ(a[step].sum, b[step].sum) << step;
    EXPECT_EQ(a[step].tempered_sum, b[step].tempered_sum) << step;
  }
  EXPECT_GE(recorded.counts().launched, 6u);
}

TEST_F(CudaGraphs, AStepThatIsCancelledWhileItIsRecordedLeavesNothing) {
  const Loaded loaded = Load(), plain = Load(false);
  const auto sequence = Must(loaded.decoder->NewSequence());
  const auto token = RandomTokens(1, 1);
  LastLogits(*loaded.decoder, *sequence, token);
  const std::vector<int32_t> wanted = {0};
  const ForwardItem item{sequence.get(), token, {}, wanted};
  const auto past = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_EQ(loaded.decoder->Forward({&item, 1}, Context().WithDeadline(past)).status().code(),
            StatusCode::kDeadlineExceeded);
  EXPECT_EQ(loaded.counts().recorded, 0u);
  ExpectSameAnswers(*loaded.decoder, *plain.decoder, RandomTokens(1, 2), 4);
  EXPECT_GE(loaded.counts().launched, 1u);
}

}  // namespace
}  // namespace vade
