// AMX-INT8 beside AVX-512: a tile register holds 16 tokens by 64 columns of activations, another
// one 64 columns of 16 rows of weights, and one instruction adds their 256 products of 64 terms.
// Sums in the order that matmul_scalar.cc specifies, so the bits are the same. Activations are
// prepared as for AVX2. Few tokens, and float formats, are left to AVX-512.
//
// An integer sum of the specification goes over a block with a scale for each 16 or 32 columns.
// Scaled codes take 10 to 13 bits, so they are made into two bytes each, upper and lower part, once
// for all tokens: sum = upper sum << shift + lower sum, with no scale in between.

#include <algorithm>
#include <cstring>

#include "kernels/amx_tiles.h"
#include "kernels/codes_avx512.h"
#include "kernels/kernels.h"
#include "kernels/matmul_loops.h"

namespace vade::kernels {
namespace {

// Below it AVX-512 is faster.
constexpr size_t kMinTokensSuper = 10;
constexpr size_t kMinTokensBlock32 = 20;

// Processors with AMX have 2 MiB of L2 cache.
constexpr size_t kActivationBytes = 1536 * 1024;

constexpr size_t kSums = kAmxRows * kTileRows;  // of one tile register

// While the tile registers work on one group of tokens, the vector units finish the one before: a
// quarter of it after each quarter of the columns of a run. In larger pieces the one would fill the
// processor's window, and keep the other out.
constexpr size_t kParts = 4;
constexpr size_t kPartRows = kAmxRows / kParts;

VADE_VNNI_INLINE void StoreLine(__m512i line, uint8_t* out) { _mm512_store_si512(out, line); }

// The groups of tokens that go through the tile registers together: 16, the last one reaching back
// over tokens that are done already (`skip` of them) where the number is no multiple.
struct TokenGroup {
  size_t first;
  size_t skip;
};

size_t RowsAGroup(size_t tokens) { return std::min(tokens, kAmxRows); }

TokenGroup GroupAt(size_t index, size_t tokens) {
  const size_t rows = RowsAGroup(tokens), first = index * rows;
  if (first + rows <= tokens) return {first, 0};
  return {tokens - rows, first + rows - tokens};
}

size_t GroupCount(size_t tokens) {
  const size_t rows = RowsAGroup(tokens);
  return (tokens + rows - 1) / rows;
}

// --- blocks of 256 -------------------------------------------------------------------------------
//
// Unpacked: for each 64 columns 16 lines of the upper parts, then 16 of the lower ones.

constexpr size_t kPartBytes = 16 * kLine;
constexpr size_t kStepBytes = 2 * kPartBytes;

constexpr int ShiftOf(Format f) { return f == Format::kQ6Super ? 7 : 3; }

// A scale of 6 bits is 8 * upper + lower: codes by either are below 256. A multiplication of 16-bit
// words multiplies both bytes of a word, for nothing is carried from the lower to the upper one.
struct ScaleParts {
  __m512i upper, lower;  // in each word of a row
};

VADE_VNNI_INLINE ScaleParts PartsOf(__m512i scale) {  // one a 32-bit lane
  const __m512i words = _mm512_or_si512(scale, _mm512_slli_epi32(scale, 16));
  return {_mm512_srli_epi16(words, 3), _mm512_and_si512(words, _mm512_set1_epi16(7))};
}

template <Format F, int kPair>
VADE_VNNI_INLINE void StoreScaled(const uint8_t* group, const ScaleParts& scale, uint8_t* out) {
  const StepPair codes = LoadSteps<F, false, kPair>(group);
  uint8_t* upper = out + 2 * kPair * kLine;
  StoreLine(_mm512_mullo_epi16(codes.even, scale.upper), upper);
  StoreLine(_mm512_mullo_epi16(codes.odd, scale.upper), upper + kLine);
  StoreLine(_mm512_mullo_epi16(codes.even, scale.lower), upper + kPartBytes);
  StoreLine(_mm512_mullo_epi16(codes.odd, scale.lower), upper + kPartBytes + kLine);
}

// kQ4Super, kQ5Super.
template <Format F>
VADE_VNNI void UnpackScaled(const BlockRun& run, uint8_t* codes, uint8_t* six_bits) {
  UnpackSixBits(run.packed + ScalesOffset(F), six_bits);
  const uint8_t* group = run.packed + CodesOffset(F);
  for (size_t pair = 0; pair < 4; ++pair, codes += kStepBytes) {
    const __m512i words = _mm512_cvtepu16_epi32(LoadHalfLine(six_bits + 32 * pair));
    VADE_UNROLL for (int which = 0; which < 2; ++which, group += GroupBytes(F)) {
      const ScaleParts scale = PartsOf(which == 0 ? _mm512_and_si512(words, _mm512_set1_epi32(255))
                                                  : _mm512_srli_epi32(words, 8));
      uint8_t* out = codes + 8 * kLine * static_cast<size_t>(which);
      StoreScaled<F, 0>(group, scale, out);
      StoreScaled<F, 1>(group, scale, out);
      StoreScaled<F, 2>(group, scale, out);
      StoreScaled<F, 3>(group, scale, out);
    }
  }
}

// A signed scale by a code around 32 takes 13 bits with its sign: the lower part is 7 of them.
VADE_VNNI_INLINE void StoreSigned(__m512i codes, __m512i scale, uint8_t* upper) {
  const __m512i zero = _mm512_set1_epi16(32), low = _mm512_set1_epi16(127);
  const __m512i even_codes = _mm512_and_si512(codes, _mm512_set1_epi16(255));
  const __m512i odd_codes = _mm512_srli_epi16(codes, 8);
  const __m512i even = _mm512_mullo_epi16(_mm512_sub_epi16(even_codes, zero), scale);
  const __m512i odd = _mm512_mullo_epi16(_mm512_sub_epi16(odd_codes, zero), scale);
  const __mmask64 odd_bytes = 0xaaaaaaaaaaaaaaaaull;
  const __m512i shifted = _mm512_slli_epi16(_mm512_srai_epi16(odd, 7), 8);
  StoreLine(_mm512_mask_mov_epi8(_mm512_srai_epi16(even, 7), odd_bytes, shifted), upper);
  StoreLine(_mm512_or_si512(_mm512_and_si512(even, low),
                            _mm512_slli_epi16(_mm512_and_si512(odd, low), 8)),
            upper + kPartBytes);
}

template <int kPair>
VADE_VNNI_INLINE void StoreSignedPair(const uint8_t* group, __m512i scale, uint8_t* out) {
  const StepPair codes = LoadSteps<Format::kQ6Super, false, kPair>(group);
  StoreSigned(codes.even, scale, out + 2 * kPair * kLine);
  StoreSigned(codes.odd, scale, out + (2 * kPair + 1) * kLine);
}

// kQ6Super: a scale for each half of a group, one behind the other in the words of a row.
VADE_VNNI void UnpackSigned(const BlockRun& run, uint8_t* codes, uint8_t*) {
  constexpr Format kFormat = Format::kQ6Super;
  const uint8_t* scales = run.packed + ScalesOffset(kFormat);
  const uint8_t* group = run.packed + CodesOffset(kFormat);
  for (size_t i = 0; i < 8; ++i, group += GroupBytes(kFormat)) {
    const __m512i words = _mm512_cvtepu16_epi32(LoadHalfLine(scales + 32 * i));
    const __m512i twice = _mm512_or_si512(words, _mm512_slli_epi32(words, 16));
    const __m512i first = _mm512_srai_epi16(_mm512_slli_epi16(twice, 8), 8);
    const __m512i second = _mm512_srai_epi16(twice, 8);
    uint8_t* out = codes + i / 2 * kStepBytes + i % 2 * 8 * kLine;
    StoreSignedPair<0>(group, first, out);
    StoreSignedPair<1>(group, first, out);
    StoreSignedPair<2>(group, second, out);
    StoreSignedPair<3>(group, second, out);
  }
}

// The sums of the upper parts and of the lower ones += the activations in register 4 by 64 columns
// of a tile.
template <AmxBytes kBytes, int kUpperSums, int kLowerSums, int kUpper, int kLower>
VADE_AMX_INLINE void DotStep(const uint8_t* codes) {
  AmxLoad<kUpper>(codes, kLine);
  AmxLoad<kLower>(codes + kPartBytes, kLine);
  AmxDot<kBytes, kUpperSums, 4, kUpper>();
  AmxDot<kBytes, kLowerSums, 4, kLower>();
}

// What the end of a block needs of its tile.
struct BlockEnd {
  __m512 scale, minimum_scale;
  __m512i minima[4];  // of pairs of groups, as 16-bit words
};

template <Format F>
VADE_VNNI_INLINE BlockEnd EndOf(const BlockRun& run) {
  BlockEnd end;
  end.scale = LoadHalves(run.packed);
  if constexpr (HasMinimum(F)) {
    end.minimum_scale = LoadHalves(run.packed + kMinimumOffset);
    VADE_UNROLL for (int pair = 0; pair < 4; ++pair) end.minima[pair] =
        _mm512_cvtepu8_epi16(LoadHalfLine(run.six_bits + 128 + 32 * pair));
  }
  return end;
}

// One tile's sums of one token to its total. `record` is the token's Prepared256.
template <Format F>
VADE_VNNI_INLINE void FinishToken(const BlockEnd& end, const uint8_t* record, const int32_t* sums,
                                  float* total) {
  const __m512 scale = BroadcastFloat(record + offsetof(Prepared256, scale));
  const __m512i upper = _mm512_load_si512(sums), lower = _mm512_load_si512(sums + kSums);
  const __m512i dot = _mm512_add_epi32(_mm512_slli_epi32(upper, ShiftOf(F)), lower);
  __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(end.scale, scale),
                               _mm512_loadu_ps(total));
  if constexpr (HasMinimum(F)) {
    const uint8_t* sums32 = record + offsetof(Prepared256, sums32);
    __m512i minima = _mm512_setzero_si512();
    VADE_UNROLL for (int pair = 0; pair < 4; ++pair) {
      minima = _mm512_dpwssd_epi32(minima, end.minima[pair], Broadcast32(sums32 + 4 * pair));
    }
    sum =
        _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minima), _mm512_mul_ps(end.minimum_scale, scale), sum);
  }
  _mm512_storeu_ps(total, sum);
}

