// The tile registers of AMX: eight of at most 16 rows by 64 bytes, per thread. A product adds to a
// tile of int32 [rows of a, 16] the dot products of the rows of `a` (bytes) with 16 columns of `b`,
// whose row k holds bytes 4k..4k + 3 of each column: a tile of packed weights (packed.h, int8.h) is
// such a `b` as it lies in memory. Private to the *_amx.cc files.
#pragma once

#include <cstddef>
#include <cstdint>

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

// The instructions, by number of register. Not those of immintrin.h: its macros of g++ 12 want
// literal numbers, and do not tell the compiler what memory they read (all of the shapes but eight
// bytes, and every tile), so that it may leave out, or put off, the stores before them.

// Gives the registers shapes, until they are released: then the system saves and restores them for
// no thread that does not multiply.
VADE_AMX_INLINE void AmxConfigure(const AmxShapes& shapes) {
  asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
}
VADE_AMX_INLINE void AmxRelease() { asm volatile("tilerelease"); }

template <int T>
VADE_AMX_INLINE void AmxZero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}

// Rows are `stride` bytes apart.
template <int T>
VADE_AMX_INLINE void AmxLoad(const uint8_t* rows, size_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(rows), "r"(stride), "i"(T) : "memory");
}

template <int T>
VADE_AMX_INLINE void AmxStore(int32_t* rows, size_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(rows), "r"(stride), "i"(T) : "memory");
}

// Sums += a by b; whether the bytes of a and of b are signed.
enum class AmxBytes : uint8_t { kSignedBySigned, kSignedByUnsigned, kUnsignedBySigned };

template <AmxBytes kBytes, int kSums, int kA, int kB>
VADE_AMX_INLINE void AmxDot() {
  if constexpr (kBytes == AmxBytes::kSignedBySigned) {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kA), "i"(kB));
  } else if constexpr (kBytes == AmxBytes::kSignedByUnsigned) {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kA), "i"(kB));
  } else {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kA), "i"(kB));
  }
}

}  // namespace vade::kernels
