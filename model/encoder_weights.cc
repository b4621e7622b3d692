#include "model/encoder_weights.h"

#include <array>
#include <limits>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr uint64_t kMaxLayers = 512;
constexpr uint64_t kMaxWidth = 1 << 20;

// One matrix of a layer: its name in the file without "blk.N." and ".weight", its place, its shape.
struct LinearName {
  std::string_view name;
  EncoderWeights::Linear EncoderWeights::Layer::*member;
  int EncoderConfig::*rows;
  int EncoderConfig::*cols;
};
constexpr LinearName kLinears[] = {
    {"attn_q", &EncoderWeights::Layer::q, &EncoderConfig::dim, &EncoderConfig::dim},
    {"attn_k", &EncoderWeights::Layer::k, &EncoderConfig::dim, &EncoderConfig::dim},
    {"attn_v", &EncoderWeights::Layer::v, &EncoderConfig::dim, &EncoderConfig::dim},
    {"attn_output", &EncoderWeights::Layer::output, &EncoderConfig::dim, &EncoderConfig::dim},
    {"ffn_up", &EncoderWeights::Layer::up, &EncoderConfig::ff, &EncoderConfig::dim},
    {"ffn_down", &EncoderWeights::Layer::down, &EncoderConfig::dim, &EncoderConfig::ff},
};

Result<int> ReadSize(const GgufFile& file, std::string_view key, uint64_t limit) {
  ASSIGN_OR_RETURN(const uint64_t value, file.RequireUint(key));
  if (value == 0 || value > limit) {
    return InvalidArgument(
        StrCat("weights file ", file.path(), ": ", key, " is ", value, ", expected 1 to ", limit));
  }
  return static_cast<int>(value);
}

Result<std::vector<float>> ReadFloats(const GgufFile& file, const std::string& name,
                                      std::vector<uint64_t> shape) {
  ASSIGN_OR_RETURN(const GgufTensor* tensor, file.Require(name, shape));
  std::vector<float> values(tensor->elements);
  Dequantize(tensor->type, tensor->bytes.data(), values.size(), values.data());
  return values;
}

Result<EncoderWeights::Norm> ReadNorm(const GgufFile& file, const std::string& name, uint64_t dim) {
  EncoderWeights::Norm norm;
  ASSIGN_OR_RETURN(norm.weight, ReadFloats(file, name + ".weight", {dim}));
  ASSIGN_OR_RETURN(norm.bias, ReadFloats(file, name + ".bias", {dim}));
  return norm;
}

std::string LayerName(int layer, std::string_view name) { return StrCat("blk.", layer, ".", name); }

Status ReadEmbeddings(EncoderWeights* weights) {
  const GgufFile& file = *weights->file;
  const EncoderConfig& config = weights->config;
  const uint64_t dim = config.dim;
  const std::array<uint64_t, 2> table = {dim, static_cast<uint64_t>(config.vocab)};
  ASSIGN_OR_RETURN(weights->tokens, file.Require("token_embd.weight", table));
  ASSIGN_OR_RETURN(weights->positions, ReadFloats(file, "position_embd.weight",
                                                  {dim, static_cast<uint64_t>(config.positions)}));
  ASSIGN_OR_RETURN(weights->embedding_norm, ReadNorm(file, "token_embd_norm", dim));
  const GgufTensor* types = file.Find("token_types.weight");
  if (types == nullptr) return OkStatus();
  ASSIGN_OR_RETURN(const std::vector<float> type_rows,
                   ReadFloats(file, "token_types.weight", {dim, types->rows()}));
  for (size_t i = 0; i < weights->positions.size(); ++i)
    weights->positions[i] += type_rows[i % dim];
  return OkStatus();
}