// Rows [begin, end) of a group.
template <Format F, int R>
VADE_VNNI_INLINE void FinishRows(const BlockEnd (&ends)[2], size_t first, size_t begin, size_t end,
                                 const TokenRows& records, const int32_t* sums,
                                 float* const* totals) {
  for (size_t i = begin; i < end; ++i) {
    const uint8_t* record = records.first + (first + i) * records.stride;
    VADE_UNROLL for (int r = 0; r < R; ++r) {
      FinishToken<F>(ends[r], record, sums + 2 * r * static_cast<int>(kSums) + kTileRows * i,
                     totals[r] + kTileRows * (first + i));
    }
  }
}

// Registers 0 to 3 have sums, 4 activations, the others weights.
VADE_AMX void BeginSuper(size_t tokens) {
  AmxShapes shapes;
  for (size_t tile = 0; tile < 5; ++tile) shapes.Set(tile, RowsAGroup(tokens), kAmxBytes);
  for (size_t tile = 5; tile < 8; ++tile) shapes.Set(tile, 16, kAmxBytes);
  AmxConfigure(shapes);
}

template <Format F, int R>
VADE_AMX void AddSuper(const BlockRun* runs, const TokenRows& x, size_t tokens,
                       float* const* totals) {
  constexpr AmxBytes kBytes =
      F == Format::kQ6Super ? AmxBytes::kSignedBySigned : AmxBytes::kSignedByUnsigned;
  const size_t rows = RowsAGroup(tokens), groups = GroupCount(tokens);
  const uint8_t* columns = x.first + 256 * runs[0].first_block;
  const TokenRows records = {x.first + runs[0].cols + sizeof(Prepared256) * runs[0].first_block,
                             x.stride};
  BlockEnd ends[2];
  ends[0] = EndOf<F>(runs[0]);
  if constexpr (R == 2) ends[1] = EndOf<F>(runs[1]);
  // Sums of upper and lower parts of R tiles, [rows, 16] each.
  alignas(64) int32_t both_sums[2][4 * kSums];
  for (size_t i = 0; i <= groups; ++i) {
    const TokenGroup before = i > 0 ? GroupAt(i - 1, tokens) : TokenGroup{0, rows};
    int32_t* const sums = both_sums[i % 2];
    const int32_t* const sums_before = both_sums[(i + 1) % 2];
    const auto finish = [&](size_t part) __attribute__((always_inline, VADE_AMX_TARGET)) {
      FinishRows<F, R>(ends, before.first, std::max(before.skip, kPartRows * part),
                       std::min(rows, kPartRows * (part + 1)), records, sums_before, totals);
    };
    if (i == groups) {
      for (size_t part = 0; part < kParts; ++part) finish(part);
      break;
    }
    AmxZero<0>();
    AmxZero<1>();
    if constexpr (R == 2) {
      AmxZero<2>();
      AmxZero<3>();
    }
    const uint8_t* group = columns + GroupAt(i, tokens).first * x.stride;
    for (size_t step = 0; step < kParts; ++step) {
      AmxLoad<4>(group + kAmxBytes * step, x.stride);
      DotStep<kBytes, 0, 1, 5, 6>(runs[0].codes + kStepBytes * step);
      if constexpr (R == 2) DotStep<kBytes, 2, 3, 7, 5>(runs[1].codes + kStepBytes * step);
      finish(step);
    }
    AmxStore<0>(sums, kLine);
    AmxStore<1>(sums + kSums, kLine);
    if constexpr (R == 2) {
      AmxStore<2>(sums + 2 * kSums, kLine);
      AmxStore<3>(sums + 3 * kSums, kLine);
    }
  }
}

