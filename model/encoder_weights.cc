#include "model/encoder_weights.h"

#include <array>
#include <limits>

#include "base/strings.h"
#include "base/unicode.h"
#include "kernels/int8.h"

namespace vade {
namespace {

constexpr uint64_t kMaxLayers = 512;
constexpr uint64_t kMaxWidth = kernels::kInt8MaxCols;
constexpr uint64_t kMaxPositions = 1 << 20;
constexpr uint64_t kMaxVocabulary = 1 << 24;

using NamePair = std::string_view[2];  // by EncoderNames

constexpr NamePair kTokenTable = {"token_embd", "embeddings.word_embeddings"};
constexpr NamePair kPositionTable = {"position_embd", "embeddings.position_embeddings"};
constexpr NamePair kTypeTable = {"token_types", "embeddings.token_type_embeddings"};
constexpr NamePair kEmbeddingNorm = {"token_embd_norm", "embeddings.LayerNorm"};
constexpr NamePair kAttentionNorm = {"attn_output_norm", "attention.output.LayerNorm"};
constexpr NamePair kOutputNorm = {"layer_output_norm", "output.LayerNorm"};

// One matrix of a layer: its names without the layer's and ".weight", its place, its shape.
struct LinearName {
  NamePair name;
  EncoderWeights::Linear EncoderWeights::Layer::*member;
  int EncoderConfig::*rows;
  int EncoderConfig::*cols;
};
constexpr LinearName kLinears[] = {
    {{"attn_q", "attention.self.query"},
     &EncoderWeights::Layer::q,
     &EncoderConfig::dim,
     &EncoderConfig::dim},
    {{"attn_k", "attention.self.key"},
     &EncoderWeights::Layer::k,
     &EncoderConfig::dim,
     &EncoderConfig::dim},
    {{"attn_v", "attention.self.value"},
     &EncoderWeights::Layer::v,
     &EncoderConfig::dim,
     &EncoderConfig::dim},
    {{"attn_output", "attention.output.dense"},
     &EncoderWeights::Layer::output,
     &EncoderConfig::dim,
     &EncoderConfig::dim},
    {{"ffn_up", "intermediate.dense"},
     &EncoderWeights::Layer::up,
     &EncoderConfig::ff,
     &EncoderConfig::dim},
    {{"ffn_down", "output.dense"},
     &EncoderWeights::Layer::down,
     &EncoderConfig::dim,
     &EncoderConfig::ff},
};

Result<int> ReadSize(const GgufFile& file, std::string_view key, uint64_t limit) {
  ASSIGN_OR_RETURN(const uint64_t value, file.RequireUint(key));
  if (value == 0 || value > limit) {
    return InvalidArgument(
        StrCat("weights file ", file.path(), ": ", key, " is ", value, ", expected 1 to ", limit));
  }
  return static_cast<int>(value);
}

// Finds tensors by what they are, whatever the file calls them.
class Reader {
 public:
  Reader(const TensorFile& file, EncoderNames names) : file_(file), names_(names) {
    if (names != EncoderNames::kHuggingFace) return;
    // A checkpoint of a model with a head has the encoder under a name of its own.
    for (const std::string_view prefix : {"", "bert.", "roberta."}) {
      if (file.Find(StrCat(prefix, kTokenTable[1], ".weight")) != nullptr) prefix_ = prefix;
    }
  }

  std::string Name(const NamePair& name) const { return StrCat(prefix_, Of(name)); }
  std::string LayerName(int layer, const NamePair& name) const {
    return names_ == EncoderNames::kGguf
               ? StrCat("blk.", layer, ".", Of(name))
               : StrCat(prefix_, "encoder.layer.", layer, ".", Of(name));
  }

  Result<const WeightTensor*> Matrix(const std::string& name, int rows, int cols) const {
    const std::array<uint64_t, 2> shape = {static_cast<uint64_t>(cols),
                                           static_cast<uint64_t>(rows)};
    return file_.Require(name + ".weight", shape);
  }
  Result<std::vector<float>> Floats(const std::string& name, std::vector<uint64_t> shape) const {
    ASSIGN_OR_RETURN(const WeightTensor* tensor, file_.Require(name, shape));
    std::vector<float> values(tensor->elements);
    Dequantize(tensor->type, tensor->bytes.data(), values.size(), values.data());
    return values;
  }
  Result<EncoderWeights::Norm> Norm(const std::string& name, int dim) const {
    EncoderWeights::Norm norm;
    const uint64_t n = static_cast<uint64_t>(dim);
    ASSIGN_OR_RETURN(norm.weight, Floats(name + ".weight", {n}));
    ASSIGN_OR_RETURN(norm.bias, Floats(name + ".bias", {n}));
    return norm;
  }
  const WeightTensor* Find(const std::string& name) const { return file_.Find(name); }

 private:
  std::string_view Of(const NamePair& name) const { return name[static_cast<size_t>(names_)]; }