Status ReadLayers(EncoderWeights* weights, const PackOptions& options) {
  const GgufFile& file = *weights->file;
  const EncoderConfig& config = weights->config;
  std::vector<const GgufTensor*> matrices;
  for (int layer = 0; layer < config.layers; ++layer) {
    for (const LinearName& linear : kLinears) {
      const std::array<uint64_t, 2> shape = {static_cast<uint64_t>(config.*linear.cols),
                                             static_cast<uint64_t>(config.*linear.rows)};
      ASSIGN_OR_RETURN(const GgufTensor* tensor,
                       file.Require(LayerName(layer, linear.name) + ".weight", shape));
      matrices.push_back(tensor);
    }
  }
  ASSIGN_OR_RETURN(weights->packed, PackWeights(file, matrices, options));
  for (int i = 0; i < config.layers; ++i) {
    EncoderWeights::Layer layer;
    for (const LinearName& linear : kLinears) {
      const std::string name = LayerName(i, linear.name);
      EncoderWeights::Linear& member = layer.*linear.member;
      member.weight = weights->packed->Find(name + ".weight");
      VADE_CHECK(member.weight != nullptr, "every matrix was asked for above");
      ASSIGN_OR_RETURN(member.bias, ReadFloats(file, name + ".bias",
                                               {static_cast<uint64_t>(config.*linear.rows)}));
    }
    ASSIGN_OR_RETURN(layer.attention_norm,
                     ReadNorm(file, LayerName(i, "attn_output_norm"), config.dim));
    ASSIGN_OR_RETURN(layer.output_norm,
                     ReadNorm(file, LayerName(i, "layer_output_norm"), config.dim));
    weights->layers.push_back(std::move(layer));
  }
  return OkStatus();
}

}  // namespace

Result<EncoderConfig> EncoderConfig::FromGguf(const GgufFile& file) {
  ASSIGN_OR_RETURN(const std::string_view architecture, file.RequireString("general.architecture"));
  if (architecture != "bert") {
    return Unimplemented(StrCat("weights file ", file.path(), " has architecture '",
                                ReplaceInvalidUtf8(architecture.substr(0, 64)),
                                "', which is not supported as an embedder (bert is)"));
  }
  const auto pooling = file.GetUint("bert.pooling_type");
  if (pooling && *pooling != 1) {
    return Unimplemented(StrCat("weights file ", file.path(), ": pooling type ", *pooling,
                                " is not supported (1, the mean over the tokens, is)"));
  }
  if (file.GetBool("bert.attention.causal").value_or(false)) {
    return Unimplemented(
        StrCat("weights file ", file.path(), ": causal encoders are not supported"));
  }
  EncoderConfig config;
  ASSIGN_OR_RETURN(config.layers, ReadSize(file, "bert.block_count", kMaxLayers));
  ASSIGN_OR_RETURN(config.dim, ReadSize(file, "bert.embedding_length", kMaxWidth));
  ASSIGN_OR_RETURN(config.heads, ReadSize(file, "bert.attention.head_count", config.dim));
  ASSIGN_OR_RETURN(config.ff, ReadSize(file, "bert.feed_forward_length", kMaxWidth));
  ASSIGN_OR_RETURN(config.positions, ReadSize(file, "bert.context_length", kMaxWidth));
  if (config.dim % config.heads != 0) {
    return InvalidArgument(StrCat("weights file ", file.path(), ": width ", config.dim,
                                  " is not a multiple of ", config.heads, " heads"));
  }
  config.epsilon =
      static_cast<float>(file.GetFloat("bert.attention.layer_norm_epsilon").value_or(1e-12));
  const GgufTensor* tokens = file.Find("token_embd.weight");
  if (tokens == nullptr || tokens->rows() > std::numeric_limits<int32_t>::max()) {
    return InvalidArgument(
        StrCat("weights file ", file.path(), " has no usable token_embd.weight"));
  }
  config.vocab = static_cast<int>(tokens->rows());
  return config;
}

Result<std::unique_ptr<const EncoderWeights>> EncoderWeights::Load(
    std::shared_ptr<const GgufFile> file, const PackOptions& options) {
  auto weights = std::make_unique<EncoderWeights>();
  weights->file = std::move(file);
  ASSIGN_OR_RETURN(weights->config, EncoderConfig::FromGguf(*weights->file));
  RETURN_IF_ERROR(ReadEmbeddings(weights.get()));
  RETURN_IF_ERROR(ReadLayers(weights.get(), options));
  return std::unique_ptr<const EncoderWeights>(std::move(weights));
}

}  // namespace vade
