// The weights of a BERT encoder (post-LayerNorm, learned positions, GELU). Immutable, shared between
// threads; matrices are rounded to 8 bits and repacked for the kernels, the token table is read row
// by row from the mapped file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/matrix.h"
#include "model/gguf.h"
#include "model/tensor_file.h"
#include "model/weight_cache.h"

namespace vade {

struct EncoderConfig {
  int layers = 0;
  int dim = 0;    // width of a token's vector
  int heads = 0;  // of dim / heads each
  int ff = 0;     // width inside the feed-forward part
  int vocab = 0;
  int positions = 0;       // longest text in tokens
  int first_position = 0;  // row of the position table that belongs to the first token
  float epsilon = 0;       // of the normalisations
  int head_dim() const { return dim / heads; }

  static Result<EncoderConfig> FromGguf(const GgufFile& file);

  // INVALID_ARGUMENT names the first number that no encoder has, and the file.
  Status Validate(const std::string& path) const;
};

// What the tensors are called: as in GGUF files of architecture "bert", or as in Hugging Face's
// BertModel and XLMRobertaModel.
enum class EncoderNames : uint8_t { kGguf, kHuggingFace };

// How a text's vectors become one.
enum class Pooling : uint8_t { kMean, kFirstToken };  // kFirstToken: "CLS"

struct EncoderWeights {
  // y = W x + bias, W is [rows, cols]
  struct Linear {
    const kernels::PackedMatrix* weight = nullptr;  // Format::kInt8Rows
    std::vector<float> bias;
  };
  struct Norm {
    std::vector<float> weight, bias;
  };
  struct Layer {
    Linear q, k, v, output;  // [dim, dim]
    Norm attention_norm;
    Linear up;    // [ff, dim]
    Linear down;  // [dim, ff]
    Norm output_norm;
  };

  EncoderConfig config;
  std::shared_ptr<const TensorFile> file;  // holds the token table
  const WeightTensor* tokens = nullptr;    // [vocab, dim]
  std::vector<float> positions;            // [positions, dim], the vector of token type 0 added
  Norm embedding_norm;
  std::vector<Layer> layers;
  std::unique_ptr<PackedWeights> packed;  // what the matrices point into

  // INVALID_ARGUMENT names a missing tensor or one of another shape. options.form does not count.
  static Result<std::unique_ptr<const EncoderWeights>> Load(std::shared_ptr<const TensorFile> file,
                                                            const EncoderConfig& config,
                                                            EncoderNames names,
                                                            const PackOptions& options);
  // The same for a GGUF file, which has its numbers in it.
  static Result<std::unique_ptr<const EncoderWeights>> Load(std::shared_ptr<const GgufFile> file,
                                                            const PackOptions& options);
};

}  // namespace vade
