// Pieces shared by the AVX2 matrix products: unpacking of codes and the integer sums of a group.
// Private to matmul_avx2*.cc. Everything is static, so that no other file can link an AVX2 copy.
//
// Without VNNI the byte product is maddubs: unsigned weights by signed activations, neighbouring
// products added in int16. Codes of 4, 5 and 6 bits allow 8, 4 and 2 steps before an int16 could
// overflow (15, 31, 63 times 127 times 2 each), then madd widens to int32 and multiplies by a scale
// on the way.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "kernels/level_targets.h"
#include "kernels/matmul_loops.h"

namespace vade::kernels {

// Tokens that one pass over the weights serves: 2 vectors of rows by 4 tokens fill the registers.
inline constexpr size_t kAvx2Tokens = 4;

// Vectors of 8 rows: half 0 is rows 0..7 of the tile, half 1 rows 8..15.
struct RowPair {
  __m256i half[2];
};

// a + b now: left to itself, GCC reassociates chains of integer additions, keeps all their terms
// alive and spills them (twice the time). The empty asm hides the sum from that pass and costs no
// instruction.
VADE_AVX2_INLINE __m256i AddWords(__m256i a, __m256i b) {
  __m256i sum = _mm256_add_epi16(a, b);
  asm("" : "+x"(sum));
  return sum;
}

VADE_AVX2_INLINE __m256i AddInts(__m256i a, __m256i b) {
  __m256i sum = _mm256_add_epi32(a, b);
  asm("" : "+x"(sum));
  return sum;
}

VADE_AVX2_INLINE __m256i Load(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

VADE_AVX2_INLINE __m256i Broadcast32(const uint8_t* p) {
  int32_t value;
  std::memcpy(&value, p, sizeof(value));
  return _mm256_set1_epi32(value);
}

VADE_AVX2_INLINE __m256 BroadcastFloat(const uint8_t* p) {
  float value;
  std::memcpy(&value, p, sizeof(value));
  return _mm256_set1_ps(value);
}

VADE_AVX2_INLINE __m256 LoadHalves(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// Codes of steps 2 * pair and 2 * pair + 1 of a group, for one half of the rows.
struct StepPair {
  __m256i even, odd;
};

// kUnpacked: the group is 8 lines of one byte a code, as Unpack() below writes them.
template <Format F, bool kUnpacked>
VADE_AVX2_INLINE StepPair LoadSteps(const uint8_t* group, int pair, int half) {
  group += 32 * half;
  if constexpr (kUnpacked) {
    return {Load(group + 128 * pair), Load(group + 128 * pair + 64)};
  } else {
    const __m256i low = _mm256_set1_epi8(15);
    const int upper_lines = CodeBits(F) == 6 ? pair / 2 : 0;
    const __m256i both = Load(group + 64 * (pair + upper_lines));
    StepPair codes = {_mm256_and_si256(both, low),
                      _mm256_and_si256(_mm256_srli_epi16(both, 4), low)};
    if constexpr (CodeBits(F) == 5) {
      const __m256i bits = Load(group + 256);
      const __m256i fifth = _mm256_set1_epi8(16);
      const int s = 2 * pair;  // bit s goes to bit 4
      const __m256i even = s <= 4 ? _mm256_slli_epi16(bits, 4 - s) : _mm256_srli_epi16(bits, s - 4);
      const __m256i odd = s <= 3 ? _mm256_slli_epi16(bits, 3 - s) : _mm256_srli_epi16(bits, s - 3);
      codes.even = _mm256_or_si256(codes.even, _mm256_and_si256(even, fifth));
      codes.odd = _mm256_or_si256(codes.odd, _mm256_and_si256(odd, fifth));
    }
    if constexpr (CodeBits(F) == 6) {
      const __m256i bits = Load(group + 192 * (pair / 2) + 128);
      const __m256i upper = _mm256_set1_epi8(48);
      const bool second = pair % 2 != 0;  // bits 0-1 and 2-3, or 4-5 and 6-7, go to bits 4-5
      const __m256i even = second ? bits : _mm256_slli_epi16(bits, 4);
      const __m256i odd = second ? _mm256_srli_epi16(bits, 2) : _mm256_slli_epi16(bits, 2);
      codes.even = _mm256_or_si256(codes.even, _mm256_and_si256(even, upper));
      codes.odd = _mm256_or_si256(codes.odd, _mm256_and_si256(odd, upper));
    }
    return codes;
  }
}

template <Format F>
VADE_AVX2_INLINE void UnpackGroup(const uint8_t* group, uint8_t* out) {
  VADE_UNROLL for (int pair = 0; pair < 4; ++pair) {
    VADE_UNROLL for (int half = 0; half < 2; ++half) {
      const StepPair codes = LoadSteps<F, false>(group, pair, half);
      auto* line = reinterpret_cast<__m256i*>(out + 128 * pair + 32 * half);
      _mm256_storeu_si256(line, codes.even);
      _mm256_storeu_si256(line + 2, codes.odd);
    }
  }
}

// sums += multipliers * (codes . activations) over the 32 columns of a group. `scales` holds int16
// pairs: madd's second factor for each row, [0] for columns 0..15 and [1] for 16..31 (the same
// except for 6 bits).
template <Format F, bool kUnpacked, int T>
VADE_AVX2_INLINE void AddGroup(const uint8_t* group, const TokenRows& x, const RowPair (&scales)[2],
                               __m256i (&sums)[T][2]) {
  constexpr int kSpan = CodeBits(F) == 4 ? 4 : CodeBits(F) == 5 ? 2 : 1;  // pairs that fit an int16
  VADE_UNROLL for (int first = 0; first < 4; first += kSpan) {
    __m256i words[T][2];
    VADE_UNROLL for (int pair = first; pair < first + kSpan; ++pair) {
      const StepPair w0 = LoadSteps<F, kUnpacked>(group, pair, 0);
      const StepPair w1 = LoadSteps<F, kUnpacked>(group, pair, 1);
      VADE_UNROLL for (int t = 0; t < T; ++t) {
        const uint8_t* row = x.first + static_cast<size_t>(t) * x.stride + 8 * pair;
        const __m256i even = Broadcast32(row);
        const __m256i odd = Broadcast32(row + 4);
        const __m256i p0 = _mm256_maddubs_epi16(w0.even, even);
        const __m256i p1 = _mm256_maddubs_epi16(w1.even, even);
        words[t][0] = pair == first ? p0 : AddWords(words[t][0], p0);
        words[t][1] = pair == first ? p1 : AddWords(words[t][1], p1);
        words[t][0] = AddWords(words[t][0], _mm256_maddubs_epi16(w0.odd, odd));
        words[t][1] = AddWords(words[t][1], _mm256_maddubs_epi16(w1.odd, odd));
      }
    }
    const RowPair& scale = scales[first / 2];
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      VADE_UNROLL for (int half = 0; half < 2; ++half) {
        sums[t][half] = AddInts(sums[t][half], _mm256_madd_epi16(words[t][half], scale.half[half]));
      }
    }
  }
}

// Float sums of T tokens by 16 rows, carried between blocks.
template <int T>
VADE_AVX2_INLINE void LoadSums(const float* from, __m256 (&sums)[T][2]) {
  VADE_UNROLL for (int t = 0; t < T; ++t) {
    sums[t][0] = _mm256_loadu_ps(from + 16 * t);
    sums[t][1] = _mm256_loadu_ps(from + 16 * t + 8);
  }
}

template <int T>
VADE_AVX2_INLINE void StoreSums(const __m256 (&sums)[T][2], float* to) {
  VADE_UNROLL for (int t = 0; t < T; ++t) {
    _mm256_storeu_ps(to + 16 * t, sums[t][0]);
    _mm256_storeu_ps(to + 16 * t + 8, sums[t][1]);
  }
}

}  // namespace vade::kernels
