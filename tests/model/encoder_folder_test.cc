// Encoders in the Hugging Face folder layout: read as they are, refused by name where they are not
// what is computed here.
#include "model/encoder_folder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/embedder.h"
#include "model/encoder.h"
#include "model/tokenizer_json.h"
#include "tests/testing/tiny_encoder.h"

namespace vade {
namespace {

using Json = nlohmann::json;

class EncoderFolderTest : public ::testing::Test {
 protected:
  void SetUp() override { tiny_.Write(dir_); }

  std::vector<float> Embed(std::string_view text) {
    auto embedder = LoadEmbedder(dir_.path(), {.pool = nullptr, .packed_cache_dir = ""});
    EXPECT_TRUE(embedder.ok()) << embedder.status().ToString();
    if (!embedder.ok()) return {};
    return (*embedder)->Embed({&text, 1}, EmbedRole::kPassage, Context()).value();
  }

  // The status of opening the folder after a change of its config.json.
  Status WithConfig(const char* key, const Json& value) {
    Json config = tiny_.Config();
    config[key] = value;
    dir_.Write("config.json", config.dump());
    return OpenEncoderFolder(dir_.path()).status();
  }

  void ExpectRefused(const Status& status, StatusCode code, std::string_view part) {
    EXPECT_EQ(status.code(), code) << status.ToString();
    EXPECT_NE(status.message().find(part), std::string::npos) << status.ToString();
  }

