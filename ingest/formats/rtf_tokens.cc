#include "ingest/formats/rtf_tokens.h"

#include <algorithm>

#include "base/strings.h"

namespace vade {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

RtfToken RtfTokens::Next() {
  while (pos_ < bytes_.size()) {
    const char c = bytes_[pos_++];
    if (c == '\r' || c == '\n' || c == '\0') continue;
    if (c == '{') return {.kind = RtfToken::Kind::kOpen, .word = {}};
    if (c == '}') return {.kind = RtfToken::Kind::kClose, .word = {}};
    if (c == '\\') return Control();
    return {.kind = RtfToken::Kind::kByte, .word = {}, .byte = c};
  }
  return {};
}

RtfToken RtfTokens::Control() {
  if (pos_ >= bytes_.size()) return {};
  if (IsLetter(bytes_[pos_])) return Word();
  const char c = bytes_[pos_++];
  if (c == '\'' && pos_ + 1 < bytes_.size()) {
    const int value =
        std::max(HexDigit(bytes_[pos_]), 0) * 16 + std::max(HexDigit(bytes_[pos_ + 1]), 0);
    pos_ += 2;
    return {.kind = RtfToken::Kind::kByte, .word = {}, .byte = static_cast<char>(value)};
  }
  if (c == '\\' || c == '{' || c == '}') {
    return {.kind = RtfToken::Kind::kByte, .word = {}, .byte = c};
  }
  return {.kind = RtfToken::Kind::kSymbol, .word = {}, .byte = c};
}

RtfToken RtfTokens::Word() {
  const size_t begin = pos_;
  while (pos_ < bytes_.size() && IsLetter(bytes_[pos_])) ++pos_;
  RtfToken token{.kind = RtfToken::Kind::kWord, .word = bytes_.substr(begin, pos_ - begin)};
  const bool negative = pos_ < bytes_.size() && bytes_[pos_] == '-';
  if (negative) ++pos_;
  while (pos_ < bytes_.size() && IsDigit(bytes_[pos_])) {
    token.has_value = true;
    token.value = std::min(token.value, 100'000'000) * 10 + (bytes_[pos_++] - '0');
  }
  if (negative) token.value = -token.value;
  if (pos_ < bytes_.size() && bytes_[pos_] == ' ') ++pos_;
  if (token.word == "bin" && token.value > 0) {
    pos_ += std::min(static_cast<size_t>(token.value), bytes_.size() - pos_);
  }
  return token;
}

}  // namespace vade
