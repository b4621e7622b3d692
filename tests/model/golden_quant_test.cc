// Quantised networks against the logits of their exact weights: how far rounded activations may
// move the distributions is what the reference data suggests; scalar and vector kernels are both
// held to it.
#include <gtest/gtest.h>

#include "model/decoder.h"
#include "tests/testing/golden.h"

namespace vade {
namespace {

struct QuantCase {
  const char* name;
  double limit;  // of the mean KL(dequant || ours) over the prompt
};

class GoldenQuant : public ::testing::TestWithParam<QuantCase> {};

TEST_P(GoldenQuant, DistributionsStayNearTheExactWeights) {
  const std::string folder = std::string("quant/") + GetParam().name + "/";
  const std::string model = testing::GoldenPath(folder + "model.gguf");
  VADE_SKIP_IF_MISSING(model, "the reference data of the quantised models");
  const auto tokens =
      testing::Tokens(testing::ReadJson(testing::GoldenPath(folder + "case.json"))["tokens"]);
  const auto exact = testing::ReadFloats(testing::GoldenPath(folder + "logits_dequant.f32"));
  for (auto level : kernels::kAllLevels) {
    if (!kernels::LevelSupported(level)) continue;
    const kernels::ScopedLevel forced(level);
    const auto decoder = testing::Must(LoadDecoder(model, testing::SmallOptions()));
    const auto sequence = testing::Must(decoder->NewSequence());
    const auto wanted = testing::AllOf(tokens.size());
    const Logits logits = testing::Must(testing::Read(*decoder, *sequence, tokens, wanted));
    double sum = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      sum += testing::Divergence(std::span(exact).subspan(i * logits.vocab_size, logits.vocab_size),
                                 logits.row(i));
    }
    EXPECT_LT(sum / tokens.size(), GetParam().limit) << kernels::LevelName(level);
    RecordProperty("mean_kl", std::to_string(sum / tokens.size()));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GoldenQuant,
                         ::testing::Values(QuantCase{"F16", 1e-4}, QuantCase{"BF16", 1e-4},
                                           QuantCase{"Q8_0", 0.01}, QuantCase{"Q4_0", 0.01},
                                           QuantCase{"Q4_1", 0.01}, QuantCase{"Q5_0", 0.01},
                                           QuantCase{"Q4_K_M", 0.01}, QuantCase{"Q5_K_M", 0.01},
                                           QuantCase{"Q6_K", 0.01}, QuantCase{"Q2_K", 0.01}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace vade
