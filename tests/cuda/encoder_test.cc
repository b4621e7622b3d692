// Whole encoders on the GPU's path, over the fake device and the emulated kernels or over a real
// one: their vectors are the processor's, whatever is embedded together; what the GPU cannot do is
// done on the processor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/log.h"
#include "base/threads.h"
#include "model/cuda_encoder.h"
#include "model/embedder.h"
#include "model/encoder.h"
#include "model/encoder_check.h"
#include "tests/testing/cuda/memory.h"
#include "tests/testing/tiny_encoder.h"

namespace vade {
namespace {

using ::testing::HasSubstr;
using testing::TinyEncoder;
using Ids = std::vector<std::vector<int32_t>>;

constexpr uint64_t kBudget = 64ull << 20;
const std::vector<std::string> kWords = {"boiler", "lease", "service", "the", "is", "of", "year"};

double Cosine(std::span<const float> a, std::span<const float> b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

class CudaEncoderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(testing::DeviceFaults(), "");
    TinyEncoder(kWords).Write(dir_);
  }
  void TearDown() override { EXPECT_EQ(testing::DeviceFaults(), ""); }

  static std::unique_ptr<const EncoderWeights> Weights() {
    return EncoderWeights::Load(TinyEncoder(kWords).Gguf(), {}).value();
  }
  static Result<std::unique_ptr<DeviceEncoder>> Open(const EncoderWeights& weights, Pooling pooling,
                                                     uint64_t budget = kBudget) {
    ASSIGN_OR_RETURN(auto device, testing::NewDevice());
    ASSIGN_OR_RETURN(auto encoder,
                     CudaEncoder::Create(std::move(device), weights, pooling, budget));
    return std::unique_ptr<DeviceEncoder>(std::move(encoder));
  }
  Result<std::unique_ptr<Embedder>> Load(DeviceChoice device, OpenDeviceEncoder open) {
    return LoadEmbedder(dir_.path(), {.device = device, .open_device = std::move(open)});
  }
  static OpenDeviceEncoder Opener() {
    return [](const EncoderWeights& weights, Pooling pooling) { return Open(weights, pooling); };
  }
  static std::vector<float> Vectors(Embedder& embedder, std::vector<std::string_view> texts,
                                    EmbedRole role) {
    return embedder.Embed(texts, role, Context()).value();
  }

  testing::TempDir dir_;
};

Ids TextsOfManyLengths() {
  Ids texts;
  for (const int32_t length : {3, 20, 1, 7, 16, 12, 2}) {
    std::vector<int32_t> text;
    for (int32_t i = 0; i < length; ++i) text.push_back((7 * i + length) % 11);
    texts.push_back(text);
  }
  return texts;
}

// The mean of its rows as a unit vector, or the first, of a text on the processor.
std::vector<float> OnProcessor(const Encoder& encoder, const std::vector<int32_t>& text,
                               Pooling pooling) {
  const std::vector<float> hidden = encoder.Run({&text, 1}).value();
  const size_t dim = static_cast<size_t>(encoder.config().dim);
  std::vector<float> vector(dim);
  double squares = 0;
  for (size_t k = 0; k < dim; ++k) {
    const size_t rows = pooling == Pooling::kMean ? text.size() : 1;
    for (size_t row = 0; row < rows; ++row) vector[k] += hidden[row * dim + k];
    squares += static_cast<double>(vector[k]) * vector[k];
  }
  const float scale = 1.0f / static_cast<float>(std::sqrt(squares));
  for (float& x : vector) x *= scale;
  return vector;
}

// The scalar level is the specification of every step: not near, but equal.
TEST_F(CudaEncoderTest, VectorsHaveTheBitsOfTheScalarLevel) {
  const kernels::ScopedLevel scalar(kernels::Level::kScalar);
  const Ids texts = TextsOfManyLengths();
  for (const Pooling pooling : {Pooling::kMean, Pooling::kFirstToken}) {
    const Encoder processor(Weights(), nullptr);
    const auto device = Open(processor.weights(), pooling).value();
    const auto vectors = device->Embed(texts);
    ASSERT_TRUE(vectors.ok()) << vectors.status().ToString();
    const size_t dim = TinyEncoder::kDim;
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::vector<float> got(vectors->begin() + static_cast<long>(i * dim),
                                   vectors->begin() + static_cast<long>((i + 1) * dim));
      EXPECT_EQ(got, OnProcessor(processor, texts[i], pooling)) << i;
    }
  }
}

TEST_F(CudaEncoderTest, VectorsAreNearThoseOfEveryLevel) {
  const auto weights = Weights();
  const auto device = Open(*weights, Pooling::kMean).value();
  const Ids texts = TextsOfManyLengths();
  const auto vectors = device->Embed(texts).value();
  const Encoder processor(Weights(), nullptr);
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::span<const float> got(vectors.data() + i * TinyEncoder::kDim, TinyEncoder::kDim);
    EXPECT_GT(Cosine(got, OnProcessor(processor, texts[i], Pooling::kMean)), 0.9999) << i;
  }
}

