// AVX-512 (F, BW, VL, DQ) + VNNI: one vector is a line, all 16 rows of a tile by four columns, and
// dpbusd adds four products of unsigned codes by signed activations to an int32. Sums in the order
// that matmul_scalar.cc specifies, so the bits are the same. Activations are prepared as for AVX2.

#include <cstring>

#include "kernels/codes_avx512.h"
#include "kernels/kernels.h"
#include "kernels/matmul_loops.h"

namespace vade::kernels {
namespace {

// Tokens that one pass over the weights serves: enough independent sums to hide dpbusd's latency.
constexpr size_t kTokens = 8;
// And a pass over two tiles, so that sums and operands still fit the registers.
constexpr int kPairTokens = 4;

// --- integer sums --------------------------------------------------------------------------------
//
// The functions below work on R tiles and T tokens at once; result r * T + t is that of tile r
// and token t. One tile takes each activation from memory as it multiplies, which keeps the load
// ports as busy as the multipliers; two tiles share it, and multiply faster by as much.

template <int R>
struct Pointers {
  const uint8_t* of[R];
};

template <int R>
VADE_VNNI_INLINE void Advance(Pointers<R>& pointers, size_t bytes) {
  VADE_UNROLL for (int r = 0; r < R; ++r) pointers.of[r] += bytes;
}

// Few sums alone would wait for dpbusd's latency: they get two running ones each. For more, a
// second one would only take registers and additions.
template <int N>
struct Dots {
  static constexpr bool kTwo = N < 6;
  __m512i even[N], odd[kTwo ? N : 1];
};

template <int N>
VADE_VNNI_INLINE __m512i SumOf(const Dots<N>& dots, int i) {
  if constexpr (Dots<N>::kTwo) return _mm512_add_epi32(dots.even[i], dots.odd[i]);
  return dots.even[i];
}

template <Format F, bool kUnpacked, int kPair, int R, int T>
VADE_VNNI_INLINE void AddSteps(const Pointers<R>& groups, const TokenRows& x, Dots<R * T>& dots) {
  StepPair codes[R];
  VADE_UNROLL for (int r = 0; r < R; ++r) codes[r] = LoadSteps<F, kUnpacked, kPair>(groups.of[r]);
  VADE_UNROLL for (int t = 0; t < T; ++t) {
    const uint8_t* row = x.first + static_cast<size_t>(t) * x.stride + 8 * kPair;
    const __m512i even = Broadcast32(row), odd = Broadcast32(row + 4);
    VADE_UNROLL for (int r = 0; r < R; ++r) {
      const int i = r * T + t;
      dots.even[i] = _mm512_dpbusd_epi32(dots.even[i], codes[r].even, even);
      __m512i& last = Dots<R * T>::kTwo ? dots.odd[i] : dots.even[i];
      last = _mm512_dpbusd_epi32(last, codes[r].odd, odd);
    }
  }
}

// Sixteen columns: half 0 or 1 of a group.
template <Format F, bool kUnpacked, int kHalf, int R, int T>
VADE_VNNI_INLINE void AddHalfGroup(const Pointers<R>& groups, const TokenRows& x,
                                   Dots<R * T>& dots) {
  AddSteps<F, kUnpacked, 2 * kHalf, R, T>(groups, x, dots);
  AddSteps<F, kUnpacked, 2 * kHalf + 1, R, T>(groups, x, dots);
}

template <int N>
VADE_VNNI_INLINE Dots<N> ZeroDots() {
  Dots<N> dots;
  VADE_UNROLL for (int i = 0; i < N; ++i) {
    dots.even[i] = _mm512_setzero_si512();
    if (Dots<N>::kTwo) dots.odd[i] = _mm512_setzero_si512();
  }
  return dots;
}

template <int R, int T>
VADE_VNNI_INLINE void AddTimes(const Dots<R * T>& dots, const __m512i (&scales)[R],
                               __m512i (&sums)[R * T]) {
  VADE_UNROLL for (int i = 0; i < R * T; ++i) {
    sums[i] = _mm512_add_epi32(sums[i], _mm512_mullo_epi32(SumOf(dots, i), scales[i / T]));
  }
}

// sums = sum over kPairs of scales (pairs of 16 rows) by the tokens' sums of codes.
template <bool kSigned, int kPairs, int R, int T>
VADE_VNNI_INLINE void DotSums(const Pointers<R>& scales, const TokenRows& code_sums,
                              __m512i (&sums)[R * T]) {
  VADE_UNROLL for (int i = 0; i < R * T; ++i) sums[i] = _mm512_setzero_si512();
  for (int pair = 0; pair < kPairs; ++pair) {
    __m512i words[R];
    VADE_UNROLL for (int r = 0; r < R; ++r) {
      const __m256i bytes = LoadHalfLine(scales.of[r] + 32 * pair);
      words[r] = kSigned ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
    }
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const __m512i both =
          Broadcast32(code_sums.first + static_cast<size_t>(t) * code_sums.stride + 4 * pair);
      VADE_UNROLL for (int r = 0; r < R; ++r) sums[r * T + t] =
          _mm512_dpwssd_epi32(sums[r * T + t], words[r], both);
    }
  }
}

// --- blocks of 32 --------------------------------------------------------------------------------

constexpr int32_t ZeroOfUnsigned(Format f) { return f == Format::kQ8Block32 ? 128 : ZeroOf(f); }

template <Format F, bool kUnpacked, int R, int T>
VADE_VNNI_INLINE void AddBlock32(const Pointers<R>& blocks, const Pointers<R>& codes,
                                 const TokenRows& x, const TokenRows& records,
                                 __m512 (&sums)[R * T]) {
  Dots<R* T> dots = ZeroDots<R * T>();
  if constexpr (ZeroOfUnsigned(F) != 0) {
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const uint8_t* record = records.first + static_cast<size_t>(t) * records.stride;
      int32_t sum;
      std::memcpy(&sum, record + offsetof(Prepared32, sum), sizeof(sum));
      const __m512i start = _mm512_set1_epi32(-ZeroOfUnsigned(F) * sum);
      VADE_UNROLL for (int r = 0; r < R; ++r) dots.even[r * T + t] = start;
    }
  }
  AddHalfGroup<F, kUnpacked, 0, R, T>(codes, x, dots);
  AddHalfGroup<F, kUnpacked, 1, R, T>(codes, x, dots);
  VADE_UNROLL for (int r = 0; r < R; ++r) {
    const __m512 scale = LoadHalves(blocks.of[r]);
    __m512 minimum = _mm512_setzero_ps();
    if constexpr (HasMinimum(F)) minimum = LoadHalves(blocks.of[r] + kMinimumOffset);
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const int i = r * T + t;
      const uint8_t* record = records.first + static_cast<size_t>(t) * records.stride;
      const __m512 both =
          _mm512_mul_ps(scale, BroadcastFloat(record + offsetof(Prepared32, scale)));
      sums[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(SumOf(dots, i)), both, sums[i]);
      if constexpr (HasMinimum(F)) {
        const __m512 sum = BroadcastFloat(record + offsetof(Prepared32, scaled_sum));
        sums[i] = _mm512_fmadd_ps(minimum, sum, sums[i]);
      }
    }
  }
}

