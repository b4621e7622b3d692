// DecodeText of unicode.h: which charset do these bytes have?
//
// In this order: a byte-order mark; ISO-2022 (escapes in 7 bits); well-formed UTF-8; UTF-32 and
// UTF-16 without a mark, which alone explain many NULs and control characters; mostly well-formed
// UTF-8; legacy charsets. For the last, ICU's detector proposes and base/charset_score.h disposes:
// the detector is unsure of short texts and knows no DOS or Thai code pages.
#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "base/charset_score.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

// Detection reads this much; the decision holds for the whole text.
constexpr size_t kSampleBytes = 128 << 10;

// A text with more of these than one in fifty bytes is none.
constexpr size_t kBytesPerControl = 50;

struct ConverterCloser {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};
using Converter = std::unique_ptr<UConverter, ConverterCloser>;

Converter OpenConverter(const std::string& charset) {
  UErrorCode error = U_ZERO_ERROR;
  Converter converter(ucnv_open(charset.c_str(), &error));
  return U_SUCCESS(error) ? std::move(converter) : nullptr;
}

// Appends UTF-16 units as UTF-8; `high` carries a high surrogate from one call to the next.
void AppendUnits(const UChar* units, size_t count, char32_t* high, std::string* out) {
  for (size_t i = 0; i < count; ++i) {
    const char32_t unit = units[i];
    const bool low = unit >= 0xDC00 && unit <= 0xDFFF;
    if (*high != 0) {
      AppendCodePoint(out, low ? 0x10000 + ((*high - 0xD800) << 10) + (unit - 0xDC00) : 0xFFFD);
      const bool paired = low;
      *high = 0;
      if (paired) continue;
    }
    if (unit >= 0xD800 && unit <= 0xDBFF) {
      *high = unit;
    } else {
      AppendCodePoint(out, unit);  // U+FFFD for a lone low surrogate
    }
  }
}

// Ill-formed parts become U+FFFD. Nothing when ICU has no such charset.
std::optional<std::string> Convert(const std::string& charset, std::string_view bytes) {
  const Converter converter = OpenConverter(charset);
  if (!converter) return std::nullopt;
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 2);
  std::array<UChar, 4096> buffer;
  const char* source = bytes.data();
  const char* const end = source + bytes.size();
  char32_t high = 0;
  UErrorCode error = U_BUFFER_OVERFLOW_ERROR;
  while (error == U_BUFFER_OVERFLOW_ERROR) {
    error = U_ZERO_ERROR;
    UChar* target = buffer.data();
    ucnv_toUnicode(converter.get(), &target, buffer.data() + buffer.size(), &source, end, nullptr,
                   /*flush=*/true, &error);
    AppendUnits(buffer.data(), static_cast<size_t>(target - buffer.data()), &high, &out);
  }
  if (U_FAILURE(error)) return std::nullopt;
  if (high != 0) AppendCodePoint(&out, 0xFFFD);
  return out;
}

// "\r\n" and "\r" become "\n"; NULs and a mark at the start go.
std::string CleanText(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      if (i + 1 == text.size() || text[i + 1] != '\n') out.push_back('\n');
    } else if (text[i] != '\0') {
      out.push_back(text[i]);
    }
  }
  return out;
}

DecodedText Finished(std::string_view utf8, std::string charset) {
  return {CleanText(utf8), std::move(charset)};
}

struct ByteCounts {
  size_t nul = 0;
  size_t control = 0;  // other than white space, ESC and the end mark of DOS
  size_t high = 0;     // 0x80 and above
};

ByteCounts Count(std::string_view bytes) {
  ByteCounts counts;
  for (unsigned char byte : bytes) {
    if (byte >= 0x80) {
      ++counts.high;
    } else if (byte == 0) {
      ++counts.nul;
    } else if ((byte < 0x20 && (byte < '\t' || byte > '\r') && byte != 0x1A && byte != 0x1B) ||
               byte == 0x7F) {
      ++counts.control;
    }
  }
  return counts;
}

bool LooksBinary(const ByteCounts& counts, size_t size) {
  return (counts.nul + counts.control) * kBytesPerControl > size;
}