TEST_F(CudaEncoderTest, ATextIsTheSameBitForBitInAnyBatch) {
  const auto weights = Weights();
  const auto device = Open(*weights, Pooling::kMean).value();
  const Ids texts = TextsOfManyLengths();
  const auto all = device->Embed(texts).value();
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto alone = device->Embed({&texts[i], 1}).value();
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(),
                           all.begin() + static_cast<long>(i * TinyEncoder::kDim)))
        << i;
  }
}

TEST_F(CudaEncoderTest, WhatItCannotTakeIsRefusedAndChangesNothing) {
  const auto weights = Weights();
  const auto device = Open(*weights, Pooling::kMean).value();
  const Ids bad = {{}, {11}, {-1}, std::vector<int32_t>(21, 1)};
  for (const auto& text : bad) {
    EXPECT_EQ(device->Embed({&text, 1}).status().code(), StatusCode::kInvalidArgument);
  }
  const Ids many(device->batch_tokens() / 32 + 1, {1});
  EXPECT_EQ(device->Embed(many).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(device->Embed({}).value().empty());
  EXPECT_EQ(device->Embed(std::span(many).first(3)).value().size(), 3u * TinyEncoder::kDim);
}

TEST_F(CudaEncoderTest, BatchesShrinkToTheBudgetAndALittleOneIsSaidWithTheRemedy) {
  const auto weights = Weights();
  size_t before = 0;
  for (const uint64_t budget : {1u << 20, 2u << 20, 64u << 20}) {
    const auto device = Open(*weights, Pooling::kMean, budget);
    ASSERT_TRUE(device.ok()) << device.status().ToString();
    EXPECT_GT((*device)->batch_tokens(), before);
    before = (*device)->batch_tokens();
  }
  const auto none = Open(*weights, Pooling::kMean, 100'000);
  EXPECT_EQ(none.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(none.status().message(), HasSubstr("embed.gpu_bytes"));
  EXPECT_THAT(none.status().message(), HasSubstr("embed.device = cpu"));
}

// What `vade doctor --gpu` does.
TEST_F(CudaEncoderTest, TheChecksOfTheDoctorPass) {
  const auto checks = CheckEncoder(Opener());
  ASSERT_TRUE(checks.ok()) << checks.status().ToString();
  ASSERT_EQ(checks->size(), 2u);
  for (const BackendCheck& check : *checks) {
    EXPECT_TRUE(check.passed()) << check.what << ": " << check.difference;
  }
}

// --- the embedder over it ------------------------------------------------------------------------

TEST_F(CudaEncoderTest, AnEmbedderThatIsToldToUsesTheGpuForQuestionsToo) {
  const kernels::ScopedLevel scalar(kernels::Level::kScalar);
  const auto cpu = Load(DeviceChoice::kCpu, nullptr).value();
  const auto cuda = Load(DeviceChoice::kCuda, Opener()).value();
  EXPECT_EQ(cuda->id(), cpu->id());
  const std::vector<std::string_view> texts = {"the boiler", "lease of the year is", "",
                                               "service service service service service service"};
  for (const EmbedRole role : {EmbedRole::kQuery, EmbedRole::kPassage}) {
    EXPECT_EQ(Vectors(*cuda, texts, role), Vectors(*cpu, texts, role));
  }
}

// Counts what it is asked for and fails when it is told to.
struct Script {
  int opened = 0, texts = 0;
  int fail_after = 1 << 30;  // batches
  size_t batch_tokens = 64;
};
class ScriptedEncoder final : public DeviceEncoder {
 public:
  ScriptedEncoder(Script* script, const EncoderWeights& weights)
      : script_(script), dim_(static_cast<size_t>(weights.config.dim)) {}
  size_t batch_tokens() const override { return script_->batch_tokens; }
  // Vectors that only a device makes: its number of tokens everywhere.
  Result<std::vector<float>> Embed(std::span<const std::vector<int32_t>> texts) override {
    if (script_->fail_after-- <= 0) return Internal("an illegal memory access was encountered");
    script_->texts += static_cast<int>(texts.size());
    std::vector<float> vectors;
    for (const auto& text : texts) {
      vectors.insert(vectors.end(), dim_, static_cast<float>(text.size()));
    }
    return vectors;
  }

 private:
  Script* script_;
  size_t dim_;
};
OpenDeviceEncoder Scripted(Script* script) {
  return
      [script](const EncoderWeights& weights, Pooling) -> Result<std::unique_ptr<DeviceEncoder>> {
        ++script->opened;
        return std::unique_ptr<DeviceEncoder>(std::make_unique<ScriptedEncoder>(script, weights));
      };
}

// 4 tokens each.
std::vector<std::string_view> Texts(size_t count) {
  return std::vector<std::string_view>(count, "the boiler");
}

TEST_F(CudaEncoderTest, LeftToChooseItOpensTheGpuForManyPassagesAndKeepsQuestions) {
  Script script;
  const auto embedder = Load(DeviceChoice::kAuto, Scripted(&script)).value();
  Vectors(*embedder, Texts(2000), EmbedRole::kQuery);
  Vectors(*embedder, Texts(10), EmbedRole::kPassage);
  EXPECT_EQ(script.opened, 0);
  const auto many = Vectors(*embedder, Texts(1024), EmbedRole::kPassage);
  EXPECT_EQ(script.opened, 1);
  EXPECT_EQ(script.texts, 1024);
  EXPECT_EQ(many, std::vector<float>(1024 * TinyEncoder::kDim, 4.0f));
  Vectors(*embedder, Texts(3), EmbedRole::kPassage);  // it is open now
  EXPECT_EQ(script.texts, 1027);
  Vectors(*embedder, Texts(3), EmbedRole::kQuery);
  EXPECT_EQ(script.texts, 1027);
  EXPECT_EQ(script.opened, 1);
}

TEST_F(CudaEncoderTest, WhatTheGpuFailsAtIsDoneOnTheProcessorAndNothingIsLost) {
  const auto cpu = Load(DeviceChoice::kCpu, nullptr).value();
  const std::string_view longest = "boiler boiler boiler boiler boiler boiler";
  std::vector<std::string_view> texts(5, "the boiler");
  texts[3] = longest;
  const auto expected = Vectors(*cpu, texts, EmbedRole::kPassage);
  Script script = {.fail_after = 1};
  const auto embedder = Load(DeviceChoice::kCuda, Scripted(&script)).value();
  const auto got = Vectors(*embedder, texts, EmbedRole::kPassage);
  ASSERT_EQ(got.size(), expected.size());
  // The device did the longest and one more; the others are the processor's.
  EXPECT_EQ(script.texts, 2);
  const size_t dim = TinyEncoder::kDim;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<float> row(got.begin() + static_cast<long>(i * dim),
                                 got.begin() + static_cast<long>((i + 1) * dim));
    if (i == 3) {
      EXPECT_EQ(row, std::vector<float>(dim, 8.0f));
    } else if (i == 0) {
      EXPECT_EQ(row, std::vector<float>(dim, 4.0f));
    } else {
      EXPECT_TRUE(std::equal(row.begin(), row.end(), expected.begin() + static_cast<long>(i * dim)))
          << i;
    }
  }
  EXPECT_EQ(Vectors(*embedder, texts, EmbedRole::kPassage), expected);
  EXPECT_EQ(script.texts, 2) << "it is not asked again";
}

TEST_F(CudaEncoderTest, TextsThatAreTooLongForTheGpuAreTheProcessors) {
  const auto cpu = Load(DeviceChoice::kCpu, nullptr).value();
  Script script = {.batch_tokens = 16};
  const auto embedder = Load(DeviceChoice::kCuda, Scripted(&script)).value();
  EXPECT_EQ(Vectors(*embedder, Texts(4), EmbedRole::kPassage),
            Vectors(*cpu, Texts(4), EmbedRole::kPassage));
  EXPECT_EQ(script.texts, 0);
}

TEST_F(CudaEncoderTest, AGpuThatCannotBeOpenedIsAnErrorOnlyWhenItIsDemanded) {
  const OpenDeviceEncoder none = [](const EncoderWeights&,
                                    Pooling) -> Result<std::unique_ptr<DeviceEncoder>> {
    return ResourceExhausted("the token table needs 5 bytes of GPU memory");
  };
  const auto demanded = Load(DeviceChoice::kCuda, none);
  EXPECT_EQ(demanded.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(demanded.status().message(), HasSubstr("token table"));
  const auto embedder = Load(DeviceChoice::kAuto, none).value();
  const auto cpu = Load(DeviceChoice::kCpu, nullptr).value();
  EXPECT_EQ(Vectors(*embedder, Texts(1100), EmbedRole::kPassage),
            Vectors(*cpu, Texts(1100), EmbedRole::kPassage));
}

TEST_F(CudaEncoderTest, TheChecksFindAnEncoderThatComputesSomethingElse) {
  Script script = {.batch_tokens = 1024};
  const auto checks = CheckEncoder(Scripted(&script));
  ASSERT_TRUE(checks.ok());
  for (const BackendCheck& check : *checks) EXPECT_FALSE(check.passed()) << check.what;
  Script broken = {.fail_after = 0};
  EXPECT_EQ(CheckEncoder(Scripted(&broken)).status().code(), StatusCode::kInternal);
}

TEST_F(CudaEncoderTest, ACancelledCallStopsBetweenBatches) {
  Script script;
  const auto embedder = Load(DeviceChoice::kCuda, Scripted(&script)).value();
  CancelSource cancel;
  cancel.Cancel();
  const auto texts = Texts(10);
  const auto vectors =
      embedder->Embed(texts, EmbedRole::kPassage, Context().WithCancel(cancel.token()));
  EXPECT_EQ(vectors.status().code(), StatusCode::kCancelled);
  EXPECT_EQ(script.texts, 0);
}

}  // namespace
}  // namespace vade