// --- blocks of 256 -------------------------------------------------------------------------------

// sums += (or -=) float(dots) * (weight scale * activation scale)
template <bool kSubtract, int R, int T>
VADE_VNNI_INLINE void AddScaled(const Pointers<R>& blocks, size_t halves, const TokenRows& records,
                                const __m512i (&dots)[R * T], __m512 (&sums)[R * T]) {
  VADE_UNROLL for (int r = 0; r < R; ++r) {
    const __m512 weight_scale = LoadHalves(blocks.of[r] + halves);
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const int i = r * T + t;
      const __m512 scale = BroadcastFloat(records.first + static_cast<size_t>(t) * records.stride +
                                          offsetof(Prepared256, scale));
      const __m512 both = _mm512_mul_ps(weight_scale, scale);
      const __m512 value = _mm512_cvtepi32_ps(dots[i]);
      sums[i] = kSubtract ? _mm512_fnmadd_ps(value, both, sums[i])
                          : _mm512_fmadd_ps(value, both, sums[i]);
    }
  }
}

// Codes of 4 bits around their middle: then a group's sum of 32 products, at most 8 * 127 * 32 in
// size, is a 16-bit word, and one multiplication of pairs of words, of which the upper scale is 0,
// scales and adds it, where 32-bit ones take three operations.
constexpr bool SumsFitWords(Format f) { return f == Format::kQ4Super; }
constexpr int kMiddleBits = 3;  // the middle is 8

