// The vector operations with AVX2, FMA and F16C. Sums run in four (norms) or one (dot products)
// chains of eight lanes and end in one fixed tree, so their order depends on the length alone. Ends
// that do not fill a vector are masked loads: lanes beyond the end count as zero.
#include <immintrin.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/level_targets.h"
#include "kernels/q4_range.h"

namespace vade::kernels {
namespace {

constexpr size_t kLanes = 8;
constexpr uint16_t kHalfInfinity = 0x7c00, kHalfNan = 0x7e00;

// The first n lanes, n in [0, 8].
VADE_AVX2 inline __m256i FirstLanes(size_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
}

VADE_AVX2 inline float Sum(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  s = _mm_add_ss(s, _mm_shuffle_ps(s, s, 1));
  return _mm_cvtss_f32(s);
}

VADE_AVX2 inline float Max(__m256 v) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  s = _mm_max_ss(s, _mm_shuffle_ps(s, s, 1));
  return _mm_cvtss_f32(s);
}

// e^x for x clamped to [-87.3, 88]: x = n ln 2 + r, e^r by its Taylor polynomial of degree 7 on
// |r| <= 0.35 (error below 1e-7), 2^n through the exponent bits. ln 2 is split so that n * high is
// exact.
VADE_AVX2 inline __m256 Exp(__m256 x) {
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.3f)), _mm256_set1_ps(88.0f));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.0f / 5040);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  const __m256i power =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

// Sum of (x - mean)^2 with mean = 0 for the plain sum of squares.
VADE_AVX2 float SumSquares(const float* x, float mean, size_t n) {
  const __m256 m = _mm256_set1_ps(mean);
  __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                    _mm256_setzero_ps()};
  size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (size_t k = 0; k < 4; ++k) {
      const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + i + k * kLanes), m);
      sums[k] = _mm256_fmadd_ps(d, d, sums[k]);
    }
  }
  for (; i < n; i += kLanes) {
    const __m256i lanes = FirstLanes(std::min(kLanes, n - i));
    __m256 d = _mm256_sub_ps(_mm256_maskload_ps(x + i, lanes), m);
    d = _mm256_and_ps(d, _mm256_castsi256_ps(lanes));
    sums[0] = _mm256_fmadd_ps(d, d, sums[0]);
  }
  return Sum(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
}

VADE_AVX2 void RmsNorm(const float* x, const float* weight, float eps, size_t n, float* y) {
  const float mean = SumSquares(x, 0, n) / static_cast<float>(n);
  const __m256 inverse = _mm256_set1_ps(1.0f / std::sqrt(mean + eps));
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + i), inverse);
    _mm256_storeu_ps(y + i, _mm256_mul_ps(scaled, _mm256_loadu_ps(weight + i)));
  }
  for (; i < n; ++i) y[i] = x[i] * _mm256_cvtss_f32(inverse) * weight[i];
}

VADE_AVX2 void LayerNorm(const float* x, const float* weight, const float* bias, float eps,
                         size_t n, float* y) {
  __m256 sum = _mm256_setzero_ps();
  for (size_t i = 0; i < n; i += kLanes) {
    sum = _mm256_add_ps(sum, _mm256_maskload_ps(x + i, FirstLanes(std::min(kLanes, n - i))));
  }
  const float mean = Sum(sum) / static_cast<float>(n);
  const float inverse = 1.0f / std::sqrt(SumSquares(x, mean, n) / static_cast<float>(n) + eps);
  const __m256 m = _mm256_set1_ps(mean), s = _mm256_set1_ps(inverse);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m256 d = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), m), s);
    _mm256_storeu_ps(y + i,
                     _mm256_fmadd_ps(d, _mm256_loadu_ps(weight + i), _mm256_loadu_ps(bias + i)));
  }
  for (; i < n; ++i) y[i] = (x[i] - mean) * inverse * weight[i] + bias[i];
}

VADE_AVX2 void Add(const float* x, size_t n, float* y) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
  }
  for (; i < n; ++i) y[i] += x[i];
}

VADE_AVX2 inline __m256 Silu(__m256 gate, __m256 up) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 e = Exp(_mm256_sub_ps(_mm256_setzero_ps(), gate));
  return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(one, e)), up);
}

