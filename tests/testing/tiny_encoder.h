// A small encoder with random weights, as a Hugging Face folder and as a GGUF file.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"
#include "tests/testing/temp_dir.h"

namespace vade::testing {

class TinyEncoder {
 public:
  static constexpr int kLayers = 2, kDim = 24, kHeads = 3, kInner = 40, kPositions = 20;

  // The words are the vocabulary behind [PAD], [UNK], [CLS], [SEP].
  explicit TinyEncoder(std::vector<std::string> words, int first_position = 0) {
    vocabulary_ = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
    vocabulary_.insert(vocabulary_.end(), words.begin(), words.end());
    const int vocab = static_cast<int>(vocabulary_.size());
    Add("embeddings.word_embeddings.weight", "token_embd.weight", vocab, kDim);
    Add("embeddings.position_embeddings.weight", "position_embd.weight",
        kPositions + first_position, kDim);
    Add("embeddings.token_type_embeddings.weight", "token_types.weight", 2, kDim);
    AddNorm("embeddings.LayerNorm", "token_embd_norm");
    for (int i = 0; i < kLayers; ++i) {
      const std::string hf = "encoder.layer." + std::to_string(i) + ".";
      const std::string gguf = "blk." + std::to_string(i) + ".";
      AddLinear(hf + "attention.self.query", gguf + "attn_q", kDim, kDim);
      AddLinear(hf + "attention.self.key", gguf + "attn_k", kDim, kDim);
      AddLinear(hf + "attention.self.value", gguf + "attn_v", kDim, kDim);
      AddLinear(hf + "attention.output.dense", gguf + "attn_output", kDim, kDim);
      AddNorm(hf + "attention.output.LayerNorm", gguf + "attn_output_norm");
      AddLinear(hf + "intermediate.dense", gguf + "ffn_up", kInner, kDim);
      AddLinear(hf + "output.dense", gguf + "ffn_down", kDim, kInner);
      AddNorm(hf + "output.LayerNorm", gguf + "layer_output_norm");
    }
  }

  nlohmann::json Config() const {
    return {{"model_type", "bert"},
            {"hidden_act", "gelu"},
            {"hidden_size", kDim},
            {"num_hidden_layers", kLayers},
            {"layer_norm_eps", 1e-6},
            {"num_attention_heads", kHeads},
            {"intermediate_size", kInner},
            {"max_position_embeddings", kPositions},
            {"vocab_size", vocabulary_.size()}};
  }

  nlohmann::json TokenizerJson() const {
    nlohmann::json vocab, added = nlohmann::json::array();
    for (size_t i = 0; i < vocabulary_.size(); ++i) vocab[vocabulary_[i]] = i;
    for (int i = 0; i < 4; ++i)
      added.push_back({{"id", i}, {"content", vocabulary_[i]}, {"special", true}});
    const auto special = [](const char* id) {
      return nlohmann::json{{"SpecialToken", {{"id", id}, {"type_id", 0}}}};
    };
    return {
        {"model",
         {{"type", "WordPiece"},
          {"unk_token", "[UNK]"},
          {"continuing_subword_prefix", "##"},
          {"max_input_chars_per_word", 100},
          {"vocab", vocab}}},
        {"added_tokens", added},
        {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", true}}},
        {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
        {"post_processor",
         {{"type", "TemplateProcessing"},
          {"single",
           {special("[CLS]"), {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, special("[SEP]")}}}}};
  }

  std::string Safetensors() const {
    nlohmann::json header;
    std::string data;
    for (const auto& [name, tensor] : tensors_) {
      const size_t begin = data.size();
      data.append(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * 4);
      header[name] = {
          {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
    }
    const std::string text = header.dump();
    std::string bytes;
    AppendFixed<uint64_t>(&bytes, text.size());
    return bytes + text + data;
  }

  std::shared_ptr<const GgufFile> Gguf() const {
    GgufWriter writer;
    writer.SetString("general.architecture", "bert");
    writer.SetUint("bert.block_count", kLayers);
    writer.SetUint("bert.embedding_length", kDim);
    writer.SetUint("bert.attention.head_count", kHeads);
    writer.SetUint("bert.feed_forward_length", kInner);
    writer.SetUint("bert.context_length", kPositions);
    writer.SetFloat("bert.attention.layer_norm_epsilon", 1e-6f);
    for (const auto& [name, tensor] : tensors_) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(tensor.values.data());
      writer.AddTensor(tensor.gguf_name, TensorType::kF32,
                       {tensor.shape.rbegin(), tensor.shape.rend()},
                       {bytes, tensor.values.size() * 4});
    }
    return GgufFile::FromBytes(writer.Build().value(), "tiny.gguf").value();
  }

  // The folder with its three files.
  void Write(const TempDir& dir) const {
    dir.Write("config.json", Config().dump());
    dir.Write("tokenizer.json", TokenizerJson().dump());
    dir.Write("model.safetensors", Safetensors());
  }

 private:
  struct Tensor {
    std::string gguf_name;
    std::vector<uint64_t> shape;  // outermost first
    std::vector<float> values;
  };

  void AddShape(const std::string& hf, const std::string& gguf, std::vector<uint64_t> shape) {
    Tensor tensor = {gguf, std::move(shape), {}};
    size_t count = 1;
    for (const uint64_t n : tensor.shape) count *= n;
    std::normal_distribution<float> normal(0, 0.3f);
    for (size_t i = 0; i < count; ++i) tensor.values.push_back(normal(random_));
    tensors_[hf] = std::move(tensor);
  }
  void Add(const std::string& hf, const std::string& gguf, uint64_t rows, uint64_t cols) {
    AddShape(hf, gguf, {rows, cols});
  }
  void AddLinear(const std::string& hf, const std::string& gguf, uint64_t rows, uint64_t cols) {
    Add(hf + ".weight", gguf + ".weight", rows, cols);
    AddShape(hf + ".bias", gguf + ".bias", {rows});
  }
  void AddNorm(const std::string& hf, const std::string& gguf) {
    AddShape(hf + ".weight", gguf + ".weight", {kDim});
    AddShape(hf + ".bias", gguf + ".bias", {kDim});
  }

  std::mt19937 random_{7};
  std::vector<std::string> vocabulary_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace vade::testing