// -8 times the sums of a token's groups: what a group's sum starts with.
template <int T>
struct Starts {
  alignas(32) int32_t of[T][8];
};

template <int T>
VADE_VNNI_INLINE void SetStarts(const TokenRows& code_sums, Starts<T>& starts) {
  VADE_UNROLL for (int t = 0; t < T; ++t) {
    __m128i words;
    std::memcpy(&words, code_sums.first + static_cast<size_t>(t) * code_sums.stride, sizeof(words));
    const __m256i scaled = _mm256_slli_epi32(_mm256_cvtepi16_epi32(words), kMiddleBits);
    _mm256_store_si256(reinterpret_cast<__m256i*>(starts.of[t]),
                       _mm256_sub_epi32(_mm256_setzero_si256(), scaled));
  }
}

template <int R, int T>
VADE_VNNI_INLINE Dots<R * T> StartDots(const Starts<T>& starts, int group) {
  Dots<R* T> dots = ZeroDots<R * T>();
  VADE_UNROLL for (int t = 0; t < T; ++t) {
    const __m512i start = Broadcast32(reinterpret_cast<const uint8_t*>(&starts.of[t][group]));
    VADE_UNROLL for (int r = 0; r < R; ++r) dots.even[r * T + t] = start;
  }
  return dots;
}

// `scales` have nothing in their upper words.
template <int R, int T>
VADE_VNNI_INLINE void AddWordTimes(const Dots<R * T>& dots, const __m512i (&scales)[R],
                                   __m512i (&sums)[R * T]) {
  VADE_UNROLL for (int i = 0; i < R * T; ++i) {
    sums[i] = _mm512_dpwssd_epi32(sums[i], SumOf(dots, i), scales[i / T]);
  }
}

// kQ4Super, kQ5Super: a scale for each group; pairs of groups have theirs in the bytes of 16-bit
// words.
template <Format F, bool kUnpacked, int R, int T>
VADE_VNNI_INLINE void AddGroups(const Pointers<R>& six_bits, Pointers<R> codes, const TokenRows& x,
                                const TokenRows& code_sums, __m512i (&sums)[R * T]) {
  constexpr size_t kStep = kUnpacked ? kUnpackedGroupBytes : GroupBytes(F);
  Starts<T> starts;
  if constexpr (SumsFitWords(F)) {
    SetStarts(code_sums, starts);
    DotSums<false, 4, R, T>(six_bits, code_sums, sums);
    VADE_UNROLL for (int i = 0; i < R * T; ++i) sums[i] = _mm512_slli_epi32(sums[i], kMiddleBits);
  } else {
    VADE_UNROLL for (int i = 0; i < R * T; ++i) sums[i] = _mm512_setzero_si512();
  }
  TokenRows columns = x;
  for (int pair = 0; pair < 4; ++pair) {
    if constexpr (!kUnpacked) PrefetchAhead<2 * GroupBytes(F)>(codes.of[0]);
    __m512i words[R], scales[R];
    VADE_UNROLL for (int r = 0; r < R; ++r) words[r] =
        _mm512_cvtepu16_epi32(LoadHalfLine(six_bits.of[r] + 32 * pair));
    VADE_UNROLL for (int which = 0; which < 2; ++which) {
      VADE_UNROLL for (int r = 0; r < R; ++r) {
        scales[r] = which == 0 ? _mm512_and_si512(words[r], _mm512_set1_epi32(255))
                               : _mm512_srli_epi32(words[r], 8);
      }
      Dots<R* T> dots =
          SumsFitWords(F) ? StartDots<R, T>(starts, 2 * pair + which) : ZeroDots<R * T>();
      AddHalfGroup<F, kUnpacked, 0, R, T>(codes, columns, dots);
      AddHalfGroup<F, kUnpacked, 1, R, T>(codes, columns, dots);
      if constexpr (SumsFitWords(F)) {
        AddWordTimes<R, T>(dots, scales, sums);
      } else {
        AddTimes<R, T>(dots, scales, sums);
      }
      Advance(codes, kStep);
      columns.first += 32;
    }
  }
}

