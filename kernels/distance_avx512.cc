// The index's inner products with AVX-512 and VNNI. The dot-product instruction multiplies unsigned
// by signed bytes, so one side is taken as x + 128 and 128 * sum(the other side) is subtracted
// again, both in int32 without saturation: exact for all int8 values. Tails are masked loads, which
// read as zero.
#include <immintrin.h>

#include "kernels/kernels.h"

#define VADE_AVX512 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

// GCC 12 warns about the deliberately undefined operands inside its own intrinsics (GCC bug
// 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace vade::kernels {
namespace {

VADE_AVX512 inline __mmask64 TailMask64(size_t left) {
  return left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
}

VADE_AVX512 inline __mmask16 TailMask16(size_t left) {
  return left >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << left) - 1);
}

VADE_AVX512 int32_t DotI8(const int8_t* a, const int8_t* b, size_t n) {
  const __m512i bias = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i biased = _mm512_setzero_si512(), excess = biased;
  for (size_t i = 0; i < n; i += 64) {
    const __mmask64 mask = TailMask64(n - i);
    const __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, a + i), bias);
    const __m512i y = _mm512_maskz_loadu_epi8(mask, b + i);
    biased = _mm512_dpbusd_epi32(biased, x, y);
    excess = _mm512_dpbusd_epi32(excess, bias, y);
  }
  return _mm512_reduce_add_epi32(_mm512_sub_epi32(biased, excess));
}

// Here the rows are what is biased, so that the excess, 128 * sum(query), is the same for all four.
VADE_AVX512 void DotI8FourRows(const int8_t* query, const int8_t* codes, size_t stride, size_t n,
                               int32_t* out) {
  const __m512i bias = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i biased[4], excess = _mm512_setzero_si512();
  for (int r = 0; r < 4; ++r) biased[r] = _mm512_setzero_si512();
  for (size_t i = 0; i < n; i += 64) {
    const __mmask64 mask = TailMask64(n - i);
    const __m512i x = _mm512_maskz_loadu_epi8(mask, query + i);
    excess = _mm512_dpbusd_epi32(excess, bias, x);
    for (int r = 0; r < 4; ++r) {
      const __m512i y = _mm512_maskz_loadu_epi8(mask, codes + r * stride + i);
      biased[r] = _mm512_dpbusd_epi32(biased[r], _mm512_xor_si512(y, bias), x);
    }
  }
  for (int r = 0; r < 4; ++r) {
    out[r] = _mm512_reduce_add_epi32(_mm512_sub_epi32(biased[r], excess));
  }
}

VADE_AVX512 void DotI8Rows(const int8_t* query, const int8_t* codes, size_t stride, size_t count,
                           size_t n, int32_t* out) {
  size_t row = 0;
  for (; row + 4 <= count; row += 4) {
    DotI8FourRows(query, codes + row * stride, stride, n, out + row);
  }
  for (; row < count; ++row) out[row] = DotI8(query, codes + row * stride, n);
}

VADE_AVX512 float DotF16(const float* query, const uint16_t* half_vector, size_t n) {
  __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0;
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m512i halves = _mm512_loadu_si512(half_vector + i);
    sum0 = _mm512_fmadd_ps(_mm512_loadu_ps(query + i),
                           _mm512_cvtph_ps(_mm512_castsi512_si256(halves)), sum0);
    sum1 = _mm512_fmadd_ps(_mm512_loadu_ps(query + i + 16),
                           _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1)), sum1);
  }
  for (; i < n; i += 16) {
    const __mmask16 mask = TailMask16(n - i);
    sum0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, query + i),
                           _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, half_vector + i)), sum0);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1));
}

VADE_AVX512 float DotF32(const float* a, const float* b, size_t n) {
  __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0;
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    sum0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), sum0);
    sum1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + 16), _mm512_loadu_ps(b + i + 16), sum1);
  }
  for (; i < n; i += 16) {
    const __mmask16 mask = TailMask16(n - i);
    sum0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i),
                           sum0);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1));
}

}  // namespace

const DistanceKernels kDistanceAvx512 = {DotI8, DotI8Rows, DotF16, DotF32};

}  // namespace vade::kernels
