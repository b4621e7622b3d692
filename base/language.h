// Which language a text is written in, as a number that fits a row of a table.
//
//   const LanguageCode document = DetectLanguage(text, kUnknownLanguage);
//   const LanguageCode passage = DetectLanguage(text.substr(...), document);
//   LanguageName(passage);  // "en"
//
// cld2 stays in the .cc file. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vade {

// The two or three letters of an ISO 639 code as digits of base 27, 'a' being 1. Written to disk.
using LanguageCode = uint16_t;
inline constexpr LanguageCode kUnknownLanguage = 0;

// kUnknownLanguage for anything but two or three letters a-z.
LanguageCode ParseLanguage(std::string_view name);
// "" for kUnknownLanguage and for numbers that are no code.
std::string LanguageName(LanguageCode code);

// Traditional and simplified Chinese are both "zh". A text that is too short or too mixed to tell
// has the language `hint` (of the document around it) when that one is written in the text's
// script, else the one language of its script where there is one (Han: "zh"), else none.
LanguageCode DetectLanguage(std::string_view utf8, LanguageCode hint);

}  // namespace vade
