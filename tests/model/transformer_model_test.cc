// Real models against reference distributions, continuations and log-probabilities, within the
// limits that the reference data gives for activations rounded to 8 bits. SmolLM2 is always wanted;
// the two Qwen models are compared where they have been fetched.
#include <gtest/gtest.h>

#include "base/threads.h"
#include "model/decoder.h"
#include "tests/testing/golden.h"

namespace vade {
namespace {

class RealModel : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string model = testing::ModelPath(std::string(GetParam()) + ".gguf");
    VADE_SKIP_IF_MISSING(model, GetParam());
    VADE_SKIP_IF_MISSING(Golden("prompts.json"), "the reference data of the real models");
    DecoderOptions options;
    options.pool = &pool_;
    options.context_tokens = 2048;
    decoder_ = testing::Must(LoadDecoder(model, options));
  }
  std::string Golden(const std::string& name) const {
    return testing::GoldenPath(std::string("real/") + GetParam() + "/" + name);
  }

  ThreadPool pool_{UsableCores()};
  std::unique_ptr<Decoder> decoder_;
};

// KL over the listed top-20 and the rest as one more outcome: a lower bound of the full one, and
// nearly it, since the 20 carry almost all of the mass.
double TopDivergence(const nlohmann::json& reference, const std::vector<double>& ours) {
  double sum = 0, rest = 1, our_rest = 1;
  for (size_t i = 0; i < reference["top20_ids"].size(); ++i) {
    const double p = std::exp(reference["top20_logprobs"][i].get<double>());
    const double q = ours[reference["top20_ids"][i].get<size_t>()];
    sum += p * (std::log(p) - q);
    rest -= p;
    our_rest -= std::exp(q);
  }
  if (rest > 1e-9 && our_rest > 1e-12) sum += rest * std::log(rest / our_rest);
  return sum;
}

TEST_P(RealModel, NextTokenDistributionsAgree) {
  for (const auto& prompt : testing::ReadJson(Golden("prompts.json"))["prompts"]) {
    const auto sequence = testing::Must(decoder_->NewSequence());
    const auto ours = testing::LogSoftmax(
        testing::LastLogits(*decoder_, *sequence, testing::Tokens(prompt["tokens"])));
    for (const char* kind : {"dequant", "native"}) {
      const auto& reference = prompt[kind];
      EXPECT_LT(TopDivergence(reference, ours), 0.03) << prompt["id"] << " " << kind;
      for (size_t i = 0; i < reference["top20_ids"].size(); ++i) {
        EXPECT_NEAR(ours[reference["top20_ids"][i].get<size_t>()],
                    reference["top20_logprobs"][i].get<double>(), 0.5)
            << prompt["id"] << " " << kind << " " << i;
      }
    }
    RecordProperty("kl_" + prompt["id"].get<std::string>(),
                   std::to_string(TopDivergence(prompt["dequant"], ours)));
  }
}

TEST_P(RealModel, GreedyContinuationsAgreeUpToTheFirstNarrowChoice) {
  for (const auto& prompt : testing::ReadJson(Golden("prompts.json"))["prompts"]) {
    const auto& reference = prompt["dequant"];
    const auto expected = testing::Tokens(reference["greedy"]);
    const auto sequence = testing::Must(decoder_->NewSequence());
    const auto ours =
        testing::Greedy(*decoder_, *sequence, testing::Tokens(prompt["tokens"]), expected.size());
    for (size_t i = 0; i < expected.size() && reference["greedy_margin"][i].get<double>() >= 0.6;
         ++i) {
      EXPECT_EQ(ours[i], expected[i]) << prompt["id"] << " at step " << i;
    }
  }
}

TEST_P(RealModel, LogProbabilitiesOfProseAgree) {
  const auto tokens = testing::Tokens(testing::ReadJson(Golden("ppl_en.json"))["tokens"]);
  const auto reference = testing::ReadFloats(Golden("ppl_en_dequant.f32"));
  ASSERT_EQ(reference.size() + 1, tokens.size());
  const auto sequence = testing::Must(decoder_->NewSequence());
  double ours = 0, theirs = 0, differences = 0;
  for (size_t begin = 0; begin + 1 < tokens.size(); begin += 128) {
    const auto part =
        std::span(tokens).subspan(begin, std::min<size_t>(128, tokens.size() - begin));
    const Logits logits =
        testing::Must(testing::Read(*decoder_, *sequence, part, testing::AllOf(part.size())));
    for (size_t i = 0; i < part.size() && begin + i < reference.size(); ++i) {
      if (begin + i == 0) continue;  // the reference's README: one token alone is no measure
      const double value = testing::LogSoftmax(logits.row(i))[tokens[begin + i + 1]];
      ours -= value;
      theirs -= reference[begin + i];
      differences += std::fabs(value - reference[begin + i]);
    }
  }
  const double count = static_cast<double>(reference.size() - 1);
  EXPECT_NEAR(ours / count, theirs / count, 0.02);
  EXPECT_LT(differences / count, 0.1);
  RecordProperty("nll_ours", std::to_string(ours / count));
  RecordProperty("nll_reference", std::to_string(theirs / count));
  RecordProperty("mean_difference", std::to_string(differences / count));
}

INSTANTIATE_TEST_SUITE_P(Models, RealModel,
                         ::testing::Values("smollm2-135m-instruct-q4_1",
                                           "qwen2.5-coder-0.5b-instruct-q4_k_m",
                                           "qwen2.5-coder-1.5b-instruct-q4_k_m"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

}  // namespace
}  // namespace vade
