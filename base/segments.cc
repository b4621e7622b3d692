// Sentences and words of unicode.h: ICU's break iterators over UTF-8, so that offsets are bytes.
#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>

#include <functional>
#include <memory>

#include "base/unicode.h"

namespace vade {
namespace {

// ICU counts in 32 bits; longer texts are taken in slices of this size.
constexpr size_t kSliceBytes = size_t{1} << 28;

using Opener = icu::BreakIterator* (*)(const icu::Locale&, UErrorCode&);

std::unique_ptr<icu::BreakIterator> Open(Opener open) {
  UErrorCode error = U_ZERO_ERROR;
  std::unique_ptr<icu::BreakIterator> made(open(icu::Locale::getRoot(), error));
  VADE_CHECK(U_SUCCESS(error) && made, "ICU's break rules are missing; install libicu again");
  return made;
}

// Opening one parses tables and costs far more than cloning, so each thread keeps a clone.
icu::BreakIterator& SentenceBreaker() {
  static const auto prototype = Open(&icu::BreakIterator::createSentenceInstance);
  thread_local const std::unique_ptr<icu::BreakIterator> mine(prototype->clone());
  return *mine;
}

icu::BreakIterator& WordBreaker() {
  static const auto prototype = Open(&icu::BreakIterator::createWordInstance);
  thread_local const std::unique_ptr<icu::BreakIterator> mine(prototype->clone());
  return *mine;
}

// Calls visit(span, status of ICU's rule) for every segment, in order.
template <typename Visit>
void ForEachSegment(icu::BreakIterator& breaker, std::string_view text, Visit visit) {
  for (size_t base = 0; base < text.size();) {
    const std::string_view rest = text.substr(base);
    const std::string_view slice = rest.substr(0, FloorToCodePoint(rest, kSliceBytes));
    UErrorCode error = U_ZERO_ERROR;
    UText view = UTEXT_INITIALIZER;
    utext_openUTF8(&view, slice.data(), static_cast<int64_t>(slice.size()), &error);
    breaker.setText(&view, error);  // keeps a shallow clone of `view`, not `view` itself
    VADE_CHECK(U_SUCCESS(error), "ICU reads any bytes as UTF-8");
    int32_t begin = breaker.first();
    for (int32_t end = breaker.next(); end != icu::BreakIterator::DONE; end = breaker.next()) {
      visit(TextSpan{base + static_cast<size_t>(begin), base + static_cast<size_t>(end)},
            breaker.getRuleStatus());
      begin = end;
    }
    utext_close(&view);
    base += slice.size();
  }
}

bool HoldsLetterOrDigit(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = NextCodePoint(text, &pos);
    if (IsLetter(c) || IsDigit(c)) return true;
  }
  return false;
}

bool IsOpening(char32_t c) {  // brackets and quotes that open
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & (U_GC_PS_MASK | U_GC_PI_MASK)) != 0;
}

// Where the brackets and quotes that open what follows the span begin; the span's end when there
// are none.
size_t BeginOfOpening(std::string_view text, TextSpan span) {
  size_t begin = span.end;
  while (begin > span.begin) {
    size_t pos = FloorToCodePoint(text, begin - 1);
    const size_t before = pos;
    if (!IsOpening(NextCodePoint(text, &pos))) break;
    begin = before;
  }
  return begin > span.begin ? begin : span.end;
}

}  // namespace

std::vector<TextSpan> Sentences(std::string_view text) {
  std::vector<TextSpan> spans;
  ForEachSegment(SentenceBreaker(), text, [&](TextSpan span, int32_t) {
    // The rules take every quote after a full stop for a closing one. Without a space between, as
    // Chinese is written, an opening quote belongs to the sentence that it opens.
    if (!spans.empty()) {
      spans.back().end = BeginOfOpening(text, spans.back());
      span.begin = spans.back().end;
    }
    spans.push_back(span);
  });
  return spans;
}

std::vector<TextSpan> Words(std::string_view text) {
  std::vector<TextSpan> spans;
  ForEachSegment(WordBreaker(), text, [&](TextSpan span, int32_t status) {
    if (status >= UBRK_WORD_NONE_LIMIT &&
        HoldsLetterOrDigit(text.substr(span.begin, span.end - span.begin))) {
      spans.push_back(span);
    }
  });
  return spans;
}

}  // namespace vade
