// The lines of a PDF's pages. Private to pdf_layout.cc.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ingest/formats/pdf_layout.h"

namespace vade {

struct PdfLine {
  std::string text;
  double left = 0, top = 0, right = 0, bottom = 0;
  double font_size = 0;            // of most of its characters
  bool bold = false;               // all of it
  size_t page = 0;                 // 0-based
  std::vector<std::string> cells;  // where wide gaps divide it: at least two, as in a table
  double height() const { return bottom - top; }
};

// In reading order. Lines that stand on many pages are there once.
std::vector<PdfLine> LinesOf(const std::vector<PdfPage>& pages);

}  // namespace vade
