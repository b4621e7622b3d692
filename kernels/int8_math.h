// Constants that the levels of int8.h share, kernels/cuda among them. Private to kernels/.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/int8.h"

namespace vade::kernels {

// Ranges below this are a row of zeros: the reciprocal of the scale must stay finite.
inline constexpr float kInt8SmallestRange = 1e-30f;
inline constexpr float kInt8Codes = 255;    // steps of an activation
inline constexpr float kInt8Weights = 127;  // largest code of a weight

// The distribution function of the normal law is 1/2 + x P(x^2) for |x| <= 4 (constant beyond), P
// fitted so that x times it is nowhere off by more than 2.1e-4.
inline constexpr float kGeluLimit = 4;
inline constexpr std::array<float, 7> kGeluPolynomial = {
    0.39803228f,    -0.064733826f,   0.0088327237f, -0.00082467071f,
    4.8919937e-05f, -1.6419225e-06f, 2.3546903e-08f};

// 2^f for -1/2 <= f <= 1/2, relative error 7.5e-5: a fiftieth of a code's step.
inline constexpr std::array<float, 4> kExp2Polynomial = {0.99992807f, 0.69326099f, 0.24261112f,
                                                         0.055171662f};
inline constexpr float kLog2E = 1.44269504f;

// Lowest power of two that is told from nothing: 255 * 2^-30 is no code.
inline constexpr float kExp2Lowest = -30;

// How values from `low` to `high` become codes; low <= 0 <= high.
struct CodeRange {
  float inverse = 0;  // codes per unit; 0 for a row of zeros
  float zero = 0;     // the code that stands for 0, a whole number
  RowScale scale;
};

// One row of a tile: `cols` values `stride` floats apart, rounded to 127 steps of the largest.
void PackInt8Row(const float* x, size_t stride, size_t cols, size_t row, uint8_t* tile);

}  // namespace vade::kernels