VADE_AVX2 void SiluMultiply(const float* gate, const float* up, size_t n, float* y) {
  for (size_t i = 0; i < n; i += kLanes) {
    const __m256i lanes = FirstLanes(std::min(kLanes, n - i));
    const __m256 v = Silu(_mm256_maskload_ps(gate + i, lanes), _mm256_maskload_ps(up + i, lanes));
    _mm256_maskstore_ps(y + i, lanes, v);
  }
}

// x/2 (1 + erf(x / sqrt 2)); erf by formula 7.1.26 of Abramowitz and Stegun (absolute error below
// 2e-7).
VADE_AVX2 inline __m256 GeluOf(__m256 x) {
  const __m256 sign_bit = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
  const __m256 z = _mm256_mul_ps(_mm256_andnot_ps(sign_bit, x), _mm256_set1_ps(0.70710678f));
  const __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(z, _mm256_set1_ps(0.3275911f), one));
  __m256 p = _mm256_set1_ps(1.061405429f);
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-1.453152027f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(1.421413741f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(-0.284496736f));
  p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(0.254829592f));
  const __m256 e = Exp(_mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(z, z)));
  const __m256 erf = _mm256_fnmadd_ps(_mm256_mul_ps(p, t), e, one);
  const __m256 signed_erf = _mm256_or_ps(erf, _mm256_and_ps(sign_bit, x));
  return _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(0.5f), x), _mm256_add_ps(one, signed_erf));
}

VADE_AVX2 void Gelu(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; i += kLanes) {
    const __m256i lanes = FirstLanes(std::min(kLanes, n - i));
    _mm256_maskstore_ps(y + i, lanes, GeluOf(_mm256_maskload_ps(x + i, lanes)));
  }
}

// The greatest first, so that nothing overflows; lanes beyond the end repeat the first element, or
// count as zero.
VADE_AVX2 float LogSumExp(const float* x, size_t n) {
  __m256 top = _mm256_set1_ps(x[0]);
  for (size_t i = 0; i < n; i += kLanes) {
    const __m256i lanes = FirstLanes(std::min(kLanes, n - i));
    const __m256 v = _mm256_maskload_ps(x + i, lanes);
    top = _mm256_max_ps(top, _mm256_blendv_ps(top, v, _mm256_castsi256_ps(lanes)));
  }
  const float maximum = Max(top);
  __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                    _mm256_setzero_ps()};
  for (size_t i = 0, chain = 0; i < n; i += kLanes, chain = (chain + 1) % 4) {
    const __m256i lanes = FirstLanes(std::min(kLanes, n - i));
    const __m256 e = Exp(_mm256_sub_ps(_mm256_maskload_ps(x + i, lanes), _mm256_set1_ps(maximum)));
    sums[chain] = _mm256_add_ps(sums[chain], _mm256_and_ps(e, _mm256_castsi256_ps(lanes)));
  }
  return maximum + std::log(Sum(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]),
                                              _mm256_add_ps(sums[2], sums[3]))));
}

// Pairs (2i, 2i+1), four at a time: even lanes get x cos - y sin, odd lanes y cos + x sin.
VADE_AVX2 size_t RotateInterleaved(const float* cos, const float* sin, size_t half, float* x) {
  const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  size_t i = 0;
  for (; i + 4 <= half; i += 4) {
    const __m256 c = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(cos + i)), twice);
    const __m256 s = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(sin + i)), twice);
    const __m256 v = _mm256_loadu_ps(x + 2 * i);
    const __m256 swapped = _mm256_permute_ps(v, 0xb1);
    _mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(swapped, s)));
  }
  return i;
}

VADE_AVX2 size_t RotateHalves(const float* cos, const float* sin, size_t half, float* x) {
  size_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const __m256 c = _mm256_loadu_ps(cos + i), s = _mm256_loadu_ps(sin + i);
    const __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + half + i);
    _mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
    _mm256_storeu_ps(x + half + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
  }
  return i;
}

VADE_AVX2 void Rotate(RopeStyle style, const float* cos, const float* sin, size_t dims, float* x) {
  const size_t half = dims / 2;
  const bool interleaved = style == RopeStyle::kInterleaved;
  size_t i = interleaved ? RotateInterleaved(cos, sin, half, x) : RotateHalves(cos, sin, half, x);
  for (; i < half; ++i) {
    const size_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + half;
    const float first = x[a], second = x[b];
    x[a] = first * cos[i] - second * sin[i];
    x[b] = first * sin[i] + second * cos[i];
  }
}

