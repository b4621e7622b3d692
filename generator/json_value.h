// A JSON text as a tree, for reading schemas: members keep their order, numbers their digits. Made
// from text that anybody may have sent, so size and nesting have limits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace vade {

struct JsonValue {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  bool boolean = false;
  bool whole = false;     // kNumber: without a fraction; 1.0 is
  double number = 0;      // kNumber
  std::string text = {};  // kString: what it says; kNumber: as JSON, equal numbers equal
  std::vector<std::string> keys = {};  // kObject, each once
  std::vector<JsonValue> items = {};   // kArray; kObject: the values of the keys

  bool is(Kind other) const { return kind == other; }
  bool is_false() const { return kind == Kind::kBool && !boolean; }
  // Null when this is no object or has no such key.
  const JsonValue* Find(std::string_view key) const;
};

struct JsonLimits {
  size_t bytes = 256 << 10;
  int depth = 256;
  size_t keys = 2'000;  // of one object; looking one up is linear
};

// INVALID_ARGUMENT: no JSON, a key that comes twice, or beyond the limits.
Result<JsonValue> ParseJson(std::string_view text, const JsonLimits& limits);

// `text` (UTF-8) as a string of JSON, quotes included; only what must be escaped is.
std::string QuotedJson(std::string_view text);

// The same for equal values: without blanks, keys sorted.
std::string CanonicalJson(const JsonValue& value);

}  // namespace vade
