// What both paths of the matrix product share: where a tile of a launch lies, how a row's integer
// sums become floats. The float steps are written with intrinsics that the compiler may not fuse or
// reorder: both paths give the same bits.
#pragma once

#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/launch.cuh"

namespace vade::kernels::cuda {

struct MatrixView {
  Global<const uint8_t> data;
  Global<const float> bias;
  uint32_t rows, tiles, first_column;
};

// The matrices of a launch as one list of tiles.
struct ProductView {
  MatrixView matrices[kMaxProducts];
  Global<const uint8_t> x;
  Global<float> y;
  uint32_t cols, units, slices, tiles;
  uint32_t tokens, row_bytes, y_stride;
  size_t tile_bytes;
  bool add;
};

struct TilePlace {
  uint32_t matrix, tile;
};
VADE_HD TilePlace PlaceOf(const ProductView& view, uint32_t tile) {
  uint32_t matrix = 0;
  while (matrix + 1 < kMaxProducts && tile >= view.matrices[matrix].tiles) {
    tile -= view.matrices[matrix].tiles;
    ++matrix;
  }
  return {matrix, tile};
}

// One element of the result; rows that pad the last tile are nobody's.
VADE_DEVICE void PutResult(const ProductView& view, TilePlace place, uint32_t row_in_tile,
                           uint32_t token, float sum) {
  const MatrixView& matrix = view.matrices[place.matrix];
  const uint32_t row = place.tile * static_cast<uint32_t>(kTileRows) + row_in_tile;
  if (row >= matrix.rows || token >= view.tokens) return;
  if (!matrix.bias.IsNull()) sum = __fadd_rn(sum, matrix.bias[row]);
  const size_t at = size_t{token} * view.y_stride + matrix.first_column + row;
  view.y[at] = view.add ? __fadd_rn(view.y[at], sum) : sum;
}

// sum + dot * scales (+ minimum): a step of the specification (matmul_scalar.cc).
VADE_DEVICE float AddScaled(float sum, int dot, float weight_scale, float x_scale) {
  return __fmaf_rn(static_cast<float>(dot), __fmul_rn(weight_scale, x_scale), sum);
}

ProductView ViewOf(const MultiplyArgs& args);

}  // namespace vade::kernels::cuda
