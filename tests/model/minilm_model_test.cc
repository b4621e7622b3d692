// The real all-MiniLM-L6-v2, a Hugging Face folder, against reference ids and vectors
// (testdata/minilm_reference.json).
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/threads.h"
#include "model/embedder.h"
#include "model/encoder_folder.h"
#include "tests/testing/model_files.h"

namespace vade {
namespace {

using Json = nlohmann::json;

class MiniLm : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::ModelPath("all-minilm-l6-v2/model.safetensors");
    VADE_SKIP_IF_MISSING(path_, "all-minilm-l6-v2");
    auto text = ReadFile(VADE_SOURCE_DIR "/tests/testdata/minilm_reference.json", 16 << 20);
    reference_ = Json::parse(text.value());
  }

  std::string path_;
  Json reference_;
};

TEST_F(MiniLm, TokenIdsAreThoseOfTheReference) {
  const auto folder = OpenEncoderFolder(EncoderFolderOf(path_));
  ASSERT_TRUE(folder.ok()) << folder.status().ToString();
  EXPECT_EQ(folder->tokenizer->bos(), 101);
  EXPECT_EQ(folder->tokenizer->eos(), 102);
  for (const Json& entry : reference_["hard"]) {
    const std::string text = entry["text"];
    EXPECT_EQ(folder->tokenizer->Encode(text, Special::kText),
              entry["ids"].get<std::vector<int32_t>>())
        << text;
  }
}

TEST_F(MiniLm, SpecialTokensInATextAreText) {
  const auto folder = OpenEncoderFolder(EncoderFolderOf(path_)).value();
  for (const int32_t id : folder.tokenizer->Encode("[CLS] and [SEP]", Special::kText)) {
    EXPECT_FALSE(folder.tokenizer->IsControl(id));
  }
  EXPECT_EQ(folder.tokenizer->Encode("[CLS]", Special::kParse), std::vector<int32_t>{101});
}

TEST_F(MiniLm, VectorsAgreeWithTheReference) {
  ThreadPool pool(2);
  const auto embedder = LoadEmbedder(path_, {.pool = &pool, .packed_cache_dir = ""});
  ASSERT_TRUE(embedder.ok()) << embedder.status().ToString();
  EXPECT_EQ((*embedder)->max_tokens(), 256);
  EXPECT_EQ((*embedder)->id().rfind("all-minilm-l6-v2:", 0), 0u) << (*embedder)->id();
  double worst = 1;
  for (const Json& entry : reference_["texts"]) {
    const std::string text = entry["text"];
    const std::string_view view = text;
    const auto vector = (*embedder)->Embed({&view, 1}, EmbedRole::kPassage, Context()).value();
    const auto expected = entry["vector"].get<std::vector<float>>();
    ASSERT_EQ(vector.size(), expected.size());
    double dot = 0, square = 0;
    for (size_t i = 0; i < vector.size(); ++i) {
      dot += static_cast<double>(vector[i]) * expected[i];
      square += static_cast<double>(expected[i]) * expected[i];
    }
    const double cosine = dot / std::sqrt(square);
    EXPECT_GE(cosine, 0.99) << text;
    worst = std::min(worst, cosine);
  }
  std::cout << "worst cosine " << worst << "\n";
}

}  // namespace
}  // namespace vade
