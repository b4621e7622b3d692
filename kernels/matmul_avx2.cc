// AVX2 + FMA + F16C: preparing activations, float formats, and which functions multiply which
// format. Sums in the order that matmul_scalar.cc specifies, so the bits are the same.

#include "kernels/matmul_avx2.h"

#include "kernels/kernels.h"

namespace vade::kernels {
namespace {

// --- activations ---------------------------------------------------------------------------------

// The bits of the largest |x| of 32 values (eight lanes of candidates). As integers, they are
// ordered like the floats, with infinities and NaNs above.
VADE_AVX2_INLINE __m256i MaxBits(const float* x, __m256i largest) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  VADE_UNROLL for (int i = 0; i < 4; ++i) {
    const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x + 8 * i));
    largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, magnitude));
  }
  return largest;
}

VADE_AVX2_INLINE int32_t MaxLane(__m256i v) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtsi128_si32(m);
}

// Activation scale and its reciprocal; {0, 0} and {NaN, 0} blocks have codes 0.
struct Scale {
  float scale;
  float inverse;
};

VADE_AVX2_INLINE Scale ScaleOf(int32_t max_bits) {
  constexpr int32_t kInfinity = 0x7f800000;
  float largest;
  std::memcpy(&largest, &max_bits, sizeof(largest));
  if (max_bits >= kInfinity) return {__builtin_nanf(""), 0};
  if (largest < kSmallestMaximum) return {0, 0};
  return {largest / 127.0f, 127.0f / largest};
}

// 32 codes; returns their sums over each 16 in the two halves of an int32 vector of 4 partial sums.
VADE_AVX2_INLINE __m256i WriteCodes(const float* x, float inverse, uint8_t* out) {
  __m256i codes = _mm256_setzero_si256();
  if (inverse != 0) {  // else x may hold what does not convert
    const __m256 factor = _mm256_set1_ps(inverse);
    __m256i words[4];
    VADE_UNROLL for (int i = 0; i < 4; ++i) {
      words[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), factor));
    }
    codes = _mm256_packs_epi16(_mm256_packs_epi32(words[0], words[1]),
                               _mm256_packs_epi32(words[2], words[3]));
    codes = _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), codes);
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), codes);
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

VADE_AVX2_INLINE int32_t SumLanes(__m128i v) {
  v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
  v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1));
  return _mm_cvtsi128_si32(v);
}

VADE_AVX2 void Prepare32(const float* x, size_t cols, uint8_t* out) {
  uint8_t* records = out + cols;
  for (size_t k = 0; k < cols; k += 32, records += sizeof(Prepared32)) {
    const Scale scale = ScaleOf(MaxLane(MaxBits(x + k, _mm256_setzero_si256())));
    const __m256i sums = WriteCodes(x + k, scale.inverse, out + k);
    const int32_t sum =
        SumLanes(_mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1)));
    const Prepared32 record = {scale.scale, scale.scale * static_cast<float>(sum), sum};
    std::memcpy(records, &record, sizeof(record));
  }
}

// A lane for each 16 codes of four vectors of partial sums: their lower halves, then their upper
// ones.
VADE_AVX2_INLINE __m256i SumsOfFour(const __m256i* v) {
  return _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
}

VADE_AVX2_INLINE Prepared256 RecordOf(float scale, const __m256i (&sums)[8]) {
  Prepared256 record = {scale, {}, {}};
  __m128i sums32[2];
  VADE_UNROLL for (int i = 0; i < 2; ++i) {
    const __m256i four = SumsOfFour(sums + 4 * i);
    const __m128i first = _mm256_castsi256_si128(four), second = _mm256_extracti128_si256(four, 1);
    const __m128i words =
        _mm_packs_epi32(_mm_unpacklo_epi32(first, second), _mm_unpackhi_epi32(first, second));
    std::memcpy(record.sums16 + 8 * i, &words, sizeof(words));
    sums32[i] = _mm_add_epi32(first, second);
  }
  const __m128i words = _mm_packs_epi32(sums32[0], sums32[1]);
  std::memcpy(record.sums32, &words, sizeof(words));
  return record;
}

