// The arithmetic of the encoder: everything rounded to 8 bits where it is multiplied.
//
// A matrix has one scale a row, an activation row one scale and one zero point; a product is then
// one integer sum over the whole row, which is exact in any order, and one line of floats at its
// end. So the levels agree bit for bit on products, and a row's result does not depend on what is
// computed beside it. Coarser than matrix.h's blocks, and three times as fast: made for encoders,
// whose vectors stay within a cosine of .999 (docs/performance.md), not for decoders.
//
//   weights            value = scale[row] * code, codes -127..127
//   activations        value = scale * code - offset, codes 0..255
//   attention          keys of a head are such a matrix [keys, head_dim], its values, transposed,
//                      another one [head_dim, keys]
//
// Functions are single-threaded and own nothing. Part of the table in kernels.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matrix.h"

namespace vade::kernels {

// How the codes of a row of activations are read: value = scale * code - offset. A row that has a
// NaN or an infinity in it has the scale NaN, so that what it is multiplied into is NaN.
struct RowScale {
  float scale = 0;
  float offset = 0;
};

// Columns are padded with zeros to whole steps.
inline constexpr size_t kInt8Step = 4;
constexpr size_t Int8PaddedCols(size_t cols) {
  return (cols + kInt8Step - 1) / kInt8Step * kInt8Step;
}

// Columns of a row of activation codes: all of them are written.
constexpr size_t Int8CodeCols(size_t cols) { return (cols + 15) / 16 * 16; }

// What a text's vector is divided by at least, to be of unit length.
inline constexpr float kLeastVectorLength = 1e-12f;

// Sums of this many products of a code by a code fit an int32.
inline constexpr size_t kInt8MaxCols = 65536;

// Format::kInt8Rows: a tile of kTileRows rows is float scale[16], float scale * sum of the row's
// codes [16], then for each step of four columns a line of 64 bytes, byte 4 * row + i for column i
// of the step.
inline constexpr size_t kInt8SumsOffset = 64;
inline constexpr size_t kInt8LinesOffset = 128;
constexpr size_t Int8TileBytes(size_t cols) {
  return kInt8LinesOffset + Int8PaddedCols(cols) / kInt8Step * 64;
}
constexpr size_t Int8MatrixBytes(size_t rows, size_t cols) {
  return (rows + kTileRows - 1) / kTileRows * Int8TileBytes(cols);
}

// PackTiles (matrix.h) to Format::kInt8Rows: every row is rounded to 127 steps of its largest
// magnitude. cols is at most kInt8MaxCols.
void PackInt8Tiles(TensorType type, const uint8_t* tensor, size_t rows, size_t cols,
                   size_t tile_begin, size_t tile_end, uint8_t* out);

// One row of a tile as float32 [cols]; UnpackRow (matrix.h) calls it.
void UnpackInt8Row(const uint8_t* tile, size_t row, size_t cols, float* out);

// A product y[t][r] = sum_c w[r][c] * x[t][c] + bias[r] for all rows of a matrix.
struct Int8Product {
  const uint8_t* tiles = nullptr;  // Format::kInt8Rows
  size_t rows = 0;
  size_t cols = 0;
  const uint8_t* codes = nullptr;  // of the activations, `code_stride` bytes from row to row
  size_t code_stride = 0;
  const RowScale* scales = nullptr;  // [tokens]
  size_t tokens = 0;
  const float* bias = nullptr;  // [rows]; null: none
  float* y = nullptr;           // [tokens, rows], y_stride floats from row to row
  size_t y_stride = 0;
};

// sum = x + y; x = (sum - mean) / sqrt(variance + eps) * weight + bias, and that rounded to codes.
struct AddNorm {
  const float* y = nullptr;  // null: nothing is added
  const float* weight = nullptr;
  const float* bias = nullptr;
  float eps = 0;
  size_t n = 0;
};

// Rows of a head as they lie in a projection's result.
struct HeadRows {
  const float* first = nullptr;
  size_t stride = 0;  // floats from row to row
  size_t count = 0;
  size_t dim = 0;
};

struct Int8Kernels {
  // Bytes of a code where activations are kept: 1, or 2 where the level multiplies 16-bit words. A
  // row of n is Int8CodeCols(n) codes, zeros behind the first n.
  size_t code_bytes = 1;

  RowScale (*quantise)(const float* x, size_t n, uint8_t* codes);
  // GELU (within 3e-4 of the erf form, of x beyond 1), then as quantise. x is overwritten.
  RowScale (*gelu_quantise)(float* x, size_t n, uint8_t* codes);
  RowScale (*add_norm_quantise)(const AddNorm& norm, float* x, uint8_t* codes);
  // The weights e^(scale * (x - largest x)) as codes of 1/255, and the scale that makes their sum 1
  // (offset 0). scale is positive, n at least 1.
  RowScale (*softmax_quantise)(const float* x, size_t n, float scale, uint8_t* codes);

  void (*multiply)(const Int8Product& product);

  // A head's keys as the matrix [count, dim], its values as the matrix [dim, count]:
  // Int8MatrixBytes of each at `out`.
  void (*pack_keys)(const HeadRows& keys, uint8_t* out);
  void (*pack_values)(const HeadRows& values, uint8_t* out);
};

// Filled by int8_*.cc.
extern const Int8Kernels kInt8Scalar, kInt8Avx2, kInt8Avx512;
void MultiplyInt8Amx(const Int8Product& product);  // the others of this level are AVX-512's

}  // namespace vade::kernels
