// int8.h with AVX-512 (F, BW, VL, DQ) and VNNI: one vector is 16 rows of a tile by four columns,
// and dpbusd adds four products of activation codes by weight codes to an int32.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/int8_avx512.h"
#include "kernels/int8_math.h"

namespace vade::kernels {
namespace {

constexpr size_t kLanes = kInt8Lanes;
constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
// Tiles and tokens that one pass over the columns serves: 24 sums, 4 vectors of weights and one of
// activations fill the registers.
constexpr int kMaxTiles = 4;
constexpr int kMaxTokens = 6;

VADE_VNNI_INLINE __m512 Load(const float* x, size_t i, size_t n) {
  return _mm512_maskz_loadu_ps(FirstLanes(n - i), x + i);
}

// --- activations ---------------------------------------------------------------------------------

// Lowest and highest value, and whether one of them is NaN.
struct Extremes {
  __m512 low, high;
  __mmask16 unordered;
};

VADE_VNNI_INLINE Extremes NoExtremes() { return {_mm512_setzero_ps(), _mm512_setzero_ps(), 0}; }

VADE_VNNI_INLINE void Include(__m512 v, Extremes* e) {
  e->low = _mm512_min_ps(e->low, v);
  e->high = _mm512_max_ps(e->high, v);
  e->unordered |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
}

VADE_VNNI_INLINE CodeRange RangeOf(const Extremes& e) {
  const float low = _mm512_reduce_min_ps(e.low);
  const float range = _mm512_reduce_max_ps(e.high) - low;
  CodeRange codes;
  if (e.unordered != 0 || !(range <= std::numeric_limits<float>::max())) {
    codes.scale.scale = std::numeric_limits<float>::quiet_NaN();
    return codes;
  }
  if (range < kInt8SmallestRange) return codes;
  codes.inverse = kInt8Codes / range;
  codes.zero = _mm_cvtss_f32(
      _mm_roundscale_ss(_mm_setzero_ps(), _mm_set_ss(-low * codes.inverse), kNearest));
  codes.scale.scale = range / kInt8Codes;
  codes.scale.offset = codes.scale.scale * codes.zero;
  return codes;
}

// Codes of what lies at x, in [0, 255], and zeros up to a whole vector.
VADE_VNNI_INLINE void WriteCodes(const CodeRange& range, const float* x, size_t n, uint8_t* codes) {
  const __m512 inverse = _mm512_set1_ps(range.inverse), zero = _mm512_set1_ps(range.zero);
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(lanes, x + i);
    const __m512i code = _mm512_cvtps_epi32(_mm512_fmadd_ps(v, inverse, zero));
    const __m512i positive = _mm512_maskz_max_epi32(lanes, code, _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i), _mm512_cvtusepi32_epi8(positive));
  }
}

// A row of zeros, or one that is not finite, has codes 0.
VADE_VNNI_INLINE RowScale Finish(const CodeRange& range, const float* x, size_t n, uint8_t* codes) {
  if (range.inverse == 0) {
    std::memset(codes, 0, Int8CodeCols(n));
  } else {
    WriteCodes(range, x, n, codes);
  }
  return range.scale;
}

VADE_VNNI RowScale Quantise(const float* x, size_t n, uint8_t* codes) {
  Extremes extremes = NoExtremes();
  for (size_t i = 0; i < n; i += kLanes) Include(Load(x, i, n), &extremes);
  return Finish(RangeOf(extremes), x, n, codes);
}

VADE_VNNI_INLINE __m512 Gelu(__m512 x) {
  // The operand that counts when one is NaN is the second: x goes through.
  const __m512 limit = _mm512_set1_ps(kGeluLimit);
  const __m512 limited = _mm512_max_ps(_mm512_set1_ps(-kGeluLimit), _mm512_min_ps(limit, x));
  const __m512 square = _mm512_mul_ps(limited, limited);
  __m512 p = _mm512_set1_ps(kGeluPolynomial[6]);
  VADE_UNROLL for (int i = 5; i >= 0; --i) {
    p = _mm512_fmadd_ps(p, square, _mm512_set1_ps(kGeluPolynomial[static_cast<size_t>(i)]));
  }
  return _mm512_mul_ps(x, _mm512_fmadd_ps(limited, p, _mm512_set1_ps(0.5f)));
}

