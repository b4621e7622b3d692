// How a block of kQ4 (kernels/kernels.h) is scaled: one piece for all levels, which differ in how
// they look for the least and the greatest element. Private to kernels/.
#pragma once

#include <cstdint>

namespace vade::kernels {

struct Q4Range {
  uint16_t scale = 0x7e00, minimum = 0;  // float16 bits; the scale is NaN where nothing can be held
};

// Of finite values. A minimum is never -0, so that the order in which the least was looked for does
// not show.
Q4Range Q4RangeOf(float least, float most);

}  // namespace vade::kernels