// --- blocks of 32 --------------------------------------------------------------------------------
//
// Unpacked: a signed byte a code, as what it means.

constexpr size_t kRunBlocks = 8;

template <Format F>
VADE_VNNI void UnpackMeanings(const BlockRun& run, uint8_t* codes, uint8_t*) {
  const __m512i zero = _mm512_set1_epi8(static_cast<char>(ZeroOf(F)));
  const uint8_t* block = run.packed;
  for (size_t i = 0; i < run.blocks; ++i, block += BlockBytes(F), codes += kUnpackedGroupBytes) {
    UnpackGroup<F>(block + CodesOffset(F), codes);
    if constexpr (ZeroOf(F) != 0) {
      VADE_UNROLL for (size_t s = 0; s < 8; ++s) {
        StoreLine(_mm512_sub_epi8(Load(codes + kLine * s), zero), codes + kLine * s);
      }
    }
  }
}

// The lines of each block, one behind the other or as they lie in the matrix.
template <Format F>
VADE_VNNI_INLINE const uint8_t* LinesOf(const BlockRun& run, size_t block) {
  if constexpr (F == Format::kQ8Block32) {
    return run.packed + block * BlockBytes(F) + CodesOffset(F);
  } else {
    return run.codes + block * kUnpackedGroupBytes;
  }
}

