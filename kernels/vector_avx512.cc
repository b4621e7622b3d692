// The vector operations with AVX-512 (F, BW, VL, DQ), sixteen lanes and mask registers. Same orders
// of summation as vector_avx2.cc with its chains twice as wide.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "kernels/avx512.h"
#include "kernels/kernels.h"
#include "kernels/q4_range.h"

#define VADE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))

namespace vade::kernels {
namespace {

constexpr size_t kLanes = 16;
constexpr uint16_t kHalfInfinity = 0x7c00, kHalfNan = 0x7e00;

// The first n lanes; all sixteen beyond.
VADE_AVX512 inline __mmask16 FirstLanes(size_t n) {
  return n >= kLanes ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << n) - 1);
}

// Both halves added: the last steps of a sum are those of eight lanes.
VADE_AVX512 inline __m256 Fold(__m512 v) {
  return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}

VADE_AVX512 inline float Sum(__m512 v) {
  const __m256 folded = Fold(v);
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(folded), _mm256_extractf128_ps(folded, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_shuffle_ps(s, s, 1));
  return _mm_cvtss_f32(s);
}

// e^x for x clamped to [-87.3, 88]; see vector_avx2.cc.
VADE_AVX512 inline __m512 Exp(__m512 x) {
  x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-87.3f)), _mm512_set1_ps(88.0f));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.0f / 5040);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

// Sum of (x - mean)^2 with mean = 0 for the plain sum of squares.
VADE_AVX512 float SumSquares(const float* x, float mean, size_t n) {
  const __m512 m = _mm512_set1_ps(mean);
  __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                    _mm512_setzero_ps()};
  size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (size_t k = 0; k < 4; ++k) {
      const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(x + i + k * kLanes), m);
      sums[k] = _mm512_fmadd_ps(d, d, sums[k]);
    }
  }
  for (; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m512 d = _mm512_maskz_sub_ps(lanes, _mm512_maskz_loadu_ps(lanes, x + i), m);
    sums[0] = _mm512_fmadd_ps(d, d, sums[0]);
  }
  return Sum(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
}

VADE_AVX512 void RmsNorm(const float* x, const float* weight, float eps, size_t n, float* y) {
  const float mean = SumSquares(x, 0, n) / static_cast<float>(n);
  const __m512 inverse = _mm512_set1_ps(1.0f / std::sqrt(mean + eps));
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), inverse);
    _mm512_mask_storeu_ps(y + i, lanes,
                          _mm512_mul_ps(scaled, _mm512_maskz_loadu_ps(lanes, weight + i)));
  }
}

VADE_AVX512 void LayerNorm(const float* x, const float* weight, const float* bias, float eps,
                           size_t n, float* y) {
  __m512 sum = _mm512_setzero_ps();
  for (size_t i = 0; i < n; i += kLanes) {
    sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(FirstLanes(n - i), x + i));
  }
  const float mean = Sum(sum) / static_cast<float>(n);
  const float inverse = 1.0f / std::sqrt(SumSquares(x, mean, n) / static_cast<float>(n) + eps);
  const __m512 m = _mm512_set1_ps(mean), s = _mm512_set1_ps(inverse);
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m512 d = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), m), s);
    const __m512 w = _mm512_maskz_loadu_ps(lanes, weight + i);
    _mm512_mask_storeu_ps(y + i, lanes,
                          _mm512_fmadd_ps(d, w, _mm512_maskz_loadu_ps(lanes, bias + i)));
  }
}

VADE_AVX512 void Add(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m512 sum =
        _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, y + i), _mm512_maskz_loadu_ps(lanes, x + i));
    _mm512_mask_storeu_ps(y + i, lanes, sum);
  }
}

VADE_AVX512 void SiluMultiply(const float* gate, const float* up, size_t n, float* y) {
  const __m512 one = _mm512_set1_ps(1.0f);
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m512 g = _mm512_maskz_loadu_ps(lanes, gate + i);
    const __m512 e = Exp(_mm512_sub_ps(_mm512_setzero_ps(), g));
    const __m512 silu = _mm512_div_ps(g, _mm512_add_ps(one, e));
    _mm512_mask_storeu_ps(y + i, lanes, _mm512_mul_ps(silu, _mm512_maskz_loadu_ps(lanes, up + i)));
  }
}

