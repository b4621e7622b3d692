// AVX2 products of formats with a float scale for each 32 columns.

#include "kernels/matmul_avx2.h"

namespace vade::kernels {
namespace {

// 8-bit codes would overflow an int16 after one step, so they are split: code + 128 = 16 * upper +
// lower, two 4-bit codes. The 128 is taken off with the sum of the activations, as ZeroOf is for
// others.
template <int T>
VADE_AVX2_INLINE void AddByteGroup(const uint8_t* group, const TokenRows& x,
                                   __m256i (&sums)[T][2]) {
  const __m256i flip = _mm256_set1_epi8(-128);
  const __m256i low = _mm256_set1_epi8(15);
  VADE_UNROLL for (int half = 0; half < 2; ++half) {
    __m256i upper[T], lower[T];
    VADE_UNROLL for (int step = 0; step < 8; ++step) {
      const __m256i codes = _mm256_xor_si256(Load(group + 64 * step + 32 * half), flip);
      const __m256i high_codes = _mm256_and_si256(_mm256_srli_epi16(codes, 4), low);
      const __m256i low_codes = _mm256_and_si256(codes, low);
      VADE_UNROLL for (int t = 0; t < T; ++t) {
        const __m256i row = Broadcast32(x.first + static_cast<size_t>(t) * x.stride + 4 * step);
        const __m256i high = _mm256_maddubs_epi16(high_codes, row);
        const __m256i products = _mm256_maddubs_epi16(low_codes, row);
        upper[t] = step == 0 ? high : AddWords(upper[t], high);
        lower[t] = step == 0 ? products : AddWords(lower[t], products);
      }
    }
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const __m256i wide = _mm256_madd_epi16(upper[t], _mm256_set1_epi16(16));
      sums[t][half] = AddInts(sums[t][half], wide);
      sums[t][half] = AddInts(sums[t][half], _mm256_madd_epi16(lower[t], _mm256_set1_epi16(1)));
    }
  }
}

// log2 of what must be taken off each code: 3, 4, 7, or -1 for nothing.
constexpr int ZeroShift(Format f) {
  if (f == Format::kQ8Block32) return 7;
  return ZeroOf(f) == 16 ? 4 : ZeroOf(f) == 8 ? 3 : -1;
}

template <Format F, bool kUnpacked, int T>
VADE_AVX2_INLINE void AddBlock(const uint8_t* block, const uint8_t* codes, const TokenRows& x,
                               const TokenRows& records, __m256 (&sums)[T][2]) {
  __m256i dots[T][2];
  VADE_UNROLL for (int t = 0; t < T; ++t) {
    __m256i start = _mm256_setzero_si256();
    if constexpr (ZeroShift(F) >= 0) {
      const __m256i sum = Broadcast32(records.first + static_cast<size_t>(t) * records.stride +
                                      offsetof(Prepared32, sum));
      start = _mm256_sub_epi32(start, _mm256_slli_epi32(sum, ZeroShift(F)));
    }
    dots[t][0] = dots[t][1] = start;
  }
  if constexpr (F == Format::kQ8Block32) {
    AddByteGroup<T>(codes, x, dots);
  } else {
    const __m256i one = _mm256_set1_epi16(1);
    const RowPair ones[2] = {{{one, one}}, {{one, one}}};
    AddGroup<F, kUnpacked, T>(codes, x, ones, dots);
  }
  VADE_UNROLL for (int half = 0; half < 2; ++half) {
    const __m256 scale = LoadHalves(block + 16 * half);
    __m256 minimum = _mm256_setzero_ps();
    if constexpr (HasMinimum(F)) minimum = LoadHalves(block + kMinimumOffset + 16 * half);
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const uint8_t* record = records.first + static_cast<size_t>(t) * records.stride;
      const __m256 both =
          _mm256_mul_ps(scale, BroadcastFloat(record + offsetof(Prepared32, scale)));
      sums[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t][half]), both, sums[t][half]);
      if constexpr (HasMinimum(F)) {
        const __m256 sum = BroadcastFloat(record + offsetof(Prepared32, scaled_sum));
        sums[t][half] = _mm256_fmadd_ps(minimum, sum, sums[t][half]);
      }
    }
  }
}

template <Format F, bool kUnpacked, int T>
VADE_AVX2 void AddTokens(const BlockRun& run, const TokenRows& x, float* sums) {
  __m256 totals[T][2];
  LoadSums<T>(sums, totals);
  const uint8_t* block = run.packed;
  const uint8_t* codes = kUnpacked ? run.codes : block + CodesOffset(F);
  TokenRows columns = {x.first + 32 * run.first_block, x.stride};
  TokenRows records = {x.first + run.cols + sizeof(Prepared32) * run.first_block, x.stride};
  for (size_t i = 0; i < run.blocks; ++i) {
    if constexpr (!kUnpacked) PrefetchAhead<BlockBytes(F)>(block);
    AddBlock<F, kUnpacked, T>(block, codes, columns, records, totals);
    block += BlockBytes(F);
    codes += kUnpacked ? kUnpackedGroupBytes : BlockBytes(F);
    columns.first += 32;
    records.first += sizeof(Prepared32);
  }
  StoreSums<T>(totals, sums);
}

template <Format F, bool kUnpacked>
void AddRun(const BlockRun& run, const TokenRows& x, size_t tokens, float* sums) {
  switch (tokens) {
    case 1: return AddTokens<F, kUnpacked, 1>(run, x, sums);
    case 2: return AddTokens<F, kUnpacked, 2>(run, x, sums);
    case 3: return AddTokens<F, kUnpacked, 3>(run, x, sums);
    default: return AddTokens<F, kUnpacked, 4>(run, x, sums);
  }
}

template <Format F>
VADE_AVX2 void UnpackRun(const BlockRun& run, uint8_t* codes, uint8_t*) {
  const uint8_t* group = run.packed + CodesOffset(F);
  for (size_t i = 0; i < run.blocks; ++i) {
    UnpackGroup<F>(group, codes);
    group += BlockBytes(F);
    codes += kUnpackedGroupBytes;
  }
}

template <Format F>
constexpr RunFunctions Functions() {
  return {AddRun<F, false>, AddRun<F, true>, UnpackRun<F>, kAvx2Tokens};
}

}  // namespace

RunFunctions Block32RunsAvx2(Format format) {
  switch (format) {
    case Format::kQ4Block32: return Functions<Format::kQ4Block32>();
    case Format::kQ5Block32: return Functions<Format::kQ5Block32>();
    case Format::kQ4Centred: return Functions<Format::kQ4Centred>();
    case Format::kQ5Centred: return Functions<Format::kQ5Centred>();
    default:  // already one byte a code
      return {AddRun<Format::kQ8Block32, false>, nullptr, nullptr, kAvx2Tokens};
  }
}

}  // namespace vade::kernels
