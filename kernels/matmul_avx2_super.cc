// AVX2 products of formats with integer scales inside blocks of 256 columns: the scales multiply
// integer sums (madd's second factor), and floats appear once a block.

#include "kernels/matmul_avx2.h"

namespace vade::kernels {
namespace {

// The six-bit values of a block, one a byte, in their order.
VADE_AVX2_INLINE void UnpackSixBits(const uint8_t* packed, uint8_t* values) {
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i upper = _mm256_set1_epi8(48);
  VADE_UNROLL for (int i = 0; i < 4; ++i) {
    const __m256i nibbles = Load(packed + 32 * i);
    const __m256i bits = Load(packed + 128 + 32 * (i % 2));
    // Values 32i.. have their upper bits at 2 * (i / 2), values 128 + 32i.. at 4 above that.
    const __m256i first = i < 2 ? _mm256_slli_epi16(bits, 4) : _mm256_slli_epi16(bits, 2);
    const __m256i second = i < 2 ? bits : _mm256_srli_epi16(bits, 2);
    auto* out = reinterpret_cast<__m256i*>(values + 32 * i);
    _mm256_storeu_si256(
        out, _mm256_or_si256(_mm256_and_si256(nibbles, low), _mm256_and_si256(first, upper)));
    _mm256_storeu_si256(out + 4,
                        _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(nibbles, 4), low),
                                        _mm256_and_si256(second, upper)));
  }
}

// 16 bytes, pairs of 8 rows, as int16.
template <bool kSigned>
VADE_AVX2_INLINE __m256i LoadPairs(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return kSigned ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
}

// (a, b) of each row -> (a, a) for which = 0, (b, b) for which = 1.
VADE_AVX2_INLINE __m256i Twice(__m256i pairs, int which) {
  return which == 0 ? _mm256_blend_epi16(pairs, _mm256_slli_epi32(pairs, 16), 0xaa)
                    : _mm256_blend_epi16(_mm256_srli_epi32(pairs, 16), pairs, 0xaa);
}

VADE_AVX2_INLINE RowPair Twice(const RowPair& pairs, int which) {
  return {{Twice(pairs.half[0], which), Twice(pairs.half[1], which)}};
}

// sums[t] = sum over `pairs` of scales (pairs of 8 rows, 32 bytes apart) by the tokens' sums of
// codes.
template <bool kSigned, int kPairs, int T>
VADE_AVX2_INLINE void DotSums(const uint8_t* scales, const TokenRows& code_sums,
                              __m256i (&sums)[T][2]) {
  VADE_UNROLL for (int t = 0; t < T; ++t) sums[t][0] = sums[t][1] = _mm256_setzero_si256();
  for (int pair = 0; pair < kPairs; ++pair) {
    const __m256i s0 = LoadPairs<kSigned>(scales + 32 * pair);
    const __m256i s1 = LoadPairs<kSigned>(scales + 32 * pair + 16);
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const __m256i both =
          Broadcast32(code_sums.first + static_cast<size_t>(t) * code_sums.stride + 4 * pair);
      sums[t][0] = AddInts(sums[t][0], _mm256_madd_epi16(s0, both));
      sums[t][1] = AddInts(sums[t][1], _mm256_madd_epi16(s1, both));
    }
  }
}

// kQ4Super, kQ5Super: a scale for each group.
template <Format F, bool kUnpacked, int T>
VADE_AVX2_INLINE void AddGroups(const uint8_t* six_bits, const uint8_t* codes, const TokenRows& x,
                                __m256i (&dots)[T][2]) {
  constexpr size_t kStep = kUnpacked ? kUnpackedGroupBytes : GroupBytes(F);
  VADE_UNROLL for (int t = 0; t < T; ++t) dots[t][0] = dots[t][1] = _mm256_setzero_si256();
  TokenRows columns = x;
  for (int pair = 0; pair < 4; ++pair) {
    if constexpr (!kUnpacked) PrefetchAhead<2 * GroupBytes(F)>(codes);
    const RowPair scales = {
        {LoadPairs<false>(six_bits + 32 * pair), LoadPairs<false>(six_bits + 32 * pair + 16)}};
    VADE_UNROLL for (int which = 0; which < 2; ++which) {
      const RowPair scale = Twice(scales, which);
      AddGroup<F, kUnpacked, T>(codes, columns, {scale, scale}, dots);
      codes += kStep;
      columns.first += 32;
    }
  }
}

