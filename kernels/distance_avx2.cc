// The index's inner products with AVX2, FMA and F16C. int8 codes are widened to int16 before they
// are multiplied: as fast here as the unsigned-by-signed instruction, and exact for -128 too.
#include <immintrin.h>

#include "kernels/kernels.h"
#include "kernels/level_targets.h"

namespace vade::kernels {
namespace {

VADE_AVX2 inline __m256i Widen(const int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

VADE_AVX2 inline __m256i Load32(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

VADE_AVX2 inline int32_t SumI32(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

VADE_AVX2 inline float SumF32(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_shuffle_ps(s, s, 1));
  return _mm_cvtss_f32(s);
}

VADE_AVX2 int32_t DotI8(const int8_t* a, const int8_t* b, size_t n) {
  __m256i sum0 = _mm256_setzero_si256(), sum1 = sum0;
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    sum0 = _mm256_add_epi32(sum0, _mm256_madd_epi16(Widen(a + i), Widen(b + i)));
    sum1 = _mm256_add_epi32(sum1, _mm256_madd_epi16(Widen(a + i + 16), Widen(b + i + 16)));
  }
  if (i + 16 <= n) {
    sum0 = _mm256_add_epi32(sum0, _mm256_madd_epi16(Widen(a + i), Widen(b + i)));
    i += 16;
  }
  int32_t total = SumI32(_mm256_add_epi32(sum0, sum1));
  for (; i < n; ++i) total += static_cast<int32_t>(a[i]) * b[i];
  return total;
}

// Four rows share each widened piece of the query.
VADE_AVX2 inline void DotI8FourRows(const int8_t* query, const int8_t* const* rows, size_t n,
                                    int32_t* out) {
  __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                     _mm256_setzero_si256()};
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i q = Widen(query + i);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(q, Widen(rows[r] + i)));
    }
  }
  // Sums of neighbours, twice: each half has a quarter of all four sums.
  const __m256i pairs =
      _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(out),
      _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1)));
  for (; i < n; ++i) {
    for (int r = 0; r < 4; ++r) out[r] += static_cast<int32_t>(query[i]) * rows[r][i];
  }
}

// row_of(i): where the codes of the i-th row begin.
template <typename RowOf>
VADE_AVX2 inline void DotI8Each(const int8_t* query, size_t count, size_t n, int32_t* out,
                                RowOf row_of) {
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const int8_t* const rows[4] = {row_of(i), row_of(i + 1), row_of(i + 2), row_of(i + 3)};
    DotI8FourRows(query, rows, n, out + i);
  }
  for (; i < count; ++i) out[i] = DotI8(query, row_of(i), n);
}

VADE_AVX2 void DotI8Rows(const int8_t* query, const int8_t* codes, size_t stride, size_t count,
                         size_t n, int32_t* out) {
  DotI8Each(query, count, n, out, [=](size_t i) { return codes + i * stride; });
}

VADE_AVX2 void DotI8Slots(const int8_t* query, const int8_t* codes, size_t stride,
                          const uint32_t* slots, size_t count, size_t n, int32_t* out) {
  DotI8Each(query, count, n, out, [=](size_t i) { return codes + slots[i] * stride; });
}

// Products of a nibble and a code are at most 15 * 128 in magnitude, so the eight that one piece
// adds to a lane fit 16 bits.
VADE_AVX2 void DotU4Rows(const int8_t* query, const uint8_t* rows, size_t pieces, size_t count,
                         int32_t* out) {
  const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  for (size_t row = 0; row < count; ++row) {
    __m256i sum = _mm256_setzero_si256();
    for (size_t piece = 0; piece < pieces; ++piece) {
      const uint8_t* bytes = rows + (row * pieces + piece) * 64;
      const int8_t* q = query + piece * 128;
      __m256i products = _mm256_setzero_si256();
      for (size_t at = 0; at < 64; at += 32) {
        const __m256i both = Load32(bytes + at);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
        products = _mm256_add_epi16(
            products, _mm256_maddubs_epi16(_mm256_and_si256(both, low), Load32(q + at)));
        products = _mm256_add_epi16(products, _mm256_maddubs_epi16(high, Load32(q + 64 + at)));
      }
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(products, ones));
    }
    out[row] = SumI32(sum);
  }
}

VADE_AVX2 inline __m256 LoadHalf(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

VADE_AVX2 float DotF16(const float* query, const uint16_t* half_vector, size_t n) {
  __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    sum0 = _mm256_fmadd_ps(_mm256_loadu_ps(query + i), LoadHalf(half_vector + i), sum0);
    sum1 = _mm256_fmadd_ps(_mm256_loadu_ps(query + i + 8), LoadHalf(half_vector + i + 8), sum1);
  }
  float total = SumF32(_mm256_add_ps(sum0, sum1));
  for (; i < n; ++i) total += query[i] * _cvtsh_ss(half_vector[i]);
  return total;
}

VADE_AVX2 float DotF32(const float* a, const float* b, size_t n) {
  __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    sum0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), sum0);
    sum1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), sum1);
  }
  float total = SumF32(_mm256_add_ps(sum0, sum1));
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

}  // namespace

const DistanceKernels kDistanceAvx2 = {DotI8, DotI8Rows, DotI8Slots, DotU4Rows, DotF16, DotF32};

}  // namespace vade::kernels
