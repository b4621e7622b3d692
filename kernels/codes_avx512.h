// How the AVX-512 levels read packed blocks (packed.h): halves, six-bit values and codes to
// vectors. Private to matmul_avx512.cc and matmul_amx.cc.
#pragma once

#include <cstring>

#include "kernels/avx512.h"
#include "kernels/level_targets.h"
#include "kernels/packed.h"

namespace vade::kernels {

VADE_VNNI_INLINE __m512i Load(const uint8_t* p) { return _mm512_loadu_si512(p); }

VADE_VNNI_INLINE __m256i LoadHalfLine(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

VADE_VNNI_INLINE __m512i Broadcast32(const uint8_t* p) {
  int32_t value;
  std::memcpy(&value, p, sizeof(value));
  return _mm512_set1_epi32(value);
}

VADE_VNNI_INLINE __m512 BroadcastFloat(const uint8_t* p) {
  float value;
  std::memcpy(&value, p, sizeof(value));
  return _mm512_set1_ps(value);
}

VADE_VNNI_INLINE __m512 LoadHalves(const uint8_t* p) { return _mm512_cvtph_ps(LoadHalfLine(p)); }

// `bits` above zero: to the left; below: to the right.
template <int kBits>
VADE_VNNI_INLINE __m512i Shift(__m512i v) {
  if constexpr (kBits > 0) return _mm512_slli_epi16(v, kBits);
  if constexpr (kBits < 0) return _mm512_srli_epi16(v, -kBits);
  return v;
}

// low | (upper moved by kBits & mask)
template <int kBits>
VADE_VNNI_INLINE __m512i WithUpper(__m512i low, __m512i upper, char mask) {
  return _mm512_or_si512(low, _mm512_and_si512(Shift<kBits>(upper), _mm512_set1_epi8(mask)));
}

// --- codes ---------------------------------------------------------------------------------------

// Codes of steps 2 * pair and 2 * pair + 1 of a group.
struct StepPair {
  __m512i even, odd;
};

template <Format F, bool kUnpacked, int kPair>
VADE_VNNI_INLINE StepPair LoadSteps(const uint8_t* group) {
  if constexpr (CodeBits(F) == 8) {  // as code + 128
    const __m512i flip = _mm512_set1_epi8(-128);
    return {_mm512_xor_si512(Load(group + 128 * kPair), flip),
            _mm512_xor_si512(Load(group + 128 * kPair + 64), flip)};
  } else if constexpr (kUnpacked) {
    return {Load(group + 128 * kPair), Load(group + 128 * kPair + 64)};
  } else {
    constexpr int kUpperLines = CodeBits(F) == 6 ? kPair / 2 : 0;
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i both = Load(group + 64 * (kPair + kUpperLines));
    StepPair codes = {_mm512_and_si512(both, low),
                      _mm512_and_si512(_mm512_srli_epi16(both, 4), low)};
    if constexpr (CodeBits(F) == 5) {  // bit s of step s goes to bit 4
      const __m512i bits = Load(group + 256);
      codes.even = WithUpper<4 - 2 * kPair>(codes.even, bits, 16);
      codes.odd = WithUpper<3 - 2 * kPair>(codes.odd, bits, 16);
    }
    if constexpr (CodeBits(F) == 6) {  // bits 2u, 2u + 1 of step 4h + u go to bits 4, 5
      const __m512i bits = Load(group + 192 * (kPair / 2) + 128);
      codes.even = WithUpper<4 - 4 * (kPair % 2)>(codes.even, bits, 48);
      codes.odd = WithUpper<2 - 4 * (kPair % 2)>(codes.odd, bits, 48);
    }
    return codes;
  }
}

template <Format F, int kPair>
VADE_VNNI_INLINE void StoreSteps(const uint8_t* group, uint8_t* out) {
  const StepPair codes = LoadSteps<F, false, kPair>(group);
  _mm512_storeu_si512(out + 128 * kPair, codes.even);
  _mm512_storeu_si512(out + 128 * kPair + 64, codes.odd);
}

template <Format F>
VADE_VNNI_INLINE void UnpackGroup(const uint8_t* group, uint8_t* out) {
  StoreSteps<F, 0>(group, out);
  StoreSteps<F, 1>(group, out);
  StoreSteps<F, 2>(group, out);
  StoreSteps<F, 3>(group, out);
}

// The six-bit values of a block, one a byte, in their order.
VADE_VNNI_INLINE void UnpackSixBits(const uint8_t* packed, uint8_t* values) {
  const __m512i low = _mm512_set1_epi8(15);
  const __m512i bits = Load(packed + 128);
  VADE_UNROLL for (int i = 0; i < 2; ++i) {
    const __m512i nibbles = Load(packed + 64 * i);
    const __m512i first = _mm512_and_si512(nibbles, low);
    const __m512i second = _mm512_and_si512(_mm512_srli_epi16(nibbles, 4), low);
    _mm512_storeu_si512(values + 64 * i,
                        i == 0 ? WithUpper<4>(first, bits, 48) : WithUpper<2>(first, bits, 48));
    _mm512_storeu_si512(values + 128 + 64 * i,
                        i == 0 ? WithUpper<0>(second, bits, 48) : WithUpper<-2>(second, bits, 48));
  }
}

}  // namespace vade::kernels