VADE_VNNI RowScale GeluQuantise(float* x, size_t n, uint8_t* codes) {
  Extremes extremes = NoExtremes();
  for (size_t i = 0; i < n; i += kLanes) {
    const __m512 y = Gelu(Load(x, i, n));
    _mm512_mask_storeu_ps(x + i, FirstLanes(n - i), y);
    Include(y, &extremes);
  }
  return Finish(RangeOf(extremes), x, n, codes);
}

VADE_VNNI RowScale AddNormQuantise(const AddNorm& norm, float* x, uint8_t* codes) {
  const size_t n = norm.n;
  __m512 sum = _mm512_setzero_ps();
  for (size_t i = 0; i < n; i += kLanes) {
    __m512 v = Load(x, i, n);
    if (norm.y != nullptr) {
      v = _mm512_add_ps(v, Load(norm.y, i, n));
      _mm512_mask_storeu_ps(x + i, FirstLanes(n - i), v);
    }
    sum = _mm512_add_ps(sum, v);
  }
  const float count = static_cast<float>(n);
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / count);
  __m512 squares = _mm512_setzero_ps();
  for (size_t i = 0; i < n; i += kLanes) {
    const __m512 d = _mm512_maskz_sub_ps(FirstLanes(n - i), Load(x, i, n), mean);
    squares = _mm512_fmadd_ps(d, d, squares);
  }
  const float variance = _mm512_reduce_add_ps(squares) / count;
  const __m512 inverse = _mm512_set1_ps(1.0f / std::sqrt(variance + norm.eps));
  Extremes extremes = NoExtremes();
  for (size_t i = 0; i < n; i += kLanes) {
    const __m512 d = _mm512_mul_ps(_mm512_sub_ps(Load(x, i, n), mean), inverse);
    const __m512 y = _mm512_fmadd_ps(d, Load(norm.weight, i, n), Load(norm.bias, i, n));
    const __mmask16 lanes = FirstLanes(n - i);
    _mm512_mask_storeu_ps(x + i, lanes, y);
    Include(_mm512_maskz_mov_ps(lanes, y), &extremes);
  }
  return Finish(RangeOf(extremes), x, n, codes);
}

VADE_VNNI RowScale SoftmaxQuantise(const float* x, size_t n, float scale, uint8_t* codes) {
  __m512 top = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  __mmask16 unordered = 0;
  for (size_t i = 0; i < n; i += kLanes) {
    const __m512 v = Load(x, i, n);
    top = _mm512_mask_max_ps(top, FirstLanes(n - i), top, v);
    unordered |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  }
  const float highest = _mm512_reduce_max_ps(top);
  if (unordered != 0 || !(std::fabs(highest) <= std::numeric_limits<float>::max())) {
    std::memset(codes, 0, Int8CodeCols(n));
    return {std::numeric_limits<float>::quiet_NaN(), 0};
  }
  const float factor = scale * kLog2E;
  const __m512 factors = _mm512_set1_ps(factor), shift = _mm512_set1_ps(-highest * factor);
  __m512i total = _mm512_setzero_si512();
  for (size_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    const __m512 t =
        _mm512_max_ps(_mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, x + i), factors, shift),
                      _mm512_set1_ps(kExp2Lowest));
    const __m512 whole = _mm512_roundscale_ps(t, kNearest);
    const __m512 f = _mm512_sub_ps(t, whole);
    __m512 p = _mm512_set1_ps(kInt8Codes * kExp2Polynomial[3]);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kInt8Codes * kExp2Polynomial[2]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kInt8Codes * kExp2Polynomial[1]));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kInt8Codes * kExp2Polynomial[0]));
    const __m512i code = _mm512_maskz_cvtps_epi32(lanes, _mm512_scalef_ps(p, whole));
    total = _mm512_add_epi32(total, code);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i), _mm512_cvtusepi32_epi8(code));
  }
  return {1.0f / static_cast<float>(_mm512_reduce_add_epi32(total)), 0};
}

// --- products ------------------------------------------------------------------------------------

