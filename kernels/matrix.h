// Weight matrices in the forms that the kernels multiply, and how to make them from GGUF tensors.
//
// A matrix [rows, cols] becomes tiles of kTileRows rows, zero-padded at the end, so that one vector
// of weights holds several rows at once. The bytes of each format are described in matrix.cc; they
// depend on the tensor alone, not on the machine, so a packed file made at one level serves every
// level. Decoding a packed matrix gives the very values of the tensor unless its format says
// otherwise.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/tensor_type.h"

namespace vade::kernels {

inline constexpr size_t kTileRows = 16;

// Bumped whenever the bytes of any format change: packed files of other versions are made anew.
inline constexpr uint32_t kPackingVersion = 1;

// How a matrix lies in memory and is multiplied. kF32, kF16 and kBf16 multiply by float32
// activations; the others by activations rounded to int8 in blocks of 32 or 256.
enum class Format : uint8_t {
  kF32 = 0,
  kF16 = 1,
  kBf16 = 2,
  kQ4Block32 = 3,   // Q4_1: 4-bit codes, float16 scale and minimum for each 32
  kQ5Block32 = 4,   // Q5_1
  kQ8Block32 = 5,   // Q8_0
  kQ4Super = 6,     // Q4_K: 4-bit codes, 6-bit scales and minima for each 32 in blocks of 256
  kQ5Super = 7,     // Q5_K
  kQ6Super = 8,     // Q6_K, Q3_K: 6-bit codes, int8 scales for each 16 in blocks of 256
  kQ4Centred = 9,   // Q4_0: as kQ4Block32, but codes stand for -8..7 and there is no minimum
  kQ5Centred = 10,  // Q5_0: as kQ5Block32, but codes stand for -16..15 and there is no minimum
  kInt8Rows = 32,   // any type, rounded to one scale a row: int8.h packs and multiplies it
};

// Which format a tensor type is packed to. Q2_K is stored as kQ8Block32, rounded to 1/254 of the
// largest value of each 32 (plus float16 rounding of the scale); every other type keeps its very
// values.
Format PackedFormat(TensorType type);

// A packed matrix that somebody else owns.
struct PackedMatrix {
  Format format = Format::kF32;
  size_t rows = 0;
  size_t cols = 0;                // a multiple of the source type's block
  const uint8_t* data = nullptr;  // 64-byte aligned, TileCount() * TileBytes() bytes
  size_t TileCount() const { return (rows + kTileRows - 1) / kTileRows; }
  size_t TileBytes() const;
};

size_t TileBytes(Format format, size_t cols);  // a multiple of 64
size_t PackedBytes(Format format, size_t rows, size_t cols);

// Packs tiles [tile_begin, tile_end) of a tensor whose rows lie one after the other at `tensor`.
// Tiles are independent, so callers may pack in parallel. `out` points at tile 0.
void PackTiles(TensorType type, const uint8_t* tensor, size_t rows, size_t cols, size_t tile_begin,
               size_t tile_end, uint8_t* out);

// One row of a packed matrix as float32 [cols]: for tests and for embedding tables kept packed.
void UnpackRow(const PackedMatrix& w, size_t row, float* out);

// Bytes of one prepared row of activations; a multiple of 64.
size_t PreparedBytes(Format format, size_t cols);

// Whether one prepared row serves matrices of both formats (float, blocks of 32, or blocks of 256
// alike).
bool SamePreparedForm(Format a, Format b);

}  // namespace vade::kernels
