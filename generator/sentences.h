// Sentences as a reader sees them: the borders of base/unicode.h, with those undone that an
// abbreviation, a list number or a hard line break made, and with endless "sentences" cut into
// pieces that can be quoted. The spans cover the text without gaps. Pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "base/unicode.h"

namespace vade {

std::vector<TextSpan> ReaderSentences(std::string_view text);

// The span without the white space at both ends; empty when nothing is left.
TextSpan Trimmed(std::string_view text, TextSpan span);

// Does it hold a letter, a digit or an ideograph?
bool HasContent(std::string_view text);
bool HasLetter(std::string_view text);

}  // namespace vade
