// Filter expressions: which documents a search or a listing may find.
//
//   ASSIGN_OR_RETURN(const Filter filter, Filter::Parse("year >= 2024 and tags contains \"hr\""));
//   if (filter.Keeps(info)) ...
//
//   expression = all { "or" all }
//   all        = one { "and" one }
//   one        = "not" one | "(" expression ")" | "exists" field
//              | field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
//              | field [ "not" ] "in" "(" value { "," value } ")"
//              | field [ "not" ] "contains" value
//   field      = id title source mime_type supersedes    strings
//              | created updated valid_from              times: values are RFC 3339 or dates
//              | groups                                  a list of strings: contains, in, exists
//              | meta.NAME | meta."any name" | NAME      metadata; NAME is none of the above
//   value      = "text" 'text' (\" \' \\ \n \t) | number | true | false
//
// Keywords are taken in either case. A comparison is false for a document that does not have the
// field or has it with another type; != is the negation of =, so it is true there. Strings compare
// by bytes. `contains` looks for a part of a string or an element of a list, `in` for any element
// of a list. Errors name the column, counted in characters from 1.
//
// Immutable; safe to share between threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "index/passage.h"

namespace vade {

inline constexpr size_t kMaxFilterBytes = 16 * 1024;
inline constexpr int kMaxFilterNesting = 64;

enum class FilterField : uint8_t {
  kId,
  kTitle,
  kSource,
  kMimeType,
  kSupersedes,
  kCreated,
  kUpdated,
  kValidFrom,
  kGroups,
  kMetadata,
};

// A time, in microseconds since 1970-01-01 UTC.
struct FilterTime {
  int64_t unix_micros = 0;
};
using FilterValue = std::variant<std::string, double, bool, FilterTime>;

struct FilterNode {
  enum class Kind : uint8_t {
    kAnd,  // of all `parts`
    kOr,
    kNot,  // of parts[0]
    kExists,
    kEqual,  // to values[0], as the next four
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kContains,
    kIn,  // any of `values`
  };
  Kind kind = Kind::kAnd;
  std::vector<FilterNode> parts = {};
  FilterField field = FilterField::kId;
  std::string key = {};  // of kMetadata
  std::vector<FilterValue> values = {};
};

class Filter {
 public:
  // INVALID_ARGUMENT with the column and what was expected there.
  static Result<Filter> Parse(std::string_view text);
  bool Keeps(const DocumentInfo& info) const;

 private:
  explicit Filter(FilterNode root) : root_(std::move(root)) {}
  FilterNode root_;
};

}  // namespace vade
