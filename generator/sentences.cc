#include "generator/sentences.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/strings.h"

namespace vade {
namespace {

// Longer ones have no sentence borders: tables, logs, code
constexpr size_t kMaxSentenceBytes = 1200;
constexpr size_t kPieceBytes = 600;
constexpr size_t kWrappedLineBytes = 40;  // a shorter line ends where its author wanted it to

template <typename Predicate>
bool AnyCodePoint(std::string_view text, Predicate predicate) {
  for (size_t pos = 0; pos < text.size();) {
    if (predicate(NextCodePoint(text, &pos))) return true;
  }
  return false;
}

bool EndsWithAbbreviation(std::string_view sentence) {
  static constexpr std::array<std::string_view, 16> kAbbreviations = {
      "mr.",  "mrs.", "ms.", "dr.",  "st.", "no.",  "vs.",  "prof.",
      "gen.", "col.", "lt.", "sgt.", "jr.", "fig.", "e.g.", "i.e."};
  const std::string_view text = StripAsciiWhitespace(sentence);
  const size_t space = text.find_last_of(" \t\n(");
  const std::string_view word = space == text.npos ? text : text.substr(space + 1);
  if (word.size() > 5 || !word.ends_with('.')) return false;
  // An initial or "U.S.": single letters before each point.
  const bool initials = word.size() % 2 == 0 && word.size() >= 2 && word[0] >= 'A' &&
                        word[0] <= 'Z' && (word.size() == 2 || word[1] == '.');
  const std::string lower = AsciiLower(word);
  return initials ||
         std::find(kAbbreviations.begin(), kAbbreviations.end(), lower) != kAbbreviations.end();
}

bool EndsWithTerminal(std::string_view sentence) {
  static constexpr std::u32string_view kTerminal = U".!?:;。！？：；…";
  char32_t last = 0;
  for (size_t pos = 0; pos < sentence.size();) {
    const char32_t c = NextCodePoint(sentence, &pos);
    if (!IsWhitespace(c)) last = c;
  }
  return kTerminal.find(last) != kTerminal.npos;
}

// A line that goes on in the next one: long, without a sentence's end, and the next begins in lower
// case.
bool IsWrapped(std::string_view line, std::string_view next) {
  return line.ends_with('\n') && line.size() >= kWrappedLineBytes && !EndsWithTerminal(line) &&
         !next.empty() && next[0] >= 'a' && next[0] <= 'z';
}

// "Use `println!" is not at its end.
bool EndsInCode(std::string_view sentence) {
  return std::count(sentence.begin(), sentence.end(), '`') % 2 != 0;
}

bool BelongTogether(std::string_view sentence, std::string_view next) {
  if (IsWrapped(sentence, next)) return true;
  if (sentence.find('\n') != sentence.npos) return false;
  if (EndsInCode(sentence)) return true;
  return !HasLetter(sentence) || EndsWithAbbreviation(sentence);
}

void AppendPieces(std::string_view text, TextSpan span, std::vector<TextSpan>* out) {
  while (span.end - span.begin > kMaxSentenceBytes) {
    const size_t limit = span.begin + kPieceBytes, half = span.begin + kPieceBytes / 2;
    const size_t blank = text.substr(half, limit - half).find_last_of(" \t\n,;");
    size_t cut = blank != text.npos ? half + blank + 1 : FloorToCodePoint(text, limit);
    if (cut <= span.begin) cut = limit;  // ill-formed text
    out->push_back({span.begin, cut});
    span.begin = cut;
  }
  out->push_back(span);
}

}  // namespace

std::vector<TextSpan> ReaderSentences(std::string_view text) {
  std::vector<TextSpan> joined;
  for (const TextSpan& span : Sentences(text)) {
    const std::string_view sentence = text.substr(span.begin, span.end - span.begin);
    if (!joined.empty()) {
      TextSpan& last = joined.back();
      if (BelongTogether(text.substr(last.begin, last.end - last.begin), sentence)) {
        last.end = span.end;
        continue;
      }
    }
    joined.push_back(span);
  }
  std::vector<TextSpan> out;
  for (const TextSpan& span : joined) AppendPieces(text, span, &out);
  return out;
}

TextSpan Trimmed(std::string_view text, TextSpan span) {
  TextSpan trimmed{span.end, span.begin};
  for (size_t pos = span.begin; pos < span.end;) {
    const size_t at = pos;
    if (IsWhitespace(NextCodePoint(text, &pos))) continue;
    trimmed.begin = std::min(trimmed.begin, at);
    trimmed.end = std::min(pos, span.end);
  }
  return trimmed.begin < trimmed.end ? trimmed : TextSpan{span.begin, span.begin};
}

bool HasContent(std::string_view text) {
  return AnyCodePoint(text, [](char32_t c) { return IsLetter(c) || IsDigit(c); });
}

bool HasLetter(std::string_view text) { return AnyCodePoint(text, IsLetter); }

}  // namespace vade
