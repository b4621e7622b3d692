// Text in any language: UTF-8, normal forms, charsets, words and sentences. ICU stays in the .cc
// file. Offsets are byte offsets into UTF-8, half-open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace vade {

bool IsValidUtf8(std::string_view text);

// Each maximal ill-formed part becomes U+FFFD (Unicode's recommended practice).
std::string ReplaceInvalidUtf8(std::string_view text);

// The code point at text[*pos], advancing *pos; U+FFFD (advancing by the ill-formed part) when
// ill-formed.
char32_t NextCodePoint(std::string_view text, size_t* pos);
void AppendCodePoint(std::string* out, char32_t code_point);
size_t CodePointCount(std::string_view text);

// The largest offset <= pos that does not split a code point.
size_t FloorToCodePoint(std::string_view text, size_t pos);

// Length of the longest prefix of `bytes` that does not end inside a code point: what a stream may
// send.
size_t CompletePrefix(std::string_view bytes);

std::string Nfc(std::string_view text);
std::string Nfd(std::string_view text);
std::string Nfkc(std::string_view text);
std::string NfkcCaseFold(std::string_view text);

struct DecodedText {
  std::string utf8;     // valid UTF-8, no byte-order mark, no NUL, line ends as "\n"
  std::string charset;  // name of the charset it was read as
};
// Bytes of unknown charset -> text. INVALID_ARGUMENT with the reason when they are no text: more
// than one byte in fifty is NUL (and it is not UTF-16 or UTF-32) or a control character. Fewer NULs
// are dropped.
Result<DecodedText> DecodeText(std::string_view bytes);

// Bytes of a known charset -> UTF-8, line ends and NULs as they are; ill-formed parts become
// U+FFFD. Nothing when there is no charset of that name (ICU's aliases: "windows-1252", "cp932",
// "GBK").
std::optional<std::string> DecodeAs(std::string_view bytes, const std::string& charset);

struct TextSpan {
  size_t begin = 0;
  size_t end = 0;
  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};
// ICU's boundaries (UAX 29), root locale; the spans cover the text without gaps. A bracket or quote
// that opens the next sentence goes with that one. Every "\n" ends a sentence: join hard-wrapped
// lines before.
std::vector<TextSpan> Sentences(std::string_view text);
std::vector<TextSpan> Words(
    std::string_view text);  // only those that hold a letter, a digit or an ideograph

bool IsLetter(char32_t c);
bool IsDigit(char32_t c);        // category N
bool IsWhitespace(char32_t c);   // White_Space
bool IsPunctuation(char32_t c);  // categories P and S
bool IsPunctuationMark(char32_t c);  // category P alone
bool IsNonspacingMark(char32_t c);   // category Mn: accents that were taken off their letters
bool IsControl(char32_t c);          // categories Cc, Cf and Co
bool IsHan(char32_t c);
char32_t ToLower(char32_t c);  // the simple mapping, which does not look around

enum class Script { kLatin, kHan, kOther };
// The script that most letters of the text are in: tells the language of a prompt, roughly.
Script DominantScript(std::string_view text);

}  // namespace vade
