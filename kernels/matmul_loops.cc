#include "kernels/matmul_loops.h"

#include <algorithm>
#include <cstring>

namespace vade::kernels {
namespace {

// Tokens whose prepared rows are used together, so that they stay in the L2 cache while the tiles
// pass.
constexpr size_t kActivationBytes = 256 * 1024;
constexpr size_t kMinTokensAtOnce = 16;
constexpr size_t kMaxTokensAtOnce = 64;
// Columns whose codes are unpacked together, so that they stay in the L1 cache while the tokens
// pass.
constexpr size_t kRunCols = 512;

size_t TokensAtOnce(size_t row_bytes) {
  const size_t fit = kActivationBytes / std::max<size_t>(row_bytes, 1) / 8 * 8;
  return std::clamp(fit, kMinTokensAtOnce, kMaxTokensAtOnce);
}

// The whole of one tile by `tokens` rows; sums[token][row] start at 0.
void MultiplyTile(const PackedMatrix& w, const RunFunctions& functions, const uint8_t* tile,
                  const TokenRows& x, size_t tokens, float* sums) {
  alignas(64) uint8_t codes[kRunCols / 32 * kUnpackedGroupBytes];
  alignas(64) uint8_t six_bits[kRunCols];  // 256 values for 256 columns
  const size_t block_cols = BlockCols(w.format);
  const size_t all_blocks = w.cols / block_cols;
  const bool unpack = functions.unpack && tokens > functions.tokens_a_pass;
  const size_t run_blocks = unpack ? kRunCols / block_cols : all_blocks;
  for (size_t block = 0; block < all_blocks; block += run_blocks) {
    BlockRun run = {tile + block * BlockBytes(w.format),      nullptr, nullptr, block,
                    std::min(run_blocks, all_blocks - block), w.cols};
    if (unpack) {
      functions.unpack(run, codes, six_bits);
      run.codes = codes;
      run.six_bits = six_bits;
    }
    const AddRunFunction add = unpack ? functions.add_unpacked : functions.add_packed;
    for (size_t token = 0; token < tokens; token += functions.tokens_a_pass) {
      add(run, {x.first + token * x.stride, x.stride},
          std::min(functions.tokens_a_pass, tokens - token), sums + token * kTileRows);
    }
  }
}

}  // namespace

void MultiplyTiles(const PackedMatrix& w, const RunFunctions& functions, size_t tile_begin,
                   size_t tile_end, const TokenRows& x, size_t tokens, float* y, size_t y_stride) {
  const size_t tile_bytes = w.TileBytes();
  const size_t at_once = TokensAtOnce(x.stride);
  for (size_t token = 0; token < tokens; token += at_once) {
    const size_t count = std::min(at_once, tokens - token);
    for (size_t tile = tile_begin; tile < tile_end; ++tile) {
      alignas(64) float sums[kMaxTokensAtOnce * kTileRows];
      std::memset(sums, 0, count * kTileRows * sizeof(float));
      MultiplyTile(w, functions, w.data + tile * tile_bytes, {x.first + token * x.stride, x.stride},
                   count, sums);
      const size_t first_row = tile * kTileRows;
      const size_t rows = std::min(kTileRows, w.rows - first_row);
      for (size_t t = 0; t < count; ++t) {
        std::memcpy(y + (token + t) * y_stride + first_row, sums + t * kTileRows,
                    rows * sizeof(float));
      }
    }
  }
}

}  // namespace vade::kernels
