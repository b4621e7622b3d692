// MinHash: a small sketch of a text, from which the likeness of two texts can be told without the
// texts.
//
// The likeness that is estimated is Jaccard's: of the runs of kRun words that occur in either text,
// the share that occurs in both. Words are runs of ASCII letters and digits, in lower case, and
// single other letters; the rest does not count. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vade {

inline constexpr size_t kSketchSize = 64;
using Sketch = std::array<uint32_t, kSketchSize>;

// Nothing for a text that is too short to be like others by more than chance.
std::optional<Sketch> SketchOf(std::string_view text);

// 0..1, give or take 0.05.
double Likeness(const Sketch& a, const Sketch& b);

// Parts of a sketch: two texts that are alike by .8 have one in common in all but 2 of 10,000
// cases; by .3, in 12 of 100.
inline constexpr size_t kSketchBands = 16;
std::array<uint64_t, kSketchBands> BandsOf(const Sketch& sketch);

}  // namespace vade
