// The tile registers of AMX: eight of at most 16 rows by 64 bytes, per thread. A product adds to a
// tile of int32 [rows of a, 16] the dot products of the rows of `a` (bytes) with 16 columns of `b`,
// whose row k holds bytes 4k..4k + 3 of each column: a tile of packed weights (packed.h, int8.h) is
// such a `b` as it lies in memory. Private to the *_amx.cc files.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/avx512.h"
#include "kernels/level_targets.h"

namespace vade::kernels {

inline constexpr size_t kAmxRows = 16;
inline constexpr size_t kAmxBytes = 64;

// What ldtilecfg reads (palette 1).
struct alignas(64) AmxShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void Set(size_t tile, size_t tile_rows, size_t bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(AmxShapes) == 64);

// Gives the tile registers shapes, until they are released: then the system saves and restores them
// for no thread that does not multiply. g++ 12 takes ldtilecfg for a reader of eight bytes, and a
// tile load for a reader of nothing: without the barriers it may leave out, or put off, the stores
// of what they read.
VADE_AMX_INLINE void AmxConfigure(const AmxShapes& shapes) {
  asm volatile("" : : "r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
}
VADE_AMX_INLINE void AmxRelease() { _tile_release(); }

// What was stored before it is in memory for the tile loads behind it.
VADE_AMX_INLINE void AmxMemoryBarrier() { asm volatile("" ::: "memory"); }

}  // namespace vade::kernels
