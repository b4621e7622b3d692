// int8.h with AVX2 and FMA. Activation codes are kept as 16-bit words: madd multiplies them by
// sign-extended weights and adds pairs to int32, which no pair of codes can overflow (two bytes by
// maddubs could). A vector is four rows of a tile by four columns; each row has two partial sums.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/int8_math.h"
#include "kernels/level_targets.h"

namespace vade::kernels {
namespace {

constexpr size_t kLanes = 8;
constexpr size_t kCodeBytes = 2;
constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
// Tokens that one pass over half a tile serves: 10 sums, 2 vectors of weights, one of activations.
constexpr int kMaxTokens = 5;

VADE_AVX2_INLINE __m256i FirstLanes(size_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(std::min(n, kLanes))), lane);
}

VADE_AVX2_INLINE __m256 Load(const float* x, size_t i, size_t n) {
  return i + kLanes <= n ? _mm256_loadu_ps(x + i) : _mm256_maskload_ps(x + i, FirstLanes(n - i));
}

VADE_AVX2_INLINE void Store(__m256 v, float* x, size_t i, size_t n) {
  if (i + kLanes <= n) return _mm256_storeu_ps(x + i, v);
  _mm256_maskstore_ps(x + i, FirstLanes(n - i), v);
}

// v where i + lane < n, else `other`.
VADE_AVX2_INLINE __m256 Within(__m256 v, __m256 other, size_t i, size_t n) {
  return i + kLanes <= n ? v : _mm256_blendv_ps(other, v, _mm256_castsi256_ps(FirstLanes(n - i)));
}

template <typename Combine>
VADE_AVX2_INLINE float Reduce(__m256 v, Combine combine) {
  __m128 s = combine(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = combine(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(combine(s, _mm_shuffle_ps(s, s, 1)));
}

VADE_AVX2_INLINE float Least(__m256 v) {
  return Reduce(v, [](__m128 a, __m128 b) VADE_AVX2 { return _mm_min_ps(a, b); });
}
VADE_AVX2_INLINE float Greatest(__m256 v) {
  return Reduce(v, [](__m128 a, __m128 b) VADE_AVX2 { return _mm_max_ps(a, b); });
}
VADE_AVX2_INLINE float Sum(__m256 v) {
  return Reduce(v, [](__m128 a, __m128 b) VADE_AVX2 { return _mm_add_ps(a, b); });
}
VADE_AVX2_INLINE int32_t Sum(__m256i v) {
  alignas(32) int32_t lanes[kLanes];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), v);
  int32_t sum = 0;
  for (const int32_t lane : lanes) sum += lane;
  return sum;
}

// --- activations ---------------------------------------------------------------------------------

// Lowest and highest value, and lanes that were NaN once.
struct Extremes {
  __m256 low, high, unordered;
};

VADE_AVX2_INLINE Extremes NoExtremes() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
}

VADE_AVX2_INLINE void Include(__m256 v, Extremes* e) {
  e->low = _mm256_min_ps(e->low, v);
  e->high = _mm256_max_ps(e->high, v);
  e->unordered = _mm256_or_ps(e->unordered, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}

VADE_AVX2_INLINE CodeRange RangeOf(const Extremes& e) {
  const float low = Least(e.low);
  const float range = Greatest(e.high) - low;
  CodeRange codes;
  if (_mm256_movemask_ps(e.unordered) != 0 || !(range <= std::numeric_limits<float>::max())) {
    codes.scale.scale = std::numeric_limits<float>::quiet_NaN();
    return codes;
  }
  if (range < kInt8SmallestRange) return codes;
  codes.inverse = kInt8Codes / range;
  codes.zero =
      _mm_cvtss_f32(_mm_round_ss(_mm_setzero_ps(), _mm_set_ss(-low * codes.inverse), kNearest));
  codes.scale.scale = range / kInt8Codes;
  codes.scale.offset = codes.scale.scale * codes.zero;
  return codes;
}

// Eight codes as 16-bit words.
VADE_AVX2_INLINE void StoreCodes(__m256i codes, size_t i, uint8_t* out) {
  const __m128i words =
      _mm_packus_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + kCodeBytes * i), words);
}

