// The loops around the blocks of a matrix product, the same for every vector level: which tokens
// and columns are worked on together so that weights stay in the L1 cache and activations in the L2
// cache. The order of each sum does not depend on them. Private to matmul_*.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/packed.h"

namespace vade::kernels {

// One byte a code, or at most two (RunFunctions::add_all).
inline constexpr size_t kUnpackedGroupBytes = 8 * kLine;
inline constexpr size_t kMaxUnpackedGroupBytes = 2 * kUnpackedGroupBytes;

// Prepared rows of some tokens, `stride` bytes apart, at some column.
struct TokenRows {
  const uint8_t* first;
  size_t stride;
};

// A run of blocks of one tile: packed as in the matrix, or with its codes unpacked beside it.
struct BlockRun {
  const uint8_t* packed;    // first block
  const uint8_t* codes;     // null, or kUnpackedGroupBytes for each group of the run
  const uint8_t* six_bits;  // null, or 256 values a block (kQ4Super, kQ5Super)
  size_t first_block;       // index within the row
  size_t blocks;
  size_t cols;  // of the whole row: where the records of the prepared rows begin
};

// Weights this far ahead are fetched while a block is multiplied: the processor's own prefetching
// stops at the end of a 4 KiB page, which is three blocks of 256 columns. A few lines at a time and
// to the second-level cache: what is fetched to the first has one of a dozen buffers until it is
// there, and what finds none stops the loads behind it. Fetching beyond the end of the weights does
// no harm.
inline constexpr uintptr_t kPrefetchBytes = 4096;

template <size_t kBytes>
static inline __attribute__((always_inline)) void PrefetchAhead(const uint8_t* block) {
  const uintptr_t from = reinterpret_cast<uintptr_t>(block) + kPrefetchBytes;
#pragma GCC unroll 64
  for (size_t i = 0; i < kBytes; i += kLine) {
    __builtin_prefetch(reinterpret_cast<const void*>(from + i), 0, 2);
  }
}

// sums[token][16 rows] += the run by the prepared rows x (at column 0); 1 <= tokens <=
// tokens_a_pass.
using AddRunFunction = void (*)(const BlockRun& run, const TokenRows& x, size_t tokens,
                                float* sums);
// The same for two tiles and exactly pair_tokens tokens, both with their codes unpacked.
using AddPairFunction = void (*)(const BlockRun (&runs)[2], const TokenRows& x,
                                 float* const (&sums)[2]);
// The same for one or two tiles (`runs`, `sums`) and any number of tokens. The run is of at most
// 256 columns, with its codes as the level's own `unpack` left them.
using AddAllFunction = void (*)(const BlockRun* runs, size_t tiles, const TokenRows& x,
                                size_t tokens, float* const* sums);
// Unpacks the codes (and scales) of run.packed to where run.codes and run.six_bits will point.
using UnpackRunFunction = void (*)(const BlockRun& run, uint8_t* codes, uint8_t* six_bits);

struct RunFunctions {
  AddRunFunction add_packed;
  AddRunFunction add_unpacked;
  UnpackRunFunction unpack;  // null: always multiplied as packed
  size_t tokens_a_pass;
  AddPairFunction add_pair = nullptr;  // null: tiles are multiplied one by one
  size_t pair_tokens = 0;
  size_t packed_passes = 1;  // for more, codes are unpacked once and not as they are multiplied
  // Of prepared rows that are used together, so that they stay in the L2 cache while tiles pass.
  size_t activation_bytes = 768 * 1024;
  // Called around the work on a number of tokens; may be null.
  void (*begin)(size_t tokens) = nullptr;
  void (*end)() = nullptr;
  AddAllFunction add_all = nullptr;  // null: the functions above; else `unpack` and this one alone
};

// MatmulKernels::multiply with the functions of the matrix' format.
void MultiplyTiles(const PackedMatrix& w, const RunFunctions& functions, size_t tile_begin,
                   size_t tile_end, const TokenRows& x, size_t tokens, float* y, size_t y_stride);

// MatmulKernels::prepare for AVX2; AVX-512 uses it too.
void PrepareAvx2(Format format, const float* x, size_t cols, uint8_t* out);

RunFunctions Block32RunsAvx2(Format format);
RunFunctions SuperRunsAvx2(Format format);

}  // namespace vade::kernels
