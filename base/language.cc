#include "base/language.h"

#include <cld2/public/compact_lang_det.h>
#include <cld2/public/encodings.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/unicode.h"

namespace vade {
namespace {

// More tells nothing new about one passage; of a document its beginning is taken.
constexpr size_t kMostBytes = 16384;
// cld2 calls a guess reliable that it makes from a name and a number. Below this many letters (a
// Han character says as much as three) it only confirms the hint.
constexpr int kLeastBytes = 24;

// Languages that alone, or nearly so, are written in a script.
LanguageCode LanguageOfScript(UScriptCode script) {
  switch (script) {
    case USCRIPT_HAN: return ParseLanguage("zh");
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA: return ParseLanguage("ja");
    case USCRIPT_HANGUL: return ParseLanguage("ko");
    case USCRIPT_THAI: return ParseLanguage("th");
    case USCRIPT_GREEK: return ParseLanguage("el");
    case USCRIPT_HEBREW: return ParseLanguage("he");
    case USCRIPT_ARMENIAN: return ParseLanguage("hy");
    case USCRIPT_GEORGIAN: return ParseLanguage("ka");
    default: return kUnknownLanguage;
  }
}

// The script of most letters. Kana in a text with Han characters makes it Japanese.
UScriptCode ScriptOf(std::string_view text) {
  std::map<UScriptCode, size_t> counts;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = NextCodePoint(text, &pos);
    if (!IsLetter(c)) continue;
    UErrorCode error = U_ZERO_ERROR;
    ++counts[uscript_getScript(static_cast<UChar32>(c), &error)];
  }
  if (counts.empty()) return USCRIPT_COMMON;
  const size_t kana = counts[USCRIPT_HIRAGANA] + counts[USCRIPT_KATAKANA];
  if (kana * 8 > counts[USCRIPT_HAN] && kana > 0) counts[USCRIPT_HIRAGANA] += counts[USCRIPT_HAN];
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

bool IsWrittenIn(LanguageCode language, UScriptCode script) {
  std::array<UScriptCode, 8> scripts;
  UErrorCode error = U_ZERO_ERROR;
  const int32_t count = uscript_getCode(LanguageName(language).c_str(), scripts.data(),
                                        static_cast<int32_t>(scripts.size()), &error);
  if (U_FAILURE(error)) return false;
  return std::find(scripts.begin(), scripts.begin() + count, script) != scripts.begin() + count;
}

// cld2 has some codes of older standards.
LanguageCode CodeOf(CLD2::Language language) {
  if (language == CLD2::UNKNOWN_LANGUAGE || language == CLD2::TG_UNKNOWN_LANGUAGE) {
    return kUnknownLanguage;
  }
  std::string_view name = CLD2::LanguageCode(language);
  if (name == "iw") name = "he";
  if (name == "jw") name = "jv";
  return ParseLanguage(name.substr(0, name.find('-')));
}

struct Guess {
  LanguageCode language = kUnknownLanguage;
  bool reliable = false;
};

// cld2 knows two kinds of Chinese, takes this hint for the simplified one, and then finds the
// traditional one less likely than Japanese.
bool IsChinese(LanguageCode language) { return language == ParseLanguage("zh"); }

Guess GuessOf(std::string_view text, LanguageCode hint) {
  if (IsChinese(hint)) hint = kUnknownLanguage;
  const CLD2::CLDHints hints = {nullptr, nullptr, CLD2::UNKNOWN_ENCODING,
                                CLD2::GetLanguageFromName(LanguageName(hint).c_str())};
  std::array<CLD2::Language, 3> languages;
  std::array<int, 3> percents;
  std::array<double, 3> scores;
  int text_bytes = 0, valid_bytes = 0;
  bool reliable = false;
  const CLD2::Language language = CLD2::ExtDetectLanguageSummaryCheckUTF8(
      text.data(), static_cast<int>(text.size()), /*is_plain_text=*/true, &hints, 0,
      languages.data(), percents.data(), scores.data(), nullptr, &text_bytes, &reliable,
      &valid_bytes);
  return {CodeOf(language), reliable && text_bytes >= kLeastBytes};
}

int Digit(char letter) { return letter >= 'a' && letter <= 'z' ? letter - 'a' + 1 : 0; }

}  // namespace

LanguageCode ParseLanguage(std::string_view name) {
  if (name.size() < 2 || name.size() > 3) return kUnknownLanguage;
  int code = 0;
  for (char letter : name) {
    if (Digit(letter) == 0) return kUnknownLanguage;
    code = code * 27 + Digit(letter);
  }
  return static_cast<LanguageCode>(code);
}

std::string LanguageName(LanguageCode code) {
  std::string name;
  for (int rest = code; rest > 0; rest /= 27) {
    if (rest % 27 == 0) return "";
    name.insert(name.begin(), static_cast<char>('a' + rest % 27 - 1));
  }
  return ParseLanguage(name) == code ? name : "";
}

LanguageCode DetectLanguage(std::string_view utf8, LanguageCode hint) {
  const std::string_view text =
      utf8.substr(0, FloorToCodePoint(utf8, std::min(utf8.size(), kMostBytes)));
  const Guess guess = GuessOf(text, hint);
  const UScriptCode script = ScriptOf(text);
  // Nobody writes more than a few words of Japanese without kana.
  const bool no_japanese = guess.language == ParseLanguage("ja") && script == USCRIPT_HAN;
  if (guess.reliable && guess.language != kUnknownLanguage && !no_japanese) return guess.language;
  if (script == USCRIPT_COMMON) return hint;
  if (hint != kUnknownLanguage && IsWrittenIn(hint, script)) return hint;
  const LanguageCode of_script = LanguageOfScript(script);
  return of_script != kUnknownLanguage ? of_script : guess.language;
}

}  // namespace vade
