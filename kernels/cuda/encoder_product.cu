// Matrix products of an encoder: one scale a row, so a product is one integer sum over all columns
// and one line of floats at its end (kernels/int8.h). By int8 tensor cores for any number of
// tokens, with the tiles and the staging of product_tensors.cu; a line of a tile is a register of
// the fragment there too.
#include "kernels/cuda/encoder_codes.cuh"
#include "kernels/cuda/encoder_operations.h"
#include "kernels/cuda/product.cuh"

namespace vade::kernels::cuda {
namespace {

// Columns behind a matrix's last step have no line.
VADE_DEVICE uint32_t LoadLine(const WarpTile& w, uint32_t step, uint32_t steps, uint32_t row) {
  if (step >= steps) return 0;
  return w.data.Load<uint32_t>(w.tile + kInt8LinesOffset + size_t{step} * 64 + 4 * row);
}

// budget: registers 64, shared 8704 bytes
__global__ void __launch_bounds__(kMatrixThreads)
    CodesKernel(ProductView view, Global<const float> scales) {
  const uint32_t tile = blockIdx.x * kMatrixWarps + threadIdx.x / 32;
  const uint32_t lane = threadIdx.x % 32, first_token = blockIdx.y * kMatrixTokens;
  const bool has_tile = tile < view.tiles;  // all lanes of a warp alike
  const TilePlace place = PlaceOf(view, has_tile ? tile : 0);
  const MatrixView& matrix = view.matrices[place.matrix];
  const WarpTile w = {matrix.data, place.tile * view.tile_bytes, lane / 4, lane % 4};
  constexpr auto step_cols = static_cast<uint32_t>(kInt8Step);
  const uint32_t steps = (view.cols + step_cols - 1) / step_cols;
  int sums[kColumnTiles][4] = {};

  for (uint32_t begin = 0; begin < view.row_bytes; begin += kStepCols) {
    const uint32_t left = view.row_bytes - begin, cols = left < kStepCols ? left : kStepCols;
    __syncthreads();  // what was staged before is used up
    StageCodes(view, begin / kStepCols, cols, first_token);
    __syncthreads();
    if (!has_tile) continue;
    for (uint32_t column = 0; column < cols; column += 32) {
      const uint32_t step = (begin + column) / step_cols + w.t;
      const uint32_t a[4] = {LoadLine(w, step, steps, w.g), LoadLine(w, step, steps, w.g + 8),
                             LoadLine(w, step + 4, steps, w.g),
                             LoadLine(w, step + 4, steps, w.g + 8)};
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
        const uint32_t token = 8 * n + w.g;
        const uint32_t b[2] = {StagedCodes(token, column + 4 * w.t),
                               StagedCodes(token, column + 16 + 4 * w.t)};
        MmaS8U8K32(sums[n], a, b);
      }
    }
  }
  if (!has_tile) return;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t in_tile = RowOf(w, i);
    const uint32_t row = place.tile * static_cast<uint32_t>(kTileRows) + in_tile;
    if (row >= matrix.rows) continue;
    const float scale = w.data.Load<float>(w.tile + 4 * in_tile);
    const float sum = w.data.Load<float>(w.tile + kInt8SumsOffset + 4 * in_tile);
    const float bias = matrix.bias.IsNull() ? 0.0f : matrix.bias[row];
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
      const size_t token = first_token + TokenOf(w, n, i);
      if (token >= view.tokens) continue;
      view.y[token * view.y_stride + matrix.first_column + row] =
          CodeProduct(sums[n][i], scale, sum, scales[2 * token], scales[2 * token + 1], bias);
    }
  }
}

}  // namespace

void MultiplyCodes(const MultiplyCodesArgs& args, Stream stream) {
  if (args.tokens == 0) return;
  const ProductView view = ViewOf({.format = Format::kInt8Rows,
                                   .cols = args.cols,
                                   .matrices = args.matrices,
                                   .x = args.codes,
                                   .tokens = args.tokens,
                                   .y = args.y,
                                   .y_stride = args.y_stride},
                                  EncoderStride(args.cols));
  Launch<CodesKernel>(PlanCodes(view.tiles, view.tokens), stream, view,
                      Global<const float>(args.scales, 2 * size_t{args.tokens}));
}

}  // namespace vade::kernels::cuda