VADE_AVX2 void ToF16(const float* x, size_t n, char* bytes) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + 2 * i), half);
  }
  if (i == n) return;
  const __m256 rest = _mm256_maskload_ps(x + i, FirstLanes(n - i));
  const __m128i half = _mm256_cvtps_ph(rest, _MM_FROUND_TO_NEAREST_INT);
  std::memcpy(bytes + 2 * i, &half, 2 * (n - i));
}

VADE_AVX2 void FromF16(const char* bytes, size_t n, float* out) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 2 * i));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(half));
  }
  if (i == n) return;
  __m128i half = _mm_setzero_si128();
  std::memcpy(&half, bytes + 2 * i, 2 * (n - i));
  _mm256_maskstore_ps(out + i, FirstLanes(n - i), _mm256_cvtph_ps(half));
}

VADE_AVX2 inline uint16_t FloatToHalf(float x) {
  const __m128i half = _mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT);
  return static_cast<uint16_t>(_mm_cvtsi128_si32(half));
}

VADE_AVX2 inline float HalfToFloat(uint16_t half) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

// The largest magnitude of 32 values. As integers, magnitudes are ordered like the floats, with
// infinities and NaNs above.
VADE_AVX2 inline float LargestOf32(const __m256* x) {
  __m256i bits = _mm256_setzero_si256();
  for (int k = 0; k < 4; ++k) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    bits = _mm256_max_epi32(bits, _mm256_and_si256(_mm256_castps_si256(x[k]), magnitude));
  }
  __m128i most = _mm_max_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0x4e));
  most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(most));
}

// Of 32 values: largest magnitude / 127 as float16 bits, or NaN where that is not finite.
VADE_AVX2 inline uint16_t Q8Scale(const __m256* x) {
  const uint16_t half = FloatToHalf(LargestOf32(x) / 127.0f);
  return half < kHalfInfinity ? half : kHalfNan;
}

// Packing works on each half of a register by itself: after two rounds of it, the bytes in order.
VADE_AVX2 inline __m256i InOrder(__m256i packed) {
  return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

VADE_AVX2 void ToQ8(const float* x, size_t n, char* bytes) {
  for (size_t i = 0; i < n; i += kKvBlock, x += kKvBlock, bytes += kQ8BlockBytes) {
    __m256 v[4];
    for (int k = 0; k < 4; ++k) v[k] = _mm256_loadu_ps(x + k * kLanes);
    const uint16_t half = Q8Scale(v);
    __m256i codes = _mm256_setzero_si256();
    if (half != 0 && half != kHalfNan) {
      const __m256 inverse = _mm256_set1_ps(1.0f / HalfToFloat(half));
      __m256i words[4];
      for (int k = 0; k < 4; ++k) words[k] = _mm256_cvtps_epi32(_mm256_mul_ps(v[k], inverse));
      codes = _mm256_packs_epi16(_mm256_packs_epi32(words[0], words[1]),
                                 _mm256_packs_epi32(words[2], words[3]));
      codes = InOrder(codes);
    }
    std::memcpy(bytes, &half, sizeof(half));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes + 2), codes);
  }
}

VADE_AVX2 void FromQ8(const char* bytes, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kKvBlock, bytes += kQ8BlockBytes) {
    uint16_t half;
    std::memcpy(&half, bytes, sizeof(half));
    const __m256 scale = _mm256_set1_ps(HalfToFloat(half));
    for (size_t k = 0; k < kKvBlock; k += kLanes) {
      const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + 2 + k));
      const __m256 values = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
      _mm256_storeu_ps(out + i + k, _mm256_mul_ps(values, scale));
    }
  }
}

VADE_AVX2 inline Q4Range RangeOfQ4(const __m256* x) {
  if (!(LargestOf32(x) <= FLT_MAX)) return {};
  const __m256 lower = _mm256_min_ps(_mm256_min_ps(x[0], x[1]), _mm256_min_ps(x[2], x[3]));
  const __m256 upper = _mm256_max_ps(_mm256_max_ps(x[0], x[1]), _mm256_max_ps(x[2], x[3]));
  return Q4RangeOf(-Max(_mm256_xor_ps(lower, _mm256_set1_ps(-0.0f))), Max(upper));
}

