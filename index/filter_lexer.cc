#include "index/filter_lexer.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace vade {
namespace {

using Kind = FilterToken::Kind;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
// Names of metadata are of any script.
bool StartsName(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool ContinuesName(char c) { return StartsName(c) || IsDigit(c) || c == '.' || c == '-'; }

}  // namespace

Status FilterLexer::Error(size_t at, std::string_view what) const {
  size_t column = 1;
  for (size_t i = 0; i < std::min(at, text_.size()); ++i) {
    column += (static_cast<unsigned char>(text_[i]) & 0xc0) != 0x80;
  }
  return InvalidArgument(StrCat("filter, column ", column, ": ", what));
}

Result<FilterToken> FilterLexer::Next() {
  while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string::npos) {
    ++at_;
  }
  if (at_ == text_.size()) return FilterToken{.kind = Kind::kEnd, .text = "", .at = at_};
  const char c = text_[at_];
  if (StartsName(c)) return Name();
  if (c == '"' || c == '\'') return String();
  if (IsDigit(c) || c == '-' || c == '.') return Number();
  return Symbol();
}

Result<FilterToken> FilterLexer::Name() {
  const size_t begin = at_;
  while (at_ < text_.size() && ContinuesName(text_[at_])) ++at_;
  FilterToken token{
      .kind = Kind::kName, .text = std::string(text_.substr(begin, at_ - begin)), .at = begin};
  if (token.text.back() != '.') return token;
  // meta."any name"
  if (at_ == text_.size() || (text_[at_] != '"' && text_[at_] != '\'')) {
    return Error(at_, "a name ends with '.'; expected a name or a quoted name behind it");
  }
  ASSIGN_OR_RETURN(const FilterToken quoted, String());
  token.text += quoted.text;
  return token;
}

Result<FilterToken> FilterLexer::String() {
  FilterToken token{.kind = Kind::kString, .text = "", .at = at_};
  const char quote = text_[at_++];
  for (; at_ < text_.size() && text_[at_] != quote; ++at_) {
    if (text_[at_] != '\\') {
      token.text.push_back(text_[at_]);
      continue;
    }
    if (++at_ == text_.size()) break;
    switch (text_[at_]) {
      case 'n': token.text.push_back('\n'); break;
      case 't': token.text.push_back('\t'); break;
      case '"':
      case '\'':
      case '\\': token.text.push_back(text_[at_]); break;
      default: return Error(at_, "expected one of \" ' \\ n t behind a backslash");
    }
  }
  if (at_ == text_.size()) return Error(token.at, "a quote without its end");
  ++at_;
  return token;
}

Result<FilterToken> FilterLexer::Number() {
  const size_t begin = at_++;
  while (at_ < text_.size() && (ContinuesName(text_[at_]) || text_[at_] == '+')) ++at_;
  const std::string text(text_.substr(begin, at_ - begin));
  const auto number = ParseDouble(text);
  if (!number || !std::isfinite(*number)) {
    return Error(begin, StrCat("'", text, "' is not a number; put quotes around a text or a time"));
  }
  return FilterToken{.kind = Kind::kNumber, .text = text, .number = *number, .at = begin};
}

Result<FilterToken> FilterLexer::Symbol() {
  const size_t begin = at_;
  const char c = text_[at_++];
  const auto token = [&](Kind kind) {
    return FilterToken{
        .kind = kind, .text = std::string(text_.substr(begin, at_ - begin)), .at = begin};
  };
  if (c == '(' || c == ')' || c == ',') return token(Kind::kPunctuation);
  const bool equals = at_ < text_.size() && text_[at_] == '=';
  if (c == '=' && equals) return Error(begin, "write = for equality");
  if (c == '=') return token(Kind::kOperator);
  if ((c == '<' || c == '>' || c == '!') && equals) ++at_;
  if (c == '<' || c == '>' || (c == '!' && equals)) return token(Kind::kOperator);
  if (c == '!') return Error(begin, "expected != here; a condition is negated with not");
  if (c == '&') return Error(begin, "write and");
  if (c == '|') return Error(begin, "write or");
  return Error(begin, "expected a field, a value, an operator (= != < <= > >=) or a parenthesis");
}

}  // namespace vade
