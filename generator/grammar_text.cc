#include "generator/grammar_text.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr int kMaxNesting = 100;

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Parser {
 public:
  Parser(std::string_view text, GrammarBuilder* builder) : text_(text), builder_(*builder) {}

  Status Run() {
    SkipBlanks();
    while (pos_ < text_.size()) RETURN_IF_ERROR(ParseRule());
    for (const auto& [rule, place] : uses_) {
      if (!builder_.IsDefined(rule)) {
        return ErrorAt(place, StrCat("no rule is named '", builder_.name(rule), "'"));
      }
    }
    return OkStatus();
  }

 private:
  Status ErrorAt(size_t place, std::string_view what) const {
    const std::string_view before = text_.substr(0, place);
    const size_t line_begin = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
    return InvalidArgument(StrCat("grammar ", std::count(before.begin(), before.end(), '\n') + 1,
                                  ":", CodePointCount(before.substr(line_begin)) + 1, ": ", what));
  }
  Status Error(std::string_view what) const { return ErrorAt(pos_, what); }

  char Peek() const { return pos_ < text_.size() ? text_[pos_] : '\0'; }
  bool Take(std::string_view expected) {
    if (!text_.substr(pos_).starts_with(expected)) return false;
    pos_ += expected.size();
    return true;
  }

  void SkipBlanks() {
    while (pos_ < text_.size()) {
      if (Peek() == '#') {
        pos_ = std::min(text_.find('\n', pos_), text_.size());
      } else if (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') {
        ++pos_;
      } else {
        return;
      }
    }
  }

  std::string_view TakeName() {
    const size_t begin = pos_;
    while (IsNameByte(Peek())) ++pos_;
    return text_.substr(begin, pos_ - begin);
  }

  bool AtRule() {
    const size_t begin = pos_;
    TakeName();
    SkipBlanks();
    const bool found = text_.substr(pos_).starts_with("::=");
    pos_ = begin;
    return found;
  }

  Status ParseRule() {
    const size_t place = pos_;
    const std::string_view name = TakeName();
    if (name.empty()) return Error("expected the name of a rule");
    SkipBlanks();
    if (!Take("::=")) return Error(StrCat("expected ::= after the name '", name, "'"));
    ASSIGN_OR_RETURN(const ExprId body, ParseAlternatives(0));
    if (!builder_.Define(builder_.Declare(name), body)) {
      return ErrorAt(place, StrCat("the rule '", name, "' is defined twice"));
    }
    if (pos_ < text_.size() && !AtRule()) return Error("expected a rule, or a part of one");
    return OkStatus();
  }

  Result<ExprId> ParseAlternatives(int nesting) {
    if (nesting > kMaxNesting) {
      return Error(StrCat("groups are nested more than ", kMaxNesting, " deep"));
    }
    std::vector<ExprId> alternatives;
    do {
      ASSIGN_OR_RETURN(const ExprId sequence, ParseSequence(nesting));
      alternatives.push_back(sequence);
    } while (Take("|"));
    return builder_.Alternatives(std::move(alternatives));
  }

  Result<ExprId> ParseSequence(int nesting) {
    std::vector<ExprId> parts;
    for (SkipBlanks(); pos_ < text_.size() && Peek() != '|' && Peek() != ')'; SkipBlanks()) {
      if (IsNameByte(Peek()) && AtRule()) break;
      ASSIGN_OR_RETURN(const ExprId part, ParsePart(nesting));
      ASSIGN_OR_RETURN(const ExprId repeated, ParseRepetition(part));
      RETURN_IF_ERROR(builder_.status());
      parts.push_back(repeated);
    }
    return builder_.Sequence(std::move(parts));
  }

  Result<ExprId> ParsePart(int nesting) {
    if (Peek() == '"') return ParseLiteral();
    if (Peek() == '[') return ParseClass();
    if (Take(".")) return builder_.Set(CodePointSet::All());
    if (Take("(")) {
      ASSIGN_OR_RETURN(const ExprId group, ParseAlternatives(nesting + 1));
      if (!Take(")")) return Error("expected )");
      return group;
    }
    const size_t place = pos_;
    const std::string_view name = TakeName();
    if (name.empty()) return Error("expected a literal, a class, a group or the name of a rule");
    uses_.push_back({builder_.Declare(name), place});
    return builder_.Ref(uses_.back().first);
  }

  Result<ExprId> ParseLiteral() {
    const size_t begin = pos_++;
    std::string bytes;
    while (Peek() != '"') {
      if (pos_ >= text_.size() || Peek() == '\n') return ErrorAt(begin, "the literal has no end");
      ASSIGN_OR_RETURN(const char32_t c, ParseCodePoint());
      AppendCodePoint(&bytes, c);
    }
    ++pos_;
    return builder_.Literal(bytes);
  }

  Result<ExprId> ParseClass() {
    const size_t begin = pos_++;
    const bool negated = Take("^");
    std::vector<CodePointRange> ranges;
    while (Peek() != ']') {
      if (pos_ >= text_.size() || Peek() == '\n') return ErrorAt(begin, "the class has no end");
      ASSIGN_OR_RETURN(const char32_t first, ParseCodePoint());
      char32_t last = first;
      if (Peek() == '-' && pos_ + 1 < text_.size() && text_[pos_ + 1] != ']') {
        ++pos_;
        ASSIGN_OR_RETURN(last, ParseCodePoint());
        if (last < first) return Error("the range goes backwards");
      }
      ranges.push_back({first, last});
    }
    ++pos_;
    const CodePointSet set(std::move(ranges));
    const ExprId expr = builder_.Set(negated ? set.Negated() : set);
    if (expr == kNothing) return ErrorAt(begin, "no character is in this class");
    return expr;
  }

  // One code point, perhaps written as an escape.
  Result<char32_t> ParseCodePoint() {
    if (!Take("\\")) return NextCodePoint(text_, &pos_);
    const char kind = Peek();
    ++pos_;
    switch (kind) {
      case 'n': return U'\n';
      case 'r': return U'\r';
      case 't': return U'\t';
      case 'x': return ParseHex(2);
      case 'u': return ParseHex(4);
      case 'U': return ParseHex(8);
      default: break;
    }
    if (kind != '\0' && std::string_view("\"\\[]-^").find(kind) != std::string_view::npos) {
      return static_cast<char32_t>(kind);
    }
    pos_ -= 2;
    return Error("unknown escape");
  }

  Result<char32_t> ParseHex(int digits) {
    char32_t value = 0;
    for (int i = 0; i < digits; ++i, ++pos_) {
      const int digit = HexDigit(Peek());
      if (digit < 0) return Error(StrCat("expected ", digits, " hexadecimal digits"));
      value = value * 16 + digit;
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
      return Error("the escape before this names no code point");
    }
    return value;
  }

  Result<ExprId> ParseRepetition(ExprId part) {
    int min = 1, max = 1;
    SkipBlanks();
    if (Take("*")) {
      min = 0, max = kUnbounded;
    } else if (Take("+")) {
      max = kUnbounded;
    } else if (Take("?")) {
      min = 0;
    } else if (Take("{")) {
      ASSIGN_OR_RETURN(min, ParseCount());
      max = min;
      if (Take(",")) {
        max = kUnbounded;
        SkipBlanks();
        if (Peek() != '}') {
          ASSIGN_OR_RETURN(max, ParseCount());
        }
      }
      if (!Take("}")) return Error("expected }");
      if (max != kUnbounded && max < min) return Error("the counts of the repetition are swapped");
    } else {
      return part;
    }
    SkipBlanks();
    if (pos_ < text_.size() && std::string_view("*+?{").find(Peek()) != std::string_view::npos) {
      return Error("a part is repeated twice; put a group around the inner one");
    }
    return builder_.Repeat(part, min, max);
  }

  Result<int> ParseCount() {
    SkipBlanks();
    const size_t begin = pos_;
    while (Peek() >= '0' && Peek() <= '9') ++pos_;
    const auto count = ParseInt(text_.substr(begin, pos_ - begin));
    if (begin == pos_) return Error("expected a count");
    if (!count || *count > kMaxRepeat) {
      return ErrorAt(begin, StrCat("a count is at most ", kMaxRepeat));
    }
    SkipBlanks();
    return static_cast<int>(*count);
  }

  const std::string_view text_;
  GrammarBuilder& builder_;
  size_t pos_ = 0;
  std::vector<std::pair<RuleId, size_t>> uses_;  // where a rule was named
};

}  // namespace

Status AddGrammarText(std::string_view text, GrammarBuilder* builder) {
  if (text.size() > kMaxGrammarBytes) {
    return InvalidArgument(
        StrCat("the grammar has ", text.size(), " bytes; at most ", kMaxGrammarBytes, " are read"));
  }
  if (!IsValidUtf8(text)) return InvalidArgument("the grammar is not UTF-8");
  return Parser(text, builder).Run();
}

}  // namespace vade
