// UTF-8, normal forms and character properties of unicode.h. Charsets: charset.cc; words:
// segments.cc.
#include "base/unicode.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <algorithm>

#include "base/strings.h"

namespace vade {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

// ICU counts in 32 bits; longer texts are taken in slices of this size.
constexpr size_t kSliceBytes = size_t{1} << 28;

uint8_t ByteAt(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }
bool IsContinuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

// What a lead byte asks for: how many bytes follow, and the range of the first of them, which keeps
// out overlong forms, surrogates and numbers above U+10FFFF (table 3-7 of the Unicode standard).
struct Lead {
  uint8_t following = 0;  // 0: not a lead of a longer sequence
  uint8_t low = 0x80, high = 0xBF;
};

Lead LeadOf(uint8_t byte) {
  if (byte < 0xC2 || byte > 0xF4) return {};
  if (byte < 0xE0) return {1};
  if (byte == 0xE0) return {2, 0xA0};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte < 0xF0) return {2};
  if (byte == 0xF0) return {3, 0x90};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {3};
}

struct Decoded {
  char32_t code_point = kReplacement;
  size_t size = 1;
  bool well_formed = false;
  bool cut = false;  // ill-formed only because the text ends too early
};

Decoded DecodeAt(std::string_view text, size_t pos) {
  const uint8_t first = ByteAt(text, pos);
  if (first < 0x80) return {first, 1, true, false};
  const Lead lead = LeadOf(first);
  if (lead.following == 0) return {};
  char32_t value = first & (0x3F >> lead.following);
  for (size_t i = 1; i <= lead.following; ++i) {
    if (pos + i >= text.size()) return {kReplacement, i, false, true};
    const uint8_t byte = ByteAt(text, pos + i);
    const bool fits = i == 1 ? byte >= lead.low && byte <= lead.high : IsContinuation(byte);
    if (!fits) return {kReplacement, i, false, false};
    value = value << 6 | (byte & 0x3F);
  }
  return {value, size_t{1} + lead.following, true, false};
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

std::string Normalize(const icu::Normalizer2* normalizer, std::string_view text) {
  std::string valid;
  if (!IsValidUtf8(text)) {
    valid = ReplaceInvalidUtf8(text);
    text = valid;
  }
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t size = FloorToCodePoint(text, kSliceBytes);
    UErrorCode error = U_ZERO_ERROR;
    icu::StringByteSink<std::string> sink(&out);
    normalizer->normalizeUTF8(0, {text.data(), static_cast<int32_t>(size)}, sink, nullptr, error);
    VADE_CHECK(U_SUCCESS(error), "ICU normalises every valid UTF-8 text");
    text.remove_prefix(size);
  }
  return out;
}

using GetNormalizer = const icu::Normalizer2* (*)(UErrorCode&);

const icu::Normalizer2* Loaded(GetNormalizer get) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = get(error);
  VADE_CHECK(U_SUCCESS(error), "ICU's normalisation data is missing; install libicu again");
  return normalizer;
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const Decoded decoded = DecodeAt(text, pos);
    if (!decoded.well_formed) return false;
    pos += decoded.size;
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const Decoded decoded = DecodeAt(text, pos);
    out.append(decoded.well_formed ? text.substr(pos, decoded.size) : kReplacementUtf8);
    pos += decoded.size;
  }
  return out;
}

char32_t NextCodePoint(std::string_view text, size_t* pos) {
  VADE_CHECK(*pos < text.size(), "the caller stops at the end of the text");
  const Decoded decoded = DecodeAt(text, *pos);
  *pos += decoded.size;
  return decoded.code_point;
}

void AppendCodePoint(std::string* out, char32_t code_point) {
  if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
    code_point = kReplacement;
  }
  const auto trail = [code_point](int shift) {
    return static_cast<char>(0x80 | (code_point >> shift & 0x3F));
  };
  if (code_point < 0x80) {
    out->push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    out->append({static_cast<char>(0xC0 | code_point >> 6), trail(0)});
  } else if (code_point < 0x10000) {
    out->append({static_cast<char>(0xE0 | code_point >> 12), trail(6), trail(0)});
  } else {
    out->append({static_cast<char>(0xF0 | code_point >> 18), trail(12), trail(6), trail(0)});
  }
}

size_t CodePointCount(std::string_view text) {
  size_t count = 0;
  for (size_t pos = 0; pos < text.size(); ++count) pos += DecodeAt(text, pos).size;
  return count;
}

size_t FloorToCodePoint(std::string_view text, size_t pos) {
  if (pos >= text.size()) return text.size();
  for (size_t back = 0; back <= std::min<size_t>(pos, 3); ++back) {
    if (IsContinuation(ByteAt(text, pos - back))) continue;
    return DecodeAt(text, pos - back).size > back ? pos - back : pos;
  }
  return pos;  // continuation bytes without a lead: each stands alone
}

size_t CompletePrefix(std::string_view bytes) {
  for (size_t back = 1; back <= std::min<size_t>(bytes.size(), 3); ++back) {
    const size_t pos = bytes.size() - back;
    if (IsContinuation(ByteAt(bytes, pos))) continue;
    const Decoded decoded = DecodeAt(bytes, pos);
    return decoded.cut && decoded.size == back ? pos : bytes.size();
  }
  return bytes.size();
}

std::string Nfc(std::string_view text) {
  if (IsAscii(text)) return std::string(text);
  return Normalize(Loaded(&icu::Normalizer2::getNFCInstance), text);
}

std::string Nfd(std::string_view text) {
  if (IsAscii(text)) return std::string(text);
  return Normalize(Loaded(&icu::Normalizer2::getNFDInstance), text);
}

std::string Nfkc(std::string_view text) {
  if (IsAscii(text)) return std::string(text);
  return Normalize(Loaded(&icu::Normalizer2::getNFKCInstance), text);
}

std::string NfkcCaseFold(std::string_view text) {
  if (IsAscii(text)) return AsciiLower(text);
  return Normalize(Loaded(&icu::Normalizer2::getNFKCCasefoldInstance), text);
}

bool IsLetter(char32_t c) { return u_isalpha(static_cast<UChar32>(c)); }
bool IsDigit(char32_t c) { return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_N_MASK) != 0; }
bool IsWhitespace(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)); }
bool IsPunctuation(char32_t c) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & (U_GC_P_MASK | U_GC_S_MASK)) != 0;
}
bool IsPunctuationMark(char32_t c) { return u_ispunct(static_cast<UChar32>(c)); }
bool IsNonspacingMark(char32_t c) {
  return u_charType(static_cast<UChar32>(c)) == U_NON_SPACING_MARK;
}
bool IsControl(char32_t c) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK)) !=
         0;
}
char32_t ToLower(char32_t c) {
  return static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
}
bool IsHan(char32_t c) {
  UErrorCode error = U_ZERO_ERROR;
  return uscript_getScript(static_cast<UChar32>(c), &error) == USCRIPT_HAN && U_SUCCESS(error);
}

Script DominantScript(std::string_view text) {
  size_t latin = 0, han = 0, other = 0;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = NextCodePoint(text, &pos);
    if (!IsLetter(c)) continue;
    UErrorCode error = U_ZERO_ERROR;
    const UScriptCode script = uscript_getScript(static_cast<UChar32>(c), &error);
    ++(script == USCRIPT_LATIN ? latin : script == USCRIPT_HAN ? han : other);
  }
  if (latin == 0 && han == 0) return Script::kOther;
  if (other > latin && other > han) return Script::kOther;
  return han > latin ? Script::kHan : Script::kLatin;
}

}  // namespace vade
