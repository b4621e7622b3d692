#include "generator/json_forms.h"

#include <algorithm>
#include <span>

#include "base/strings.h"
#include "base/unicode.h"
#include "generator/grammar_text.h"

namespace vade {
namespace {

constexpr std::string_view kRules = R"grammar(
json-value   ::= json-object | json-array | json-string | json-number | "true" | "false" | "null"
json-object  ::= "{" (json-pair ("," " "? json-pair)*)? "}"
json-pair    ::= json-string ":" " "? json-value
json-array   ::= "[" (json-value ("," " "? json-value)*)? "]"
json-string  ::= "\"" json-char* "\""
json-char    ::= [^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" json-unicode)
# A code point below the surrogates or above them, or both halves of a pair.
json-unicode ::= ([0-9A-CE-Fa-ce-f] json-hex | [Dd] [0-7]) json-hex json-hex
               | [Dd] [89ABab] json-hex json-hex "\\u" [Dd] [C-Fc-f] json-hex json-hex
json-hex     ::= [0-9A-Fa-f]
# Short enough for every reader: 18 digits fit an int64, and no exponent overflows a double.
json-number  ::= json-integer ("." [0-9]{1,18})? ([eE] [-+]? [0-9]{1,2})?
json-integer ::= "-"? ("0" | [1-9] [0-9]{0,17})
json-key-end ::= [^"\\\x00-\x1F]* "\""

# RFC 3339; months have their days, and the 29th of February its leap years.
format-date      ::= [0-9]{4} "-" any-year | leap-year "-02-29"
any-year         ::= ("0" [13578] | "10" | "12") "-" (day-30 | "31")
                   | ("0" [469] | "11") "-" day-30
                   | "02-" day-28
day-28           ::= "0" [1-9] | "1" [0-9] | "2" [0-8]
day-30           ::= day-28 | "29" | "30"
leap-year        ::= [0-9]{2} ("0" [48] | [2468] [048] | [13579] [26])
                   | ([02468] [048] | [13579] [26]) "00"
format-time      ::= hour-minute ":" [0-5] [0-9] ("." [0-9]{1,9})? ("Z" | [-+] hour-minute)
hour-minute      ::= ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]
format-date-time ::= format-date "T" format-time
format-uuid      ::= json-hex{8} "-" json-hex{4} "-" json-hex{4} "-" json-hex{4} "-" json-hex{12}
format-ipv4      ::= octet ("." octet){3}
octet            ::= [0-9] | [1-9] [0-9] | "1" [0-9]{2} | "2" [0-4] [0-9] | "25" [0-5]
format-hostname  ::= label ("." label){0,9}
label            ::= [A-Za-z0-9] ([-A-Za-z0-9]{0,22} [A-Za-z0-9])?
format-email     ::= mail-atom ("." mail-atom){0,3} "@" label ("." label){1,4}
mail-atom        ::= [A-Za-z0-9_+-]{1,15}
format-uri       ::= [a-z] [-a-z0-9+.]{0,15} "://" format-hostname (":" [1-9] [0-9]{0,3})?
                     ("/" uri-char*)* ("?" (uri-char | [/?])*)? ("#" (uri-char | [/?])*)?
uri-char         ::= [-A-Za-z0-9._~!$&'()*+,;=:@] | "%" json-hex json-hex
)grammar";

constexpr std::string_view kFormatPrefix = "format-";

CodePointSet NeedsEscape() { return CodePointSet({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}); }

std::string Escaped(char32_t c) {
  switch (c) {
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    case '"': return "\\\"";
    case '\\': return "\\\\";
    default: return StrCat("\\u00", Hex(std::string(1, static_cast<char>(c))));
  }
}

ExprId Rule(std::string_view name, GrammarBuilder* builder) {
  return builder->Ref(builder->Declare(name));
}

using Name = std::u32string;

// The rest of a key behind `at` code points that all of `names` (sorted) begin with.
ExprId KeyRest(std::span<const Name> names, size_t at, GrammarBuilder* builder) {
  const bool is_name = !names.empty() && names[0].size() == at;
  if (is_name) names = names.subspan(1);
  std::vector<ExprId> ways;
  if (!is_name) ways.push_back(builder->Literal("\""));
  std::vector<CodePointRange> branches;
  while (!names.empty()) {
    const char32_t c = names[0][at];
    size_t count = 1;
    while (count < names.size() && names[count][at] == c) ++count;
    branches.push_back({c, c});
    ways.push_back(builder->Sequence(
        {builder->Set(CodePointSet({{c, c}})), KeyRest(names.first(count), at + 1, builder)}));
    names = names.subspan(count);
  }
  const CodePointSet others = NeedsEscape().Plus(CodePointSet(std::move(branches))).Negated();
  ways.push_back(builder->Sequence({builder->Set(others), Rule("json-key-end", builder)}));
  return builder->Alternatives(std::move(ways));
}

}  // namespace

Status AddJsonRules(GrammarBuilder* builder) {
  const Status status = AddGrammarText(kRules, builder);
  if (!status.ok()) return Internal(StrCat("the rules of JSON: ", status.message()));
  return OkStatus();
}

ExprId JsonComma(GrammarBuilder* builder) {
  return builder->Sequence({builder->Literal(","), builder->Optional(builder->Literal(" "))});
}

ExprId JsonColon(GrammarBuilder* builder) {
  return builder->Sequence({builder->Literal(":"), builder->Optional(builder->Literal(" "))});
}

ExprId JsonCharOf(const CodePointSet& set, GrammarBuilder* builder) {
  std::vector<ExprId> ways = {builder->Set(set.Minus(NeedsEscape()))};
  const CodePointSet escaped = set.Minus(NeedsEscape().Negated());
  for (const CodePointRange& range : escaped.ranges()) {
    for (char32_t c = range.first; c <= range.last; ++c) {
      ways.push_back(builder->Literal(Escaped(c)));
    }
  }
  return builder->Alternatives(std::move(ways));
}

ExprId JsonString(int min_length, int max_length, GrammarBuilder* builder) {
  if (min_length == 0 && max_length == kUnbounded) return Rule(kJsonString, builder);
  // One rule for all strings of these lengths: each length is as many states.
  const RuleId rule = builder->Declare(StrCat("string of ", min_length, " to ", max_length));
  if (!builder->IsDefined(rule)) {
    const ExprId chars = builder->Repeat(Rule(kJsonChar, builder), min_length, max_length);
    const ExprId quote = builder->Literal("\"");
    builder->Define(rule, builder->Sequence({quote, chars, quote}));
  }
  return builder->Ref(rule);
}

ExprId JsonFormat(std::string_view format, GrammarBuilder* builder) {
  const RuleId rule = builder->Declare(StrCat(kFormatPrefix, format));
  if (!builder->IsDefined(rule)) return kNothing;
  const ExprId quote = builder->Literal("\"");
  return builder->Sequence({quote, builder->Ref(rule), quote});
}

ExprId JsonKeyExcept(std::vector<std::string> names, GrammarBuilder* builder) {
  std::vector<Name> sorted;
  for (const std::string& name : names) {
    Name code_points;
    for (size_t pos = 0; pos < name.size();) code_points.push_back(NextCodePoint(name, &pos));
    // What needs an escape cannot be written here anyway.
    const CodePointSet escape = NeedsEscape();
    const bool plain = std::none_of(code_points.begin(), code_points.end(),
                                    [&](char32_t c) { return escape.Contains(c); });
    if (plain) sorted.push_back(std::move(code_points));
  }
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return builder->Sequence({builder->Literal("\""), KeyRest(sorted, 0, builder)});
}

ExprId JsonObject(const std::vector<JsonProperty>& properties, ExprId more,
                  GrammarBuilder* builder) {
  const ExprId comma = JsonComma(builder), colon = JsonColon(builder);
  const auto pair = [&](const JsonProperty& property) {
    return builder->Sequence({builder->Literal(property.key), colon, property.value});
  };
  const auto next = [&](const JsonProperty& property, ExprId member) {
    const ExprId follows = builder->Sequence({comma, member});
    return property.required ? follows : builder->Optional(follows);
  };
  const ExprId any_more = builder->Repeat(builder->Sequence({comma, more}), 0, kUnbounded);

  // Any of the first `firsts` properties may be the first that is there; those behind always
  // follow.
  size_t firsts = 0;
  while (firsts < properties.size() && !properties[firsts].required) ++firsts;
  const bool may_be_empty = firsts == properties.size();
  if (!may_be_empty) ++firsts;
  std::vector<ExprId> rest;
  for (size_t i = firsts; i < properties.size(); ++i) {
    rest.push_back(next(properties[i], pair(properties[i])));
  }
  rest.push_back(any_more);
  ExprId tail = builder->Sequence(std::move(rest));

  // From the last to the first. Members and tails become rules because each stands in two places.
  std::vector<ExprId> ways;
  const auto share = [&](ExprId expr) {
    if (firsts <= 1 || expr == kNothing) return expr;
    const RuleId rule = builder->Declare(StrCat("part ", builder->rule_count(), " of an object"));
    builder->Define(rule, expr);
    return builder->Ref(rule);
  };
  for (size_t i = firsts; i-- > 0;) {
    const ExprId member = share(pair(properties[i]));
    tail = share(tail);
    ways.push_back(builder->Sequence({member, tail}));
    tail = builder->Sequence({next(properties[i], member), tail});
  }
  if (may_be_empty) {
    ways.push_back(builder->Empty());
    ways.push_back(builder->Sequence({more, any_more}));
  }
  return builder->Sequence(
      {builder->Literal("{"), builder->Alternatives(std::move(ways)), builder->Literal("}")});
}

ExprId JsonArray(const JsonItems& items, GrammarBuilder* builder) {
  const ExprId comma = JsonComma(builder);
  const bool bounded = items.max != kUnbounded;
  const auto size = static_cast<int>(items.prefix.size());
  const int prefix = bounded ? std::min(size, items.max) : size;
  const ExprId following = builder->Sequence({comma, items.rest});
  const int min_rest = std::max(0, items.min - prefix);
  const int max_rest = bounded ? items.max - prefix : kUnbounded;
  ExprId tail;
  if (prefix > 0 || max_rest == 0) {
    tail = builder->Repeat(following, min_rest, max_rest);
  } else {
    tail = builder->Sequence({items.rest, builder->Repeat(following, std::max(0, min_rest - 1),
                                                          bounded ? max_rest - 1 : kUnbounded)});
    if (items.min == 0) tail = builder->Optional(tail);
  }
  const auto value = [&](int i) {
    return i == 0 ? items.prefix[0] : builder->Sequence({comma, items.prefix[i]});
  };
  const int always = std::min(items.min, prefix);
  for (int i = prefix; i-- > always;) {
    tail = builder->Optional(builder->Sequence({value(i), tail}));
  }
  std::vector<ExprId> parts = {builder->Literal("[")};
  for (int i = 0; i < always; ++i) parts.push_back(value(i));
  parts.push_back(tail);
  parts.push_back(builder->Literal("]"));
  return builder->Sequence(std::move(parts));
}

}  // namespace vade
