#include "model/decoder_config.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace vade {
namespace {

// Beyond any model of today; products of two stay far below 2^63, and all fit an int.
constexpr uint64_t kMaxLayers = 1024;
constexpr uint64_t kMaxWidth = 1 << 20;
constexpr uint64_t kMaxHeads = 4096;
constexpr uint64_t kMaxVocab = 1 << 24;
constexpr uint64_t kMaxContext = 1 << 24;

// Keys of one file under its architecture's prefix, with the range that each must lie in.
class Keys {
 public:
  Keys(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  std::string Name(std::string_view key) const { return StrCat(prefix_, ".", key); }

  Result<int> Count(std::string_view key, uint64_t most) const {
    ASSIGN_OR_RETURN(const uint64_t value, file_.RequireUint(Name(key)));
    return InRange(key, value, most);
  }
  Result<int> CountOr(std::string_view key, int otherwise, uint64_t most) const {
    const auto value = file_.GetUint(Name(key));
    if (!value) return otherwise;
    return InRange(key, *value, most);
  }
  Result<double> Positive(std::string_view key, double otherwise, double most) const {
    const double value = file_.GetFloat(Name(key)).value_or(otherwise);
    if (!(value > 0) || value > most) {
      return InvalidArgument(StrCat("weights file ", file_.path(), ": ", Name(key), " is ", value,
                                    ", expected a number above 0 and up to ", most));
    }
    return value;
  }
  Status Problem(std::string_view what) const {
    return InvalidArgument(StrCat("weights file ", file_.path(), ": ", what));
  }
  Status Missing(std::string_view what) const {
    return Unimplemented(StrCat("weights file ", file_.path(), ": ", what, " is not supported"));
  }

 private:
  Result<int> InRange(std::string_view key, uint64_t value, uint64_t most) const {
    if (value == 0 || value > most) {
      return InvalidArgument(StrCat("weights file ", file_.path(), ": ", Name(key), " is ", value,
                                    ", expected 1 to ", most));
    }
    return static_cast<int>(value);
  }
  const GgufFile& file_;
  std::string prefix_;
};

Result<AttentionShape> ReadAttention(const Keys& keys, const DecoderConfig& config) {
  AttentionShape shape;
  ASSIGN_OR_RETURN(shape.heads, keys.Count("attention.head_count", kMaxHeads));
  ASSIGN_OR_RETURN(shape.kv_heads, keys.CountOr("attention.head_count_kv", shape.heads, kMaxHeads));
  if (shape.heads % shape.kv_heads != 0) {
    return keys.Problem(StrCat(shape.heads, " attention heads cannot share ", shape.kv_heads,
                               " key/value heads evenly"));
  }
  ASSIGN_OR_RETURN(shape.head_dim,
                   keys.CountOr("attention.key_length", config.width / shape.heads, 4096));
  ASSIGN_OR_RETURN(const int value_dim,
                   keys.CountOr("attention.value_length", shape.head_dim, 4096));
  if (shape.head_dim == 0 || static_cast<uint64_t>(shape.heads) * shape.head_dim > kMaxWidth) {
    return keys.Problem(
        StrCat(shape.heads, " attention heads do not fit a width of ", config.width));
  }
  if (value_dim != shape.head_dim) return keys.Missing("values of another length than keys");
  ASSIGN_OR_RETURN(shape.rope_dims,
                   keys.CountOr("rope.dimension_count", shape.head_dim, shape.head_dim));
  if (shape.rope_dims % 2 != 0) return keys.Problem("rope.dimension_count is odd");
  ASSIGN_OR_RETURN(shape.rope_base, keys.Positive("rope.freq_base", 10000, 1e12));
  shape.rope_style = config.architecture == "llama" ? kernels::RopeStyle::kInterleaved
                                                    : kernels::RopeStyle::kHalfSplit;
  shape.layers = config.layers;
  return shape;
}

// Features that would change the numbers and are not computed here.
Status RefuseUnknownFeatures(const GgufFile& file, const Keys& keys) {
  const auto scaling = file.GetString(keys.Name("rope.scaling.type"));
  if (scaling && *scaling != "none") {
    return keys.Missing(StrCat("rope scaling of type '", *scaling, "'"));
  }
  for (const char* key : {"rope.scaling.factor", "rope.scale_linear"}) {
    if (!scaling && file.GetFloat(keys.Name(key)).value_or(1) != 1)
      return keys.Missing(keys.Name(key));
  }
  if (file.GetUint(keys.Name("expert_count")).value_or(0) > 0)
    return keys.Missing("a mixture of experts");
  if (!file.GetBool(keys.Name("attention.causal")).value_or(true))
    return keys.Missing("non-causal attention");
  return OkStatus();
}

}  // namespace

Result<DecoderConfig> ReadDecoderConfig(const GgufFile& file, int context_limit,
                                        kernels::KvType kv_type) {
  DecoderConfig config;
  ASSIGN_OR_RETURN(const std::string_view architecture, file.RequireString("general.architecture"));
  config.architecture = architecture;
  if (architecture != "llama" && architecture != "qwen2") {
    return Unimplemented(StrCat("weights file ", file.path(), ": architecture '", architecture,
                                "' is not supported as a decoder; use a llama or qwen2 file"));
  }
  const Keys keys(file, config.architecture);
  RETURN_IF_ERROR(RefuseUnknownFeatures(file, keys));
  ASSIGN_OR_RETURN(config.layers, keys.Count("block_count", kMaxLayers));
  ASSIGN_OR_RETURN(config.width, keys.Count("embedding_length", kMaxWidth));
  ASSIGN_OR_RETURN(config.feed_forward_width, keys.Count("feed_forward_length", kMaxWidth));
  ASSIGN_OR_RETURN(config.context_tokens, keys.Count("context_length", kMaxContext));
  // A window as long as the context never shuts anything out.
  ASSIGN_OR_RETURN(const int window, keys.CountOr("attention.sliding_window", config.context_tokens,
                                                  UINT32_MAX >> 1));
  if (context_limit < 1) return InvalidArgument("context_tokens must be at least 1");
  config.context_tokens = std::min({config.context_tokens, window, context_limit});
  ASSIGN_OR_RETURN(const double epsilon,
                   keys.Positive("attention.layer_norm_rms_epsilon", 1e-5, 1));
  config.norm_epsilon = static_cast<float>(epsilon);
  ASSIGN_OR_RETURN(config.attention, ReadAttention(keys, config));
  const bool whole_blocks = config.attention.head_dim % kernels::kKvBlock == 0;
  config.attention.kv_type =
      kernels::IsKeptInBlocks(kv_type) && !whole_blocks ? kernels::KvType::kF16 : kv_type;

  const GgufTensor* embedding = file.Find("token_embd.weight");
  const uint64_t vocab = embedding ? embedding->rows() : 0;
  if (vocab == 0 || vocab > kMaxVocab) {
    return keys.Problem(
        StrCat("token_embd.weight has ", vocab, " rows, expected 1 to ", kMaxVocab));
  }
  config.vocab_size = static_cast<int>(vocab);
  return config;
}

}  // namespace vade
