// The words of a filter expression (filter.h), one after the other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace vade {

struct FilterToken {
  enum class Kind : uint8_t {
    kEnd,
    kName,    // also keywords
    kString,  // text: what is between the quotes, escapes resolved
    kNumber,
    kOperator,     // = != < <= > >=
    kPunctuation,  // ( ) ,
  };
  Kind kind = Kind::kEnd;
  std::string text = {};
  double number = 0;
  size_t at = 0;  // byte offset of its first character
};

class FilterLexer {
 public:
  explicit FilterLexer(std::string_view text) : text_(text) {}
  Result<FilterToken> Next();
  // INVALID_ARGUMENT about the character at this byte.
  Status Error(size_t at, std::string_view what) const;

 private:
  Result<FilterToken> Name();
  Result<FilterToken> String();
  Result<FilterToken> Number();
  Result<FilterToken> Symbol();

  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace vade
