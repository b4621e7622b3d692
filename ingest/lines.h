// Lines of a text by position, for the scanners of blocks.
#pragma once

#include <cstddef>
#include <string_view>

namespace vade {

struct Line {
  size_t begin = 0;
  size_t end = 0;    // of the characters, "\n" not included
  size_t next = 0;   // begin of the following line, or the text's size
  size_t first = 0;  // first character that is no white space; == end when blank
  int indent = 0;    // columns before `first`, tabs to multiples of four
  bool blank() const { return first == end; }
};

// Precondition: begin <= text.size(). White space is Unicode's.
Line LineAt(std::string_view text, size_t begin);

}  // namespace vade
