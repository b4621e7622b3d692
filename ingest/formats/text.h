// What the parsers share: bytes of a file as text, and the facts that it states of itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "index/passage.h"

namespace vade {

// The charset is found out. INVALID_ARGUMENT, with the reason, when the bytes are no text.
Result<std::string> ReadText(std::string_view bytes);

// The same for what must be read whatever it is: by the charset that was declared ("": none), else
// as above, else with U+FFFD for what is no text.
std::string ReadAnyText(std::string_view bytes, const std::string& charset);

// Words with something in them, unless the key has a value already.
void KeepFact(std::string_view key, std::string_view value, Metadata* metadata);

std::string NumberList(const std::vector<int>& numbers);  // "1, 3"

}  // namespace vade
