// The block formats of GGUF tensors: sizes, names, and what their bits mean.
// Decoding here is the specification; kernels multiply other, repacked forms (kernels/matrix.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vade {

// Numbers are those of the GGUF specification (ggml type ids).
enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBf16 = 30,
};

struct TensorTypeInfo {
  TensorType type;
  std::string_view name;    // as GGUF tools print it: "Q4_K"
  uint32_t block_elements;  // 1, 32 or 256
  uint32_t block_bytes;
  // Where the float16 scale and minimum of a block lie; -1 for none.
  int scale_at = -1, minimum_at = -1;
};

// Null for a number that is not in the list above (the caller names it in its error).
const TensorTypeInfo* FindTensorType(uint32_t id);
const TensorTypeInfo& InfoOf(TensorType type);

// Decodes `elements` values (a multiple of block_elements) from `blocks` to float32.
void Dequantize(TensorType type, const uint8_t* blocks, size_t elements, float* out);

}  // namespace vade