// sums[block][rows of the group][16] of blocks [begin, end), two at most.
template <Format F>
VADE_AMX_INLINE void DotBlocks(const BlockRun& run, size_t begin, size_t end, const uint8_t* x,
                               size_t stride, int32_t* sums) {
  if (begin >= end) return;
  AmxZero<0>();
  AmxLoad<4>(x + 32 * begin, stride);
  AmxLoad<6>(LinesOf<F>(run, begin), kLine);
  AmxDot<AmxBytes::kSignedBySigned, 0, 4, 6>();
  if (begin + 1 < end) {
    AmxZero<1>();
    AmxLoad<5>(x + 32 * begin + 32, stride);
    AmxLoad<7>(LinesOf<F>(run, begin + 1), kLine);
    AmxDot<AmxBytes::kSignedBySigned, 1, 5, 7>();
  }
  AmxStore<0>(sums + begin * kSums, kLine);
  if (begin + 1 < end) AmxStore<1>(sums + (begin + 1) * kSums, kLine);
}

// T tokens of a group, whose totals stay in registers over the blocks.
template <Format F, int T>
VADE_VNNI_INLINE void FinishTokens(const BlockRun& run, const uint8_t* records, size_t stride,
                                   const int32_t* sums, float* totals) {
  __m512 total[T];
  VADE_UNROLL for (int t = 0; t < T; ++t) total[t] = _mm512_loadu_ps(totals + 16 * t);
  const uint8_t* packed = run.packed;
  for (size_t block = 0; block < run.blocks; ++block, packed += BlockBytes(F), sums += kSums) {
    const __m512 scale = LoadHalves(packed);
    __m512 minimum = _mm512_setzero_ps();
    if constexpr (HasMinimum(F)) minimum = LoadHalves(packed + kMinimumOffset);
    VADE_UNROLL for (int t = 0; t < T; ++t) {
      const uint8_t* record =
          records + static_cast<size_t>(t) * stride + sizeof(Prepared32) * block;
      const __m512 both =
          _mm512_mul_ps(scale, BroadcastFloat(record + offsetof(Prepared32, scale)));
      total[t] =
          _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + 16 * t)), both, total[t]);
      if constexpr (HasMinimum(F)) {
        const __m512 sum = BroadcastFloat(record + offsetof(Prepared32, scaled_sum));
        total[t] = _mm512_fmadd_ps(minimum, sum, total[t]);
      }
    }
  }
  VADE_UNROLL for (int t = 0; t < T; ++t) _mm512_storeu_ps(totals + 16 * t, total[t]);
}

