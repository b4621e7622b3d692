// The encoder on tiny reference weights, and what it refuses.
#include "model/encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/threads.h"
#include "model/embedder.h"
#include "tests/testing/model_files.h"

namespace vade {
namespace {

using Json = nlohmann::json;

std::vector<float> ReadFloats(const std::string& path) {
  const std::string bytes = ReadFile(path, 1 << 20).value();
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

class TinyBert : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path = testing::GoldenPath("tiny/bert/model.gguf");
    VADE_SKIP_IF_MISSING(path, "the reference data");
    folder_ = path.substr(0, path.rfind('/'));
    const Json json = Json::parse(ReadFile(folder_ + "/case.json", 1 << 20).value());
    for (const Json& prompt : json["prompts"]) prompts_.push_back(prompt["tokens"]);
    file_ = std::move(GgufFile::Open(path)).value();
  }

  Encoder NewEncoder(ThreadPool* pool = nullptr) {
    return Encoder(EncoderWeights::Load(file_, {}).value(), pool);
  }

  std::string folder_;
  std::vector<std::vector<int32_t>> prompts_;
  std::shared_ptr<const GgufFile> file_;
};

// Of two rows of `dim` numbers.
double Cosine(const float* a, const float* b, size_t dim) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < dim; ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

TEST_F(TinyBert, HiddenStatesAgreeWithTheReference) {
  const std::vector<float> expected = ReadFloats(folder_ + "/exact_hidden_p17.f32");
  const auto hidden = NewEncoder().Run({&prompts_[1], 1});
  ASSERT_TRUE(hidden.ok()) << hidden.status().ToString();
  ASSERT_EQ(hidden->size(), expected.size());
  // The encoder multiplies codes of 8 bits: no row is far off, and no number of it.
  for (size_t row = 0; row < expected.size() / 64; ++row) {
    EXPECT_GT(Cosine(hidden->data() + row * 64, expected.data() + row * 64, 64), 0.999) << row;
  }
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR((*hidden)[i], expected[i], 0.15) << i;
}

TEST_F(TinyBert, MeansOfABatchAgreeWithTheReference) {
  const std::vector<float> expected = ReadFloats(folder_ + "/exact_embd_mean.f32");
  ThreadPool pool(2);
  const auto hidden = NewEncoder(&pool).Run(prompts_);
  ASSERT_TRUE(hidden.ok()) << hidden.status().ToString();
  const float* row = hidden->data();
  for (size_t p = 0; p < prompts_.size(); ++p) {
    std::vector<double> mean(64);
    for (size_t t = 0; t < prompts_[p].size(); ++t, row += 64) {
      for (size_t i = 0; i < 64; ++i) mean[i] += row[i] / prompts_[p].size();
    }
    const std::vector<float> floats(mean.begin(), mean.end());
    EXPECT_GT(Cosine(floats.data(), expected.data() + p * 64, 64), 0.999) << p;
  }
}

TEST_F(TinyBert, ATextIsTheSameBitForBitInAnyBatch) {
  ThreadPool pool(3);
  const Encoder together = NewEncoder(&pool), alone = NewEncoder();
  const std::vector<float> all = together.Run(prompts_).value();
  size_t row = 0;
  for (const auto& prompt : prompts_) {
    const std::vector<float> one = alone.Run({&prompt, 1}).value();
    EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + row * 64)) << prompt.size();
    row += prompt.size();
  }
}

TEST_F(TinyBert, BadInputsAreRefused) {
  const Encoder encoder = NewEncoder();
  const std::vector<std::vector<int32_t>> bad = {{}, {256}, {-1}, std::vector<int32_t>(257, 1)};
  for (const auto& text : bad) {
    EXPECT_EQ(encoder.Run({&text, 1}).status().code(), StatusCode::kInvalidArgument) << text.size();
  }
  EXPECT_TRUE(encoder.Run({}).value().empty());
}

TEST_F(TinyBert, AnEncoderWithoutAVocabularyIsNoEmbedder) {
  const auto embedder = LoadEmbedder(folder_ + "/model.gguf", {});
  EXPECT_EQ(embedder.status().code(), StatusCode::kUnimplemented);
  EXPECT_NE(embedder.status().message().find("no_vocab"), std::string::npos);
}

TEST(Embedder, OtherArchitecturesAreRefusedByName) {
  const std::string nomic = testing::GoldenPath("tiny/nomic_bert/model.gguf");
  VADE_SKIP_IF_MISSING(nomic, "the reference data");
  const auto embedder = LoadEmbedder(nomic, {});
  EXPECT_EQ(embedder.status().code(), StatusCode::kUnimplemented);
  EXPECT_NE(embedder.status().message().find("'nomic-bert'"), std::string::npos)
      << embedder.status().ToString();
}

TEST(Embedder, AMissingFileSaysHowToGetIt) {
  const Status status = LoadEmbedder("/nonexistent/e5.gguf", {}).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(status.message().find("scripts/fetch-models"), std::string::npos);
}

}  // namespace
}  // namespace vade
