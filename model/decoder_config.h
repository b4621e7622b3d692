// The numbers that describe a decoder, read from a weight file's metadata and checked: afterwards
// no product of them overflows and every division comes out even.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "model/backend.h"
#include "model/gguf.h"

namespace vade {

struct DecoderConfig {
  std::string architecture;  // "llama" or "qwen2": same network, other pairing of rotated dims
  int layers = 0;
  int width = 0;  // of the residual stream
  int feed_forward_width = 0;
  int vocab_size = 0;      // rows of the embedding table
  int context_tokens = 0;  // longest sequence, capped by the caller
  float norm_epsilon = 0;
  AttentionShape attention;
};

// UNIMPLEMENTED names an architecture or a feature that is not here (experts, a kind of rope
// scaling); INVALID_ARGUMENT names a key that is missing or out of range. `context_limit` caps
// context_tokens; kQ8 and kQ4 become kF16 where a head is not whole blocks.
Result<DecoderConfig> ReadDecoderConfig(const GgufFile& file, int context_limit,
                                        kernels::KvType kv_type);

}  // namespace vade
