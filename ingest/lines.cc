#include "ingest/lines.h"

#include "base/unicode.h"

namespace vade {

Line LineAt(std::string_view text, size_t begin) {
  Line line;
  line.begin = begin;
  const size_t newline = text.find('\n', begin);
  line.end = newline == std::string_view::npos ? text.size() : newline;
  line.next = newline == std::string_view::npos ? text.size() : newline + 1;
  line.first = line.begin;
  while (line.first < line.end) {
    const char c = text[line.first];
    if (c == ' ') {
      ++line.indent;
    } else if (c == '\t') {
      line.indent += 4 - line.indent % 4;
    } else {
      size_t after = line.first;
      if (!IsWhitespace(NextCodePoint(text.substr(0, line.end), &after))) break;
      ++line.indent;
      line.first = after;
      continue;
    }
    ++line.first;
  }
  return line;
}

}  // namespace vade