VADE_VNNI_INLINE __m512i Broadcast32(const uint8_t* p) {
  int32_t value;
  std::memcpy(&value, p, sizeof(value));
  return _mm512_set1_epi32(value);
}

// The sums of one token with up to four tiles, or the weights of a step of them. No arrays: g++
// would keep them in memory.
struct FourTiles {
  __m512i a, b, c, d;
};

VADE_VNNI_INLINE FourTiles NoSums() {
  const __m512i none = _mm512_setzero_si512();
  return {none, none, none, none};
}

template <int R>
VADE_VNNI_INLINE FourTiles LoadStep(const uint8_t* weights, size_t tile_bytes) {
  FourTiles w = NoSums();
  w.a = _mm512_loadu_si512(weights);
  if constexpr (R > 1) w.b = _mm512_loadu_si512(weights + tile_bytes);
  if constexpr (R > 2) w.c = _mm512_loadu_si512(weights + 2 * tile_bytes);
  if constexpr (R > 3) w.d = _mm512_loadu_si512(weights + 3 * tile_bytes);
  return w;
}

template <int R>
VADE_VNNI_INLINE void AddStep(const FourTiles& w, const uint8_t* codes, FourTiles* sums) {
  const __m512i x = Broadcast32(codes);
  sums->a = _mm512_dpbusd_epi32(sums->a, x, w.a);
  if constexpr (R > 1) sums->b = _mm512_dpbusd_epi32(sums->b, x, w.b);
  if constexpr (R > 2) sums->c = _mm512_dpbusd_epi32(sums->c, x, w.c);
  if constexpr (R > 3) sums->d = _mm512_dpbusd_epi32(sums->d, x, w.d);
}

// One token's sums to memory, a line a tile. Going through memory keeps the registers of the loop
// apart from those of the end: g++ would copy and spill them in every step.
template <int R>
VADE_VNNI_INLINE void StoreSums(const FourTiles& sums, int32_t* out) {
  _mm512_store_si512(out, sums.a);
  if constexpr (R > 1) _mm512_store_si512(out + kLanes, sums.b);
  if constexpr (R > 2) _mm512_store_si512(out + 2 * kLanes, sums.c);
  if constexpr (R > 3) _mm512_store_si512(out + 3 * kLanes, sums.d);
}

// Sums [tokens, R tiles, 16] of tiles from `first` by tokens from `token` on -> results.
template <int R>
VADE_VNNI void Finish(const Int8Product& p, size_t first, size_t token, size_t tokens,
                      const int32_t* sums) {
  for (size_t r = 0; r < R; ++r) {
    FinishInt8Tile(p, first + r, token, tokens, sums + r * kLanes, R * kLanes);
  }
}

// Tiles [first, first + R) by tokens [token, token + T).
template <int R, int T>
VADE_VNNI void MultiplyBlock(const Int8Product& p, size_t first, size_t token) {
  const size_t tile_bytes = Int8TileBytes(p.cols), stride = p.code_stride;
  const uint8_t* weights = p.tiles + first * tile_bytes + kInt8LinesOffset;
  const uint8_t* const end = weights + Int8PaddedCols(p.cols) / kInt8Step * 64;
  const uint8_t* codes = p.codes + token * stride;
  FourTiles s0 = NoSums(), s1 = NoSums(), s2 = NoSums(), s3 = NoSums(), s4 = NoSums(),
            s5 = NoSums();
  do {
    const FourTiles w = LoadStep<R>(weights, tile_bytes);
    AddStep<R>(w, codes, &s0);
    if constexpr (T > 1) AddStep<R>(w, codes + stride, &s1);
    if constexpr (T > 2) AddStep<R>(w, codes + 2 * stride, &s2);
    if constexpr (T > 3) AddStep<R>(w, codes + 3 * stride, &s3);
    if constexpr (T > 4) AddStep<R>(w, codes + 4 * stride, &s4);
    if constexpr (T > 5) AddStep<R>(w, codes + 5 * stride, &s5);
    weights += 64;
    codes += kInt8Step;
  } while (weights != end);
  alignas(64) int32_t sums[T * R * kLanes];
  StoreSums<R>(s0, sums);
  if constexpr (T > 1) StoreSums<R>(s1, sums + R * kLanes);
  if constexpr (T > 2) StoreSums<R>(s2, sums + 2 * R * kLanes);
  if constexpr (T > 3) StoreSums<R>(s3, sums + 3 * R * kLanes);
  if constexpr (T > 4) StoreSums<R>(s4, sums + 4 * R * kLanes);
  if constexpr (T > 5) StoreSums<R>(s5, sums + 5 * R * kLanes);
  Finish<R>(p, first, token, T, sums);
}