// kQ6Super: a signed scale for each half of a group, and codes around 32.
template <bool kUnpacked, int R, int T>
VADE_VNNI_INLINE void AddSixBitGroups(const Pointers<R>& scales, Pointers<R> codes,
                                      const TokenRows& x, const TokenRows& code_sums,
                                      __m512i (&sums)[R * T]) {
  constexpr Format kFormat = Format::kQ6Super;
  constexpr size_t kStep = kUnpacked ? kUnpackedGroupBytes : GroupBytes(kFormat);
  DotSums<true, 8, R, T>(scales, code_sums, sums);
  VADE_UNROLL for (int i = 0; i < R * T; ++i) {
    sums[i] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sums[i], 5));
  }
  TokenRows columns = x;
  for (int group = 0; group < 8; ++group) {
    if constexpr (!kUnpacked) PrefetchAhead<GroupBytes(kFormat)>(codes.of[0]);
    __m512i words[R], half[R];
    VADE_UNROLL for (int r = 0; r < R; ++r) {
      words[r] = _mm512_cvtepi16_epi32(LoadHalfLine(scales.of[r] + 32 * group));
      half[r] = _mm512_srai_epi32(_mm512_slli_epi32(words[r], 24), 24);
    }
    Dots<R* T> first = ZeroDots<R * T>();
    AddHalfGroup<kFormat, kUnpacked, 0, R, T>(codes, columns, first);
    AddTimes<R, T>(first, half, sums);
    VADE_UNROLL for (int r = 0; r < R; ++r) half[r] = _mm512_srai_epi32(words[r], 8);
    Dots<R* T> second = ZeroDots<R * T>();
    AddHalfGroup<kFormat, kUnpacked, 1, R, T>(codes, columns, second);
    AddTimes<R, T>(second, half, sums);
    Advance(codes, kStep);
    columns.first += 32;
  }
}

template <int R>
VADE_VNNI_INLINE Pointers<R> At(const Pointers<R>& pointers, size_t bytes) {
  Pointers<R> moved = pointers;
  Advance(moved, bytes);
  return moved;
}

template <Format F, bool kUnpacked, int R, int T>
VADE_VNNI_INLINE void AddSuperBlock(const Pointers<R>& blocks, const Pointers<R>& codes,
                                    Pointers<R> six_bits, const TokenRows& x,
                                    const TokenRows& records, __m512 (&sums)[R * T]) {
  __m512i dots[R * T];
  if constexpr (F == Format::kQ6Super) {
    const TokenRows sums16 = {records.first + offsetof(Prepared256, sums16), records.stride};
    AddSixBitGroups<kUnpacked, R, T>(At(blocks, ScalesOffset(F)), codes, x, sums16, dots);
    AddScaled<false, R, T>(blocks, 0, records, dots, sums);
  } else {
    alignas(64) uint8_t values[R][256];
    if constexpr (!kUnpacked) {
      VADE_UNROLL for (int r = 0; r < R; ++r) {
        UnpackSixBits(blocks.of[r] + ScalesOffset(F), values[r]);
        six_bits.of[r] = values[r];
      }
    }
    const TokenRows sums32 = {records.first + offsetof(Prepared256, sums32), records.stride};
    AddGroups<F, kUnpacked, R, T>(six_bits, codes, x, sums32, dots);
    AddScaled<false, R, T>(blocks, 0, records, dots, sums);
    DotSums<false, 4, R, T>(At(six_bits, 128), sums32, dots);
    AddScaled<true, R, T>(blocks, kMinimumOffset, records, dots, sums);
  }
}

