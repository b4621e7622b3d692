// The weights of a decoder behind a backend's handles. One table of tensor names
// (decoder_weights.cc) says what there is and in which shape; loading, checking and the list of
// what a file may hold come from it. Const after loading and shared by all sequences.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/backend.h"
#include "model/decoder_config.h"
#include "model/gguf.h"
#include "model/weight_cache.h"

namespace vade {

struct LayerWeights {
  VectorHandle attention_norm;     // [width]
  Projection q;                    // [q_width, width], bias optional
  Projection k, v;                 // [kv_width, width], bias optional
  Projection attention_out;        // [width, q_width]
  VectorHandle feed_forward_norm;  // [width]
  Projection gate, up;             // [feed_forward_width, width]
  Projection down;                 // [width, feed_forward_width]
};

struct DecoderWeights {
  TableHandle embedding;  // [vocab_size, width]
  std::vector<LayerWeights> layers;
  VectorHandle output_norm;      // [width]
  Projection head;               // [vocab_size, width]; the embedding where the file has no head
  uint64_t bytes_per_token = 0;  // read for one token: everything but the embedding table

  // What the handles may point into; must outlive the backend that they belong to.
  std::unique_ptr<PackedWeights> packed;
};

// INVALID_ARGUMENT tells expected from actual shape; UNIMPLEMENTED names a tensor that is not in
// the table (leaving it out would give wrong numbers). The file must outlive the backend.
Result<DecoderWeights> LoadDecoderWeights(const GgufFile& file, const DecoderConfig& config,
                                          const PackOptions& options, Backend& backend);

// One line a tensor that such a decoder has: name, shape, whether it may be absent.
struct TensorSpec {
  std::string name;
  std::vector<uint64_t> shape;  // innermost first
  bool optional = false;
};
std::vector<TensorSpec> DecoderTensors(const DecoderConfig& config);

}  // namespace vade
