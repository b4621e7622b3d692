#include "base/charset_score.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

#include "base/unicode.h"

namespace vade {
namespace {

enum class Kind { kAscii, kBad, kLetter, kMark, kCommonPunctuation, kSymbol };

// Han and kana are one script here: Japanese mixes them in a word.
UScriptCode ScriptOf(char32_t c) {
  UErrorCode error = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(static_cast<UChar32>(c), &error);
  return script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA ? USCRIPT_HAN : script;
}

bool IsKana(char32_t c) { return c >= 0x3041 && c <= 0x30FF && c != 0x30FB; }
bool IsHalfWidthKana(char32_t c) { return c >= 0xFF61 && c <= 0xFF9F; }

bool IsBad(char32_t c) {
  if (c == 0xFFFD || c == 0x1A) return true;
  const uint32_t category = U_GET_GC_MASK(static_cast<UChar32>(c));
  return (category & (U_GC_CN_MASK | U_GC_CO_MASK | U_GC_CS_MASK | U_GC_CC_MASK)) != 0;
}

Kind KindOf(char32_t c) {
  if (c < 0x80) return Kind::kAscii;
  if (IsBad(c)) return Kind::kBad;
  if (IsLetter(c)) return Kind::kLetter;
  if ((U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_M_MASK) != 0) return Kind::kMark;
  const bool east_asian = (c >= 0x3000 && c <= 0x303F) || (c >= 0xFF01 && c <= 0xFF5E);
  const bool typographic = (c >= 0x2010 && c <= 0x2026) || c == 0xA0 || c == 0xAB || c == 0xBB ||
                           c == 0xA7 || c == 0xB0 || c == 0xB7 || c == 0x20AC || c == 0x2116;
  return east_asian || typographic ? Kind::kCommonPunctuation : Kind::kSymbol;
}

double ScoreLetter(char32_t c, char32_t previous) {
  if (IsHalfWidthKana(c)) return -0.5;
  double score = 1.0;
  const bool in_word = previous != 0 && IsLetter(previous);
  if (in_word) {
    const UScriptCode script = ScriptOf(c), before = ScriptOf(previous);
    const bool latin_in_chinese = (script == USCRIPT_HAN || script == USCRIPT_HANGUL) &&
                                  before == USCRIPT_LATIN && previous < 0x80;
    if (script != before && !latin_in_chinese) score -= 1.5;
    if (u_isupper(static_cast<UChar32>(c)) && u_islower(static_cast<UChar32>(previous)))
      score -= 1.5;
    // "Ïðèâåò": a Latin script marks a letter here and there, not one after the other.
    if (script == USCRIPT_LATIN && previous >= 0x80) score -= 1.5;
  }
  if (u_isupper(static_cast<UChar32>(c))) score -= 0.2;
  return score;
}

double ScoreCharacter(char32_t c, char32_t previous) {
  const bool after_letter = previous != 0 && IsLetter(previous);
  switch (KindOf(c)) {
    case Kind::kAscii: return 0;
    case Kind::kBad: return -3;
    case Kind::kLetter: return ScoreLetter(c, previous);
    // A vowel sign or tone mark goes with a letter of its own script.
    case Kind::kMark: return after_letter && previous >= 0x80 ? 1.0 : -1.0;
    case Kind::kCommonPunctuation: return 0.8;
    case Kind::kSymbol: return after_letter ? -1.0 : 0;
  }
  return 0;
}

// What the language of an East Asian charset asks of the text as a whole.
double ScoreLanguage(std::string_view utf8, std::string_view charset) {
  size_t kana = 0, han = 0, hangul = 0;
  for (size_t pos = 0; pos < utf8.size();) {
    const char32_t c = NextCodePoint(utf8, &pos);
    if (c < 0x80) continue;
    if (IsKana(c)) ++kana;
    if (IsHan(c)) ++han;
    if (c >= 0xAC00 && c <= 0xD7A3) ++hangul;
  }
  const size_t all = kana + han + hangul;
  if (all == 0) return 0;
  const bool japanese = charset == "Shift_JIS" || charset == "EUC-JP";
  const bool chinese = charset == "GB18030" || charset == "Big5";
  if (japanese && kana * 20 < all) return -0.4;
  if (chinese && kana * 10 > all) return -0.4;
  if (charset == "EUC-KR" && hangul < han) return -0.6;
  // Hangul's rows lie inside those of common Chinese characters: to fall into them every time by
  // chance is unlikely, so a tie goes to Korean.
  if (charset == "EUC-KR" && hangul >= 5 && han == 0) return 0.05;
  return 0;
}

struct Row {  // lead bytes low..high with trail bytes from `trail` on hold common characters
  uint8_t low, high, trail;
};
using Rows = std::array<Row, 4>;

const Rows* CommonRows(std::string_view charset) {
  static constexpr Rows kGb = {{{0xA1, 0xA1, 0xA1}, {0xA3, 0xA3, 0xA1}, {0xB0, 0xD7, 0xA1}}};
  static constexpr Rows kBig5 = {{{0xA1, 0xA3, 0x40}, {0xA4, 0xC6, 0x40}}};
  static constexpr Rows kShiftJis = {{{0x81, 0x83, 0x40}, {0x88, 0x97, 0x40}}};
  static constexpr Rows kEucJp = {{{0xA1, 0xA1, 0xA1}, {0xA3, 0xA5, 0xA1}, {0xB0, 0xCF, 0xA1}}};
  static constexpr Rows kEucKr = {{{0xA1, 0xA1, 0xA1}, {0xA3, 0xA3, 0xA1}, {0xB0, 0xC8, 0xA1}}};
  if (charset == "GB18030") return &kGb;
  if (charset == "Big5") return &kBig5;
  if (charset == "Shift_JIS") return &kShiftJis;
  if (charset == "EUC-JP") return &kEucJp;
  if (charset == "EUC-KR") return &kEucKr;
  return nullptr;
}

}  // namespace

double ScoreText(std::string_view utf8, std::string_view charset) {
  double sum = 0;
  size_t count = 0;
  char32_t previous = 0;
  for (size_t pos = 0; pos < utf8.size();) {
    const char32_t c = NextCodePoint(utf8, &pos);
    if (c >= 0x80 || c == 0x1A) {
      sum += c == 0x1A ? -3 : ScoreCharacter(c, previous);
      ++count;
    } else if (previous >= 0x80 && IsLetter(previous) && IsLetter(c) &&
               ScriptOf(previous) != USCRIPT_HAN && ScriptOf(previous) != USCRIPT_HANGUL &&
               ScriptOf(previous) != USCRIPT_LATIN) {
      sum -= 1.5;  // an ASCII letter right after a Greek one, say
    }
    // A tone mark does not end a word.
    if (KindOf(c) != Kind::kMark || previous == 0) previous = c;
  }
  if (count == 0) return 0;
  return sum / static_cast<double>(count) + ScoreLanguage(utf8, charset);
}

double CommonShare(std::string_view bytes, std::string_view charset) {
  const Rows* rows = CommonRows(charset);
  if (rows == nullptr) return 0.8;
  size_t common = 0, all = 0;
  for (size_t i = 0; i + 1 < bytes.size();) {
    const auto lead = static_cast<uint8_t>(bytes[i]);
    const auto trail = static_cast<uint8_t>(bytes[i + 1]);
    const bool half_width = charset == "Shift_JIS" && lead >= 0xA0 && lead <= 0xDF;
    if (lead <= 0x80 || half_width) {
      ++i;
      continue;
    }
    // A four-byte sequence of GB18030 has a digit second.
    const size_t size = charset == "GB18030" && trail >= '0' && trail <= '9' ? 4 : 2;
    ++all;
    i += size;
    common += std::any_of(rows->begin(), rows->end(), [&](const Row& row) {
      return lead >= row.low && lead <= row.high && trail >= row.trail && row.trail != 0;
    });
  }
  return all == 0 ? 0 : static_cast<double>(common) / static_cast<double>(all);
}

double ScoreUtf16(std::u32string_view units) {
  double bad = 0, anchors = 0, letters = 0;
  std::map<UScriptCode, size_t> scripts;
  for (size_t i = 0; i < units.size(); ++i) {
    char32_t c = units[i];
    const bool pair = c >= 0xD800 && c <= 0xDBFF && i + 1 < units.size() &&
                      units[i + 1] >= 0xDC00 && units[i + 1] <= 0xDFFF;
    if (pair) c = 0x10000 + ((c - 0xD800) << 10) + (units[++i] - 0xDC00);
    const bool white = c == '\t' || c == '\n' || c == '\r' || c == '\f';
    if (IsBad(c) && !white) ++bad;
    // What texts of every language are full of, and the other byte order turns into oddities.
    anchors += (c < 0x80 && (white || c >= ' ')) || (c >= 0x3001 && c <= 0x300F) || c == 0xFF0C;
    if (!IsLetter(c)) continue;
    ++letters;
    ++scripts[ScriptOf(c)];
  }
  if (units.empty() || anchors == 0) return -1;
  size_t most = 0;
  for (const auto& [script, count] : scripts) most = std::max(most, count);
  const double size = static_cast<double>(units.size());
  const double coherence = letters == 0 ? 0.5 : static_cast<double>(most) / letters;
  // Letters of many scripts are noise: half of them in one script scores 0.
  return 2 * coherence - 1 + 2 * anchors / size - 20 * bad / size;
}

}  // namespace vade
