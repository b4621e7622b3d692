// A small model with random weights, and the fixtures over it that the tests of the transformer
// share.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "model/decoder.h"
#include "model/gguf_writer.h"
#include "tests/kernels/random_tensor.h"
#include "tests/testing/golden.h"
#include "tests/testing/temp_dir.h"

namespace vade::testing {

// A qwen2 or llama file with random weights of a few kilobytes.
struct TinyModel {
  std::string architecture = "qwen2";
  uint32_t layers = 2, width = 64, hidden = 96, heads = 4, kv_heads = 2, vocab = 300,
           context = 1200;
  TensorType type = TensorType::kF32;  // of the matrices
  std::string extra_tensor = {};
  std::vector<std::pair<std::string, uint32_t>> numbers =
      {};  // set behind the others: last one counts
  std::vector<std::pair<std::string, std::string>> strings = {};
  uint32_t wrong_rows = 0;  // of ffn_up

  Status Write(const std::string& path) const {
    GgufWriter writer;
    writer.SetString("general.architecture", architecture);
    writer.SetString("tokenizer.ggml.model", "no_vocab");
    auto number = [&](const std::string& key, uint32_t value) {
      const std::string name = architecture + "." + key;
      for (const auto& [other, other_value] : numbers)
        if (other == key) value = other_value;
      writer.SetUint(name, value);
    };
    number("block_count", layers);
    number("context_length", context);
    number("embedding_length", width);
    number("feed_forward_length", hidden);
    number("attention.head_count", heads);
    number("attention.head_count_kv", kv_heads);
    for (const auto& [key, value] : numbers) {
      if (key.find("rope") == 0 || key.find("attention.key") == 0 || key.find("expert") == 0) {
        writer.SetUint(architecture + "." + key, value);
      }
    }
    for (const auto& [key, value] : strings) writer.SetString(architecture + "." + key, value);

    std::mt19937 random(5);
    std::normal_distribution<float> normal(0, 0.15f);
    std::vector<std::vector<float>> storage;
    storage.reserve(1000);
    std::vector<std::vector<uint8_t>> blocks;
    blocks.reserve(1000);
    auto tensor = [&](const std::string& name, std::vector<uint64_t> shape) {
      size_t count = 1;
      for (uint64_t n : shape) count *= n;
      auto& values = storage.emplace_back(count);
      for (float& x : values)
        x = normal(random) + (name.find("norm") != std::string::npos ? 1.0f : 0.0f);
      if (shape.size() == 2 && type != TensorType::kF32) {
        auto& bytes = blocks.emplace_back(kernels::RandomWeights(
            type, shape[1], shape[0], static_cast<uint32_t>(storage.size()), 0.15f));
        writer.AddTensor(name, type, std::move(shape), bytes);
        return;
      }
      writer.AddTensor(name, TensorType::kF32, std::move(shape),
                       {reinterpret_cast<const uint8_t*>(values.data()), count * 4});
    };
    const uint64_t kv = uint64_t{width} / heads * kv_heads;
    tensor("token_embd.weight", {width, vocab});
    tensor("output_norm.weight", {width});
    for (uint32_t i = 0; i < layers; ++i) {
      const std::string p = "blk." + std::to_string(i) + ".";
      tensor(p + "attn_norm.weight", {width});
      tensor(p + "attn_q.weight", {width, width});
      tensor(p + "attn_k.weight", {width, kv});
      tensor(p + "attn_v.weight", {width, kv});
      if (architecture == "qwen2") {
        tensor(p + "attn_q.bias", {width});
        tensor(p + "attn_k.bias", {kv});
        tensor(p + "attn_v.bias", {kv});
      }
      tensor(p + "attn_output.weight", {width, width});
      tensor(p + "ffn_norm.weight", {width});
      tensor(p + "ffn_gate.weight", {width, hidden});
      tensor(p + "ffn_up.weight", {width, wrong_rows ? wrong_rows : hidden});
      tensor(p + "ffn_down.weight", {hidden, width});
    }
    if (!extra_tensor.empty()) tensor(extra_tensor, {width});
    return writer.Write(path);
  }
};

inline std::vector<int32_t> RandomTokens(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (auto& t : tokens) t = static_cast<int32_t>(random() % 300);
  return tokens;
}

inline bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class TransformerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Decoder> Load(const TinyModel& model = {}, ThreadPool* pool = nullptr,
                                uint64_t budget = 16 << 20) {
    DecoderOptions options = SmallOptions(kv_type_, pool);
    options.kv_budget_bytes = budget;
    return Must(TryLoad(model, options));
  }
  Result<std::unique_ptr<Decoder>> TryLoad(const TinyModel& model,
                                           const DecoderOptions& options = SmallOptions()) {
    const std::string path = dir_.File("model.gguf");
    RETURN_IF_ERROR(model.Write(path));
    return LoadDecoder(path, options);
  }
  // Logits of the last token, everything read at once into a fresh sequence.
  std::vector<float> Fresh(Decoder& decoder, std::span<const int32_t> tokens) {
    const auto sequence = Must(decoder.NewSequence());
    return LastLogits(decoder, *sequence, tokens);
  }
  TempDir dir_;
  kernels::KvType kv_type_ = kernels::KvType::kF16;
};

// What holds for every type of the key/value pages. Heads of 32 values: whole blocks of q8 and q4.
class TransformerKvTest : public TransformerTest,
                          public ::testing::WithParamInterface<kernels::KvType> {
 protected:
  void SetUp() override { kv_type_ = GetParam(); }
  std::unique_ptr<Decoder> Load(ThreadPool* pool = nullptr, uint64_t budget = 16 << 20) {
    auto decoder = TransformerTest::Load({.width = 128}, pool, budget);
    EXPECT_EQ(decoder->info().kv_type, kernels::KvTypeName(GetParam()));
    return decoder;
  }
};

inline std::vector<uint8_t> Saved(Decoder& decoder, const Sequence& sequence, int begin, int end) {
  std::vector<uint8_t> bytes(decoder.SavedBytes(end - begin));
  EXPECT_TRUE(decoder.Save(sequence, begin, end, bytes).ok());
  return bytes;
}

}  // namespace vade::testing