template <int R>
void MultiplyTokens(const Int8Product& p, size_t first) {
  size_t token = 0;
  for (; token + kMaxTokens <= p.tokens; token += kMaxTokens) {
    MultiplyBlock<R, kMaxTokens>(p, first, token);
  }
  switch (p.tokens - token) {
    case 0: return;
    case 1: return MultiplyBlock<R, 1>(p, first, token);
    case 2: return MultiplyBlock<R, 2>(p, first, token);
    case 3: return MultiplyBlock<R, 3>(p, first, token);
    case 4: return MultiplyBlock<R, 4>(p, first, token);
    default: return MultiplyBlock<R, 5>(p, first, token);
  }
}

// Four tiles stay in the first-level cache while the tokens pass.
void Multiply(const Int8Product& p) {
  const size_t tiles = (p.rows + kTileRows - 1) / kTileRows;
  size_t tile = 0;
  for (; tile + kMaxTiles <= tiles; tile += kMaxTiles) MultiplyTokens<kMaxTiles>(p, tile);
  switch (tiles - tile) {
    case 0: return;
    case 1: return MultiplyTokens<1>(p, tile);
    case 2: return MultiplyTokens<2>(p, tile);
    default: return MultiplyTokens<3>(p, tile);
  }
}

// --- heads ---------------------------------------------------------------------------------------

// Magnitudes as integers: NaN is above infinity, which is above all numbers.
VADE_VNNI_INLINE __m512i Magnitude(__m512 v) {
  return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}

// Scales of rows whose largest magnitudes are given, and the factors from values to codes. Not
// finite: NaN and 0.
struct WeightScales {
  __m512 scale, inverse;
};
VADE_VNNI_INLINE WeightScales ScalesOf(__m512i magnitude) {
  const __m512 largest = _mm512_castsi512_ps(magnitude);
  const __mmask16 broken = _mm512_cmpge_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
  const __mmask16 usable = static_cast<__mmask16>(
      ~broken & _mm512_cmp_ps_mask(largest, _mm512_set1_ps(kInt8SmallestRange), _CMP_GT_OQ));
  const __m512 steps = _mm512_set1_ps(kInt8Weights);
  return {_mm512_mask_mov_ps(_mm512_div_ps(largest, steps), broken,
                             _mm512_set1_ps(std::numeric_limits<float>::quiet_NaN())),
          _mm512_maskz_div_ps(usable, steps, largest)};
}

VADE_VNNI_INLINE void WriteScales(__m512 scale, __m512i sums, uint8_t* tile) {
  _mm512_storeu_ps(tile, scale);
  _mm512_storeu_ps(tile + kInt8SumsOffset, _mm512_mul_ps(scale, _mm512_cvtepi32_ps(sums)));
}

// Codes 0 where the factor is 0, whatever the value.
VADE_VNNI_INLINE __m512i CodesOf(__m512 v, __m512 inverse) {
  const __mmask16 usable = _mm512_cmp_ps_mask(inverse, _mm512_setzero_ps(), _CMP_GT_OQ);
  return _mm512_maskz_cvtps_epi32(usable, _mm512_mul_ps(v, inverse));
}

