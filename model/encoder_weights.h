// The weights of a BERT encoder (GGUF architecture "bert", post-LayerNorm, learned positions).
// Immutable, shared between threads; matrices are repacked for the kernels, the token table is read
// row by row from the mapped file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/matrix.h"
#include "model/gguf.h"
#include "model/weight_cache.h"

namespace vade {

struct EncoderConfig {
  int layers = 0;
  int dim = 0;    // width of a token's vector
  int heads = 0;  // of dim / heads each
  int ff = 0;     // width inside the feed-forward part
  int vocab = 0;
  int positions = 0;  // longest text in tokens
  float epsilon = 0;  // of the normalisations
  int head_dim() const { return dim / heads; }

  static Result<EncoderConfig> FromGguf(const GgufFile& file);
};

struct EncoderWeights {
  // y = W x + bias, W is [rows, cols]
  struct Linear {
    const kernels::PackedMatrix* weight = nullptr;
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
  std::shared_ptr<const GgufFile> file;  // holds the token table
  const GgufTensor* tokens = nullptr;    // [vocab, dim]
  std::vector<float> positions;          // [positions, dim], the vector of token type 0 added
  Norm embedding_norm;
  std::vector<Layer> layers;
  std::unique_ptr<PackedWeights> packed;  // what the matrices point into

  // INVALID_ARGUMENT names a missing tensor or one of another shape.
  static Result<std::unique_ptr<const EncoderWeights>> Load(std::shared_ptr<const GgufFile> file,
                                                            const PackOptions& options);
};

}  // namespace vade
