// Where a key or value lies in the pages, and its value in each of their types (kernels/kernels.h).
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/operations.h"

namespace vade::kernels::cuda {

VADE_HD uint64_t HeadRowBytes(const KvShape& shape) { return KvBytes(shape.type, shape.head_dim); }
// First byte of a head's row: [layer][key|value][kv_head][slot]; `kind` 0 is the key, 1 the value.
VADE_HD uint64_t HeadRowAt(const KvShape& shape, uint64_t page, uint32_t slot, uint32_t kind,
                           uint32_t kv_head) {
  const uint64_t piece = (2ull * shape.layer + kind) * shape.kv_heads + kv_head;
  return page * shape.page_bytes + (piece * kAttentionTile + slot) * HeadRowBytes(shape);
}

template <KvType kType>
VADE_DEVICE float LoadKv(const Global<const uint8_t>& pages, uint64_t row, uint32_t i) {
  if constexpr (kType == KvType::kF32) {
    return pages.Load<float>(row + 4 * i);
  } else if constexpr (kType == KvType::kF16) {
    return HalfBitsToFloat(pages.Load<uint16_t>(row + 2 * i));
  } else {
    static_assert(kType == KvType::kQ8, "pages of q4 are the processor's alone");
    const uint64_t block = row + i / 32 * kQ8BlockBytes;
    return static_cast<float>(pages.Load<int8_t>(block + 2 + i % 32)) *
           HalfBitsToFloat(pages.Load<uint16_t>(block));
  }
}

// Elements of a head that rotate together: pair i of rope_dims / 2.
struct RopePair {
  uint32_t a, b;
};
VADE_HD RopePair PairOf(const KvShape& shape, uint32_t i) {
  if (shape.rope_style == RopeStyle::kInterleaved) return {2 * i, 2 * i + 1};
  return {i, i + shape.rope_dims / 2};
}

// Cosine and sine of pair i at a position, from the table [position][cosines | sines].
struct Turn {
  float cosine, sine;
};
VADE_DEVICE Turn TurnAt(const KvShape& shape, const Global<const float>& rope, int32_t position,
                        uint32_t i) {
  const size_t row = static_cast<size_t>(position) * shape.rope_dims;
  return {rope[row + i], rope[row + shape.rope_dims / 2 + i]};
}

}  // namespace vade::kernels::cuda
