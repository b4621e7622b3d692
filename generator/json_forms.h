// The forms of JSON as expressions of a grammar: any value, strings, objects, arrays.
//
// White space is the least that reads well: one blank or none behind ':' and behind ',', and none
// anywhere else, so that a model cannot loop in blanks. A character of a string is written as
// itself or, where JSON asks for it, as an escape; halves of surrogate pairs do not occur alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "generator/grammar_builder.h"

namespace vade {

// Rules that AddJsonRules() brings.
constexpr std::string_view kJsonValue = "json-value", kJsonObject = "json-object",
                           kJsonArray = "json-array", kJsonString = "json-string",
                           kJsonChar = "json-char", kJsonNumber = "json-number",
                           kJsonInteger = "json-integer";

// Defines those rules and the formats of strings. INTERNAL: they do not parse, a bug of ours.
Status AddJsonRules(GrammarBuilder* builder);

// ',' or ':' and perhaps a blank.
ExprId JsonComma(GrammarBuilder* builder);
ExprId JsonColon(GrammarBuilder* builder);

// One of these code points as it stands between the quotes of a string. Preferred is the plain one:
// "\u0041" is not among the ways to write an A.
ExprId JsonCharOf(const CodePointSet& set, GrammarBuilder* builder);

// A string of that many code points, quotes included; max may be kUnbounded.
ExprId JsonString(int min_length, int max_length, GrammarBuilder* builder);

// A string of the format ("date", "uuid"), quotes included; kNothing when it is not known. The
// known ones, for a message: kJsonFormats.
ExprId JsonFormat(std::string_view format, GrammarBuilder* builder);
constexpr std::string_view kJsonFormats = "date, time, date-time, uuid, ipv4, hostname, email, uri";

// A string without escapes that is none of `names`, quotes included.
ExprId JsonKeyExcept(std::vector<std::string> names, GrammarBuilder* builder);
constexpr size_t kMaxKeyBytes = 256;  // of each of `names`

struct JsonProperty {
  std::string key;  // as JSON, with its quotes
  ExprId value = kNothing;
  bool required = false;
};

// The properties in their order, optional ones there or not, then any number of `more` (a key, a
// colon and a value; kNothing: none). Linear in the number of properties.
ExprId JsonObject(const std::vector<JsonProperty>& properties, ExprId more,
                  GrammarBuilder* builder);

// First the values of `prefix`, each one only behind all before it, then any number of `rest`
// (kNothing: none); from min to max values in all. max may be kUnbounded.
struct JsonItems {
  std::vector<ExprId> prefix = {};
  ExprId rest = kNothing;
  int min = 0, max = kUnbounded;
};
ExprId JsonArray(const JsonItems& items, GrammarBuilder* builder);

}  // namespace vade