// Rows [begin, end) of the group that begins with token `first`, kPartRows at most.
template <Format F>
VADE_VNNI_INLINE void FinishBlocks(const BlockRun& run, size_t first, size_t begin, size_t end,
                                   const TokenRows& records, const int32_t* sums, float* totals) {
  const uint8_t* record = records.first + first * records.stride;
  totals += kTileRows * first;
  if (begin + kPartRows == end) {
    return FinishTokens<F, kPartRows>(run, record + begin * records.stride, records.stride,
                                      sums + kTileRows * begin, totals + kTileRows * begin);
  }
  for (size_t i = begin; i < end; ++i) {
    FinishTokens<F, 1>(run, record + i * records.stride, records.stride, sums + kTileRows * i,
                       totals + kTileRows * i);
  }
}

// Registers 0 and 1 have sums, 4 and 5 activations, 6 and 7 weights.
VADE_AMX void BeginBlocks(size_t tokens) {
  AmxShapes shapes;
  for (size_t tile = 0; tile < 2; ++tile) {
    shapes.Set(tile, RowsAGroup(tokens), kLine);
    shapes.Set(4 + tile, RowsAGroup(tokens), 32);
    shapes.Set(6 + tile, 8, kLine);
  }
  AmxConfigure(shapes);
}

template <Format F>
VADE_AMX void AddBlocks(const BlockRun* runs, size_t tiles, const TokenRows& x, size_t tokens,
                        float* const* totals) {
  const size_t rows = RowsAGroup(tokens), items = GroupCount(tokens) * tiles;
  const uint8_t* columns = x.first + 32 * runs[0].first_block;
  const TokenRows records = {x.first + runs[0].cols + sizeof(Prepared32) * runs[0].first_block,
                             x.stride};
  alignas(64) int32_t both_sums[2][kRunBlocks * kSums];
  for (size_t item = 0; item <= items; ++item) {  // a group of tokens by a tile
    const size_t last = item > 0 ? item - 1 : 0;
    const TokenGroup before = item > 0 ? GroupAt(last / tiles, tokens) : TokenGroup{0, rows};
    const TokenGroup group = GroupAt(std::min(item, items - 1) / tiles, tokens);
    for (size_t part = 0; part < kParts; ++part) {
      if (item < items) {
        const BlockRun& run = runs[item % tiles];
        DotBlocks<F>(run, 2 * part, std::min(run.blocks, 2 * part + 2),
                     columns + group.first * x.stride, x.stride, both_sums[item % 2]);
      }
      FinishBlocks<F>(runs[last % tiles], before.first, std::max(before.skip, kPartRows * part),
                      std::min(rows, kPartRows * (part + 1)), records, both_sums[(item + 1) % 2],
                      totals[last % tiles]);
    }
  }
}

