#include "index/terms.h"

#include <libstemmer.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr size_t kKeptOfLongTerms = 40;

enum class Sign {
  kPair,   // of a script without spaces, of which ICU's dictionaries would make unsteady words
  kWord,   // letter, digit, or a mark upon one
  kJoint,  // between two of the former it holds an identifier or a number together
  kOther,
};

Sign SignOf(char32_t c) {
  if (IsHan(c) || (c >= 0x3040 && c <= 0x30FF) || (c >= 0xAC00 && c <= 0xD7AF) ||
      (c >= 0x0E00 && c <= 0x0E7F)) {
    return Sign::kPair;
  }
  if (IsLetter(c) || IsDigit(c) || (c >= 0x0300 && c <= 0x036F)) return Sign::kWord;
  static constexpr std::u32string_view kJoints = U"-_./,:@#+'\u2019\u2010\u2011";
  return kJoints.find(c) == std::u32string_view::npos ? Sign::kOther : Sign::kJoint;
}

// A word's own apostrophe is no joint of parts: stemmers know what follows it.
bool IsApostrophe(char32_t c) { return c == '\'' || c == 0x2019; }

struct DeleteStemmer {
  void operator()(sb_stemmer* stemmer) const { sb_stemmer_delete(stemmer); }
};
using Stemmer = std::unique_ptr<sb_stemmer, DeleteStemmer>;

// Null when there is none for the language. A stemmer has state: one a thread.
sb_stemmer* StemmerOf(LanguageCode language) {
  thread_local std::map<LanguageCode, Stemmer> stemmers;
  const auto known = stemmers.find(language);
  if (known != stemmers.end()) return known->second.get();
  const std::string name = LanguageName(language);
  Stemmer made(name.empty() ? nullptr : sb_stemmer_new(name.c_str(), "UTF_8"));
  return (stemmers[language] = std::move(made)).get();
}

std::string_view StemOf(sb_stemmer* stemmer, std::string_view word) {
  const sb_symbol* stem = sb_stemmer_stem(stemmer, reinterpret_cast<const sb_symbol*>(word.data()),
                                          static_cast<int>(word.size()));
  if (!stem) return word;
  return {reinterpret_cast<const char*>(stem), static_cast<size_t>(sb_stemmer_length(stemmer))};
}

struct Parts {
  std::vector<std::string> words;
  std::string digits;  // of a number, without what separates them; "" for anything else
};

// What an identifier or number is made of. Apostrophes are written as '.
Parts PartsOf(std::string_view run) {
  Parts parts;
  std::string word, digits;
  bool number = true;
  for (size_t pos = 0; pos < run.size();) {
    const size_t at = pos;
    const char32_t c = NextCodePoint(run, &pos);
    const bool joint = SignOf(c) == Sign::kJoint && !IsApostrophe(c);
    number = number && (IsDigit(c) || c == ',' || c == '.' || c == '\'' || c == 0x2019);
    if (IsDigit(c)) digits.append(run, at, pos - at);
    if (!joint) word.append(IsApostrophe(c) ? "'" : run.substr(at, pos - at));
    if (!joint && pos < run.size()) continue;
    if (!word.empty()) parts.words.push_back(std::exchange(word, ""));
  }
  if (number) parts.digits = std::move(digits);
  return parts;
}

}  // namespace

void TermCollector::AddTerm(std::string_view term) {
  if (term.empty() || term.find('\0') != std::string_view::npos) return;
  if (term.size() <= kMaxTermBytes) {
    found_.emplace_back(term);
    return;
  }
  std::string shortened(term.substr(0, FloorToCodePoint(term, kKeptOfLongTerms)));
  AppendKey64(&shortened, Checksum64(term) | 0x0101010101010101);  // no byte 0x00
  found_.push_back(std::move(shortened));
}

void TermCollector::AddWord(std::string_view word) {
  ++length_;
  AddTerm(word);
  std::vector<std::string> stems;
  for (LanguageCode language : languages_) {
    sb_stemmer* stemmer = StemmerOf(language);
    if (!stemmer) continue;
    std::string stem(StemOf(stemmer, word));
    if (stem == word || std::find(stems.begin(), stems.end(), stem) != stems.end()) continue;
    AddTerm(stem);
    stems.push_back(std::move(stem));
  }
}

// Letters, digits and joints between them.
void TermCollector::AddRun(std::string_view run) {
  const Parts parts = PartsOf(run);
  if (parts.words.size() > 1) {
    AddTerm(run);
    if (!parts.digits.empty()) AddTerm(parts.digits);
  }
  for (const std::string& part : parts.words) {
    const bool plain = std::all_of(part.begin(), part.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    const auto words = plain ? std::vector<TextSpan>{{0, part.size()}} : Words(part);
    for (const TextSpan& word : words)
      AddWord(std::string_view(part).substr(word.begin, word.end - word.begin));
  }
}

// A single character is a term only where it stands alone.
void TermCollector::AddPairs(std::string_view run) {
  size_t before = 0, at = 0;
  NextCodePoint(run, &at);
  if (at == run.size()) {
    ++length_;
    AddTerm(run);
  }
  while (at < run.size()) {
    size_t end = at;
    NextCodePoint(run, &end);
    ++length_;
    AddTerm(run.substr(before, end - before));
    before = at;
    at = end;
  }
}

void TermCollector::Add(std::string_view utf8) {
  const std::string text = NfkcCaseFold(utf8);
  const std::string_view view = text;
  size_t begin = 0;          // of the run at work
  size_t end = 0;            // behind its last letter, digit or pair character
  Sign kind = Sign::kOther;  // of the run; kOther: none
  const auto finish = [&] {
    if (kind == Sign::kPair) AddPairs(view.substr(begin, end - begin));
    if (kind == Sign::kWord) AddRun(view.substr(begin, end - begin));
    kind = Sign::kOther;
  };
  bool joint = false;  // the last code point was one
  for (size_t pos = 0; pos < text.size();) {
    const size_t at = pos;
    const Sign sign = SignOf(NextCodePoint(text, &pos));
    if (sign == Sign::kJoint && kind == Sign::kWord && !joint) {
      joint = true;
      continue;
    }
    if (sign != kind || sign == Sign::kOther || sign == Sign::kJoint) finish();
    joint = false;
    if (sign == Sign::kOther || sign == Sign::kJoint) continue;
    if (kind == Sign::kOther) begin = at;
    kind = sign;
    end = pos;
  }
  finish();
}

TermList TermCollector::Take() {
  std::sort(found_.begin(), found_.end());
  TermList list;
  for (std::string& term : found_) {
    if (list.terms.empty() || list.terms.back().term != term) {
      list.terms.push_back({std::move(term), 0});
    }
    ++list.terms.back().count;
  }
  list.length = std::exchange(length_, 0);
  found_.clear();
  return list;
}

}  // namespace vade