// See vector_avx2.cc for the formula.
VADE_AVX512 inline __m512 GeluOf(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f), sign_bit = _mm512_set1_ps(-0.0f);
  const __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
  const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(z, _mm512_set1_ps(0.3275911f), one));
  __m512 p = _mm512_set1_ps(1.061405429f);
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-1.453152027f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736f));
  p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592f));
  const __m512 e = Exp(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(z, z)));
  const __m512 erf = _mm512_fnmadd_ps(_mm512_mul_ps(p, t), e, one);
  const __m512 signed_erf = _mm512_or_ps(erf, _mm512_and_ps(sign_bit, x));
  return _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(0.5f), x), _mm512_add_ps(one, signed_erf));
}

VADE_AVX512 void Gelu(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    _mm512_mask_storeu_ps(y + i, lanes, GeluOf(_mm512_maskz_loadu_ps(lanes, x + i)));
  }
}

VADE_AVX512 float LogSumExp(const float* x, size_t n) {
  __m512 top = _mm512_set1_ps(x[0]);
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    top = _mm512_mask_max_ps(top, lanes, top, _mm512_maskz_loadu_ps(lanes, x + i));
  }
  const float maximum = _mm512_reduce_max_ps(top);
  __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                    _mm512_setzero_ps()};
  for (size_t i = 0, chain = 0; i < n; i += kLanes, chain = (chain + 1) % 4) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m512 e =
        Exp(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), _mm512_set1_ps(maximum)));
    sums[chain] = _mm512_add_ps(sums[chain], _mm512_maskz_mov_ps(lanes, e));
  }
  return maximum + std::log(Sum(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]),
                                              _mm512_add_ps(sums[2], sums[3]))));
}

// Pairs (2i, 2i+1), eight at a time: even lanes get x cos - y sin, odd lanes y cos + x sin.
VADE_AVX512 void RotateInterleaved(const float* cos, const float* sin, size_t half, float* x) {
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  for (size_t i = 0; i < half; i += 8) {
    const __mmask16 pairs = FirstLanes(std::min<size_t>(8, half - i));
    const __mmask16 lanes = FirstLanes(2 * std::min<size_t>(8, half - i));
    const __m512 c = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(pairs, cos + i));
    const __m512 s = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(pairs, sin + i));
    const __m512 v = _mm512_maskz_loadu_ps(lanes, x + 2 * i);
    const __m512 swapped = _mm512_permute_ps(v, 0xb1);
    _mm512_mask_storeu_ps(x + 2 * i, lanes, _mm512_fmaddsub_ps(v, c, _mm512_mul_ps(swapped, s)));
  }
}

VADE_AVX512 void RotateHalves(const float* cos, const float* sin, size_t half, float* x) {
  for (size_t i = 0; i < half; i += kLanes) {
    const __mmask16 lanes = FirstLanes(half - i);
    const __m512 c = _mm512_maskz_loadu_ps(lanes, cos + i),
                 s = _mm512_maskz_loadu_ps(lanes, sin + i);
    const __m512 a = _mm512_maskz_loadu_ps(lanes, x + i),
                 b = _mm512_maskz_loadu_ps(lanes, x + half + i);
    _mm512_mask_storeu_ps(x + i, lanes, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
    _mm512_mask_storeu_ps(x + half + i, lanes, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
  }
}

VADE_AVX512 void Rotate(RopeStyle style, const float* cos, const float* sin, size_t dims,
                        float* x) {
  if (style == RopeStyle::kInterleaved) {
    RotateInterleaved(cos, sin, dims / 2, x);
  } else {
    RotateHalves(cos, sin, dims / 2, x);
  }
}

VADE_AVX512 void ToF16(const float* x, size_t n, char* bytes) {
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m256i half = _mm512_cvtps_ph(_mm512_maskz_loadu_ps(lanes, x + i),
                                         _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm256_mask_storeu_epi16(bytes + 2 * i, lanes, half);
  }
}

VADE_AVX512 void FromF16(const char* bytes, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m256i half = _mm256_maskz_loadu_epi16(lanes, bytes + 2 * i);
    _mm512_mask_storeu_ps(out + i, lanes, _mm512_cvtph_ps(half));
  }
}

VADE_AVX512 inline uint16_t FloatToHalf(float x) {
  const __m128i half = _mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT);
  return static_cast<uint16_t>(_mm_cvtsi128_si32(half));
}

VADE_AVX512 inline float HalfToFloat(uint16_t half) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

// See vector_avx2.cc.
VADE_AVX512 inline float LargestOf32(__m512 a, __m512 b) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  const int32_t bits = _mm512_reduce_max_epi32(
      _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(a), magnitude),
                       _mm512_and_si512(_mm512_castps_si512(b), magnitude)));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
}