// kQ6Super: two scales for each group, and codes around 32.
template <bool kUnpacked, int T>
VADE_AVX2_INLINE void AddSixBitGroups(const uint8_t* scales, const uint8_t* codes,
                                      const TokenRows& x, const TokenRows& code_sums,
                                      __m256i (&dots)[T][2]) {
  constexpr size_t kStep = kUnpacked ? kUnpackedGroupBytes : GroupBytes(Format::kQ6Super);
  DotSums<true, 8, T>(scales, code_sums, dots);
  VADE_UNROLL for (int t = 0; t < T; ++t) {
    VADE_UNROLL for (int half = 0; half < 2; ++half) {
      dots[t][half] = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(dots[t][half], 5));
    }
  }
  TokenRows columns = x;
  for (int group = 0; group < 8; ++group) {
    if constexpr (!kUnpacked) PrefetchAhead<GroupBytes(Format::kQ6Super)>(codes);
    const RowPair pairs = {
        {LoadPairs<true>(scales + 32 * group), LoadPairs<true>(scales + 32 * group + 16)}};
    AddGroup<Format::kQ6Super, kUnpacked, T>(codes, columns, {Twice(pairs, 0), Twice(pairs, 1)},
                                             dots);
    codes += kStep;
    columns.first += 32;
  }
}

// sums += sign * float(dots) * (weight scale * activation scale)
template <bool kSubtract, int T>
VADE_AVX2_INLINE void AddScaled(const uint8_t* halves, const TokenRows& records,
                                const __m256i (&dots)[T][2], __m256 (&sums)[T][2]) {
  VADE_UNROLL for (int half = 0; half < 2; ++half) {
    const __m256 weight_scale = LoadHalves(halves + 16 * half);
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const __m256 scale = BroadcastFloat(records.first + static_cast<size_t>(t) * records.stride +
                                          offsetof(Prepared256, scale));
      const __m256 both = _mm256_mul_ps(weight_scale, scale);
      const __m256 value = _mm256_cvtepi32_ps(dots[t][half]);
      sums[t][half] = kSubtract ? _mm256_fnmadd_ps(value, both, sums[t][half])
                                : _mm256_fmadd_ps(value, both, sums[t][half]);
    }
  }
}

template <Format F, bool kUnpacked, int T>
VADE_AVX2_INLINE void AddBlock(const uint8_t* block, const uint8_t* codes, const uint8_t* six_bits,
                               const TokenRows& x, const TokenRows& records, __m256 (&sums)[T][2]) {
  __m256i dots[T][2];
  if constexpr (F == Format::kQ6Super) {
    const TokenRows sums16 = {records.first + offsetof(Prepared256, sums16), records.stride};
    AddSixBitGroups<kUnpacked, T>(block + ScalesOffset(F), codes, x, sums16, dots);
    AddScaled<false, T>(block, records, dots, sums);
  } else {
    alignas(32) uint8_t values[256];
    if constexpr (!kUnpacked) {
      UnpackSixBits(block + ScalesOffset(F), values);
      six_bits = values;
    }
    AddGroups<F, kUnpacked, T>(six_bits, codes, x, dots);
    AddScaled<false, T>(block, records, dots, sums);
    const TokenRows sums32 = {records.first + offsetof(Prepared256, sums32), records.stride};
    DotSums<false, 4, T>(six_bits + 128, sums32, dots);
    AddScaled<true, T>(block + kMinimumOffset, records, dots, sums);
  }
}

template <Format F, bool kUnpacked, int T>
VADE_AVX2 void AddTokens(const BlockRun& run, const TokenRows& x, float* sums) {
  __m256 totals[T][2];
  LoadSums<T>(sums, totals);
  const uint8_t* block = run.packed;
  const uint8_t* codes = kUnpacked ? run.codes : block + CodesOffset(F);
  const uint8_t* six_bits = run.six_bits;
  TokenRows columns = {x.first + 256 * run.first_block, x.stride};
  TokenRows records = {x.first + run.cols + sizeof(Prepared256) * run.first_block, x.stride};
  for (size_t i = 0; i < run.blocks; ++i) {
    if constexpr (!kUnpacked) PrefetchAhead<CodesOffset(F)>(block);
    AddBlock<F, kUnpacked, T>(block, codes, six_bits, columns, records, totals);
    block += BlockBytes(F);
    codes += kUnpacked ? 8 * kUnpackedGroupBytes : BlockBytes(F);
    if (kUnpacked && F != Format::kQ6Super) six_bits += 256;
    columns.first += 256;
    records.first += sizeof(Prepared256);
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
VADE_AVX2 void UnpackRun(const BlockRun& run, uint8_t* codes, uint8_t* six_bits) {
  const uint8_t* block = run.packed;
  for (size_t i = 0; i < run.blocks; ++i, block += BlockBytes(F)) {
    for (size_t group = 0; group < 8; ++group, codes += kUnpackedGroupBytes) {
      UnpackGroup<F>(block + CodesOffset(F) + group * GroupBytes(F), codes);
    }
    if constexpr (F != Format::kQ6Super) {
      UnpackSixBits(block + ScalesOffset(F), six_bits);
      six_bits += 256;
    }
  }
}

template <Format F>
constexpr RunFunctions Functions() {
  return {AddRun<F, false>, AddRun<F, true>, UnpackRun<F>, kAvx2Tokens};
}

}  // namespace

RunFunctions SuperRunsAvx2(Format format) {
  switch (format) {
    case Format::kQ4Super: return Functions<Format::kQ4Super>();
    case Format::kQ5Super: return Functions<Format::kQ5Super>();
    default: return Functions<Format::kQ6Super>();
  }
}

}  // namespace vade::kernels
