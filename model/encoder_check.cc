#include "model/encoder_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <random>

#include "base/strings.h"
#include "model/encoder.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"

namespace vade {
namespace {

using Texts = std::vector<std::vector<int32_t>>;

constexpr uint64_t kLayers = 2, kDim = 64, kHeads = 2, kInner = 128, kVocabulary = 50,
                   kPositions = 80;
constexpr double kAllowed = 1e-3;

class MadeUpEncoder {
 public:
  Result<std::unique_ptr<const EncoderWeights>> Weights() {
    writer_.SetString("general.architecture", "bert");
    writer_.SetUint("bert.block_count", kLayers);
    writer_.SetUint("bert.embedding_length", kDim);
    writer_.SetUint("bert.attention.head_count", kHeads);
    writer_.SetUint("bert.feed_forward_length", kInner);
    writer_.SetUint("bert.context_length", kPositions);
    Add("token_embd.weight", {kDim, kVocabulary});
    Add("position_embd.weight", {kDim, kPositions});
    AddNorm("token_embd_norm");
    for (uint64_t i = 0; i < kLayers; ++i) {
      const std::string layer = StrCat("blk.", i, ".");
      for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
        AddLinear(layer + name, kDim, kDim);
      }
      AddNorm(layer + "attn_output_norm");
      AddLinear(layer + "ffn_up", kInner, kDim);
      AddLinear(layer + "ffn_down", kDim, kInner);
      AddNorm(layer + "layer_output_norm");
    }
    ASSIGN_OR_RETURN(std::string bytes, writer_.Build());
    ASSIGN_OR_RETURN(auto file, GgufFile::FromBytes(std::move(bytes), "made-up encoder"));
    return EncoderWeights::Load(std::move(file), {});
  }

 private:
  void Add(const std::string& name, std::vector<uint64_t> shape) {
    size_t count = 1;
    for (const uint64_t n : shape) count *= n;
    std::string& bytes = tensors_.emplace_back(count * sizeof(float), '\0');
    for (size_t i = 0; i < count; ++i) {
      const float value = static_cast<float>(random_() % 2001) / 4000.0f - 0.25f;
      std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof(value));
    }
    writer_.AddTensor(name, TensorType::kF32, std::move(shape),
                      {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  }
  void AddLinear(const std::string& name, uint64_t rows, uint64_t cols) {
    Add(name + ".weight", {cols, rows});
    Add(name + ".bias", {rows});
  }
  void AddNorm(const std::string& name) {
    Add(name + ".weight", {kDim});
    Add(name + ".bias", {kDim});
  }

  std::mt19937 random_{5};
  std::deque<std::string> tensors_;  // the writer reads them at the end
  GgufWriter writer_;
};

// Lengths around the sizes in which kernels take tokens.
Texts MadeUpTexts() {
  std::mt19937 random(6);
  Texts texts;
  for (const size_t length : {40, 1, 17, 64, 80, 8, 33}) {
    std::vector<int32_t>& text = texts.emplace_back();
    for (size_t i = 0; i < length; ++i)
      text.push_back(static_cast<int32_t>(random() % kVocabulary));
  }
  return texts;
}

// A text's vector on the processor, of any length.
Result<std::vector<double>> Pooled(const Encoder& encoder, const std::vector<int32_t>& text,
                                   Pooling pooling) {
  ASSIGN_OR_RETURN(const std::vector<float> hidden, encoder.Run({&text, 1}));
  std::vector<double> sum(kDim);
  const size_t rows = pooling == Pooling::kMean ? text.size() : 1;
  for (size_t i = 0; i < rows * kDim; ++i) sum[i % kDim] += hidden[i];
  return sum;
}

// 0 where one of them is no vector.
double Cosine(const float* a, const std::vector<double>& b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    dot += a[i] * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += b[i] * b[i];
  }
  const double cosine = dot / std::sqrt(aa * bb);
  return std::isfinite(cosine) ? cosine : 0;
}

Result<BackendCheck> CheckPooling(const OpenDeviceEncoder& open, Pooling pooling) {
  ASSIGN_OR_RETURN(auto weights, MadeUpEncoder().Weights());
  ASSIGN_OR_RETURN(const auto device, open(*weights, pooling));
  const Encoder processor(std::move(weights), nullptr);
  const Texts texts = MadeUpTexts();
  ASSIGN_OR_RETURN(const std::vector<float> all, device->Embed(texts));
  BackendCheck check = {
      .what = StrCat("embedding of texts, ",
                     pooling == Pooling::kMean ? "by their means" : "by their first tokens"),
      .allowed = kAllowed};
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSIGN_OR_RETURN(const std::vector<float> alone, device->Embed({&texts[i], 1}));
    ASSIGN_OR_RETURN(const std::vector<double> expected, Pooled(processor, texts[i], pooling));
    const float* vector = all.data() + i * kDim;
    check.difference = std::max(check.difference, 1 - Cosine(vector, expected));
    check.repeatable &= std::memcmp(alone.data(), vector, kDim * sizeof(float)) == 0;
  }
  return check;
}

}  // namespace

Result<std::vector<BackendCheck>> CheckEncoder(const OpenDeviceEncoder& open) {
  std::vector<BackendCheck> checks;
  for (const Pooling pooling : {Pooling::kMean, Pooling::kFirstToken}) {
    ASSIGN_OR_RETURN(BackendCheck check, CheckPooling(open, pooling));
    checks.push_back(std::move(check));
  }
  return checks;
}

}  // namespace vade