VADE_AVX512 inline uint16_t Q8Scale(__m512 a, __m512 b) {
  const uint16_t half = FloatToHalf(LargestOf32(a, b) / 127.0f);
  return half < kHalfInfinity ? half : kHalfNan;
}

VADE_AVX512 void ToQ8(const float* x, size_t n, char* bytes) {
  for (size_t i = 0; i < n; i += kKvBlock, x += kKvBlock, bytes += kQ8BlockBytes) {
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + kLanes);
    const uint16_t half = Q8Scale(a, b);
    __m128i codes[2] = {_mm_setzero_si128(), _mm_setzero_si128()};
    if (half != 0 && half != kHalfNan) {
      const __m512 inverse = _mm512_set1_ps(1.0f / HalfToFloat(half));
      codes[0] = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)));
      codes[1] = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(b, inverse)));
    }
    std::memcpy(bytes, &half, sizeof(half));
    std::memcpy(bytes + 2, codes, sizeof(codes));
  }
}

VADE_AVX512 void FromQ8(const char* bytes, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kKvBlock, bytes += kQ8BlockBytes) {
    uint16_t half;
    std::memcpy(&half, bytes, sizeof(half));
    const __m512 scale = _mm512_set1_ps(HalfToFloat(half));
    for (size_t k = 0; k < kKvBlock; k += kLanes) {
      const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 2 + k));
      const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes));
      _mm512_storeu_ps(out + i + k, _mm512_mul_ps(values, scale));
    }
  }
}

VADE_AVX512 inline Q4Range RangeOfQ4(__m512 a, __m512 b) {
  if (!(LargestOf32(a, b) <= FLT_MAX)) return {};
  return Q4RangeOf(_mm512_reduce_min_ps(_mm512_min_ps(a, b)),
                   _mm512_reduce_max_ps(_mm512_max_ps(a, b)));
}

// Codes of 16 values, 0 to 15, a byte each.
VADE_AVX512 inline __m128i Q4Codes(__m512 x, __m512 minimum, __m512 inverse) {
  const __m512i words = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_sub_ps(x, minimum), inverse));
  const __m512i most = _mm512_set1_epi32(15);
  return _mm512_cvtepi32_epi8(
      _mm512_min_epi32(_mm512_max_epi32(words, _mm512_setzero_si512()), most));
}

VADE_AVX512 void ToQ4(const float* x, size_t n, char* bytes) {
  for (size_t i = 0; i < n; i += kKvBlock, x += kKvBlock, bytes += kQ4BlockBytes) {
    const __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + kLanes);
    const Q4Range range = RangeOfQ4(a, b);
    __m128i pairs = _mm_setzero_si128();
    if (range.scale != 0 && range.scale != kHalfNan) {
      const __m512 minimum = _mm512_set1_ps(HalfToFloat(range.minimum));
      const __m512 inverse = _mm512_set1_ps(1.0f / HalfToFloat(range.scale));
      // No code has more than four bits, so none is shifted into its neighbour.
      pairs = _mm_or_si128(Q4Codes(a, minimum, inverse),
                           _mm_slli_epi16(Q4Codes(b, minimum, inverse), 4));
    }
    std::memcpy(bytes, &range.scale, sizeof(range.scale));
    std::memcpy(bytes + 2, &range.minimum, sizeof(range.minimum));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + 4), pairs);
  }
}

VADE_AVX512 void FromQ4(const char* bytes, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kKvBlock, bytes += kQ4BlockBytes) {
    uint16_t halves[2];
    std::memcpy(halves, bytes, sizeof(halves));
    const __m512 scale = _mm512_set1_ps(HalfToFloat(halves[0]));
    const __m512 minimum = _mm512_set1_ps(HalfToFloat(halves[1]));
    const __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 4));
    const __m128i low = _mm_set1_epi8(15);
    const __m128i codes[] = {_mm_and_si128(pairs, low),
                             _mm_and_si128(_mm_srli_epi16(pairs, 4), low)};
    for (size_t k = 0; k < 2; ++k) {
      const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes[k]));
      _mm512_storeu_ps(out + i + k * kLanes, _mm512_fmadd_ps(values, scale, minimum));
    }
  }
}

void ToKv(KvType type, const float* x, size_t n, void* out) {
  switch (type) {
    case KvType::kF32: std::memcpy(out, x, n * sizeof(float)); break;
    case KvType::kF16: ToF16(x, n, static_cast<char*>(out)); break;
    case KvType::kQ8: ToQ8(x, n, static_cast<char*>(out)); break;
    case KvType::kQ4: ToQ4(x, n, static_cast<char*>(out)); break;
  }
}