  testing::TempDir dir_;
  testing::TinyEncoder tiny_{{"the", "lamp", "##s", "burn", ",", "é", "e"}};
};

TEST_F(EncoderFolderTest, GivesTheBitsOfTheSameWeightsInAGgufFile) {
  const auto folder = OpenEncoderFolder(dir_.path());
  ASSERT_TRUE(folder.ok()) << folder.status().ToString();
  const std::vector<std::vector<int32_t>> texts = {{2, 4, 5, 6, 3}, {2, 3}, {2, 7, 7, 7, 8, 9, 3}};
  const Encoder from_folder(
      EncoderWeights::Load(folder->weights, folder->config, EncoderNames::kHuggingFace, {}).value(),
      nullptr);
  const Encoder from_gguf(EncoderWeights::Load(tiny_.Gguf(), {}).value(), nullptr);
  EXPECT_EQ(from_folder.Run(texts).value(), from_gguf.Run(texts).value());
}

TEST_F(EncoderFolderTest, TextsBecomeUnitVectorsAndUnknownWordsOneToken) {
  const auto folder = OpenEncoderFolder(dir_.path()).value();
  EXPECT_EQ(folder.tokenizer->Encode("The LAMPS, burn qqq", Special::kText),
            (std::vector<int32_t>{4, 5, 6, 8, 7, 1}));
  EXPECT_EQ(folder.tokenizer->Encode("É", Special::kText), std::vector<int32_t>{10});
  const auto vector = Embed("The lamps burn");
  double square = 0;
  for (const float v : vector) square += static_cast<double>(v) * v;
  EXPECT_NEAR(square, 1, 1e-5);
  EXPECT_EQ(vector.size(), 24u);
}

TEST_F(EncoderFolderTest, TheFirstTokensVectorIsTakenWhereTheFolderSaysSo) {
  const auto mean = Embed("the lamp");
  dir_.Write("1_Pooling/config.json",
             R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})");
  const auto first = Embed("the lamp");
  EXPECT_NE(mean, first);
  const auto folder = OpenEncoderFolder(dir_.path()).value();
  const Encoder encoder(
      EncoderWeights::Load(folder.weights, folder.config, EncoderNames::kHuggingFace, {}).value(),
      nullptr);
  const std::vector<int32_t> ids = {2, 4, 5, 3};
  const auto hidden = encoder.Run({&ids, 1}).value();
  double norm = 0;
  for (size_t i = 0; i < 24; ++i) norm += static_cast<double>(hidden[i]) * hidden[i];
  for (size_t i = 0; i < 24; ++i) EXPECT_NEAR(first[i], hidden[i] / std::sqrt(norm), 1e-5);
}

TEST_F(EncoderFolderTest, PoolingAndTextLengthTellFoldersApart) {
  const std::string mean = OpenEncoderFolder(dir_.path())->fingerprint;
  dir_.Write("sentence_bert_config.json", R"({"max_seq_length": 12})");
  const auto shorter = OpenEncoderFolder(dir_.path()).value();
  EXPECT_EQ(shorter.max_tokens, 12);
  EXPECT_NE(shorter.fingerprint, mean);
  dir_.Write("sentence_bert_config.json", R"({"max_seq_length": 4000})");
  EXPECT_EQ(OpenEncoderFolder(dir_.path())->max_tokens, 20);
}

TEST_F(EncoderFolderTest, OtherPoolingsAndModulesAreRefusedByName) {
  dir_.Write("1_Pooling/config.json", R"({"pooling_mode_max_tokens": true})");
  ExpectRefused(OpenEncoderFolder(dir_.path()).status(), StatusCode::kUnimplemented, "max_tokens");
  dir_.Write("modules.json", R"([{"type": "sentence_transformers.models.Dense", "path": "2"}])");
  ExpectRefused(OpenEncoderFolder(dir_.path()).status(), StatusCode::kUnimplemented, "Dense");
  dir_.Write("modules.json", R"([{"type": "x.Pooling", "path": "../../etc"}])");
  ExpectRefused(OpenEncoderFolder(dir_.path()).status(), StatusCode::kInvalidArgument, "../../etc");
}

TEST_F(EncoderFolderTest, PromptsOfTheFolderComeBeforeThoseOfTheFamily) {
  EXPECT_EQ(PrefixesOf("multilingual-e5-small").passage, "passage: ");
  EXPECT_EQ(PrefixesOf("bge-small-en-v1.5").passage, "");
  EXPECT_NE(PrefixesOf("bge-small-en-v1.5").query, "");
  EXPECT_EQ(PrefixesOf("all-MiniLM-L6-v2").query, "");
  dir_.Write("config_sentence_transformers.json",
             R"({"prompts": {"query": "q: ", "document": "d: "}})");
  const auto folder = OpenEncoderFolder(dir_.path()).value();
  EXPECT_EQ(folder.prefixes.query, "q: ");
  EXPECT_EQ(folder.prefixes.passage, "d: ");
}

TEST_F(EncoderFolderTest, RobertasFirstTokenHasTheThirdPosition) {
  const testing::TinyEncoder roberta({"a"}, /*first_position=*/2);
  Json config = roberta.Config();
  config["model_type"] = "xlm-roberta";
  config["pad_token_id"] = 1;
  config["max_position_embeddings"] = testing::TinyEncoder::kPositions + 2;
  roberta.Write(dir_);
  dir_.Write("config.json", config.dump());
  const auto folder = OpenEncoderFolder(dir_.path());
  ASSERT_TRUE(folder.ok()) << folder.status().ToString();
  EXPECT_EQ(folder->max_tokens, testing::TinyEncoder::kPositions);
  const auto weights =
      EncoderWeights::Load(folder->weights, folder->config, EncoderNames::kHuggingFace, {}).value();
  const auto* table = folder->weights->Find("embeddings.position_embeddings.weight");
  const auto* types = folder->weights->Find("embeddings.token_type_embeddings.weight");
  float third, type;
  std::memcpy(&third, table->bytes.data() + 2 * 24 * 4, 4);
  std::memcpy(&type, types->bytes.data(), 4);
  EXPECT_FLOAT_EQ(weights->positions[0], third + type);
}

TEST_F(EncoderFolderTest, BadConfigsAreRefusedByWhatIsWrong) {
  ExpectRefused(WithConfig("model_type", "gpt2"), StatusCode::kUnimplemented, "'gpt2'");
  ExpectRefused(WithConfig("hidden_act", "relu"), StatusCode::kUnimplemented, "'relu'");
  ExpectRefused(WithConfig("position_embedding_type", "relative_key"), StatusCode::kUnimplemented,
                "relative_key");
  ExpectRefused(WithConfig("num_attention_heads", 5), StatusCode::kInvalidArgument, "5 heads");
  ExpectRefused(WithConfig("num_hidden_layers", -1), StatusCode::kInvalidArgument,
                "num_hidden_layers");
  ExpectRefused(WithConfig("hidden_size", 1e30), StatusCode::kInvalidArgument, "hidden_size");
  ExpectRefused(WithConfig("layer_norm_eps", -1.0), StatusCode::kInvalidArgument, "epsilon");
  dir_.Write("config.json", "[1,2");
  ExpectRefused(OpenEncoderFolder(dir_.path()).status(), StatusCode::kInvalidArgument,
                "config.json");
}

TEST_F(EncoderFolderTest, ATensorOfAnotherShapeIsNamedWithBothShapes) {
  Json config = tiny_.Config();
  config["intermediate_size"] = 44;
  dir_.Write("config.json", config.dump());
  const Status status = LoadEmbedder(dir_.path(), {}).status();
  ExpectRefused(status, StatusCode::kInvalidArgument, "encoder.layer.0.intermediate.dense");
  ExpectRefused(status, StatusCode::kInvalidArgument, "[24, 40]");
  ExpectRefused(status, StatusCode::kInvalidArgument, "[24, 44]");
}

TEST_F(EncoderFolderTest, AMissingFileIsNamed) {
  ASSERT_TRUE(RemoveFile(dir_.File("model.safetensors")).ok());
  ExpectRefused(LoadEmbedder(dir_.path(), {}).status(), StatusCode::kNotFound, "model.safetensors");
  ASSERT_TRUE(RemoveFile(dir_.File("config.json")).ok());
  ExpectRefused(LoadEmbedder(dir_.path(), {}).status(), StatusCode::kNotFound, "config.json");
}

// --- tokenizer.json ------------------------------------------------------------------------------

class TokenizerJsonTest : public ::testing::Test {
 protected:
  Status With(const char* pointer, const Json& value) {
    Json json = testing::TinyEncoder({"a", "b"}).TokenizerJson();
    json[Json::json_pointer(pointer)] = value;
    return TokenizerFromJson(json.dump(), "t.json").status();
  }
};

TEST_F(TokenizerJsonTest, WhatIsNotKnownIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {{"/model/type", "BPE"},
                                                       {"/normalizer/type", "Lowercase"},
                                                       {"/pre_tokenizer/type", "ByteLevel"},
                                                       {"/post_processor/type", "Other"}};
  for (const auto& [pointer, name] : cases) {
    const Status status = With(pointer, name);
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented) << pointer << status.ToString();
    EXPECT_NE(status.message().find(name), std::string::npos) << status.ToString();
  }
}

