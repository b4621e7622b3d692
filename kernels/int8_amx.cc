// int8.h with AMX-INT8 for the products of several tokens, and AVX-512 for everything else. The
// lines of a tile of weights are what the tile registers multiply by, as they lie there; integer
// sums are exact, so the bits are those of the other levels.

#include <algorithm>

#include "kernels/amx_tiles.h"
#include "kernels/int8_avx512.h"
#include "kernels/kernels.h"

namespace vade::kernels {
namespace {

constexpr size_t kMinTokens = 4;
constexpr size_t kTiles = 4;  // that one pass over the columns serves
constexpr size_t kSums = kAmxRows * kTileRows;

// What the registers hold: 0 to 3 sums, 4 and 5 whole steps of 64 columns of the codes and of the
// weights, 6 and 7 the columns that are left.
AmxShapes ShapesOf(size_t tokens, size_t rest) {
  AmxShapes shapes;
  for (size_t tile = 0; tile < 5; ++tile) shapes.Set(tile, tokens, kAmxBytes);
  shapes.Set(5, kAmxRows, kAmxBytes);
  if (rest > 0) {
    shapes.Set(6, tokens, rest);
    shapes.Set(7, rest / kInt8Step, kAmxBytes);
  }
  return shapes;
}

// Sums of R tiles += the columns that registers kCodes and kWeights have the shapes of.
template <int R, int kCodes, int kWeights>
VADE_AMX_INLINE void AddStep(const uint8_t* codes, size_t stride, const uint8_t* weights,
                             size_t tile_bytes) {
  constexpr AmxBytes kBytes = AmxBytes::kUnsignedBySigned;
  AmxLoad<kCodes>(codes, stride);
  AmxLoad<kWeights>(weights, 64);
  AmxDot<kBytes, 0, kCodes, kWeights>();
  if constexpr (R > 1) {
    AmxLoad<kWeights>(weights + tile_bytes, 64);
    AmxDot<kBytes, 1, kCodes, kWeights>();
  }
  if constexpr (R > 2) {
    AmxLoad<kWeights>(weights + 2 * tile_bytes, 64);
    AmxDot<kBytes, 2, kCodes, kWeights>();
  }
  if constexpr (R > 3) {
    AmxLoad<kWeights>(weights + 3 * tile_bytes, 64);
    AmxDot<kBytes, 3, kCodes, kWeights>();
  }
}

// sums[R][tokens of the group][16]
template <int R>
VADE_AMX_INLINE void Dot(const Int8Product& p, size_t first, size_t token, int32_t* sums) {
  const size_t tile_bytes = Int8TileBytes(p.cols), padded = Int8PaddedCols(p.cols);
  const uint8_t* weights = p.tiles + first * tile_bytes + kInt8LinesOffset;
  const uint8_t* codes = p.codes + token * p.code_stride;
  AmxZero<0>();
  if constexpr (R > 1) AmxZero<1>();
  if constexpr (R > 2) AmxZero<2>();
  if constexpr (R > 3) AmxZero<3>();
  size_t column = 0;
  for (; column + kAmxBytes <= padded; column += kAmxBytes) {
    AddStep<R, 4, 5>(codes + column, p.code_stride, weights + 16 * column, tile_bytes);
  }
  if (column < padded) {
    AddStep<R, 6, 7>(codes + column, p.code_stride, weights + 16 * column, tile_bytes);
  }
  AmxStore<0>(sums, 64);
  if constexpr (R > 1) AmxStore<1>(sums + kSums, 64);
  if constexpr (R > 2) AmxStore<2>(sums + 2 * kSums, 64);
  if constexpr (R > 3) AmxStore<3>(sums + 3 * kSums, 64);
}

template <int R>
VADE_VNNI_INLINE void Finish(const Int8Product& p, size_t first, size_t token, size_t tokens,
                             const int32_t* sums) {
  VADE_UNROLL for (size_t r = 0; r < R; ++r) {
    FinishInt8Tile(p, first + r, token, tokens, sums + r * kSums, kTileRows);
  }
}

// Tokens in groups of 16; the last group reaches back, and writes again what is there already. The
// tile registers work on one group while the vector units finish the one before.
template <int R>
VADE_AMX void MultiplyTokens(const Int8Product& p, size_t first) {
  const size_t rows = std::min(p.tokens, kAmxRows);
  alignas(64) int32_t sums[2][R * kSums];
  size_t before = 0, which = 0;
  for (size_t next = 0; next < p.tokens; next += rows, which ^= 1) {
    const size_t token = std::min(next, p.tokens - rows);
    Dot<R>(p, first, token, sums[which]);
    if (next > 0) Finish<R>(p, first, before, rows, sums[which ^ 1]);
    before = token;
  }
  Finish<R>(p, first, before, rows, sums[which ^ 1]);
}

void MultiplyTiles(const Int8Product& p) {
  const size_t tiles = (p.rows + kTileRows - 1) / kTileRows;
  size_t tile = 0;
  for (; tile + kTiles <= tiles; tile += kTiles) MultiplyTokens<kTiles>(p, tile);
  switch (tiles - tile) {
    case 0: return;
    case 1: return MultiplyTokens<1>(p, tile);
    case 2: return MultiplyTokens<2>(p, tile);
    default: return MultiplyTokens<3>(p, tile);
  }
}

VADE_AMX void MultiplyWithTiles(const Int8Product& p) {
  AmxConfigure(ShapesOf(std::min(p.tokens, kAmxRows), Int8PaddedCols(p.cols) % kAmxBytes));
  MultiplyTiles(p);
  AmxRelease();
}

}  // namespace

void MultiplyInt8Amx(const Int8Product& p) {
  if (p.tokens < kMinTokens) return kInt8Avx512.multiply(p);
  MultiplyWithTiles(p);
}

}  // namespace vade::kernels
