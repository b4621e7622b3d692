// Small string helpers: StrCat, Join, Split, number parsing. Text in human languages is
// base/unicode.h.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace vade {

namespace internal {
inline void AppendPiece(std::string& out, std::string_view s) { out.append(s); }
inline void AppendPiece(std::string& out, const char* s) { out.append(s); }
inline void AppendPiece(std::string& out, const std::string& s) { out.append(s); }
inline void AppendPiece(std::string& out, char c) { out.push_back(c); }
template <typename T>
requires std::is_arithmetic_v<T> &&
    (!std::is_same_v<T, char>)void AppendPiece(std::string& out, T number) {
  if constexpr (std::is_same_v<T, bool>) {
    out.append(number ? "true" : "false");
  } else {
    char buffer[64];
    auto [end, ec] = std::to_chars(buffer, buffer + sizeof(buffer), number);
    out.append(buffer, end);
  }
}
}  // namespace internal

// Concatenates strings, characters and numbers (shortest form that reads back the same).
template <typename... Pieces>
std::string StrCat(const Pieces&... pieces) {
  std::string out;
  (internal::AppendPiece(out, pieces), ...);
  return out;
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator);
std::vector<std::string> Split(std::string_view text, char separator);  // keeps empty parts
std::string_view StripAsciiWhitespace(std::string_view text);
std::string AsciiLower(std::string_view text);
std::string Hex(std::string_view bytes);  // lower case
int HexDigit(char c);                     // its value in either case, -1 when it is none

// The pages of a text are parted by form feeds: that of the byte at `at`. 0 where the text has no
// pages (first_page 0).
uint32_t PageAt(std::string_view text, uint32_t first_page, size_t at);

// The whole of `text` as a number, else nothing.
std::optional<int64_t> ParseInt(std::string_view text);
std::optional<uint64_t> ParseUint(std::string_view text);
std::optional<double> ParseDouble(std::string_view text);

}  // namespace vade
