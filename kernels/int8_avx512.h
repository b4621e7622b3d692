// What the AVX-512 levels of int8.h share. Private to int8_avx512.cc and int8_amx.cc.
#pragma once

#include "kernels/avx512.h"
#include "kernels/int8.h"
#include "kernels/level_targets.h"

namespace vade::kernels {

inline constexpr size_t kInt8Lanes = 16;

VADE_VNNI_INLINE __mmask16 FirstLanes(size_t n) {
  return n >= kInt8Lanes ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << n) - 1);
}

// Integer sums of tile `tile` by tokens [token, token + tokens), `stride` ints from token to token,
// -> results.
VADE_VNNI_INLINE void FinishInt8Tile(const Int8Product& p, size_t tile, size_t token, size_t tokens,
                                     const int32_t* sums, size_t stride) {
  const uint8_t* bytes = p.tiles + tile * Int8TileBytes(p.cols);
  const size_t row = tile * kTileRows;
  const __mmask16 lanes = FirstLanes(p.rows - row);
  const __m512 scale = _mm512_loadu_ps(bytes);
  const __m512 scaled_sum = _mm512_loadu_ps(bytes + kInt8SumsOffset);
  __m512 bias = _mm512_setzero_ps();
  if (p.bias != nullptr) bias = _mm512_maskz_loadu_ps(lanes, p.bias + row);
  for (size_t t = 0; t < tokens; ++t) {
    const RowScale& x = p.scales[token + t];
    const __m512 rest = _mm512_fnmadd_ps(_mm512_set1_ps(x.offset), scaled_sum, bias);
    const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x.scale));
    const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums + t * stride));
    _mm512_mask_storeu_ps(p.y + (token + t) * p.y_stride + row, lanes,
                          _mm512_fmadd_ps(sum, both, rest));
  }
}

}  // namespace vade::kernels
