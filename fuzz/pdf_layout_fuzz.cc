// Any words at any places: they become text, in bounded time, and none is lost but what pages
// repeat.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/unicode.h"
#include "ingest/formats/pdf_layout.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kBytesAWord = 6;
  std::vector<vade::PdfPage> pages(1);
  for (size_t i = 0; i + kBytesAWord <= size; i += kBytesAWord) {
    const uint8_t* at = data + i;
    if (at[0] == 0) pages.emplace_back();
    vade::PdfPage& page = pages.back();
    page.height = 256;
    vade::PdfWord word;
    word.text = at[0] % 16 == 1 ? "-" : at[0] % 16 == 2 ? "\xEF\xAC\x81" : "word";
    word.text += static_cast<char>('a' + at[5] % 26);
    word.left = at[1];
    word.right = at[1] + at[2] % 64;
    word.top = at[3];
    word.bottom = at[3] + at[4] % 32;
    word.font_size = at[4] % 32;
    word.upright = at[0] % 32 != 3;
    page.words.push_back(word);
  }
  const std::string text = vade::LayOutPdf(pages);
  if (!vade::IsValidUtf8(text)) std::abort();
  return 0;
}
