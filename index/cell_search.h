// The search in the cells of a segment (cells.h): codes of the nearest cells, then int8 codes of
// the best by these.
#pragma once

#include <cstddef>
#include <vector>

#include "index/scan.h"
#include "index/walk.h"

namespace vade {

struct CellSearchOptions {
  size_t probes = 32;  // cells to look into, more where they hold fewer than k rows to be found
  size_t k = 10;       // rows that are wanted at least
  size_t candidates = 400;  // by their codes, to be scored again
};

// Rows near to `query` that the filter keeps, scored by their int8 codes, unordered.
std::vector<SlotScore> SearchCells(const Source& source, const Question& question,
                                   const CellSearchOptions& options);

}  // namespace vade
