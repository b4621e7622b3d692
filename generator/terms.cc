#include "generator/terms.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

// Scripts that are written without spaces: Thai and its neighbours, kana, Han.
bool IsUnspaced(char32_t c) {
  return IsHan(c) || (c >= 0x0E00 && c <= 0x0EFF) || (c >= 0x3040 && c <= 0x30FF) ||
         (c >= 0x1000 && c <= 0x109F) || (c >= 0x1780 && c <= 0x17FF);
}

bool IsWordChar(char32_t c) { return (IsLetter(c) || IsDigit(c)) && !IsUnspaced(c); }
bool IsAsciiDigit(char32_t c) { return c >= U'0' && c <= U'9'; }

std::vector<char32_t> CodePoints(std::string_view text) {
  std::vector<char32_t> out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) out.push_back(NextCodePoint(text, &pos));
  return out;
}

std::string Utf8(const char32_t* begin, const char32_t* end) {
  std::string out;
  for (; begin != end; ++begin) AppendCodePoint(&out, *begin);
  return out;
}

constexpr std::array<std::pair<std::string_view, int>, 44> kNumberWords = {
    {{"zero", 0},      {"one", 1},      {"two", 2},        {"three", 3},     {"four", 4},
     {"five", 5},      {"six", 6},      {"seven", 7},      {"eight", 8},     {"nine", 9},
     {"ten", 10},      {"eleven", 11},  {"twelve", 12},    {"thirteen", 13}, {"fourteen", 14},
     {"fifteen", 15},  {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19},
     {"twenty", 20},   {"thirty", 30},  {"forty", 40},     {"fifty", 50},    {"sixty", 60},
     {"seventy", 70},  {"eighty", 80},  {"ninety", 90},    {"hundred", 100}, {"first", 1},
     {"second", 2},    {"third", 3},    {"january", 1},    {"february", 2},  {"march", 3},
     {"april", 4},     {"may", 5},      {"june", 6},       {"july", 7},      {"august", 8},
     {"september", 9}, {"october", 10}, {"november", 11},  {"december", 12}}};

std::optional<int> NumberWord(std::string_view word) {
  for (const auto& [name, value] : kNumberWords) {
    if (name == word) return value;
  }
  return std::nullopt;
}

int HanDigit(char32_t c) {
  static constexpr std::u32string_view kDigits = U"零一二三四五六七八九";
  if (c == U'〇') return 0;
  if (c == U'两') return 2;
  const size_t at = kDigits.find(c);
  return at == kDigits.npos ? -1 : static_cast<int>(at);
}

int64_t HanUnit(char32_t c) {
  switch (c) {
    case U'十': return 10;
    case U'百': return 100;
    case U'千': return 1000;
    default: return 0;
  }
}

// A run of Chinese numerals by value: "十四" 14, "二〇一六" 2016. Nothing when it is too long.
std::optional<int64_t> HanNumber(const char32_t* begin, const char32_t* end) {
  if (end - begin > 9) return std::nullopt;
  int64_t total = 0, section = 0, digit = -1;
  bool units = false;
  for (const char32_t* c = begin; c != end; ++c) {
    if (*c == U'万') {
      total = (total + section + std::max<int64_t>(digit, 0)) * 10000;
      section = 0, digit = -1, units = true;
    } else if (const int64_t unit = HanUnit(*c); unit != 0) {
      section += (digit < 0 ? 1 : digit) * unit;
      digit = -1, units = true;
    } else {
      digit = (digit > 0 && !units) || (digit == 0 && !units) ? digit * 10 + HanDigit(*c)
                                                              : HanDigit(*c);
    }
  }
  return total + section + std::max<int64_t>(digit, 0);
}

bool IsHanNumeral(char32_t c) { return HanDigit(c) >= 0 || HanUnit(c) != 0 || c == U'万'; }

std::string WithoutLeadingZeros(std::string number) {
  const size_t first = number.find_first_not_of('0');
  return first == number.npos ? "0" : number.substr(first);
}

// Digit runs with "," and "." inside them; commas are dropped, a point that ends the run is not of
// it.
void AddDigits(const std::vector<char32_t>& text, TermSet* terms) {
  for (size_t i = 0; i < text.size();) {
    if (!IsAsciiDigit(text[i])) {
      ++i;
      continue;
    }
    std::string number;
    for (; i < text.size(); ++i) {
      const bool inner =
          (text[i] == U',' || text[i] == U'.') && i + 1 < text.size() && IsAsciiDigit(text[i + 1]);
      if (!IsAsciiDigit(text[i]) && !inner) break;
      if (text[i] != U',') AppendCodePoint(&number, text[i]);
    }
    number = WithoutLeadingZeros(std::move(number));
    terms->digits.insert(number);
    terms->numbers.insert(number);
    terms->words.insert(number);
  }
}

void AddHanNumerals(const std::vector<char32_t>& text, TermSet* terms) {
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && IsHanNumeral(text[end])) ++end;
    if (end > i) {
      if (auto value = HanNumber(text.data() + i, text.data() + end))
        terms->numbers.insert(StrCat(*value));
    }
    i = std::max(end, i + 1);
  }
}

std::string Stem(std::string word) {
  if (word.size() > 3 && word.ends_with('s') && !word.ends_with("ss")) word.pop_back();
  return word;
}

