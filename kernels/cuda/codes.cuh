// Codes and scales of packed matrices (kernels/packed.h) as one lane wants them: the four codes of
// a row at a step are one register, which is the operand of a byte dot product and of the tensor
// cores alike. Every formula stands here once; host tests compare with kernels/matrix.cc.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/packed.h"

namespace vade::kernels::cuda {

// Lines of a group: registers that hold all 32 codes of a row.
template <Format kFormat>
inline constexpr int kLines = CodeBits(kFormat);

VADE_HD uint32_t LowNibbles(uint32_t word, uint32_t odd) { return word >> (4 * odd) & 0x0f0f0f0f; }

// The four codes of step `step` out of the group's lines for one row; `line(j)` gives line j.
template <Format kFormat, typename Lines>
VADE_DEVICE uint32_t StepCodes(const Lines& line, uint32_t step) {
  constexpr int bits = CodeBits(kFormat);
  if constexpr (bits == 8) {
    return line(step);
  } else if constexpr (bits == 4) {
    return LowNibbles(line(step / 2), step % 2);
  } else if constexpr (bits == 5) {
    return LowNibbles(line(step / 2), step % 2) | (line(4) >> step & 0x01010101) << 4;
  } else {
    const uint32_t first = 3 * (step / 4), in_half = step % 4;
    return LowNibbles(line(first + in_half / 2), in_half % 2) |
           (line(first + 2) >> (2 * in_half) & 0x03030303) << 4;
  }
}

// Six-bit scale and minimum of a row for 32 columns (kQ4Super, kQ5Super). The low half of the value
// is in byte v of six_bits, where v < 128 for scales and the minimum's lies above the scale's; the
// upper bits likewise.
struct ScaleAndMinimum {
  int scale, minimum;
};
VADE_HD ScaleAndMinimum SixBits(uint32_t low_byte, uint32_t high_byte, uint32_t group) {
  const uint32_t shift = group / 4 * 2;  // of the pair of groups within its four
  return {static_cast<int>((low_byte & 15) | (high_byte >> shift & 3) << 4),
          static_cast<int>(low_byte >> 4 | (high_byte >> (shift + 4) & 3) << 4)};
}
// Where these bytes are, from the start of six_bits.
VADE_HD uint32_t SixBitsLow(uint32_t group, uint32_t row) {
  return (group / 2 * static_cast<uint32_t>(kTileRows) + row) * 2 + group % 2;
}
VADE_HD uint32_t SixBitsHigh(uint32_t group, uint32_t row) {
  return 128 + SixBitsLow(group, row) % 64;
}
// Of kQ6Super's int8 scales: those of the group's two sixteens lie side by side.
VADE_HD uint32_t Q6Scale(uint32_t group, uint32_t row) {
  return (group * static_cast<uint32_t>(kTileRows) + row) * 2;
}

VADE_DEVICE float LoadHalf(const Global<const uint8_t>& bytes, size_t at) {
  return HalfBitsToFloat(bytes.Load<uint16_t>(at));
}

}  // namespace vade::kernels::cuda