// The part of `bytes` to judge by: from shortly before the first byte that is not ASCII.
std::string_view Sample(std::string_view bytes) {
  const auto first = std::find_if(bytes.begin(), bytes.end(),
                                  [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  const auto at = static_cast<size_t>(first - bytes.begin());
  if (at == bytes.size() || at < kSampleBytes / 2) return bytes.substr(0, kSampleBytes);
  // All before `at` is ASCII, so any point there begins a character.
  return bytes.substr(at - kSampleBytes / 8, kSampleBytes);
}

// --- Unicode's own forms

std::u32string Units16(std::string_view bytes, bool big) {
  std::u32string units;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const auto first = static_cast<unsigned char>(bytes[i]);
    const auto second = static_cast<unsigned char>(bytes[i + 1]);
    units.push_back(big ? char32_t{first} << 8 | second : char32_t{second} << 8 | first);
  }
  return units;
}

double Score16(std::string_view bytes, bool big) {
  return ScoreUtf16(Units16(bytes.substr(0, kSampleBytes), big));
}

DecodedText FromUtf16(std::string_view bytes, bool big) {
  const std::string name = big ? "UTF-16BE" : "UTF-16LE";
  return Finished(Convert(name, bytes).value_or(""), name);
}

// Some writers put the mark of one byte order before a body of the other.
DecodedText FromMarkedUtf16(std::string_view body, bool big) {
  constexpr double kClearly = 0.5;
  constexpr size_t kEnoughBytes = 64;  // a few characters prove nothing against a mark
  const bool mark_is_wrong =
      body.size() >= kEnoughBytes && Score16(body, !big) > Score16(body, big) + kClearly;
  return FromUtf16(body, mark_is_wrong ? !big : big);
}

std::optional<DecodedText> ByMark(std::string_view bytes) {
  using std::string_view_literals::operator""sv;
  const auto after = [&](std::string_view mark) { return bytes.substr(mark.size()); };
  if (const auto mark = "\xEF\xBB\xBF"sv; bytes.starts_with(mark)) {
    return Finished(ReplaceInvalidUtf8(after(mark)), "UTF-8");
  }
  if (const auto mark = "\xFF\xFE\0\0"sv; bytes.starts_with(mark) && bytes.size() % 4 == 0) {
    return Finished(Convert("UTF-32LE", after(mark)).value_or(""), "UTF-32LE");
  }
  if (const auto mark = "\0\0\xFE\xFF"sv; bytes.starts_with(mark)) {
    return Finished(Convert("UTF-32BE", after(mark)).value_or(""), "UTF-32BE");
  }
  if (const auto mark = "\xFF\xFE"sv; bytes.starts_with(mark)) {
    return FromMarkedUtf16(after(mark), /*big=*/false);
  }
  if (const auto mark = "\xFE\xFF"sv; bytes.starts_with(mark)) {
    return FromMarkedUtf16(after(mark), /*big=*/true);
  }
  if (const auto mark = "\x84\x31\x95\x33"sv; bytes.starts_with(mark)) {
    return Finished(Convert("GB18030", after(mark)).value_or(""), "GB18030");
  }
  return std::nullopt;
}

bool IsUtf32(std::string_view bytes, bool big) {
  for (size_t i = 0; i < bytes.size(); i += 4) {
    char32_t c = 0;
    for (size_t k = 0; k < 4; ++k) {
      c = c << 8 | static_cast<unsigned char>(bytes[i + (big ? k : 3 - k)]);
    }
    if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return false;
  }
  return true;
}

std::optional<DecodedText> ByUnmarkedWideUnits(std::string_view bytes) {
  for (const bool big : {false, true}) {
    if (bytes.size() % 4 != 0 || !IsUtf32(bytes, big)) continue;
    const std::string name = big ? "UTF-32BE" : "UTF-32LE";
    return Finished(Convert(name, bytes).value_or(""), name);
  }
  if (bytes.size() % 2 != 0) return std::nullopt;
  constexpr double kPlausible = 0.8;  // a text's score is near 1 or above, noise is below 0
  const double little = Score16(bytes, false), big = Score16(bytes, true);
  if (std::max(little, big) < kPlausible) return std::nullopt;
  return FromUtf16(bytes, big > little);
}

// True when the well-formed sequences so outnumber the ill-formed parts that they are no accident.
bool IsMostlyUtf8(std::string_view bytes) {
  bytes = bytes.substr(0, CompletePrefix(bytes));
  size_t good = 0, bad = 0;
  for (size_t pos = 0; pos < bytes.size();) {
    const size_t begin = pos;
    const char32_t c = NextCodePoint(bytes, &pos);
    if (c == 0xFFFD && bytes.substr(begin, pos - begin) != "\xEF\xBF\xBD") {
      ++bad;
    } else if (pos - begin > 1) {
      ++good;
    }
  }
  return good > 0 && good >= 4 * bad;
}

// --- Legacy charsets

struct Candidate {
  std::string charset;
  double confidence = 0;  // the detector's, 0..1
};

// What the detector calls a charset -> the superset that files so labelled really use; "" to leave
// out.
std::string UsualName(std::string_view name) {
  if (name.starts_with("UTF-") || name.starts_with("IBM")) return "";  // settled before; EBCDIC
  if (name == "ISO-8859-1") return "windows-1252";
  if (name == "ISO-8859-9") return "windows-1254";
  if (name == "ISO-8859-8-I") return "ISO-8859-8";
  return std::string(name);
}

std::vector<Candidate> Detect(std::string_view sample) {
  std::vector<Candidate> found;
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<UCharsetDetector, decltype(&ucsdet_close)> detector(ucsdet_open(&error),
                                                                      &ucsdet_close);
  ucsdet_setText(detector.get(), sample.data(), static_cast<int32_t>(sample.size()), &error);
  int32_t count = 0;
  const UCharsetMatch** matches = ucsdet_detectAll(detector.get(), &count, &error);
  for (int32_t i = 0; U_SUCCESS(error) && i < count; ++i) {
    const char* name = ucsdet_getName(matches[i], &error);
    const int32_t confidence = ucsdet_getConfidence(matches[i], &error);
    if (U_FAILURE(error)) break;
    const std::string usual = UsualName(name);
    if (!usual.empty()) found.push_back({usual, confidence / 100.0});
  }
  return found;
}

// What the detector gives little credit to when the text is short, or does not know at all.
void AddUsualSuspects(std::vector<Candidate>* candidates) {
  for (const char* charset : {"GB18030", "Big5", "Shift_JIS", "EUC-JP", "EUC-KR", "windows-1251",
                              "KOI8-R", "IBM866", "windows-874", "windows-1252"}) {
    const bool known = std::any_of(candidates->begin(), candidates->end(),
                                   [&](const Candidate& c) { return c.charset == charset; });
    if (!known) candidates->push_back({charset});
  }
}

std::optional<DecodedText> ByEscapes(std::string_view bytes) {
  if (bytes.find('\x1B') == std::string_view::npos) return std::nullopt;
  for (const Candidate& candidate : Detect(Sample(bytes))) {
    if (!candidate.charset.starts_with("ISO-2022")) continue;
    auto text = Convert(candidate.charset, bytes);
    if (text && text->find("\xEF\xBF\xBD") == std::string::npos) {
      return Finished(*text, candidate.charset);
    }
  }
  return std::nullopt;
}

std::string BestLegacyCharset(std::string_view sample) {
  std::vector<Candidate> candidates = Detect(sample);
  AddUsualSuspects(&candidates);
  std::string best = "windows-1252";  // reads anything, and is right for most of Europe
  double best_score = -1e9;
  for (const Candidate& candidate : candidates) {
    if (candidate.charset.starts_with("ISO-2022")) continue;
    const auto text = Convert(candidate.charset, sample);
    if (!text) continue;
    const double score = 0.5 * candidate.confidence + ScoreText(*text, candidate.charset) +
                         CommonShare(sample, candidate.charset);
    if (score <= best_score) continue;
    best = candidate.charset;
    best_score = score;
  }
  return best;
}

Result<DecodedText> ByLegacyCharset(std::string_view bytes) {
  const std::string charset = BestLegacyCharset(Sample(bytes));
  auto text = Convert(charset, bytes);
  if (!text) return Internal(StrCat("ICU cannot convert from ", charset));
  size_t lost = 0;
  for (size_t at = text->find("\xEF\xBF\xBD"); at != std::string::npos;
       at = text->find("\xEF\xBF\xBD", at + 3)) {
    ++lost;
  }
  if (lost * 5 > CodePointCount(*text)) {
    return InvalidArgument("the bytes are no text in any known charset; save the file as UTF-8");
  }
  return Finished(*text, charset);
}

}  // namespace

Result<DecodedText> DecodeText(std::string_view bytes) {
  if (auto marked = ByMark(bytes)) return std::move(*marked);
  const ByteCounts counts = Count(bytes);
  const bool binary = LooksBinary(counts, bytes.size());
  if (!binary && counts.high == 0) {
    if (auto escaped = ByEscapes(bytes)) return std::move(*escaped);
  }
  if (!binary && IsValidUtf8(bytes)) return Finished(bytes, "UTF-8");
  if (counts.nul + counts.control > 0) {
    if (auto wide = ByUnmarkedWideUnits(bytes)) return std::move(*wide);
  }
  if (binary) {
    return InvalidArgument(StrCat("the bytes are no text: ", counts.nul, " NUL bytes and ",
                                  counts.control, " control characters in ", bytes.size(),
                                  " bytes; give a text file, or one of a known document format"));
  }
  if (IsMostlyUtf8(bytes)) return Finished(ReplaceInvalidUtf8(bytes), "UTF-8");
  return ByLegacyCharset(bytes);
}

std::optional<std::string> DecodeAs(std::string_view bytes, const std::string& charset) {
  return Convert(charset, bytes);
}

}  // namespace vade