// --- runs of blocks ------------------------------------------------------------------------------

template <Format F, bool kUnpacked, int R, int T>
VADE_VNNI_INLINE void AddQuantisedBlocks(const BlockRun (&runs)[R], const TokenRows& x,
                                         __m512 (&sums)[R * T]) {
  constexpr size_t kRecordBytes = IsSuper(F) ? sizeof(Prepared256) : sizeof(Prepared32);
  Pointers<R> blocks, codes, six_bits;
  VADE_UNROLL for (int r = 0; r < R; ++r) {
    blocks.of[r] = runs[r].packed;
    codes.of[r] = kUnpacked ? runs[r].codes : runs[r].packed + CodesOffset(F);
    six_bits.of[r] = runs[r].six_bits;
  }
  const BlockRun& run = runs[0];  // all of them are of the same columns
  TokenRows columns = {x.first + BlockCols(F) * run.first_block, x.stride};
  TokenRows records = {x.first + run.cols + kRecordBytes * run.first_block, x.stride};
  for (size_t i = 0; i < run.blocks; ++i) {
    if constexpr (!kUnpacked)
      PrefetchAhead<IsSuper(F) ? CodesOffset(F) : BlockBytes(F)>(blocks.of[0]);
    if constexpr (IsSuper(F)) {
      AddSuperBlock<F, kUnpacked, R, T>(blocks, codes, six_bits, columns, records, sums);
      if (kUnpacked && F != Format::kQ6Super) Advance(six_bits, 256);
    } else {
      AddBlock32<F, kUnpacked, R, T>(blocks, codes, columns, records, sums);
    }
    Advance(blocks, BlockBytes(F));
    Advance(codes, kUnpacked ? BlockCols(F) / 32 * kUnpackedGroupBytes : BlockBytes(F));
    columns.first += BlockCols(F);
    records.first += kRecordBytes;
  }
}

template <Format F>
VADE_VNNI_INLINE __m512 LoadWeights(const uint8_t* p) {
  if constexpr (F == Format::kF32) {
    return _mm512_loadu_ps(p);
  } else if constexpr (F == Format::kF16) {
    return LoadHalves(p);
  } else {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(LoadHalfLine(p)), 16));
  }
}

// A block of a float format is a column.
template <Format F, int T>
VADE_VNNI_INLINE void AddColumns(const BlockRun& run, const TokenRows& x, __m512 (&sums)[T]) {
  const uint8_t* column = run.packed;
  const uint8_t* values = x.first + sizeof(float) * run.first_block;
  for (size_t i = 0; i < run.blocks; ++i, column += BlockBytes(F), values += sizeof(float)) {
    const __m512 weights = LoadWeights<F>(column);
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const __m512 value = BroadcastFloat(values + static_cast<size_t>(t) * x.stride);
      sums[t] = _mm512_fmadd_ps(weights, value, sums[t]);
    }
  }
}

template <Format F, bool kUnpacked, int T>
VADE_VNNI void AddTokens(const BlockRun& run, const TokenRows& x, float* totals) {
  __m512 sums[T];
  VADE_UNROLL for (int t = 0; t < T; ++t) sums[t] = _mm512_loadu_ps(totals + 16 * t);
  if constexpr (IsFloat(F)) {
    AddColumns<F, T>(run, x, sums);
  } else {
    AddQuantisedBlocks<F, kUnpacked, 1, T>({run}, x, sums);
  }
  VADE_UNROLL for (int t = 0; t < T; ++t) _mm512_storeu_ps(totals + 16 * t, sums[t]);
}

