// One block of a GGUF tensor taken apart: integer codes and the scales that turn them into values.
// Both the float decoder (tensor_type.cc) and the packer (matrix.cc) start from this form, so the
// bit layout of each type is written down once. Private to kernels/.
#pragma once

#include <cstdint>

#include "kernels/tensor_type.h"

namespace vade {

// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: value = scale * (code - zero) + minimum.
struct Block32 {
  uint16_t scale = 0;    // float16 bits
  uint16_t minimum = 0;  // float16 bits; 0 for types without one
  int32_t zero = 0;      // 8 for Q4_0, 16 for Q5_0, else 0
  int16_t codes[32];
};

// Q2_K .. Q6_K: value = scale * scales[i/16] * (code - zero) - minimum * minima[i/16].
struct SuperBlock {
  uint16_t scale = 0;    // float16 bits
  uint16_t minimum = 0;  // float16 bits; 0 for types without one
  int32_t zero = 0;      // 4 for Q3_K, 32 for Q6_K, else 0
  int16_t scales[16];
  uint8_t minima[16];  // types with 8 of them repeat each
  uint8_t codes[256];
};

void ReadBlock32(TensorType type, const uint8_t* bytes, Block32* out);
void ReadSuperBlock(TensorType type, const uint8_t* bytes, SuperBlock* out);

}  // namespace vade