  const TensorFile& file_;
  EncoderNames names_;
  std::string_view prefix_;
};

// Rows first_position, first_position + 1, ... with the vector of token type 0 added.
Status ReadPositions(const Reader& reader, EncoderWeights* weights) {
  const EncoderConfig& config = weights->config;
  const uint64_t dim = config.dim;
  const std::string name = reader.Name(kPositionTable) + ".weight";
  const uint64_t rows = static_cast<uint64_t>(config.first_position) + config.positions;
  ASSIGN_OR_RETURN(weights->positions, reader.Floats(name, {dim, rows}));
  weights->positions.erase(
      weights->positions.begin(),
      weights->positions.begin() + static_cast<ptrdiff_t>(config.first_position * dim));
  const std::string types_name = reader.Name(kTypeTable) + ".weight";
  const WeightTensor* types = reader.Find(types_name);
  if (types == nullptr) return OkStatus();
  ASSIGN_OR_RETURN(const std::vector<float> type_rows,
                   reader.Floats(types_name, {dim, types->rows()}));
  if (type_rows.size() < dim) return OkStatus();
  for (size_t i = 0; i < weights->positions.size(); ++i)
    weights->positions[i] += type_rows[i % dim];
  return OkStatus();
}

Status ReadLayers(const Reader& reader, const PackOptions& options, EncoderWeights* weights) {
  const EncoderConfig& config = weights->config;
  std::vector<const WeightTensor*> matrices;
  for (int layer = 0; layer < config.layers; ++layer) {
    for (const LinearName& linear : kLinears) {
      ASSIGN_OR_RETURN(const WeightTensor* tensor,
                       reader.Matrix(reader.LayerName(layer, linear.name), config.*linear.rows,
                                     config.*linear.cols));
      matrices.push_back(tensor);
    }
  }
  PackOptions rounded = options;
  rounded.form = PackForm::kInt8Rows;
  ASSIGN_OR_RETURN(weights->packed, PackWeights(*weights->file, matrices, rounded));
  for (int i = 0; i < config.layers; ++i) {
    EncoderWeights::Layer layer;
    for (const LinearName& linear : kLinears) {
      const std::string name = reader.LayerName(i, linear.name);
      EncoderWeights::Linear& member = layer.*linear.member;
      member.weight = weights->packed->Find(name + ".weight");
      VADE_CHECK(member.weight != nullptr, "every matrix was asked for above");
      ASSIGN_OR_RETURN(member.bias, reader.Floats(name + ".bias",
                                                  {static_cast<uint64_t>(config.*linear.rows)}));
    }
    ASSIGN_OR_RETURN(layer.attention_norm,
                     reader.Norm(reader.LayerName(i, kAttentionNorm), config.dim));
    ASSIGN_OR_RETURN(layer.output_norm, reader.Norm(reader.LayerName(i, kOutputNorm), config.dim));
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
  ASSIGN_OR_RETURN(config.positions, ReadSize(file, "bert.context_length", kMaxPositions));
  config.epsilon =
      static_cast<float>(file.GetFloat("bert.attention.layer_norm_epsilon").value_or(1e-12));
  const GgufTensor* tokens = file.Find("token_embd.weight");
  if (tokens == nullptr || tokens->rows() > std::numeric_limits<int32_t>::max()) {
    return InvalidArgument(
        StrCat("weights file ", file.path(), " has no usable token_embd.weight"));
  }
  config.vocab = static_cast<int>(tokens->rows());
  RETURN_IF_ERROR(config.Validate(file.path()));
  return config;
}

Status EncoderConfig::Validate(const std::string& path) const {
  struct Bound {
    std::string_view name;
    int value;
    uint64_t most;
  };
  const Bound bounds[] = {
      {"number of layers", layers, kMaxLayers},  {"width", dim, kMaxWidth},
      {"number of heads", heads, kMaxWidth},     {"inner width", ff, kMaxWidth},
      {"longest text", positions, kMaxPositions}, {"vocabulary", vocab, kMaxVocabulary},
  };
  for (const Bound& bound : bounds) {
    if (bound.value < 1 || static_cast<uint64_t>(bound.value) > bound.most) {
      return InvalidArgument(StrCat("weights file ", path, ": ", bound.name, " is ", bound.value,
                                    ", expected 1 to ", bound.most));
    }
  }
  if (dim % heads != 0) {
    return InvalidArgument(StrCat("weights file ", path, ": width ", dim, " is not a multiple of ",
                                  heads, " heads"));
  }
  if (first_position < 0 || first_position > 2 || !(epsilon >= 0 && epsilon < 1)) {
    return InvalidArgument(StrCat("weights file ", path, ": first position ", first_position,
                                  " or epsilon ", epsilon, " is out of range"));
  }
  return OkStatus();
}

Result<std::unique_ptr<const EncoderWeights>> EncoderWeights::Load(
    std::shared_ptr<const TensorFile> file, const EncoderConfig& config, EncoderNames names,
    const PackOptions& options) {
  auto weights = std::make_unique<EncoderWeights>();
  weights->file = std::move(file);
  weights->config = config;
  const Reader reader(*weights->file, names);
  ASSIGN_OR_RETURN(weights->tokens,
                   reader.Matrix(reader.Name(kTokenTable), config.vocab, config.dim));
  RETURN_IF_ERROR(ReadPositions(reader, weights.get()));
  ASSIGN_OR_RETURN(weights->embedding_norm,
                   reader.Norm(reader.Name(kEmbeddingNorm), config.dim));
  RETURN_IF_ERROR(ReadLayers(reader, options, weights.get()));
  return std::unique_ptr<const EncoderWeights>(std::move(weights));
}

Result<std::unique_ptr<const EncoderWeights>> EncoderWeights::Load(
    std::shared_ptr<const GgufFile> file, const PackOptions& options) {
  ASSIGN_OR_RETURN(const EncoderConfig config, EncoderConfig::FromGguf(*file));
  return Load(std::move(file), config, EncoderNames::kGguf, options);
}

}  // namespace vade
