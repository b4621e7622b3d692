// RTF as tokens: braces, control words with their parameter, control symbols, bytes of text.
// Private to rtf.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vade {

struct RtfToken {
  enum class Kind : uint8_t { kOpen, kClose, kWord, kSymbol, kByte, kEnd };
  Kind kind = Kind::kEnd;
  std::string_view word;  // of kWord
  int value = 0;          // its parameter
  bool has_value = false;
  char byte = 0;  // of kSymbol and kByte
};

class RtfTokens {
 public:
  explicit RtfTokens(std::string_view bytes) : bytes_(bytes) {}
  RtfToken Next();

 private:
  RtfToken Control();
  RtfToken Word();

  const std::string_view bytes_;
  size_t pos_ = 0;
};

}  // namespace vade
