// Text of documents and requests, made fit for a terminal and a log: what could move the cursor,
// change colours, forge lines or turn the reading direction is taken out. Pure functions; any bytes
// are allowed.
#pragma once

#include <string>
#include <string_view>

namespace vade {

// One line: line ends and tabs become blanks; the other C0 and C1 controls, DEL and the controls of
// the reading direction are dropped; ill-formed UTF-8 becomes U+FFFD.
std::string PrintableLine(std::string_view text);

// The same for a body of text, which keeps its line ends and tabs.
std::string PrintableText(std::string_view text);

}  // namespace vade
