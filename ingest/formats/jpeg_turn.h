// How a camera was held: what the Exif data of a JPEG picture say of turning it for showing.
#pragma once

#include <string_view>

namespace vade {

// Quarters of a full turn, clockwise: 0 to 3. 0 when the file does not say, or says it badly;
// mirrored pictures, which no camera makes, are left as they are.
int QuarterTurnsOf(std::string_view jpeg);

}  // namespace vade
