#include "model/pretokenizer.h"

#include <array>
#include <cstdint>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

enum class Kind : uint8_t { kLetter, kNumber, kNewline, kSpace, kOther, kEnd };

Kind KindOf(char32_t c) {
  if (c == '\r' || c == '\n') return Kind::kNewline;
  if (IsWhitespace(c)) return Kind::kSpace;
  if (IsLetter(c)) return Kind::kLetter;
  if (IsDigit(c)) return Kind::kNumber;
  return Kind::kOther;
}

const std::array<Kind, 128>& AsciiKinds() {
  static const std::array<Kind, 128> kinds = [] {
    std::array<Kind, 128> table{};
    for (char32_t c = 0; c < 128; ++c) table[c] = KindOf(c);
    return table;
  }();
  return kinds;
}

// The text with the kind of the code point at any offset.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text), ascii_(AsciiKinds()) {}

  char byte(size_t pos) const { return pos < text_.size() ? text_[pos] : '\0'; }

  // Kind of the code point at pos; *next is where the one behind it begins.
  Kind At(size_t pos, size_t* next) const {
    if (pos >= text_.size()) {
      *next = pos;
      return Kind::kEnd;
    }
    const auto c = static_cast<uint8_t>(text_[pos]);
    if (c < 128) {
      *next = pos + 1;
      return ascii_[c];
    }
    *next = pos;
    return KindOf(NextCodePoint(text_, next));
  }

  Kind At(size_t pos) const {
    size_t next;
    return At(pos, &next);
  }

  // Behind the longest run of `kind` at pos.
  size_t SkipRun(size_t pos, Kind kind) const {
    size_t next;
    while (At(pos, &next) == kind) pos = next;
    return pos;
  }

 private:
  std::string_view text_;
  const std::array<Kind, 128>& ascii_;
};

// 's 't 're 've 'm 'll 'd at pos: its length, or 0.
size_t ContractionLength(const Scanner& scan, size_t pos, bool fold_case) {
  if (scan.byte(pos) != '\'') return 0;
  const auto letter = [&](size_t at) {
    const char c = scan.byte(at);
    return fold_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c;
  };
  const char a = letter(pos + 1), b = letter(pos + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  return 0;
}

// A run of white space: where it ends, where its last code point begins, where its last newline
// ends.
struct WhiteSpace {
  size_t end = 0;
  size_t last = 0;
  size_t newline_end = 0;  // 0: none
  Kind behind = Kind::kEnd;
};

WhiteSpace ScanWhiteSpace(const Scanner& scan, size_t pos) {
  WhiteSpace run{pos, pos, 0, Kind::kEnd};
  for (;;) {
    size_t next;
    run.behind = scan.At(run.end, &next);
    if (run.behind != Kind::kSpace && run.behind != Kind::kNewline) return run;
    run.last = run.end;
    run.end = next;
    if (run.behind == Kind::kNewline) run.newline_end = next;
  }
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N} | ?[^\s\p{L}\p{N}]+[\r\n]*
// | \s*[\r\n]+ | \s+(?!\S) | \s+
size_t Qwen2WordEnd(const Scanner& scan, size_t pos) {
  if (const size_t length = ContractionLength(scan, pos, /*fold_case=*/true)) return pos + length;
  size_t next;
  const Kind kind = scan.At(pos, &next);
  if (kind == Kind::kLetter) return scan.SkipRun(next, Kind::kLetter);
  if (kind == Kind::kNumber) return next;
  if (kind != Kind::kNewline && scan.At(next) == Kind::kLetter) {
    return scan.SkipRun(next, Kind::kLetter);
  }
  if (kind == Kind::kOther || (scan.byte(pos) == ' ' && scan.At(next) == Kind::kOther)) {
    return scan.SkipRun(scan.SkipRun(next, Kind::kOther), Kind::kNewline);
  }
  const WhiteSpace run = ScanWhiteSpace(scan, pos);
  if (run.newline_end > 0) return run.newline_end;
  return run.behind == Kind::kEnd || run.last == pos ? run.end : run.last;
}

// First every \p{N} alone; then, between them:
// 's|'t|'re|'ve|'m|'ll|'d | ?\p{L}+ | ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
size_t SmolLmWordEnd(const Scanner& scan, size_t pos) {
  if (const size_t length = ContractionLength(scan, pos, /*fold_case=*/false)) return pos + length;
  size_t next;
  Kind kind = scan.At(pos, &next);
  if (kind == Kind::kNumber) return next;
  size_t begin = next;
  if (scan.byte(pos) == ' ') {
    const Kind behind = scan.At(next, &begin);
    if (behind == Kind::kLetter || behind == Kind::kOther) kind = behind;
  }
  if (kind == Kind::kLetter || kind == Kind::kOther) return scan.SkipRun(begin, kind);
  const WhiteSpace run = ScanWhiteSpace(scan, pos);
  const bool at_end = run.behind == Kind::kEnd || run.behind == Kind::kNumber;
  return at_end || run.last == pos ? run.end : run.last;
}

}  // namespace

std::optional<PreTokenizer> ParsePreTokenizer(std::string_view name) {
  if (name == "qwen2") return PreTokenizer::kQwen2;
  if (name == "smollm") return PreTokenizer::kSmolLm;
  return std::nullopt;
}

bool WordSplitter::Next(std::string_view* word) {
  if (position_ >= text_.size()) return false;
  const Scanner scan(text_);
  const size_t end = kind_ == PreTokenizer::kQwen2 ? Qwen2WordEnd(scan, position_)
                                                   : SmolLmWordEnd(scan, position_);
  *word = text_.substr(position_, end - position_);
  position_ = end;
  return true;
}

}  // namespace vade
