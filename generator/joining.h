// Questions that no passage answers by itself, and the passages that may answer them together
// (docs/reading.md, "Several passages together").
//
// Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "generator/reading.h"

namespace vade {

// Whether the question speaks of two things at once: "both", "in common", a choice between two
// ("which is older, A or B"). By its words alone, so it is wrong at times: a passage that surely
// answers by itself outweighs it.
bool AsksForSeveral(std::string_view question);

// Indices of the readings that speak of what is asked, best first: their passage makes the question
// likelier, nearly as much as the best one's or more. At most kMostJoined; fewer than two: there is
// nothing to join.
inline constexpr size_t kMostJoined = 4;
std::vector<size_t> HelpingReadings(std::span<const Reading> readings, const Choice& choice);

}  // namespace vade
