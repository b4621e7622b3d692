#include "generator/json_pattern.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"
#include "generator/json_forms.h"

namespace vade {
namespace {

constexpr int kMaxNesting = 50;
constexpr std::string_view kSyntax = "^$\\.*+?()[]{}|/";

CodePointSet DigitChars() { return CodePointSet({{'0', '9'}}); }
CodePointSet WordChars() { return CodePointSet({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}); }
CodePointSet LineEnds() { return CodePointSet({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}); }
// White space and line ends of ECMA-262.
CodePointSet SpaceChars() {
  return CodePointSet({{'\t', '\r'},
                       {' ', ' '},
                       {0xA0, 0xA0},
                       {0x1680, 0x1680},
                       {0x2000, 0x200A},
                       {0x2028, 0x2029},
                       {0x202F, 0x202F},
                       {0x205F, 0x205F},
                       {0x3000, 0x3000},
                       {0xFEFF, 0xFEFF}});
}

std::optional<CodePointSet> NamedClass(char letter) {
  switch (letter) {
    case 'd': return DigitChars();
    case 'D': return DigitChars().Negated();
    case 'w': return WordChars();
    case 'W': return WordChars().Negated();
    case 's': return SpaceChars();
    case 'S': return SpaceChars().Negated();
    default: return std::nullopt;
  }
}

class PatternParser {
 public:
  PatternParser(std::string_view text, GrammarBuilder* builder) : text_(text), builder_(*builder) {}

  Result<ExprId> Run() {
    std::vector<ExprId> ways;
    do {
      const bool at_start = Take("^");
      ASSIGN_OR_RETURN(const ExprId sequence, ParseSequence(0));
      const bool at_end = Take("$");
      if (pos_ < text_.size() && Peek() != '|') return Unexpected();
      ways.push_back(builder_.Sequence({at_start ? builder_.Empty() : Anything(), sequence,
                                        at_end ? builder_.Empty() : Anything()}));
    } while (Take("|"));
    const ExprId quote = builder_.Literal("\"");
    return builder_.Sequence({quote, builder_.Alternatives(std::move(ways)), quote});
  }

 private:
  Status Error(std::string_view what) const {
    return InvalidArgument(StrCat("character ", Place(), ": ", what));
  }
  Status Unsupported(std::string_view what) const {
    return Unimplemented(StrCat("character ", Place(), ": ", what, " is not supported"));
  }
  size_t Place() const { return CodePointCount(text_.substr(0, std::min(pos_, text_.size()))) + 1; }
  Status Unexpected() const {
    if (Peek() == '^' || Peek() == '$') return Unsupported("an anchor inside the pattern");
    return Error(StrCat("unexpected '", std::string(1, Peek()), "'"));
  }

  char Peek() const { return pos_ < text_.size() ? text_[pos_] : '\0'; }
  bool Take(std::string_view expected) {
    if (!text_.substr(pos_).starts_with(expected)) return false;
    pos_ += expected.size();
    return true;
  }

  ExprId Anything() {
    return builder_.Repeat(builder_.Ref(builder_.Declare(kJsonChar)), 0, kUnbounded);
  }

  // Up to a |, a ), a $ or the end.
  Result<ExprId> ParseSequence(int nesting) {
    if (nesting > kMaxNesting) return Error("groups are nested too deep");
    std::vector<ExprId> parts;
    while (pos_ < text_.size() && std::string_view("|)$").find(Peek()) == std::string_view::npos) {
      ASSIGN_OR_RETURN(const ExprId atom, ParseAtom(nesting));
      ASSIGN_OR_RETURN(const ExprId repeated, ParseQuantifier(atom));
      RETURN_IF_ERROR(builder_.status());
      parts.push_back(repeated);
    }
    return builder_.Sequence(std::move(parts));
  }

  Result<ExprId> ParseAtom(int nesting) {
    if (Peek() == '(') return ParseGroup(nesting);
    if (Peek() == '[') return ParseClass();
    if (Take(".")) return JsonCharOf(LineEnds().Negated(), &builder_);
    if (Take("\\")) {
      ASSIGN_OR_RETURN(const CodePointSet set, ParseEscape());
      return JsonCharOf(set, &builder_);
    }
    if (kSyntax.find(Peek()) != kSyntax.npos && Peek() != '/') return Unexpected();
    const char32_t c = NextCodePoint(text_, &pos_);
    return JsonCharOf(CodePointSet({{c, c}}), &builder_);
  }

  Result<ExprId> ParseGroup(int nesting) {
    Take("(");
    if (Take("?")) {
      if (Take("<") && Peek() != '=' && Peek() != '!') {
        const size_t end = text_.find('>', pos_);
        if (end == text_.npos) return Error("the name of the group has no end");
        pos_ = end + 1;
      } else if (!Take(":")) {
        return Unsupported("look-around");
      }
    }
    std::vector<ExprId> ways;
    do {
      ASSIGN_OR_RETURN(const ExprId sequence, ParseSequence(nesting + 1));
      ways.push_back(sequence);
    } while (Take("|"));
    if (Take(")")) return builder_.Alternatives(std::move(ways));
    return pos_ < text_.size() ? Unexpected() : Error("expected )");
  }

