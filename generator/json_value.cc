#include "generator/json_value.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace vade {
namespace {

using Kind = JsonValue::Kind;

// Receives the events of nlohmann's reader; false ends the reading.
class TreeBuilder {
 public:
  explicit TreeBuilder(const JsonLimits& limits) : limits_(limits) {}

  JsonValue root;
  std::string error;

  bool null() { return Add({}); }
  bool boolean(bool value) { return Add({.kind = Kind::kBool, .boolean = value}); }
  bool number_integer(int64_t value) { return AddNumber(StrCat(value), double(value)); }
  bool number_unsigned(uint64_t value) { return AddNumber(StrCat(value), double(value)); }
  bool number_float(double value, const std::string&) {
    // Up to here a double tells every whole number apart.
    const bool small = std::fabs(value) < 9e15 && std::floor(value) == value;
    return AddNumber(small ? StrCat(static_cast<int64_t>(value)) : StrCat(value), value);
  }
  bool string(std::string& value) { return Add({.kind = Kind::kString, .text = value}); }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(size_t) { return Open(Kind::kObject); }
  bool start_array(size_t) { return Open(Kind::kArray); }
  bool end_array() { return Close(); }
  bool end_object() {
    std::vector<std::string_view> keys(open_.back().keys.begin(), open_.back().keys.end());
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) return Fail(StrCat("the key ", QuotedJson(*twice), " comes twice"));
    return Close();
  }
  bool key(std::string& name) {
    if (open_.back().keys.size() >= limits_.keys) {
      return Fail(StrCat("an object has more than ", limits_.keys, " keys"));
    }
    open_.back().keys.push_back(name);
    return true;
  }
  bool parse_error(size_t position, const std::string&, const std::exception&) {
    return Fail(StrCat("no valid JSON from byte ", position, " on"));
  }

 private:
  bool Fail(std::string what) {
    error = std::move(what);
    return false;
  }
  bool AddNumber(std::string text, double value) {
    return Add({.kind = Kind::kNumber,
                .whole = std::floor(value) == value,
                .number = value,
                .text = std::move(text)});
  }
  bool Open(Kind kind) {
    if (open_.size() >= static_cast<size_t>(limits_.depth)) {
      return Fail(StrCat("nested more than ", limits_.depth, " deep"));
    }
    open_.push_back({.kind = kind});
    return true;
  }
  bool Close() {
    JsonValue done = std::move(open_.back());
    open_.pop_back();
    return Add(std::move(done));
  }
  bool Add(JsonValue value) {
    if (open_.empty()) {
      root = std::move(value);
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  const JsonLimits limits_;
  std::vector<JsonValue> open_;
};

}  // namespace

const JsonValue* JsonValue::Find(std::string_view key) const {
  const auto found = std::find(keys.begin(), keys.end(), key);
  return found == keys.end() ? nullptr : &items[found - keys.begin()];
}

Result<JsonValue> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return InvalidArgument(
        StrCat("it has ", text.size(), " bytes; at most ", limits.bytes, " are read"));
  }
  TreeBuilder builder(limits);
  if (!nlohmann::json::sax_parse(text, &builder)) {
    return InvalidArgument(std::move(builder.error));
  }
  return std::move(builder.root);
}

std::string QuotedJson(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += StrCat("\\u00", Hex(std::string_view(&c, 1)));
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

std::string CanonicalJson(const JsonValue& value) {
  switch (value.kind) {
    case Kind::kNull: return "null";
    case Kind::kBool: return value.boolean ? "true" : "false";
    case Kind::kNumber: return value.text;
    case Kind::kString: return QuotedJson(value.text);
    case Kind::kArray:
    case Kind::kObject: break;
  }
  std::vector<std::string> parts;
  for (size_t i = 0; i < value.items.size(); ++i) {
    const std::string item = CanonicalJson(value.items[i]);
    parts.push_back(value.is(Kind::kArray) ? item : StrCat(QuotedJson(value.keys[i]), ":", item));
  }
  if (value.is(Kind::kArray)) return StrCat("[", Join(parts, ","), "]");
  std::sort(parts.begin(), parts.end());
  return StrCat("{", Join(parts, ","), "}");
}

}  // namespace vade
