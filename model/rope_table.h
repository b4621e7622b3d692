// Cosines and sines of rotated positions, as both backends keep them.
#pragma once

#include <cmath>
#include <cstddef>

namespace vade {

// Rows [first, end) of a table [position][cosines of the pairs | sines], `half` pairs: pair i turns
// by position * base^(-i / half). Angles in double precision: float32 would lose whole digits of
// the fast pairs at large positions.
inline void FillRopeRows(double base, size_t half, size_t first, size_t end, float* table) {
  for (size_t i = 0; i < half; ++i) {
    const double frequency =
        std::pow(base, -2.0 * static_cast<double>(i) / (2.0 * static_cast<double>(half)));
    for (size_t p = first; p < end; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      table[p * 2 * half + i] = static_cast<float>(std::cos(angle));
      table[p * 2 * half + half + i] = static_cast<float>(std::sin(angle));
    }
  }
}

}  // namespace vade