VADE_AVX2 void ToQ4(const float* x, size_t n, char* bytes) {
  for (size_t i = 0; i < n; i += kKvBlock, x += kKvBlock, bytes += kQ4BlockBytes) {
    __m256 v[4];
    for (int k = 0; k < 4; ++k) v[k] = _mm256_loadu_ps(x + k * kLanes);
    const Q4Range range = RangeOfQ4(v);
    __m128i pairs = _mm_setzero_si128();
    if (range.scale != 0 && range.scale != kHalfNan) {
      const __m256 minimum = _mm256_set1_ps(HalfToFloat(range.minimum));
      const __m256 inverse = _mm256_set1_ps(1.0f / HalfToFloat(range.scale));
      __m256i words[4];
      for (int k = 0; k < 4; ++k)
        words[k] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_sub_ps(v[k], minimum), inverse));
      __m256i codes = _mm256_packus_epi16(_mm256_packs_epi32(words[0], words[1]),
                                          _mm256_packs_epi32(words[2], words[3]));
      codes = _mm256_min_epu8(InOrder(codes), _mm256_set1_epi8(15));
      // No code has more than four bits, so none is shifted into its neighbour.
      pairs = _mm_or_si128(_mm256_castsi256_si128(codes),
                           _mm_slli_epi16(_mm256_extracti128_si256(codes, 1), 4));
    }
    std::memcpy(bytes, &range.scale, sizeof(range.scale));
    std::memcpy(bytes + 2, &range.minimum, sizeof(range.minimum));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + 4), pairs);
  }
}

VADE_AVX2 void FromQ4(const char* bytes, size_t n, float* out) {
  for (size_t i = 0; i < n; i += kKvBlock, bytes += kQ4BlockBytes) {
    uint16_t halves[2];
    std::memcpy(halves, bytes, sizeof(halves));
    const __m256 scale = _mm256_set1_ps(HalfToFloat(halves[0]));
    const __m256 minimum = _mm256_set1_ps(HalfToFloat(halves[1]));
    const __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 4));
    const __m128i low = _mm_set1_epi8(15);
    const __m128i codes[] = {_mm_and_si128(pairs, low),
                             _mm_and_si128(_mm_srli_epi16(pairs, 4), low)};
    for (size_t k = 0; k < 4; ++k) {
      const __m128i eight = k % 2 == 0 ? codes[k / 2] : _mm_srli_si128(codes[k / 2], 8);
      const __m256 values = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight));
      _mm256_storeu_ps(out + i + k * kLanes, _mm256_fmadd_ps(values, scale, minimum));
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

struct Running {
  float maximum = -INFINITY;
  float total = 0;
};

// The sums of four accumulators. The tree is the same for every accumulator, so that a key's score
// does not depend on its place among the four.
VADE_AVX2 inline __m128 SumFour(__m256 a, __m256 b, __m256 c, __m256 d) {
  const __m256 pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
}

// Scores of kQueries queries with the `keys` (1 to 4) rows at `key`: scores[q][0..4).
template <int kQueries>
VADE_AVX2 inline void ScoreFour(const float* const* query, const float* key, size_t keys,
                                size_t dim, float (*scores)[kAttentionTile], size_t at) {
  const float* rows[4];
#pragma GCC unroll 4
  for (size_t k = 0; k < 4; ++k) rows[k] = key + std::min(k, keys - 1) * dim;
  __m256 sums[kQueries][4];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sums[q][k] = _mm256_setzero_ps();
  }
  size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    __m256 x[kQueries];
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) x[q] = _mm256_loadu_ps(query[q] + i);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const __m256 w = _mm256_loadu_ps(rows[k] + i);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) sums[q][k] = _mm256_fmadd_ps(x[q], w, sums[q][k]);
    }
  }
  if (i < dim) {
    const __m256i lanes = FirstLanes(dim - i);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const __m256 w = _mm256_maskload_ps(rows[k] + i, lanes);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) {
        sums[q][k] = _mm256_fmadd_ps(_mm256_maskload_ps(query[q] + i, lanes), w, sums[q][k]);
      }
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q) {
    _mm_storeu_ps(scores[q] + at, SumFour(sums[q][0], sums[q][1], sums[q][2], sums[q][3]));
  }
}

