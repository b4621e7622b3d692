#include "service/printable.h"

#include "base/unicode.h"

namespace vade {
namespace {

bool IsLineOrTab(char32_t c) { return c == U'\n' || c == U'\t' || c == 0x2028 || c == 0x2029; }

bool IsControl(char32_t c) { return c < 0x20 || (c >= 0x7f && c <= 0x9f); }

// Marks, embeddings, overrides and isolates of the Unicode bidirectional algorithm.
bool TurnsDirection(char32_t c) {
  return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

std::string Clean(std::string_view text, bool one_line) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = NextCodePoint(text, &pos);
    if (IsLineOrTab(c)) {
      AppendCodePoint(&out, one_line ? U' ' : c);
    } else if (!IsControl(c) && !TurnsDirection(c)) {
      AppendCodePoint(&out, c);
    }
  }
  return out;
}

}  // namespace

std::string PrintableLine(std::string_view text) { return Clean(text, true); }
std::string PrintableText(std::string_view text) { return Clean(text, false); }

}  // namespace vade