VADE_AVX2_INLINE RowScale Finish(const CodeRange& range, const float* x, size_t n, uint8_t* codes) {
  std::memset(codes + kCodeBytes * (n / kLanes * kLanes), 0,
              kCodeBytes * (Int8CodeCols(n) - n / kLanes * kLanes));
  if (range.inverse == 0) {
    std::memset(codes, 0, kCodeBytes * n);
    return range.scale;
  }
  const __m256 inverse = _mm256_set1_ps(range.inverse), zero = _mm256_set1_ps(range.zero);
  const __m256i most = _mm256_set1_epi32(static_cast<int>(kInt8Codes));
  for (size_t i = 0; i < n; i += kLanes) {
    __m256i code = _mm256_cvtps_epi32(_mm256_fmadd_ps(Load(x, i, n), inverse, zero));
    code = _mm256_min_epi32(_mm256_max_epi32(code, _mm256_setzero_si256()), most);
    if (i + kLanes > n) code = _mm256_and_si256(code, FirstLanes(n - i));
    StoreCodes(code, i, codes);
  }
  return range.scale;
}

VADE_AVX2 RowScale Quantise(const float* x, size_t n, uint8_t* codes) {
  Extremes extremes = NoExtremes();
  for (size_t i = 0; i < n; i += kLanes) Include(Load(x, i, n), &extremes);
  return Finish(RangeOf(extremes), x, n, codes);
}

VADE_AVX2_INLINE __m256 Gelu(__m256 x) {
  // The operand that counts when one is NaN is the second: x goes through.
  const __m256 limited =
      _mm256_max_ps(_mm256_set1_ps(-kGeluLimit), _mm256_min_ps(_mm256_set1_ps(kGeluLimit), x));
  const __m256 square = _mm256_mul_ps(limited, limited);
  __m256 p = _mm256_set1_ps(kGeluPolynomial[6]);
  VADE_UNROLL for (int i = 5; i >= 0; --i) {
    p = _mm256_fmadd_ps(p, square, _mm256_set1_ps(kGeluPolynomial[static_cast<size_t>(i)]));
  }
  return _mm256_mul_ps(x, _mm256_fmadd_ps(limited, p, _mm256_set1_ps(0.5f)));
}

VADE_AVX2 RowScale GeluQuantise(float* x, size_t n, uint8_t* codes) {
  Extremes extremes = NoExtremes();
  for (size_t i = 0; i < n; i += kLanes) {
    const __m256 y = Gelu(Load(x, i, n));
    Store(y, x, i, n);
    Include(y, &extremes);
  }
  return Finish(RangeOf(extremes), x, n, codes);
}

VADE_AVX2 RowScale AddNormQuantise(const AddNorm& norm, float* x, uint8_t* codes) {
  const size_t n = norm.n;
  const __m256 none = _mm256_setzero_ps();
  __m256 sum = none;
  for (size_t i = 0; i < n; i += kLanes) {
    __m256 v = Load(x, i, n);
    if (norm.y != nullptr) {
      v = _mm256_add_ps(v, Load(norm.y, i, n));
      Store(v, x, i, n);
    }
    sum = _mm256_add_ps(sum, v);
  }
  const float count = static_cast<float>(n);
  const __m256 mean = _mm256_set1_ps(Sum(sum) / count);
  __m256 squares = none;
  for (size_t i = 0; i < n; i += kLanes) {
    const __m256 d = Within(_mm256_sub_ps(Load(x, i, n), mean), none, i, n);
    squares = _mm256_fmadd_ps(d, d, squares);
  }
  const __m256 inverse = _mm256_set1_ps(1.0f / std::sqrt(Sum(squares) / count + norm.eps));
  Extremes extremes = NoExtremes();
  for (size_t i = 0; i < n; i += kLanes) {
    const __m256 d = _mm256_mul_ps(_mm256_sub_ps(Load(x, i, n), mean), inverse);
    const __m256 y = _mm256_fmadd_ps(d, Load(norm.weight, i, n), Load(norm.bias, i, n));
    Store(y, x, i, n);
    Include(Within(y, none, i, n), &extremes);
  }
  return Finish(RangeOf(extremes), x, n, codes);
}

// 2^whole for whole in [-30, 0 + rounding].
VADE_AVX2_INLINE __m256 PowerOfTwo(__m256 whole) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}