void AddWord(const char32_t* begin, const char32_t* end, TermSet* terms) {
  const std::string word = Utf8(begin, end);
  if (auto value = NumberWord(word)) terms->numbers.insert(StrCat(*value));
  const bool number = std::all_of(begin, end, IsAsciiDigit);
  if (!number) terms->words.insert(Stem(word));
}

void AddRuns(const std::vector<char32_t>& text, TermSet* terms) {
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    if (IsUnspaced(text[i])) {
      while (end < text.size() && IsUnspaced(text[end])) ++end;
      if (end - i == 1) terms->bigrams.insert(Utf8(&text[i], &text[i] + 1));
      for (size_t k = i; k + 1 < end; ++k) terms->bigrams.insert(Utf8(&text[k], &text[k] + 2));
    } else if (IsWordChar(text[i])) {
      while (end < text.size() && IsWordChar(text[end])) ++end;
      AddWord(&text[i], text.data() + end, terms);
    }
    i = std::max(end, i + 1);
  }
}

// Needs the text as it was written: capitals are gone after folding.
void AddNames(std::string_view text, TermSet* terms) {
  const std::vector<char32_t> raw = CodePoints(text);
  bool first = true;
  for (size_t i = 0; i < raw.size();) {
    size_t end = i;
    while (end < raw.size() && IsWordChar(raw[end])) ++end;
    if (end > i) {
      const bool capital = raw[i] >= U'A' && raw[i] <= U'Z';
      if (capital && !first && end - i > 1) {
        terms->names.insert(Stem(NfkcCaseFold(Utf8(&raw[i], raw.data() + end))));
      }
      first = false;
    }
    i = std::max(end, i + 1);
  }
}

constexpr double kFunctionWeight = 0.1;
constexpr double kSingleWeight = 0.3;  // one ideograph between other signs

bool IsFunctionWord(std::string_view word) {
  static const std::set<std::string, std::less<>> words = {
      "a",     "an",    "the",  "of",   "to",   "in",   "on",    "at",   "by",   "for",
      "and",   "or",    "is",   "are",  "was",  "were", "be",    "been", "it",   "its",
      "thi",   "that",  "with", "as",   "from", "has",  "have",  "had",  "ha",   "not",
      "which", "who",   "what", "when", "did",  "do",   "doe",   "how",  "many", "much",
      "they",  "their", "he",   "she",  "hi",   "her",  "there", "wa",   "does", "this",
      "his",   "where", "why",  "than", "also", "but",  "into",  "can",  "will", "would"};
  return words.contains(word);
}

bool HasParticle(std::string_view term) {
  static constexpr std::u32string_view kParticles =
      U"的了是在和与这那个为于由被把对从到以其之也都就而但并或座";
  for (size_t pos = 0; pos < term.size();) {
    if (kParticles.find(NextCodePoint(term, &pos)) != kParticles.npos) return true;
  }
  return false;
}

}  // namespace

bool IsBigram(std::string_view term) {
  size_t pos = 0;
  return !term.empty() && IsUnspaced(NextCodePoint(term, &pos));
}

double TermWeight(const std::string& term) {
  if (!IsBigram(term)) return IsFunctionWord(term) ? kFunctionWeight : 1;
  if (HasParticle(term)) return kFunctionWeight;
  return CodePointCount(term) == 1 ? kSingleWeight : 1;
}

TermSet TermsOf(std::string_view text) {
  TermSet terms;
  const std::string valid = ReplaceInvalidUtf8(text);
  const std::vector<char32_t> folded = CodePoints(NfkcCaseFold(valid));
  AddDigits(folded, &terms);
  AddHanNumerals(folded, &terms);
  AddRuns(folded, &terms);
  AddNames(valid, &terms);
  return terms;
}

std::string Skeleton(std::string_view text) {
  const std::vector<char32_t> folded = CodePoints(NfkcCaseFold(ReplaceInvalidUtf8(text)));
  std::string out;
  bool after_word = false, gap = false;
  for (size_t i = 0; i < folded.size(); ++i) {
    const char32_t c = folded[i];
    const bool between_digits = i > 0 && i + 1 < folded.size() && IsAsciiDigit(folded[i - 1]) &&
                                IsAsciiDigit(folded[i + 1]);
    if (c == U',' && between_digits) continue;
    const bool word = IsWordChar(c) || (c == U'.' && between_digits);
    if (!word && !IsUnspaced(c)) {
      gap = true;
      continue;
    }
    if (gap && word && after_word) out += ' ';
    AppendCodePoint(&out, c);
    after_word = word, gap = false;
  }
  return out;
}

bool ContainsWhole(std::string_view hay, std::string_view needle) {
  if (needle.empty()) return false;
  auto word_at = [](std::string_view text, size_t at) {
    size_t pos = FloorToCodePoint(text, at);
    return IsWordChar(NextCodePoint(text, &pos));
  };
  for (size_t at = hay.find(needle); at != hay.npos; at = hay.find(needle, at + 1)) {
    const size_t end = at + needle.size();
    const bool begins = at == 0 || !word_at(hay, at - 1) || !word_at(hay, at);
    const bool ends = end == hay.size() || !word_at(hay, end) || !word_at(hay, end - 1);
    if (begins && ends) return true;
  }
  return false;
}

}  // namespace vade