// --- runs of blocks ------------------------------------------------------------------------------

template <Format F>
void AddAll(const BlockRun* runs, size_t tiles, const TokenRows& x, size_t tokens,
            float* const* sums) {
  if constexpr (!IsSuper(F)) {
    AddBlocks<F>(runs, tiles, x, tokens, sums);
  } else if (tiles == 2) {
    AddSuper<F, 2>(runs, x, tokens, sums);
  } else {
    AddSuper<F, 1>(runs, x, tokens, sums);
  }
}

VADE_AMX void End() { AmxRelease(); }

template <Format F>
RunFunctions Functions(UnpackRunFunction unpack) {
  RunFunctions functions = {nullptr, nullptr, unpack, 0};
  functions.add_all = AddAll<F>;
  functions.begin = IsSuper(F) ? BeginSuper : BeginBlocks;
  functions.end = End;
  functions.activation_bytes = kActivationBytes;
  return functions;
}

RunFunctions FunctionsOf(Format format) {
  switch (format) {
    case Format::kQ4Block32:
      return Functions<Format::kQ4Block32>(UnpackMeanings<Format::kQ4Block32>);
    case Format::kQ5Block32:
      return Functions<Format::kQ5Block32>(UnpackMeanings<Format::kQ5Block32>);
    case Format::kQ4Centred:
      return Functions<Format::kQ4Centred>(UnpackMeanings<Format::kQ4Centred>);
    case Format::kQ5Centred:
      return Functions<Format::kQ5Centred>(UnpackMeanings<Format::kQ5Centred>);
    case Format::kQ8Block32: return Functions<Format::kQ8Block32>(nullptr);
    case Format::kQ4Super: return Functions<Format::kQ4Super>(UnpackScaled<Format::kQ4Super>);
    case Format::kQ5Super: return Functions<Format::kQ5Super>(UnpackScaled<Format::kQ5Super>);
    default: return Functions<Format::kQ6Super>(UnpackSigned);
  }
}

void Multiply(const PackedMatrix& w, size_t tile_begin, size_t tile_end, const uint8_t* x,
              size_t tokens, float* y, size_t y_stride) {
  const size_t least = IsSuper(w.format) ? kMinTokensSuper : kMinTokensBlock32;
  if (IsFloat(w.format) || tokens < least) {
    return kMatmulAvx512.multiply(w, tile_begin, tile_end, x, tokens, y, y_stride);
  }
  MultiplyTiles(w, FunctionsOf(w.format), tile_begin, tile_end,
                {x, PreparedBytes(w.format, w.cols)}, tokens, y, y_stride);
}

}  // namespace

const MatmulKernels kMatmulAmx = {PrepareAvx2, Multiply};

}  // namespace vade::kernels
