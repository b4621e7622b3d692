// The bytes of packed matrices and prepared activations, for matrix.cc and the matmul levels.
// Private to kernels/; docs/formats.md has the same as tables.
//
// A tile holds 16 rows as blocks, one after the other, of 32 (Block32 formats) or 256 columns
// (Super formats). A block is a header, then its codes in groups of 32 columns:
//
//   Block32: half scale[16], half minimum[16] (not in Centred formats and kQ8Block32), 1 group
//   kQ4Super, kQ5Super: half scale[16], half minimum[16], six_bits[192], 8 groups
//   kQ6Super: half scale[16], int8 scales[8][16][2] (pair of sixteens, row, which of the pair),
//             8 groups
//
// A group is made of lines of 64 bytes. Byte 4 * row + i of a line belongs to four consecutive
// columns ("step" s: columns 4s + i), which is the operand layout of byte dot products. The 8 steps
// of a group:
//
//   8-bit codes: line s is step s.
//   4-bit codes: line j holds step 2j in the low halves of its bytes, step 2j + 1 in the high ones.
//   5-bit codes: the 4 lines of the low 4 bits, then a line whose bit s is the fifth bit for step s.
//   6-bit codes, twice: 2 lines of the low 4 bits of steps 4h..4h+3, then a line whose bits 2u and
//                2u + 1 are the upper ones of step 4h + u.
//
// six_bits are 256 values of 6 bits, [scale or minimum][pair of 32-column groups][row][which of the
// pair]. Value v has its low half at byte v % 128 (in the upper half of that byte for v >= 128) and
// its upper two bits at byte 128 + v % 64, bits 2 * (v / 64) and the next.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matrix.h"

namespace vade::kernels {

inline constexpr size_t kLine = 64;
inline constexpr size_t kSixBitsBytes = 192;

constexpr bool IsFloat(Format f) {
  return f == Format::kF32 || f == Format::kF16 || f == Format::kBf16;
}
constexpr bool IsSuper(Format f) {
  return f == Format::kQ4Super || f == Format::kQ5Super || f == Format::kQ6Super;
}
constexpr bool HasMinimum(Format f) {
  return f == Format::kQ4Block32 || f == Format::kQ5Block32 || f == Format::kQ4Super ||
         f == Format::kQ5Super;
}
// What is taken off a code to get its meaning.
constexpr int32_t ZeroOf(Format f) {
  if (f == Format::kQ4Centred) return 8;
  if (f == Format::kQ5Centred) return 16;
  if (f == Format::kQ6Super) return 32;
  return 0;
}
constexpr int CodeBits(Format f) {
  switch (f) {
    case Format::kQ4Block32:
    case Format::kQ4Centred:
    case Format::kQ4Super: return 4;
    case Format::kQ5Block32:
    case Format::kQ5Centred:
    case Format::kQ5Super: return 5;
    case Format::kQ6Super: return 6;
    default: return 8;
  }
}
constexpr size_t GroupBytes(Format f) { return kLine * static_cast<size_t>(CodeBits(f)); }
constexpr size_t BlockCols(Format f) { return IsFloat(f) ? 1 : IsSuper(f) ? 256 : 32; }

constexpr size_t kMinimumOffset = 32;
constexpr size_t ScalesOffset(Format f) { return HasMinimum(f) ? 64 : 32; }  // Super formats only
constexpr size_t CodesOffset(Format f) {
  const size_t halves = HasMinimum(f) ? 64 : 32;
  if (!IsSuper(f)) return halves;
  return halves + (f == Format::kQ6Super ? 256 : kSixBitsBytes);
}
// Of a block of BlockCols columns of a tile; of one column for float formats.
constexpr size_t BlockBytes(Format f) {
  if (IsFloat(f)) return kTileRows * (f == Format::kF32 ? 4 : 2);
  return CodesOffset(f) + BlockCols(f) / 32 * GroupBytes(f);
}

// Takes a group apart: codes[row][column]; 8-bit codes are the bits of an int8.
void ReadGroup(Format format, const uint8_t* group, uint8_t codes[kTileRows][32]);
void ReadSixBits(const uint8_t* six_bits, uint8_t values[256]);
// Index into ReadSixBits' values; `group` is that of the 32 columns within the 256.
constexpr size_t SixBitsIndex(bool minimum, size_t group, size_t row) {
  return (((minimum ? 4 : 0) + group / 2) * kTileRows + row) * 2 + group % 2;
}

// --- prepared activations ------------------------------------------------------------------------
// A quantised row is int8 codes[cols], then one record a block. code = round(x / scale), scale =
// largest |x| / 127. A block with a value that is not finite has scale NaN and codes 0, so that
// what it is multiplied into is NaN on every level.
struct Prepared32 {
  float scale;
  float scaled_sum;  // scale * sum
  int32_t sum;       // of the codes
};
struct Prepared256 {
  float scale;
  int16_t sums16[16];  // of each 16 codes
  int16_t sums32[8];   // of each 32 codes
};
static_assert(sizeof(Prepared32) == 12 && sizeof(Prepared256) == 52);

// Blocks whose largest |x| is below this are zeros: the reciprocal of the scale must stay finite.
inline constexpr float kSmallestMaximum = 1e-30f;

}  // namespace vade::kernels