// Keys [first, first + 16) as one tile.
VADE_VNNI void PackKeyTile(const HeadRows& keys, size_t first, uint8_t* tile) {
  const size_t count = std::min(kTileRows, keys.count - first), dim = keys.dim;
  alignas(64) int32_t largest[kTileRows] = {}, sums[kTileRows] = {};
  for (size_t row = 0; row < count; ++row) {
    const float* key = keys.first + (first + row) * keys.stride;
    __m512i most = _mm512_setzero_si512();
    for (size_t i = 0; i < dim; i += kLanes) {
      most = _mm512_max_epi32(most, Magnitude(Load(key, i, dim)));
    }
    largest[row] = _mm512_reduce_max_epi32(most);
  }
  const WeightScales scales = ScalesOf(_mm512_load_si512(largest));
  alignas(64) float inverse[kTileRows];
  _mm512_store_ps(inverse, scales.inverse);
  for (size_t row = 0; row < count; ++row) {
    const float* key = keys.first + (first + row) * keys.stride;
    const __m512 factor = _mm512_set1_ps(inverse[row]);
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < dim; i += kLanes) {
      const __m512i codes = CodesOf(Load(key, i, dim), factor);
      sum = _mm512_add_epi32(sum, codes);
      alignas(16) uint32_t steps[4];
      _mm_store_si128(reinterpret_cast<__m128i*>(steps), _mm512_cvtepi32_epi8(codes));
      const size_t here = std::min<size_t>(4, (dim - i + 3) / 4);
      for (size_t s = 0; s < here; ++s) {
        std::memcpy(tile + kInt8LinesOffset + (i / 4 + s) * 64 + 4 * row, &steps[s], 4);
      }
    }
    sums[row] = _mm512_reduce_add_epi32(sum);
  }
  WriteScales(scales.scale, _mm512_load_si512(sums), tile);
}

void PackKeys(const HeadRows& keys, uint8_t* out) {
  const size_t tile_bytes = Int8TileBytes(keys.dim);
  for (size_t first = 0; first < keys.count; first += kTileRows, out += tile_bytes) {
    if (keys.count - first < kTileRows) std::memset(out, 0, tile_bytes);
    PackKeyTile(keys, first, out);
  }
}

// Elements [first, first + 16) of the head as one tile: a vector is one value's part of it.
VADE_VNNI void PackValueTile(const HeadRows& values, size_t first, uint8_t* tile) {
  const __mmask16 lanes = FirstLanes(values.dim - first);
  const float* from = values.first + first;
  __m512i most = _mm512_setzero_si512();
  for (size_t i = 0; i < values.count; ++i) {
    most =
        _mm512_max_epi32(most, Magnitude(_mm512_maskz_loadu_ps(lanes, from + i * values.stride)));
  }
  const WeightScales scales = ScalesOf(most);
  const __m512i byte = _mm512_set1_epi32(255);
  __m512i sums = _mm512_setzero_si512();
  uint8_t* line = tile + kInt8LinesOffset;
  for (size_t i = 0; i < values.count; i += kInt8Step, line += 64) {
    __m512i codes[kInt8Step];
    VADE_UNROLL for (size_t k = 0; k < kInt8Step; ++k) {
      const __mmask16 there = i + k < values.count ? lanes : static_cast<__mmask16>(0);
      const __m512 v = _mm512_maskz_loadu_ps(there, from + (i + k) * values.stride);
      codes[k] = CodesOf(v, scales.inverse);
      sums = _mm512_add_epi32(sums, codes[k]);
      codes[k] = _mm512_slli_epi32(_mm512_and_si512(codes[k], byte), 8 * static_cast<int>(k));
    }
    _mm512_storeu_si512(line, _mm512_or_si512(_mm512_or_si512(codes[0], codes[1]),
                                              _mm512_or_si512(codes[2], codes[3])));
  }
  WriteScales(scales.scale, sums, tile);
}

void PackValues(const HeadRows& values, uint8_t* out) {
  const size_t tile_bytes = Int8TileBytes(values.count);
  for (size_t first = 0; first < values.dim; first += kTileRows, out += tile_bytes) {
    PackValueTile(values, first, out);
  }
}

}  // namespace

const Int8Kernels kInt8Avx512 = {.code_bytes = 1,
                                 .quantise = Quantise,
                                 .gelu_quantise = GeluQuantise,
                                 .add_norm_quantise = AddNormQuantise,
                                 .softmax_quantise = SoftmaxQuantise,
                                 .multiply = Multiply,
                                 .pack_keys = PackKeys,
                                 .pack_values = PackValues};

}  // namespace vade::kernels
