// The index's inner products with AVX-512 and VNNI. The dot-product instruction multiplies unsigned
// by signed bytes, so one side is taken as x + 128 and 128 * sum(the other side) is subtracted
// again, both in int32 without saturation: exact for all int8 values. Tails are masked loads, which
// read as zero.
#include "kernels/avx512.h"
#include "kernels/kernels.h"

#define VADE_AVX512 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

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

// 128 * sum(query): what biased rows have too much.
VADE_AVX512 inline int32_t Excess(const int8_t* query, size_t n) {
  const __m512i bias = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i excess = _mm512_setzero_si512();
  for (size_t i = 0; i < n; i += 64) {
    excess =
        _mm512_dpbusd_epi32(excess, bias, _mm512_maskz_loadu_epi8(TailMask64(n - i), query + i));
  }
  return _mm512_reduce_add_epi32(excess);
}

// {sum(a), sum(b), sum(c), sum(d)}: the four are folded together, in a third of the steps of four
// sums one after the other.
VADE_AVX512 inline __m128i SumEach(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const __m512i all =
      _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Here the rows are what is biased, so that the excess is the same for all of them.
VADE_AVX512 inline void DotI8FourRows(const int8_t* query, const int8_t* const* rows, size_t n,
                                      __m128i excess, int32_t* out) {
  const __m512i bias = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i sums[4];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const __m512i x = _mm512_loadu_si512(query + i);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const __m512i y = _mm512_loadu_si512(rows[r] + i);
      sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_xor_si512(y, bias), x);
    }
  }
  if (i < n) {
    const __mmask64 mask = TailMask64(n - i);
    const __m512i x = _mm512_maskz_loadu_epi8(mask, query + i);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const __m512i y = _mm512_maskz_loadu_epi8(mask, rows[r] + i);
      sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_xor_si512(y, bias), x);
    }
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                   _mm_sub_epi32(SumEach(sums[0], sums[1], sums[2], sums[3]), excess));
}

// row_of(i): where the codes of the i-th row begin.
template <typename RowOf>
VADE_AVX512 inline void DotI8Each(const int8_t* query, size_t count, size_t n, int32_t* out,
                                  RowOf row_of) {
  const __m128i excess = _mm_set1_epi32(Excess(query, n));
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const int8_t* const rows[4] = {row_of(i), row_of(i + 1), row_of(i + 2), row_of(i + 3)};
    DotI8FourRows(query, rows, n, excess, out + i);
  }
  for (; i < count; ++i) out[i] = DotI8(query, row_of(i), n);
}

VADE_AVX512 void DotI8Rows(const int8_t* query, const int8_t* codes, size_t stride, size_t count,
                           size_t n, int32_t* out) {
  DotI8Each(query, count, n, out, [=](size_t i) { return codes + i * stride; });
}

VADE_AVX512 void DotI8Slots(const int8_t* query, const int8_t* codes, size_t stride,
                            const uint32_t* slots, size_t count, size_t n, int32_t* out) {
  DotI8Each(query, count, n, out, [=](size_t i) { return codes + slots[i] * stride; });
}

// Four rows of nibbles, `row_bytes` apart.
VADE_AVX512 inline __m128i DotU4FourRows(const int8_t* query, const uint8_t* rows,
                                         size_t row_bytes) {
  const __m512i low = _mm512_set1_epi8(15);
  __m512i sums[4];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (size_t at = 0; at < row_bytes; at += 64) {
    const __m512i q0 = _mm512_loadu_si512(query + 2 * at);
    const __m512i q1 = _mm512_loadu_si512(query + 2 * at + 64);
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const __m512i both = _mm512_loadu_si512(rows + r * row_bytes + at);
      const __m512i high = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
      sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_and_si512(both, low), q0);
      sums[r] = _mm512_dpbusd_epi32(sums[r], high, q1);
    }
  }
  return SumEach(sums[0], sums[1], sums[2], sums[3]);
}

VADE_AVX512 void DotU4Rows(const int8_t* query, const uint8_t* rows, size_t pieces, size_t count,
                           int32_t* out) {
  const size_t row_bytes = pieces * 64;
  size_t row = 0;
  for (; row + 4 <= count; row += 4) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + row),
                     DotU4FourRows(query, rows + row * row_bytes, row_bytes));
  }
  if (row < count)
    kDistanceScalar.dot_u4_rows(query, rows + row * row_bytes, pieces, count - row, out + row);
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

const DistanceKernels kDistanceAvx512 = {DotI8, DotI8Rows, DotI8Slots, DotU4Rows, DotF16, DotF32};

}  // namespace vade::kernels