TEST_F(TokenizerJsonTest, DamagedVocabulariesAreRefused) {
  EXPECT_EQ(With("/model/vocab/a", 5).code(), StatusCode::kInvalidArgument);    // b has it
  EXPECT_EQ(With("/model/vocab/a", 500).code(), StatusCode::kInvalidArgument);  // leaves a gap
  EXPECT_EQ(With("/model/vocab/a", -1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(With("/model/vocab/a", "x").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(With("/model/unk_token", "nope").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(With("/added_tokens/0/id", 1 << 21).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(With("/post_processor/single", Json::array()).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(TokenizerFromJson("", "t.json").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(TokenizerFromJson("[]", "t.json").status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(With("/model/max_input_chars_per_word", 7).ok());
}

TEST_F(TokenizerJsonTest, LongWordsAreUnknown) {
  Json json = testing::TinyEncoder({"a", "##a"}).TokenizerJson();
  json["model"]["max_input_chars_per_word"] = 3;
  const auto tokenizer = TokenizerFromJson(json.dump(), "t.json").value();
  EXPECT_EQ(tokenizer->Encode("aaa", Special::kText), (std::vector<int32_t>{4, 5, 5}));
  EXPECT_EQ(tokenizer->Encode("aaaa a", Special::kText), (std::vector<int32_t>{1, 4}));
}

TEST_F(TokenizerJsonTest, UnigramReadsScoresAndEnds) {
  Json vocab = Json::array();
  const std::pair<const char*, double> pieces[] = {{"<s>", 0},   {"</s>", 0},     {"<unk>", 0},
                                                   {"▁", -3},    {"▁lamp", -1.0}, {"s", -2},
                                                   {"▁l", -1.5}, {"amps", -9}};
  for (const auto& [piece, score] : pieces) vocab.push_back(Json::array({piece, score}));
  const Json json = {
      {"model", {{"type", "Unigram"}, {"unk_id", 2}, {"vocab", vocab}}},
      {"added_tokens",
       {{{"id", 0}, {"content", "<s>"}, {"special", true}},
        {{"id", 1}, {"content", "</s>"}, {"special", true}},
        {{"id", 8}, {"content", "<mask>"}, {"special", true}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "Sequence"},
        {"pretokenizers", {{{"type", "WhitespaceSplit"}}, {{"type", "Metaspace"}}}}}},
      {"post_processor",
       {{"type", "RobertaProcessing"}, {"cls", {"<s>", 0}}, {"sep", {"</s>", 1}}}}};
  const auto tokenizer = TokenizerFromJson(json.dump(), "t.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  EXPECT_EQ((*tokenizer)->vocab_size(), 9);
  EXPECT_EQ((*tokenizer)->bos(), 0);
  EXPECT_EQ((*tokenizer)->eos(), 1);
  EXPECT_EQ((*tokenizer)->Encode("lamps  s<mask>", Special::kText).front(), 4);
  EXPECT_EQ((*tokenizer)->Encode("lamps  s", Special::kText), (std::vector<int32_t>{4, 5, 3, 5}));
}

}  // namespace
}  // namespace vade
