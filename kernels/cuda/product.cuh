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

// A row of x is `row_bytes` long.
ProductView ViewOf(const MultiplyArgs& args, size_t row_bytes);

// --- the tensor cores' way -----------------------------------------------------------------------
inline constexpr uint32_t kMatrixThreads = 32 * kMatrixWarps;
inline constexpr int kColumnTiles = kMatrixTokens / 8;  // of 8 tokens
inline constexpr uint32_t kStagedBytes = kMatrixTokens * kStepPitch;

// One warp's view of its tile: lane = 4 g + t holds rows g and g + 8, tokens 8n + 2t and the next.
struct WarpTile {
  Global<const uint8_t> data;
  size_t tile;
  uint32_t g, t;
};

// Element i of a lane's share of a result: which row of its two, which token.
VADE_HD uint32_t RowOf(const WarpTile& w, int i) { return w.g + (i >= 2 ? 8 : 0); }
VADE_HD uint32_t TokenOf(const WarpTile& w, int n, int i) {
  return static_cast<uint32_t>(8 * n + i % 2) + 2 * w.t;
}

// Activations of `cols` columns from 256 step on, of the block's tokens, to shared memory; zeros
// where there are no tokens or columns.
VADE_DEVICE void StageCodes(const ProductView& view, uint32_t step, uint32_t cols,
                            uint32_t first_token) {
  const Shared<uint4> codes(0, kStagedBytes / 16);
  constexpr uint32_t lines = kStepCols / 16;
  for (uint32_t i = threadIdx.x; i < kMatrixTokens * lines; i += kMatrixThreads) {
    const uint32_t token = i / lines, line = i % lines;
    uint4 value = {0, 0, 0, 0};
    if (first_token + token < view.tokens && line * 16 < cols) {
      value = view.x.Load<uint4>(size_t{first_token + token} * view.row_bytes +
                                 size_t{step} * kStepCols + 16 * line);
    }
    codes[token * (kStepPitch / 16) + line] = value;
  }
}
VADE_DEVICE uint32_t StagedCodes(uint32_t token, uint32_t byte) {
  const Shared<uint4> codes(0, kStagedBytes / 16);
  return codes.Load<uint32_t>(token * kStepPitch + byte);
}

}  // namespace vade::kernels::cuda
