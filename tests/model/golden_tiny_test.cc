// Float32 networks against reference logits: the whole prompt, one token at a time, and on a
// backend whose memory cannot be touched between operations.
#include <gtest/gtest.h>

#include "base/threads.h"
#include "model/cpu_backend.h"
#include "model/transformer.h"
#include "tests/testing/golden.h"
#include "tests/testing/guarded_backend.h"

namespace vade {
namespace {

using testing::GoldenPath;

constexpr float kLimit = 1e-3f;  // of the reference data's README, for float32 in any order

class GoldenTiny : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    model_ = GoldenPath(std::string("tiny/") + GetParam() + "/model.gguf");
    VADE_SKIP_IF_MISSING(model_, "the reference data of the tiny models");
    case_ = testing::ReadJson(File("case.json"));
    last_ = testing::ReadFloats(File("logits_last.f32"));
    p17_ = testing::ReadFloats(File("logits_p17.f32"));
    vocab_ = case_["n_vocab"];
  }
  std::string File(const std::string& name) const {
    return GoldenPath(std::string("tiny/") + GetParam() + "/" + name);
  }
  std::unique_ptr<Decoder> Load(std::unique_ptr<Backend> backend) const {
    return testing::Must(
        LoadDecoderOn(std::move(backend), model_, testing::SmallOptions(kernels::KvType::kF32)));
  }
  std::span<const float> LastOf(size_t prompt) const {
    return std::span(last_).subspan(prompt * vocab_, vocab_);
  }

  // Every number and every greedy token of the case.
  void ExpectTheCase(Decoder& decoder) const {
    for (size_t i = 0; i < case_["prompts"].size(); ++i) {
      const auto& prompt = case_["prompts"][i];
      const auto tokens = testing::Tokens(prompt["tokens"]);
      const auto sequence = testing::Must(decoder.NewSequence());
      const auto wanted = testing::AllOf(tokens.size());
      const Logits logits = testing::Must(testing::Read(decoder, *sequence, tokens, wanted));
      EXPECT_LT(testing::LargestDifference(logits.row(tokens.size() - 1), LastOf(i)), kLimit);
      if (tokens.size() == 17) {
        EXPECT_LT(testing::LargestDifference(logits.values, p17_), kLimit);
      }
      const auto fresh = testing::Must(decoder.NewSequence());
      EXPECT_EQ(testing::Greedy(decoder, *fresh, tokens, prompt["greedy"].size()),
                testing::Tokens(prompt["greedy"]));
    }
  }

  std::string model_;
  nlohmann::json case_;
  std::vector<float> last_, p17_;
  size_t vocab_ = 0;
};

TEST_P(GoldenTiny, WholePromptsAndGreedyContinuationsAreTheReference) {
  ExpectTheCase(*Load(std::make_unique<CpuBackend>(nullptr)));
}

TEST_P(GoldenTiny, ThreadsChangeNothing) {
  ThreadPool pool(2);
  ExpectTheCase(*Load(std::make_unique<CpuBackend>(&pool)));
}

TEST_P(GoldenTiny, EveryLevelOfKernelsGivesTheReference) {
  for (auto level : kernels::kAllLevels) {
    if (!kernels::LevelSupported(level)) continue;
    SCOPED_TRACE(kernels::LevelName(level));
    const kernels::ScopedLevel forced(level);
    ExpectTheCase(*Load(std::make_unique<CpuBackend>(nullptr)));
  }
}

TEST_P(GoldenTiny, OneTokenAtATimeGivesTheSameLogits) {
  const auto decoder = Load(std::make_unique<CpuBackend>(nullptr));
  for (size_t i = 0; i < case_["prompts"].size(); ++i) {
    const auto sequence = testing::Must(decoder->NewSequence());
    std::vector<float> logits;
    for (int32_t token : testing::Tokens(case_["prompts"][i]["tokens"])) {
      logits = testing::LastLogits(*decoder, *sequence, {&token, 1});
    }
    EXPECT_LT(testing::LargestDifference(logits, LastOf(i)), kLimit);
  }
}

TEST_P(GoldenTiny, BuffersAreNeverTouchedOutsideOperations) {
  ThreadPool pool(2);
  auto backend = std::make_unique<GuardedBackend>(&pool);
  const GuardedBackend* guarded = backend.get();
  const auto decoder = Load(std::move(backend));
  ExpectTheCase(*decoder);
  const auto sequence = testing::Must(decoder->NewSequence());
  const std::vector<int32_t> tokens(40, 1);
  testing::LastLogits(*decoder, *sequence, tokens);
  const auto fork = testing::Must(decoder->Fork(*sequence, 35));  // copies a page
  testing::LastLogits(*decoder, *fork, {tokens.data(), 1});
  std::vector<uint8_t> saved(decoder->SavedBytes(33));
  ASSERT_TRUE(decoder->Save(*sequence, 5, 38, saved).ok());
  ASSERT_TRUE(decoder->Append(*fork, saved, 33).ok());
  testing::LastLogits(*decoder, *fork, {tokens.data(), 1});
  EXPECT_GT(guarded->operations(), 100);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenTiny,
                         ::testing::Values("llama_untied", "llama_tied", "qwen2"));

}  // namespace
}  // namespace vade
