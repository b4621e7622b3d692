// Words of PDF pages -> normalised text. Poppler puts the words in reading order (columns one after
// the other); here they become lines, paragraphs, headings and list items. No poppler in it.
#pragma once

#include <string>
#include <vector>

namespace vade {

struct PdfWord {
  std::string text;
  double left = 0, top = 0, right = 0, bottom = 0;  // points, from the page's upper left corner
  double font_size = 0;                             // 0: not known
  bool bold = false;
  bool upright = true;  // read from left to right across the page as it is shown
  bool space_after = false;
};

struct PdfPage {
  double height = 0;
  std::vector<PdfWord> words;
};

// What holds:
//   - what stands at the top or bottom of many pages, but for its numbers, is kept once;
//   - a word that a line end cut is joined, with its hyphen where it is written so elsewhere;
//   - a form feed stands where the next page begins, within a paragraph where that goes on.
std::string LayOutPdf(std::vector<PdfPage> pages);

}  // namespace vade