VADE_AVX2 void Prepare256(const float* x, size_t cols, uint8_t* out) {
  uint8_t* records = out + cols;
  for (size_t k = 0; k < cols; k += 256, records += sizeof(Prepared256)) {
    __m256i largest = _mm256_setzero_si256();
    for (size_t i = 0; i < 256; i += 32) largest = MaxBits(x + k + i, largest);
    const Scale scale = ScaleOf(MaxLane(largest));
    __m256i sums[8];  // of each 32 codes; of 16 codes in each half
    VADE_UNROLL for (size_t i = 0; i < 8; ++i) {
      sums[i] = WriteCodes(x + k + 32 * i, scale.inverse, out + k + 32 * i);
    }
    const Prepared256 record = RecordOf(scale.scale, sums);
    std::memcpy(records, &record, sizeof(record));
  }
}

// --- float formats -------------------------------------------------------------------------------

template <Format F>
VADE_AVX2_INLINE __m256 LoadWeights(const uint8_t* p) {
  if constexpr (F == Format::kF32) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(p));
  } else if constexpr (F == Format::kF16) {
    return LoadHalves(p);
  } else {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
}

// A block of a float format is a column.
template <Format F, int T>
VADE_AVX2 void AddColumns(const BlockRun& run, const TokenRows& x, float* sums) {
  __m256 totals[T][2];
  LoadSums<T>(sums, totals);
  const uint8_t* column = run.packed;
  const uint8_t* values = x.first + sizeof(float) * run.first_block;
  for (size_t i = 0; i < run.blocks; ++i, column += BlockBytes(F), values += sizeof(float)) {
    const __m256 w0 = LoadWeights<F>(column);
    const __m256 w1 = LoadWeights<F>(column + BlockBytes(F) / 2);
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const __m256 value = BroadcastFloat(values + static_cast<size_t>(t) * x.stride);
      totals[t][0] = _mm256_fmadd_ps(w0, value, totals[t][0]);
      totals[t][1] = _mm256_fmadd_ps(w1, value, totals[t][1]);
    }
  }
  StoreSums<T>(totals, sums);
}

template <Format F>
void AddFloatRun(const BlockRun& run, const TokenRows& x, size_t tokens, float* sums) {
  switch (tokens) {
    case 1: return AddColumns<F, 1>(run, x, sums);
    case 2: return AddColumns<F, 2>(run, x, sums);
    case 3: return AddColumns<F, 3>(run, x, sums);
    default: return AddColumns<F, 4>(run, x, sums);
  }
}

RunFunctions FloatRuns(Format format) {
  switch (format) {
    case Format::kF32: return {AddFloatRun<Format::kF32>, nullptr, nullptr, kAvx2Tokens};
    case Format::kF16: return {AddFloatRun<Format::kF16>, nullptr, nullptr, kAvx2Tokens};
    default: return {AddFloatRun<Format::kBf16>, nullptr, nullptr, kAvx2Tokens};
  }
}

void Multiply(const PackedMatrix& w, size_t tile_begin, size_t tile_end, const uint8_t* x,
              size_t tokens, float* y, size_t y_stride) {
  const RunFunctions functions = IsFloat(w.format)   ? FloatRuns(w.format)
                                 : IsSuper(w.format) ? SuperRunsAvx2(w.format)
                                                     : Block32RunsAvx2(w.format);
  MultiplyTiles(w, functions, tile_begin, tile_end, {x, PreparedBytes(w.format, w.cols)}, tokens, y,
                y_stride);
}

}  // namespace

void PrepareAvx2(Format format, const float* x, size_t cols, uint8_t* out) {
  const size_t size = PreparedBytes(format, cols);
  if (size >= 64)
    std::memset(out + size - 64, 0, 64);  // what lies behind the row is always the same
  if (IsFloat(format)) {
    std::memcpy(out, x, cols * sizeof(float));
  } else if (IsSuper(format)) {
    Prepare256(x, cols, out);
  } else {
    Prepare32(x, cols, out);
  }
}

const MatmulKernels kMatmulAvx2 = {PrepareAvx2, Multiply};

}  // namespace vade::kernels