void FromKv(KvType type, const void* x, size_t n, float* out) {
  switch (type) {
    case KvType::kF32: std::memcpy(out, x, n * sizeof(float)); break;
    case KvType::kF16: FromF16(static_cast<const char*>(x), n, out); break;
    case KvType::kQ8: FromQ8(static_cast<const char*>(x), n, out); break;
    case KvType::kQ4: FromQ4(static_cast<const char*>(x), n, out); break;
  }
}

// --- attention: softmax in one pass over tiles of keys -------------------------------------------

// Loops over queries, keys and vectors below are unrolled by request: at -O2 the compiler would
// otherwise keep the sums in memory.

// Queries that go over the keys together; their running sums stay in the first-level cache.
constexpr size_t kQueryBlock = 16;
constexpr size_t kTileVectors = kAttentionTile / kLanes;

struct Running {
  float maximum = -INFINITY;
  float total = 0;
};

// The sums of four accumulators. The tree is the same for every accumulator, so that a key's score
// does not depend on its place among the four.
VADE_AVX512 inline __m128 SumFour(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m256 pairs =
      _mm256_hadd_ps(_mm256_hadd_ps(Fold(a), Fold(b)), _mm256_hadd_ps(Fold(c), Fold(d)));
  return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

// Scores of kQueries queries with the `keys` (1 to 4) rows at `key`: scores[q][at..at+4).
template <int kQueries>
VADE_AVX512 inline void ScoreFour(const float* const* query, const float* key, size_t keys,
                                  size_t dim, float (*scores)[kAttentionTile], size_t at) {
  const float* rows[4];
#pragma GCC unroll 4
  for (size_t k = 0; k < 4; ++k) rows[k] = key + std::min(k, keys - 1) * dim;
  __m512 sums[kQueries][4];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sums[q][k] = _mm512_setzero_ps();
  }
  for (size_t i = 0; i < dim; i += kLanes) {
    const __mmask16 lanes = FirstLanes(dim - i);
    __m512 x[kQueries];
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) x[q] = _mm512_maskz_loadu_ps(lanes, query[q] + i);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const __m512 w = _mm512_maskz_loadu_ps(lanes, rows[k] + i);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) sums[q][k] = _mm512_fmadd_ps(x[q], w, sums[q][k]);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
    _mm_storeu_ps(scores[q] + at, SumFour(sums[q][0], sums[q][1], sums[q][2], sums[q][3]));
  }
}

VADE_AVX512 void ScaleRow(float* x, size_t n, float factor) {
  const __m512 f = _mm512_set1_ps(factor);
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    _mm512_mask_storeu_ps(x + i, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), f));
  }
}

// Scores -> weights e^(score - maximum), zero beyond `count`; brings what was summed so far to the
// new maximum.
VADE_AVX512 void Weigh(float* scores, size_t count, float scale, size_t dim, Running* running,
                       float* out) {
  __m512 s[kTileVectors];
  __mmask16 lanes[kTileVectors];
  __m512 highest = _mm512_set1_ps(-INFINITY);
  for (size_t k = 0; k < kTileVectors; ++k) {
    const size_t begin = k * kLanes;
    lanes[k] = FirstLanes(count > begin ? count - begin : 0);
    s[k] = _mm512_mask_mul_ps(_mm512_set1_ps(-INFINITY), lanes[k], _mm512_loadu_ps(scores + begin),
                              _mm512_set1_ps(scale));
    highest = _mm512_max_ps(highest, s[k]);
  }
  const float raised = std::max(running->maximum, _mm512_reduce_max_ps(highest));
  if (raised > running->maximum) {
    const float factor = _mm512_cvtss_f32(Exp(_mm512_set1_ps(running->maximum - raised)));
    ScaleRow(out, dim, factor);
    running->total *= factor;
    running->maximum = raised;
  }
  __m512 sum = _mm512_setzero_ps();
  for (size_t k = 0; k < kTileVectors; ++k) {
    s[k] = _mm512_maskz_mov_ps(lanes[k], Exp(_mm512_sub_ps(s[k], _mm512_set1_ps(raised))));
    _mm512_storeu_ps(scores + k * kLanes, s[k]);
    sum = _mm512_add_ps(sum, s[k]);
  }
  running->total += Sum(sum);
}

