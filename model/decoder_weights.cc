#include "model/decoder_weights.h"

#include <cmath>
#include <set>
#include <span>

#include "base/strings.h"

namespace vade {
namespace {

// Which member of the weights a tensor fills: a vector, or the matrix or the bias of a projection.
struct Row {
  std::string_view name;  // within a layer behind "blk.N."
  uint64_t rows, cols;    // cols 0: a vector of `rows`
  bool optional;
  VectorHandle LayerWeights::*vector;
  Projection LayerWeights::*projection;
};

std::vector<Row> LayerRows(const DecoderConfig& c) {
  const uint64_t width = c.width, hidden = c.feed_forward_width;
  const uint64_t q = c.attention.q_width(), kv = c.attention.kv_width();
  using L = LayerWeights;
  return {
      {"attn_norm.weight", width, 0, false, &L::attention_norm, nullptr},
      {"attn_q.weight", q, width, false, nullptr, &L::q},
      {"attn_q.bias", q, 0, true, nullptr, &L::q},
      {"attn_k.weight", kv, width, false, nullptr, &L::k},
      {"attn_k.bias", kv, 0, true, nullptr, &L::k},
      {"attn_v.weight", kv, width, false, nullptr, &L::v},
      {"attn_v.bias", kv, 0, true, nullptr, &L::v},
      {"attn_output.weight", width, q, false, nullptr, &L::attention_out},
      {"ffn_norm.weight", width, 0, false, &L::feed_forward_norm, nullptr},
      {"ffn_gate.weight", hidden, width, false, nullptr, &L::gate},
      {"ffn_up.weight", hidden, width, false, nullptr, &L::up},
      {"ffn_down.weight", width, hidden, false, nullptr, &L::down},
  };
}

constexpr std::string_view kEmbedding = "token_embd.weight";
constexpr std::string_view kOutputNorm = "output_norm.weight";
constexpr std::string_view kHead = "output.weight";

std::string LayerName(int layer, std::string_view name) { return StrCat("blk.", layer, ".", name); }

std::vector<uint64_t> ShapeOf(const Row& row) {
  if (row.cols == 0) return {row.rows};
  return {row.cols, row.rows};
}

// Small tensors (norms, biases) as float32.
Result<VectorHandle> LoadVector(const GgufFile& file, const GgufTensor& tensor, Backend& backend) {
  if (tensor.elements % InfoOf(tensor.type).block_elements != 0) {
    return InvalidArgument(
        StrCat("weights file ", file.path(), ": tensor ", tensor.name, " is not whole blocks"));
  }
  std::vector<float> values(tensor.elements);
  Dequantize(tensor.type, tensor.bytes.data(), values.size(), values.data());
  for (float value : values) {
    if (!std::isfinite(value)) {
      return DataLoss(StrCat("weights file ", file.path(), ": tensor ", tensor.name,
                             " holds a value that is not finite; fetch the file again"));
    }
  }
  return backend.AddVector(values);
}

// Adds matrices to the backend and counts their bytes.
class Loader {
 public:
  Loader(const GgufFile& file, Backend& backend, DecoderWeights& weights)
      : file_(file), backend_(backend), weights_(weights) {}

  Status Matrix(std::string_view name, Projection* into) {
    const kernels::PackedMatrix* matrix = weights_.packed->Find(name);
    VADE_CHECK(matrix != nullptr, "every matrix of the table was packed");
    weights_.bytes_per_token += matrix->TileCount() * matrix->TileBytes();
    ASSIGN_OR_RETURN(into->matrix, backend_.AddMatrix(*matrix));
    return OkStatus();
  }

  Status Vector(const GgufTensor& tensor, VectorHandle* into) {
    weights_.bytes_per_token += tensor.elements * sizeof(float);
    ASSIGN_OR_RETURN(*into, LoadVector(file_, tensor, backend_));
    return OkStatus();
  }

  Status Layer(int index, const std::vector<Row>& rows, LayerWeights* layer) {
    for (const Row& row : rows) {
      const std::string name = LayerName(index, row.name);
      const GgufTensor* tensor = file_.Find(name);
      if (!tensor) continue;  // only an optional one, the check has seen to it
      if (row.cols > 0) {
        RETURN_IF_ERROR(Matrix(name, &(layer->*row.projection)));
      } else {
        RETURN_IF_ERROR(
            Vector(*tensor, row.vector ? &(layer->*row.vector) : &(layer->*row.projection).bias));
      }
    }
    return OkStatus();
  }

 private:
  const GgufFile& file_;
  Backend& backend_;
  DecoderWeights& weights_;
};

Status CheckTensors(const GgufFile& file, const std::vector<TensorSpec>& specs) {
  std::set<std::string_view> known;
  for (const TensorSpec& spec : specs) {
    known.insert(spec.name);
    if (spec.optional && !file.Find(spec.name)) continue;
    RETURN_IF_ERROR(file.Require(spec.name, spec.shape).status());
  }
  for (const GgufTensor& tensor : file.tensors()) {
    if (!known.contains(tensor.name)) {
      return Unimplemented(StrCat("weights file ", file.path(), ": tensor ", tensor.name,
                                  " is of a kind of network that is not supported"));
    }
  }
  return OkStatus();
}

}  // namespace

std::vector<TensorSpec> DecoderTensors(const DecoderConfig& config) {
  const uint64_t width = config.width, vocab = config.vocab_size;
  std::vector<TensorSpec> specs = {{std::string(kEmbedding), {width, vocab}, false},
                                   {std::string(kOutputNorm), {width}, false},
                                   {std::string(kHead), {width, vocab}, true}};
  for (int layer = 0; layer < config.layers; ++layer) {
    for (const Row& row : LayerRows(config)) {
      specs.push_back({LayerName(layer, row.name), ShapeOf(row), row.optional});
    }
  }
  return specs;
}

Result<DecoderWeights> LoadDecoderWeights(const GgufFile& file, const DecoderConfig& config,
                                          const PackOptions& options, Backend& backend) {
  const std::vector<TensorSpec> specs = DecoderTensors(config);
  RETURN_IF_ERROR(CheckTensors(file, specs));

  // The embedding is looked up by rows where it lies in the file, and multiplied only as a tied
  // head.
  const std::string_view head = file.Find(kHead) ? kHead : kEmbedding;
  std::vector<const GgufTensor*> matrices;
  for (const TensorSpec& spec : specs) {
    const GgufTensor* tensor = file.Find(spec.name);
    if (tensor && spec.shape.size() == 2 && (spec.name != kEmbedding || head == kEmbedding)) {
      matrices.push_back(tensor);
    }
  }

  DecoderWeights weights;
  ASSIGN_OR_RETURN(weights.packed, PackWeights(file, matrices, options));
  const GgufTensor& embedding = *file.Find(kEmbedding);
  ASSIGN_OR_RETURN(weights.embedding, backend.AddTable(embedding.type, embedding.bytes,
                                                       config.vocab_size, config.width));
  Loader loader(file, backend, weights);
  const std::vector<Row> rows = LayerRows(config);
  for (int layer = 0; layer < config.layers; ++layer) {
    RETURN_IF_ERROR(loader.Layer(layer, rows, &weights.layers.emplace_back()));
  }
  RETURN_IF_ERROR(loader.Vector(*file.Find(kOutputNorm), &weights.output_norm));
  RETURN_IF_ERROR(loader.Matrix(head, &weights.head));
  return weights;
}

}  // namespace vade