template <Format F, bool kUnpacked>
void AddRun(const BlockRun& run, const TokenRows& x, size_t tokens, float* sums) {
  switch (tokens) {
    case 1: return AddTokens<F, kUnpacked, 1>(run, x, sums);
    case 2: return AddTokens<F, kUnpacked, 2>(run, x, sums);
    case 3: return AddTokens<F, kUnpacked, 3>(run, x, sums);
    case 4: return AddTokens<F, kUnpacked, 4>(run, x, sums);
    case 5: return AddTokens<F, kUnpacked, 5>(run, x, sums);
    case 6: return AddTokens<F, kUnpacked, 6>(run, x, sums);
    case 7: return AddTokens<F, kUnpacked, 7>(run, x, sums);
    default: return AddTokens<F, kUnpacked, 8>(run, x, sums);
  }
}

// Two tiles by kPairTokens tokens.
template <Format F>
VADE_VNNI void AddPair(const BlockRun (&runs)[2], const TokenRows& x, float* const (&totals)[2]) {
  constexpr int T = kPairTokens;
  __m512 sums[2 * T];
  VADE_UNROLL for (int i = 0; i < 2 * T; ++i) sums[i] =
      _mm512_loadu_ps(totals[i / T] + 16 * (i % T));
  AddQuantisedBlocks<F, true, 2, T>(runs, x, sums);
  VADE_UNROLL for (int i = 0; i < 2 * T; ++i)
      _mm512_storeu_ps(totals[i / T] + 16 * (i % T), sums[i]);
}

template <Format F>
VADE_VNNI void UnpackRun(const BlockRun& run, uint8_t* codes, uint8_t* six_bits) {
  const uint8_t* block = run.packed;
  for (size_t i = 0; i < run.blocks; ++i, block += BlockBytes(F)) {
    PrefetchAhead<CodesOffset(F)>(block);
    for (size_t group = 0; group < BlockCols(F) / 32; ++group, codes += kUnpackedGroupBytes) {
      PrefetchAhead<GroupBytes(F)>(block + CodesOffset(F) + group * GroupBytes(F));
      UnpackGroup<F>(block + CodesOffset(F) + group * GroupBytes(F), codes);
    }
    if constexpr (F == Format::kQ4Super || F == Format::kQ5Super) {
      UnpackSixBits(block + ScalesOffset(F), six_bits);
      six_bits += 256;
    }
  }
}

template <Format F>
constexpr RunFunctions Functions() {
  if constexpr (IsFloat(F) || F == Format::kQ8Block32) {
    return {AddRun<F, false>, nullptr, nullptr, kTokens};
  } else {
    return {AddRun<F, false>, AddRun<F, true>, UnpackRun<F>,       kTokens,
            AddPair<F>,       kPairTokens,     IsSuper(F) ? 2u : 1};
  }
}

RunFunctions FunctionsOf(Format format) {
  switch (format) {
    case Format::kF32: return Functions<Format::kF32>();
    case Format::kF16: return Functions<Format::kF16>();
    case Format::kBf16: return Functions<Format::kBf16>();
    case Format::kQ4Block32: return Functions<Format::kQ4Block32>();
    case Format::kQ5Block32: return Functions<Format::kQ5Block32>();
    case Format::kQ8Block32: return Functions<Format::kQ8Block32>();
    case Format::kQ4Super: return Functions<Format::kQ4Super>();
    case Format::kQ5Super: return Functions<Format::kQ5Super>();
    case Format::kQ6Super: return Functions<Format::kQ6Super>();
    case Format::kQ4Centred: return Functions<Format::kQ4Centred>();
    case Format::kQ5Centred: return Functions<Format::kQ5Centred>();
    case Format::kInt8Rows: break;  // multiplied by int8.h
  }
  return Functions<Format::kF32>();
}

void Multiply(const PackedMatrix& w, size_t tile_begin, size_t tile_end, const uint8_t* x,
              size_t tokens, float* y, size_t y_stride) {
  MultiplyTiles(w, FunctionsOf(w.format), tile_begin, tile_end,
                {x, PreparedBytes(w.format, w.cols)}, tokens, y, y_stride);
}

}  // namespace

const MatmulKernels kMatmulAvx512 = {PrepareAvx2, Multiply};

}  // namespace vade::kernels
