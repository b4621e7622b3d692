// The rows of words of a page in the order in which they are read: columns one after the other.
// Private to pdf_lines.cc.
#pragma once

#include <vector>

#include "ingest/formats/pdf_layout.h"

namespace vade {

using PdfRow = std::vector<PdfWord>;  // from left to right

// Where rows leave the same strip free and run on both sides of it as text does, they are two
// columns; where they do not, as in a table or behind bullets, a row is read across. Words that are
// not upright come last, in the order given.
std::vector<PdfRow> RowsInOrder(const std::vector<PdfWord>& words);

}  // namespace vade