VADE_AVX2 RowScale SoftmaxQuantise(const float* x, size_t n, float scale, uint8_t* codes) {
  const __m256 lowest = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
  __m256 top = lowest, unordered = _mm256_setzero_ps();
  for (size_t i = 0; i < n; i += kLanes) {
    const __m256 v = Load(x, i, n);
    top = _mm256_max_ps(top, Within(v, lowest, i, n));
    unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  }
  std::memset(codes + kCodeBytes * (n / kLanes * kLanes), 0,
              kCodeBytes * (Int8CodeCols(n) - n / kLanes * kLanes));
  const float highest = Greatest(top);
  if (_mm256_movemask_ps(unordered) != 0 ||
      !(std::fabs(highest) <= std::numeric_limits<float>::max())) {
    std::memset(codes, 0, kCodeBytes * n);
    return {std::numeric_limits<float>::quiet_NaN(), 0};
  }
  const float factor = scale * kLog2E;
  const __m256 factors = _mm256_set1_ps(factor), shift = _mm256_set1_ps(-highest * factor);
  __m256i total = _mm256_setzero_si256();
  for (size_t i = 0; i < n; i += kLanes) {
    const __m256 t =
        _mm256_max_ps(_mm256_fmadd_ps(Load(x, i, n), factors, shift), _mm256_set1_ps(kExp2Lowest));
    const __m256 whole = _mm256_round_ps(t, kNearest);
    const __m256 f = _mm256_sub_ps(t, whole);
    __m256 p = _mm256_set1_ps(kInt8Codes * kExp2Polynomial[3]);
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kInt8Codes * kExp2Polynomial[2]));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kInt8Codes * kExp2Polynomial[1]));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kInt8Codes * kExp2Polynomial[0]));
    __m256i code = _mm256_cvtps_epi32(_mm256_mul_ps(p, PowerOfTwo(whole)));
    if (i + kLanes > n) code = _mm256_and_si256(code, FirstLanes(n - i));
    total = _mm256_add_epi32(total, code);
    StoreCodes(code, i, codes);
  }
  return {1.0f / static_cast<float>(Sum(total)), 0};
}

// --- products ------------------------------------------------------------------------------------

VADE_AVX2_INLINE __m256i LoadWeights(const uint8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

VADE_AVX2_INLINE __m256i BroadcastStep(const uint8_t* codes) {
  int64_t four;
  std::memcpy(&four, codes, sizeof(four));
  return _mm256_set1_epi64x(four);
}

// The eight rows' sums in order, from two vectors of four rows by two partial sums.
VADE_AVX2_INLINE __m256i RowSums(__m256i first, __m256i second) {
  return _mm256_permute4x64_epi64(_mm256_hadd_epi32(first, second), 0xd8);
}

// The sums of one token with eight rows, two vectors of four by two partial sums. No arrays: g++
// would keep them in memory.
struct EightRows {
  __m256i a, b;
};

VADE_AVX2_INLINE EightRows NoSums() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }

VADE_AVX2_INLINE void AddStep(const EightRows& w, const uint8_t* codes, EightRows* sums) {
  const __m256i x = BroadcastStep(codes);
  sums->a = _mm256_add_epi32(sums->a, _mm256_madd_epi16(w.a, x));
  sums->b = _mm256_add_epi32(sums->b, _mm256_madd_epi16(w.b, x));
}

// Where eight rows lie: half `half` of a tile.
struct HalfTile {
  size_t tile, half;
};

// Sums [tokens, 8] of eight rows by tokens from `token` on -> results.
VADE_AVX2 void Finish(const Int8Product& p, const HalfTile& at, size_t token, size_t tokens,
                      const int32_t* sums) {
  const size_t in_tile = kLanes * at.half, row = at.tile * kTileRows + in_tile;
  const auto* scales =
      reinterpret_cast<const float*>(p.tiles + at.tile * Int8TileBytes(p.cols)) + in_tile;
  const __m256 scale = _mm256_loadu_ps(scales);
  const __m256 scaled_sum = _mm256_loadu_ps(scales + kInt8SumsOffset / 4);
  const __m256 bias = p.bias == nullptr ? _mm256_setzero_ps() : Load(p.bias, row, p.rows);
  for (size_t t = 0; t < tokens; ++t) {
    const RowScale& x = p.scales[token + t];
    const __m256 rest = _mm256_fnmadd_ps(_mm256_set1_ps(x.offset), scaled_sum, bias);
    const __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(x.scale));
    const __m256 sum =
        _mm256_cvtepi32_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(sums + t * kLanes)));
    Store(_mm256_fmadd_ps(sum, both, rest), p.y + (token + t) * p.y_stride, row, p.rows);
  }
}

VADE_AVX2_INLINE void StoreSums(const EightRows& sums, int32_t* out) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(out), RowSums(sums.a, sums.b));
}

