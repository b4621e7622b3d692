#include "kernels/matmul_loops.h"

#include <algorithm>
#include <cstring>

namespace vade::kernels {
namespace {

// Tokens whose prepared rows are used together. The more, the less often codes are unpacked.
constexpr size_t kMinTokensAtOnce = 16;
constexpr size_t kMaxTokensAtOnce = 256;
// Columns whose codes are unpacked together, so that those of two tiles stay in the L1 cache while
// the tokens pass.
constexpr size_t kRunCols = 256;

// In equal parts, so that none is left with few tokens.
size_t TokensAtOnce(size_t activation_bytes, size_t row_bytes, size_t tokens) {
  const size_t fit = activation_bytes / std::max<size_t>(row_bytes, 1) / 16 * 16;
  const size_t most = std::clamp(fit, kMinTokensAtOnce, kMaxTokensAtOnce);
  const size_t parts = std::max<size_t>(1, (tokens + most - 1) / most);
  return ((tokens + parts - 1) / parts + 15) / 16 * 16;
}

// A run of a tile whose codes are unpacked.
struct Unpacked {
  alignas(64) uint8_t codes[kRunCols / 32 * kMaxUnpackedGroupBytes];
  alignas(64) uint8_t six_bits[kRunCols];  // 256 values for 256 columns
};

// The products of one or two tiles, which lie one behind the other.
class TileProduct {
 public:
  TileProduct(const PackedMatrix& w, const RunFunctions& functions, size_t tokens)
      : w_(w), functions_(functions), tokens_(tokens) {}

  // sums[tile][token][row], a tile kMaxTokensAtOnce tokens; they start at 0.
  void Multiply(const uint8_t* tile, size_t tiles, const TokenRows& x, float* sums) {
    const size_t block_cols = BlockCols(w_.format);
    const size_t all_blocks = w_.cols / block_cols;
    const bool add_all = functions_.add_all != nullptr;
    const bool unpack = functions_.unpack &&
                        (add_all || tokens_ > functions_.packed_passes * functions_.tokens_a_pass);
    const size_t run_blocks = add_all || unpack ? kRunCols / block_cols : all_blocks;
    for (size_t block = 0; block < all_blocks; block += run_blocks) {
      BlockRun runs[2];
      for (size_t i = 0; i < tiles; ++i) {
        runs[i] = {tile + i * w_.TileBytes() + block * BlockBytes(w_.format),
                   nullptr,
                   nullptr,
                   block,
                   std::min(run_blocks, all_blocks - block),
                   w_.cols};
        if (!unpack) continue;
        functions_.unpack(runs[i], unpacked_[i].codes, unpacked_[i].six_bits);
        runs[i].codes = unpacked_[i].codes;
        runs[i].six_bits = unpacked_[i].six_bits;
      }
      if (add_all) {
        float* const both[2] = {sums, sums + kTileSums};
        functions_.add_all(runs, tiles, x, tokens_, both);
        continue;
      }
      size_t done = 0;
      if (unpack && tiles == 2 && functions_.add_pair != nullptr) done = AddPairs(runs, x, sums);
      const AddRunFunction add = unpack ? functions_.add_unpacked : functions_.add_packed;
      for (size_t i = 0; i < tiles; ++i) Add(add, runs[i], done, x, sums + i * kTileSums);
    }
  }

  static constexpr size_t kTileSums = kMaxTokensAtOnce * kTileRows;

 private:
  // Returns how many tokens that was.
  size_t AddPairs(const BlockRun (&runs)[2], const TokenRows& x, float* sums) const {
    size_t token = 0;
    for (; token + functions_.pair_tokens <= tokens_; token += functions_.pair_tokens) {
      functions_.add_pair(runs, {x.first + token * x.stride, x.stride},
                          {sums + token * kTileRows, sums + kTileSums + token * kTileRows});
    }
    return token;
  }

  void Add(AddRunFunction add, const BlockRun& run, size_t token, const TokenRows& x,
           float* sums) const {
    for (; token < tokens_; token += functions_.tokens_a_pass) {
      add(run, {x.first + token * x.stride, x.stride},
          std::min(functions_.tokens_a_pass, tokens_ - token), sums + token * kTileRows);
    }
  }

  const PackedMatrix& w_;
  const RunFunctions& functions_;
  const size_t tokens_;
  Unpacked unpacked_[2];
};

}  // namespace

void MultiplyTiles(const PackedMatrix& w, const RunFunctions& functions, size_t tile_begin,
                   size_t tile_end, const TokenRows& x, size_t tokens, float* y, size_t y_stride) {
  const size_t at_once = TokensAtOnce(functions.activation_bytes, x.stride, tokens);
  for (size_t token = 0; token < tokens; token += at_once) {
    const size_t count = std::min(at_once, tokens - token);
    const TokenRows rows = {x.first + token * x.stride, x.stride};
    TileProduct product(w, functions, count);
    if (functions.begin) functions.begin(count);
    for (size_t tile = tile_begin; tile < tile_end; tile += 2) {
      const size_t tiles = std::min<size_t>(2, tile_end - tile);
      alignas(64) float sums[2 * TileProduct::kTileSums];
      for (size_t i = 0; i < tiles; ++i)
        std::memset(sums + i * TileProduct::kTileSums, 0, count * kTileRows * sizeof(float));
      product.Multiply(w.data + tile * w.TileBytes(), tiles, rows, sums);
      for (size_t i = 0; i < tiles; ++i) {
        const size_t first_row = (tile + i) * kTileRows;
        const size_t rows_here = std::min(kTileRows, w.rows - first_row);
        for (size_t t = 0; t < count; ++t) {
          float* const out = y + (token + t) * y_stride + first_row;
          const float* const sum = sums + i * TileProduct::kTileSums + t * kTileRows;
          if (rows_here == kTileRows) {  // of a size that the compiler knows, it is four moves
            std::memcpy(out, sum, kTileRows * sizeof(float));
          } else {
            std::memcpy(out, sum, rows_here * sizeof(float));
          }
        }
      }
    }
    if (functions.end) functions.end();
  }
}

}  // namespace vade::kernels