// out[q] += sum of weights[q][j] * values[j] for j in [begin, end), in order of j; kVectors vectors
// of the head at offset i, the last of them masked.
template <int kQueries, int kVectors>
VADE_AVX512 inline void MixColumns(const float (*weights)[kAttentionTile], const float* values,
                                   size_t begin, size_t end, size_t dim, size_t i,
                                   float* const* out) {
  const __mmask16 last = FirstLanes(dim - i - (kVectors - 1) * kLanes);
  __m512 sums[kQueries][kVectors];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) {
      const __mmask16 lanes = k + 1 == kVectors ? last : static_cast<__mmask16>(0xffff);
      sums[q][k] = _mm512_maskz_loadu_ps(lanes, out[q] + i + k * kLanes);
    }
  }
  for (size_t j = begin; j < end; ++j) {
    const float* value = values + j * dim + i;
    __m512 w[kQueries];
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) w[q] = _mm512_set1_ps(weights[q][j]);
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) {
      const __mmask16 lanes = k + 1 == kVectors ? last : static_cast<__mmask16>(0xffff);
      const __m512 v = _mm512_maskz_loadu_ps(lanes, value + k * kLanes);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) sums[q][k] = _mm512_fmadd_ps(w[q], v, sums[q][k]);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) {
      const __mmask16 lanes = k + 1 == kVectors ? last : static_cast<__mmask16>(0xffff);
      _mm512_mask_storeu_ps(out[q] + i + k * kLanes, lanes, sums[q][k]);
    }
  }
}

template <int kQueries>
VADE_AVX512 inline void Mix(const float (*weights)[kAttentionTile], const float* values,
                            size_t begin, size_t end, size_t dim, float* const* out) {
  size_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
    MixColumns<kQueries, 4>(weights, values, begin, end, dim, i, out);
  }
  for (; i < dim; i += kLanes) MixColumns<kQueries, 1>(weights, values, begin, end, dim, i, out);
}

// kQueries queries over one tile. Each adds only the keys that it sees: the longer one goes on
// alone.
template <int kQueries>
VADE_AVX512 void AttendTile(const AttentionArgs& args, size_t query, size_t tile,
                            Running* running) {
  const float* queries[kQueries];
  float* out[kQueries];
  size_t counts[kQueries];
  size_t most = 0, least = kAttentionTile;
  for (int q = 0; q < kQueries; ++q) {
    queries[q] = args.queries + (query + q) * args.query_stride;
    out[q] = args.out + (query + q) * args.out_stride;
    const size_t visible = args.visible[query + q];
    counts[q] = visible > tile ? std::min(kAttentionTile, visible - tile) : 0;
    most = std::max(most, counts[q]);
    least = std::min(least, counts[q]);
  }
  float weights[kQueries][kAttentionTile] = {};
  for (size_t j = 0; j < most; j += 4) {
    ScoreFour<kQueries>(queries, args.keys + (tile + j) * args.head_dim,
                        std::min<size_t>(4, most - j), args.head_dim, weights, j);
  }
  for (int q = 0; q < kQueries; ++q) {
    if (counts[q] > 0) Weigh(weights[q], counts[q], args.scale, args.head_dim, running + q, out[q]);
  }
  const float* values = args.values + tile * args.head_dim;
  Mix<kQueries>(weights, values, 0, least, args.head_dim, out);
  for (int q = 0; q < kQueries; ++q) {
    if (counts[q] > least) Mix<1>(weights + q, values, least, counts[q], args.head_dim, out + q);
  }
}

VADE_AVX512 void AttendBlock(const AttentionArgs& args, size_t begin, size_t end) {
  Running running[kQueryBlock];
  uint32_t key_count = 0;
  for (size_t q = begin; q < end; ++q) {
    std::fill_n(args.out + q * args.out_stride, args.head_dim, 0.0f);
    key_count = std::max(key_count, args.visible[q]);
  }
  for (size_t tile = 0; tile < key_count; tile += kAttentionTile) {
    size_t q = begin;
    for (; q + 4 <= end; q += 4) AttendTile<4>(args, q, tile, running + (q - begin));
    for (; q < end; ++q) AttendTile<1>(args, q, tile, running + (q - begin));
  }
  for (size_t q = begin; q < end; ++q) {
    ScaleRow(args.out + q * args.out_stride, args.head_dim, 1.0f / running[q - begin].total);
  }
}

void Attend(const AttentionArgs& args) {
  for (size_t q = 0; q < args.query_count; q += kQueryBlock) {
    AttendBlock(args, q, std::min(args.query_count, q + kQueryBlock));
  }
}

}  // namespace

const VectorKernels kVectorAvx512 = {RmsNorm,   LayerNorm, Add,  SiluMultiply, Gelu,
                                     LogSumExp, Rotate,    ToKv, FromKv,       Attend};

}  // namespace vade::kernels