// Eight rows by tokens [token, token + T). The sums go through memory: else g++ copies and spills
// the registers of the end in every step.
template <int T>
VADE_AVX2 void MultiplyHalf(const Int8Product& p, const HalfTile& at, size_t token) {
  const size_t stride = p.code_stride;
  const uint8_t* line = p.tiles + at.tile * Int8TileBytes(p.cols) + kInt8LinesOffset + 32 * at.half;
  const uint8_t* const end = line + Int8PaddedCols(p.cols) / kInt8Step * 64;
  const uint8_t* codes = p.codes + token * stride;
  EightRows s0 = NoSums(), s1 = NoSums(), s2 = NoSums(), s3 = NoSums(), s4 = NoSums();
  do {
    const EightRows w = {LoadWeights(line), LoadWeights(line + 16)};
    AddStep(w, codes, &s0);
    if constexpr (T > 1) AddStep(w, codes + stride, &s1);
    if constexpr (T > 2) AddStep(w, codes + 2 * stride, &s2);
    if constexpr (T > 3) AddStep(w, codes + 3 * stride, &s3);
    if constexpr (T > 4) AddStep(w, codes + 4 * stride, &s4);
    line += 64;
    codes += kCodeBytes * kInt8Step;
  } while (line != end);
  alignas(32) int32_t sums[T * kLanes];
  StoreSums(s0, sums);
  if constexpr (T > 1) StoreSums(s1, sums + kLanes);
  if constexpr (T > 2) StoreSums(s2, sums + 2 * kLanes);
  if constexpr (T > 3) StoreSums(s3, sums + 3 * kLanes);
  if constexpr (T > 4) StoreSums(s4, sums + 4 * kLanes);
  Finish(p, at, token, T, sums);
}

void MultiplyTokens(const Int8Product& p, const HalfTile& at) {
  size_t token = 0;
  for (; token + kMaxTokens <= p.tokens; token += kMaxTokens) {
    MultiplyHalf<kMaxTokens>(p, at, token);
  }
  switch (p.tokens - token) {
    case 0: return;
    case 1: return MultiplyHalf<1>(p, at, token);
    case 2: return MultiplyHalf<2>(p, at, token);
    case 3: return MultiplyHalf<3>(p, at, token);
    default: return MultiplyHalf<4>(p, at, token);
  }
}

void Multiply(const Int8Product& p) {
  for (size_t row = 0; row < p.rows; row += kLanes) {
    MultiplyTokens(p, {row / kTileRows, row % kTileRows / kLanes});
  }
}

// --- heads ---------------------------------------------------------------------------------------

// Magnitudes as integers: NaN is above infinity, which is above all numbers.
VADE_AVX2_INLINE __m256i Magnitude(__m256 v) {
  return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff));
}

// Scales of rows whose largest magnitudes are given, and the factors from values to codes. Not
// finite: NaN and 0.
struct WeightScales {
  __m256 scale, inverse;
};
VADE_AVX2_INLINE WeightScales ScalesOf(__m256i magnitude) {
  const __m256 largest = _mm256_castsi256_ps(magnitude);
  const __m256i broken = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f7fffff));
  const __m256 usable =
      _mm256_andnot_ps(_mm256_castsi256_ps(broken),
                       _mm256_cmp_ps(largest, _mm256_set1_ps(kInt8SmallestRange), _CMP_GT_OQ));
  const __m256 steps = _mm256_set1_ps(kInt8Weights);
  const __m256 nan = _mm256_set1_ps(std::numeric_limits<float>::quiet_NaN());
  return {_mm256_blendv_ps(_mm256_div_ps(largest, steps), nan, _mm256_castsi256_ps(broken)),
          _mm256_and_ps(_mm256_div_ps(steps, largest), usable)};
}

VADE_AVX2_INLINE void WriteScales(const WeightScales& scales, __m256i sums, size_t row,
                                  uint8_t* tile) {
  auto* floats = reinterpret_cast<float*>(tile);
  _mm256_storeu_ps(floats + row, scales.scale);
  _mm256_storeu_ps(floats + kInt8SumsOffset / 4 + row,
                   _mm256_mul_ps(scales.scale, _mm256_cvtepi32_ps(sums)));
}

// Codes 0 where the factor is 0, whatever the value.
VADE_AVX2_INLINE __m256i CodesOf(__m256 v, __m256 inverse) {
  const __m256 usable = _mm256_cmp_ps(inverse, _mm256_setzero_ps(), _CMP_GT_OQ);
  return _mm256_cvtps_epi32(_mm256_and_ps(_mm256_mul_ps(v, inverse), usable));
}

// The low bytes of eight words.
VADE_AVX2_INLINE uint64_t LowBytes(__m256i codes) {
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_packs_epi16(words, words)));
}