  // What stands behind a backslash.
  Result<CodePointSet> ParseEscape() {
    const char letter = Peek();
    if (auto named = NamedClass(letter)) {
      ++pos_;
      return *std::move(named);
    }
    if (letter == 'u' || letter == 'x') return ParseHex();
    constexpr std::string_view kLetters = "tnvfr0", kMeaning("\t\n\v\f\r\0", 6);
    const size_t control = letter == '\0' ? kLetters.npos : kLetters.find(letter);
    const bool letter_or_digit = (letter >= 'a' && letter <= 'z') ||
                                 (letter >= 'A' && letter <= 'Z') ||
                                 (letter >= '0' && letter <= '9');
    if (control == kLetters.npos && letter_or_digit) {
      return Unsupported(StrCat("the escape \\", std::string(1, letter)));
    }
    if (pos_ >= text_.size()) return Error("nothing follows the backslash");
    char32_t c = NextCodePoint(text_, &pos_);
    if (control != kLetters.npos) c = static_cast<char32_t>(kMeaning[control]);
    return CodePointSet({{c, c}});
  }

  // x41, u0041 or u{1F600}.
  Result<CodePointSet> ParseHex() {
    size_t digits = text_[pos_++] == 'x' ? 2 : 4;
    const bool braced = digits == 4 && Take("{");
    if (braced) digits = std::min(text_.find('}', pos_), text_.size()) - pos_;
    const std::string_view hex = text_.substr(pos_, digits);
    uint32_t value = 0;
    const char* end = hex.data() + hex.size();
    if (hex.size() < digits || hex.empty() || hex.size() > 6 ||
        std::from_chars(hex.data(), end, value, 16).ptr != end) {
      return Error("expected hexadecimal digits");
    }
    const auto c = static_cast<char32_t>(value);
    pos_ += digits;
    if (braced && !Take("}")) return Error("expected }");
    const CodePointSet set({{c, c}});
    if (set.empty()) return Unsupported("half of a surrogate pair");
    return set;
  }

  Result<ExprId> ParseClass() {
    Take("[");
    const bool negated = Take("^");
    std::vector<CodePointRange> ranges;
    while (pos_ < text_.size() && Peek() != ']') {
      ASSIGN_OR_RETURN(const CodePointSet first, ParseClassAtom());
      if (Peek() != '-' || pos_ + 1 >= text_.size() || text_[pos_ + 1] == ']') {
        ranges.insert(ranges.end(), first.ranges().begin(), first.ranges().end());
        continue;
      }
      Take("-");
      ASSIGN_OR_RETURN(const CodePointSet last, ParseClassAtom());
      const auto one = [](const CodePointSet& s) {
        return s.ranges().size() == 1 && s.ranges()[0].first == s.ranges()[0].last;
      };
      if (!one(first) || !one(last) || last.ranges()[0].first < first.ranges()[0].first) {
        return Error("the range before this is none");
      }
      ranges.push_back({first.ranges()[0].first, last.ranges()[0].first});
    }
    if (!Take("]")) return Error("the class has no end");
    CodePointSet set(std::move(ranges));
    if (negated) set = set.Negated();
    if (set.empty()) return Error("no character is in the class before this");
    return JsonCharOf(set, &builder_);
  }

  Result<CodePointSet> ParseClassAtom() {
    if (Take("\\")) {
      if (!Take("b")) return ParseEscape();
      return CodePointSet({{'\b', '\b'}});
    }
    const char32_t c = NextCodePoint(text_, &pos_);
    return CodePointSet({{c, c}});
  }

  Result<ExprId> ParseQuantifier(ExprId atom) {
    int min = 1, max = 1;
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
        if (Peek() != '}') {
          ASSIGN_OR_RETURN(max, ParseCount());
        }
      }
      if (!Take("}")) return Error("expected }");
      if (max != kUnbounded && max < min) return Error("the counts before this are swapped");
    } else {
      return atom;
    }
    Take("?");
    return builder_.Repeat(atom, min, max);
  }

  Result<int> ParseCount() {
    const size_t begin = pos_;
    while (Peek() >= '0' && Peek() <= '9') ++pos_;
    const auto count = ParseInt(text_.substr(begin, pos_ - begin));
    if (!count || *count > kMaxRepeat) {
      return Error(StrCat("expected a count of at most ", kMaxRepeat));
    }
    return static_cast<int>(*count);
  }

  const std::string_view text_;
  GrammarBuilder& builder_;
  size_t pos_ = 0;
};

}  // namespace

Result<ExprId> JsonPattern(std::string_view pattern, GrammarBuilder* builder) {
  if (!IsValidUtf8(pattern)) return InvalidArgument("it is not UTF-8");
  return PatternParser(pattern, builder).Run();
}

}  // namespace vade