// Scores -> weights e^(score - maximum), zero beyond `count`; brings what was summed so far to the
// new maximum.
VADE_AVX2 void Weigh(float* scores, size_t count, float scale, size_t dim, Running* running,
                     float* out) {
  __m256 s[4], lanes[4];
  __m256 highest = _mm256_set1_ps(-INFINITY);
  for (size_t k = 0; k < 4; ++k) {
    const size_t begin = k * kLanes;
    lanes[k] = _mm256_castsi256_ps(FirstLanes(count > begin ? std::min(kLanes, count - begin) : 0));
    s[k] = _mm256_mul_ps(_mm256_loadu_ps(scores + begin), _mm256_set1_ps(scale));
    s[k] = _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), s[k], lanes[k]);
    highest = _mm256_max_ps(highest, s[k]);
  }
  const float raised = std::max(running->maximum, Max(highest));
  if (raised > running->maximum) {
    const __m256 factor = Exp(_mm256_set1_ps(running->maximum - raised));
    size_t i = 0;
    for (; i + kLanes <= dim; i += kLanes) {
      _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(out + i), factor));
    }
    for (; i < dim; ++i) out[i] *= _mm256_cvtss_f32(factor);
    running->total *= _mm256_cvtss_f32(factor);
    running->maximum = raised;
  }
  for (size_t k = 0; k < 4; ++k) {
    s[k] = _mm256_and_ps(Exp(_mm256_sub_ps(s[k], _mm256_set1_ps(raised))), lanes[k]);
    _mm256_storeu_ps(scores + k * kLanes, s[k]);
  }
  running->total += Sum(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3])));
}

// out[q] += sum of weights[q][j] * values[j] for j in [begin, end), in order of j.
template <int kQueries>
VADE_AVX2 inline void Mix(const float (*weights)[kAttentionTile], const float* values, size_t begin,
                          size_t end, size_t dim, float* const* out) {
  size_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
    __m256 sums[kQueries][4];
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sums[q][k] = _mm256_loadu_ps(out[q] + i + k * kLanes);
    }
    for (size_t j = begin; j < end; ++j) {
      const float* value = values + j * dim + i;
      __m256 w[kQueries];
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) w[q] = _mm256_broadcast_ss(weights[q] + j);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        const __m256 v = _mm256_loadu_ps(value + k * kLanes);
#pragma GCC unroll 4
        for (int q = 0; q < kQueries; ++q) sums[q][k] = _mm256_fmadd_ps(w[q], v, sums[q][k]);
      }
    }
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) _mm256_storeu_ps(out[q] + i + k * kLanes, sums[q][k]);
    }
  }
  for (; i < dim; i += kLanes) {
    const __m256i lanes = FirstLanes(std::min(kLanes, dim - i));
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      __m256 sum = _mm256_maskload_ps(out[q] + i, lanes);
      for (size_t j = begin; j < end; ++j) {
        const __m256 v = _mm256_maskload_ps(values + j * dim + i, lanes);
        sum = _mm256_fmadd_ps(_mm256_broadcast_ss(weights[q] + j), v, sum);
      }
      _mm256_maskstore_ps(out[q] + i, lanes, sum);
    }
  }
}

// kQueries queries over one tile. Each adds only the keys that it sees: the longer one goes on
// alone.
template <int kQueries>
VADE_AVX2 void AttendTile(const AttentionArgs& args, size_t query, size_t tile, Running* running) {
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

VADE_AVX2 void AttendBlock(const AttentionArgs& args, size_t begin, size_t end) {
  Running running[kQueryBlock];
  uint32_t key_count = 0;
  for (size_t q = begin; q < end; ++q) {
    std::fill_n(args.out + q * args.out_stride, args.head_dim, 0.0f);
    key_count = std::max(key_count, args.visible[q]);
  }
  for (size_t tile = 0; tile < key_count; tile += kAttentionTile) {
    size_t q = begin;
    for (; q + 2 <= end; q += 2) AttendTile<2>(args, q, tile, running + (q - begin));
    if (q < end) AttendTile<1>(args, q, tile, running + (q - begin));
  }
  for (size_t q = begin; q < end; ++q) {
    const float inverse = 1.0f / running[q - begin].total;
    float* out = args.out + q * args.out_stride;
    for (size_t i = 0; i < args.head_dim; ++i) out[i] *= inverse;
  }
}

void Attend(const AttentionArgs& args) {
  for (size_t q = 0; q < args.query_count; q += kQueryBlock) {
    AttendBlock(args, q, std::min(args.query_count, q + kQueryBlock));
  }
}

}  // namespace

const VectorKernels kVectorAvx2 = {RmsNorm,   LayerNorm, Add,  SiluMultiply, Gelu,
                                   LogSumExp, Rotate,    ToKv, FromKv,       Attend};

}  // namespace vade::kernels
