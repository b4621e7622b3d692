// The real multilingual-e5-small against reference ids and vectors (testdata/e5_reference.json).
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/threads.h"
#include "model/embedder.h"
#include "model/gguf.h"
#include "model/tokenizer.h"
#include "tests/testing/model_files.h"

namespace vade {
namespace {

using Json = nlohmann::json;

double Dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

class E5 : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::ModelPath("multilingual-e5-small-q4.gguf");
    VADE_SKIP_IF_MISSING(path_, "multilingual-e5-small-q4.gguf");
    auto text = ReadFile(VADE_SOURCE_DIR "/tests/testdata/e5_reference.json", 16 << 20);
    reference_ = Json::parse(text.value())["texts"];
    auto embedder = LoadEmbedder(path_, {.pool = &pool_, .packed_cache_dir = ""});
    ASSERT_TRUE(embedder.ok()) << embedder.status().ToString();
    embedder_ = std::move(embedder).value();
  }

  std::vector<float> Embed(const std::vector<std::string>& texts, EmbedRole role) {
    std::vector<std::string_view> views(texts.begin(), texts.end());
    auto vectors = embedder_->Embed(views, role, Context());
    EXPECT_TRUE(vectors.ok()) << vectors.status().ToString();
    return std::move(vectors).value();
  }

  std::string path_;
  Json reference_;
  ThreadPool pool_{2};
  std::unique_ptr<Embedder> embedder_;
};

TEST_F(E5, TokenIdsAreThoseOfTheReference) {
  const auto file = GgufFile::Open(path_).value();
  const auto tokenizer = Tokenizer::FromGguf(*file).value();
  for (const Json& entry : reference_) {
    const std::string prefix = entry["role"] == "query" ? "query: " : "passage: ";
    const std::string text = prefix + entry["text"].get<std::string>();
    EXPECT_EQ(tokenizer->Encode(text, Special::kText), entry["ids"].get<std::vector<int32_t>>())
        << text;
  }
}

TEST_F(E5, VectorsAgreeWithTheReference) {
  double worst = 1;
  for (const Json& entry : reference_) {
    const EmbedRole role = entry["role"] == "query" ? EmbedRole::kQuery : EmbedRole::kPassage;
    const std::vector<float> vector = Embed({entry["text"]}, role);
    const auto expected = entry["vector"].get<std::vector<float>>();
    ASSERT_EQ(vector.size(), expected.size());
    EXPECT_NEAR(Dot(vector, vector), 1.0, 1e-5);
    const double cosine = Dot(vector, expected) / std::sqrt(Dot(expected, expected));
    EXPECT_GE(cosine, 0.999) << entry["text"];
    worst = std::min(worst, cosine);
  }
  RecordProperty("worst_cosine", std::to_string(worst));
  std::cout << "worst cosine " << worst << "\n";
}

TEST_F(E5, AVectorDoesNotDependOnItsBatch) {
  std::vector<std::string> texts;
  for (const Json& entry : reference_) texts.push_back(entry["text"]);
  const std::vector<float> together = Embed(texts, EmbedRole::kPassage);
  const size_t dim = embedder_->dimension();
  auto alone_embedder = LoadEmbedder(path_, {}).value();  // one thread
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string_view text = texts[i];
    const auto alone = alone_embedder->Embed({&text, 1}, EmbedRole::kPassage, Context()).value();
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + i * dim)) << texts[i];
  }
}

TEST_F(E5, AnAnswerIsNearerToItsQuestionThanOtherTexts) {
  const auto questions = Embed({"how tall is the lighthouse", "灯塔有多高"}, EmbedRole::kQuery);
  const auto answers =
      Embed({"The lighthouse is 42 metres tall.", "灯塔高四十二米。"}, EmbedRole::kPassage);
  const auto others = Embed({"Bread is baked at four in the morning.", "面包在凌晨四点出炉。"},
                            EmbedRole::kPassage);
  const auto row = [](const std::vector<float>& m, size_t i) {
    return std::span(m).subspan(i * 384, 384);
  };
  for (size_t language = 0; language < 2; ++language) {
    const auto question = row(questions, language);
    EXPECT_GT(Dot(question, row(answers, language)), Dot(question, row(others, 0)) + 0.03);
    EXPECT_GT(Dot(question, row(answers, language)), Dot(question, row(others, 1)) + 0.03);
  }
}

TEST_F(E5, ALongTextIsReadUpToTheLimit) {
  std::string text;
  while (embedder_->CountTokens(text) < 2000) text += "the lamp burns and the sea is calm tonight ";
  const auto whole = Embed({text}, EmbedRole::kPassage);
  const auto longer = Embed({text + "something else entirely"}, EmbedRole::kPassage);
  EXPECT_EQ(whole, longer);
  EXPECT_EQ(embedder_->max_tokens(), 512);
}

TEST_F(E5, EmptyTextsAndInvalidBytesHaveVectors) {
  const auto vectors = Embed({"", "\xff\xfe\x80", std::string(3, '\0')}, EmbedRole::kQuery);
  for (size_t i = 0; i < 3; ++i) {
    const auto row = std::span(vectors).subspan(i * 384, 384);
    EXPECT_NEAR(Dot(row, row), 1.0, 1e-5);
  }
  EXPECT_TRUE(Embed({}, EmbedRole::kQuery).empty());
}

TEST_F(E5, ACancelledRequestStops) {
  CancelSource cancel;
  cancel.Cancel();
  const std::string_view text = "anything";
  const auto vectors =
      embedder_->Embed({&text, 1}, EmbedRole::kQuery, Context().WithCancel(cancel.token()));
  EXPECT_EQ(vectors.status().code(), StatusCode::kCancelled);
}

TEST_F(E5, TheIdentityNamesModelAndWeights) {
  EXPECT_EQ(embedder_->id().rfind("multilingual-e5-small:", 0), 0u) << embedder_->id();
  EXPECT_EQ(embedder_->id(), LoadEmbedder(path_, {}).value()->id());
}

}  // namespace
}  // namespace vade