VADE_AVX2_INLINE int32_t LargestMagnitude(const float* x, size_t n) {
  __m256i most = _mm256_setzero_si256();
  for (size_t i = 0; i < n; i += kLanes) {
    most = _mm256_max_epi32(most, Magnitude(Load(x, i, n)));
  }
  alignas(32) int32_t lanes[kLanes];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), most);
  return *std::max_element(lanes, lanes + kLanes);
}

// Keys [first, first + 8) as rows `row` to `row + 7` of a tile.
VADE_AVX2 void PackKeyRows(const HeadRows& keys, size_t first, size_t row, uint8_t* tile) {
  const size_t count = std::min(kLanes, keys.count - first), dim = keys.dim;
  alignas(32) int32_t largest[kLanes] = {}, sums[kLanes] = {};
  const float* key = keys.first + first * keys.stride;
  for (size_t k = 0; k < count; ++k) largest[k] = LargestMagnitude(key + k * keys.stride, dim);
  const WeightScales scales =
      ScalesOf(_mm256_load_si256(reinterpret_cast<const __m256i*>(largest)));
  alignas(32) float inverse[kLanes];
  _mm256_store_ps(inverse, scales.inverse);
  for (size_t k = 0; k < count; ++k, key += keys.stride) {
    __m256i sum = _mm256_setzero_si256();
    uint8_t* line = tile + kInt8LinesOffset + 4 * (row + k);
    for (size_t i = 0; i < dim; i += kLanes, line += 128) {
      const __m256i codes = CodesOf(Load(key, i, dim), _mm256_set1_ps(inverse[k]));
      sum = _mm256_add_epi32(sum, codes);
      const uint64_t bytes = LowBytes(codes);
      std::memcpy(line, &bytes, 4);
      if (i + kInt8Step >= dim) continue;
      const uint64_t second = bytes >> 32;
      std::memcpy(line + 64, &second, 4);
    }
    sums[k] = Sum(sum);
  }
  WriteScales(scales, _mm256_load_si256(reinterpret_cast<const __m256i*>(sums)), row, tile);
}

void PackKeys(const HeadRows& keys, uint8_t* out) {
  const size_t tile_bytes = Int8TileBytes(keys.dim);
  for (size_t first = 0; first < keys.count; first += kLanes) {
    uint8_t* tile = out + first / kTileRows * tile_bytes;
    if (first % kTileRows == 0) std::memset(tile, 0, tile_bytes);
    PackKeyRows(keys, first, first % kTileRows, tile);
  }
}

// Elements [first, first + 8) of the head: a vector is one value's part of them.
VADE_AVX2 void PackValueRows(const HeadRows& values, size_t first, size_t row, uint8_t* tile) {
  const float* from = values.first;
  __m256i most = _mm256_setzero_si256();
  for (size_t i = 0; i < values.count; ++i) {
    most = _mm256_max_epi32(most, Magnitude(Load(from + i * values.stride, first, values.dim)));
  }
  const WeightScales scales = ScalesOf(most);
  __m256i sums = _mm256_setzero_si256();
  uint8_t* line = tile + kInt8LinesOffset + 4 * row;
  for (size_t i = 0; i < values.count; i += kInt8Step, line += 64) {
    __m256i step = _mm256_setzero_si256();
    const size_t here = std::min(kInt8Step, values.count - i);
    for (size_t k = 0; k < here; ++k) {
      const __m256 v = Load(from + (i + k) * values.stride, first, values.dim);
      const __m256i codes = CodesOf(v, scales.inverse);
      sums = _mm256_add_epi32(sums, codes);
      const __m256i byte = _mm256_and_si256(codes, _mm256_set1_epi32(255));
      step =
          _mm256_or_si256(step, _mm256_sll_epi32(byte, _mm_cvtsi32_si128(8 * static_cast<int>(k))));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(line), step);
  }
  WriteScales(scales, sums, row, tile);
}

void PackValues(const HeadRows& values, uint8_t* out) {
  const size_t tile_bytes = Int8TileBytes(values.count);
  for (size_t first = 0; first < values.dim; first += kLanes) {
    uint8_t* tile = out + first / kTileRows * tile_bytes;
    if (first % kTileRows == 0) std::memset(tile, 0, tile_bytes);
    PackValueRows(values, first, first % kTileRows, tile);
  }
}

}  // namespace

const Int8Kernels kInt8Avx2 = {.code_bytes = kCodeBytes,
                               .quantise = Quantise,
                               .gelu_quantise = GeluQuantise,
                               .add_norm_quantise = AddNormQuantise,
                               .softmax_quantise = SoftmaxQuantise,
                               .multiply = Multiply,
                               .pack_keys = PackKeys,
                               .pack_values = PackValues};

}  // namespace vade::kernels
