#include "kernels/q4_range.h"

#include "base/bytes.h"

namespace vade::kernels {

Q4Range Q4RangeOf(float least, float most) {
  constexpr uint16_t kInfinity = 0x7c00, kMinusZero = 0x8000;
  uint16_t minimum = FloatToHalf(least);
  if ((minimum & 0x7fff) >= kInfinity) return {};
  if (minimum == kMinusZero) minimum = 0;
  const float span = most - HalfToFloat(minimum);
  if (!(span > 0)) return {0, minimum};
  const uint16_t scale = FloatToHalf(span / 15.0f);
  return scale < kInfinity ? Q4Range{scale, minimum} : Q4Range{};
}

}  // namespace vade::kernels
