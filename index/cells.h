// An inverted file over a segment's rows (IVF-PQ: Jegou, Douze and Schmid, "Product Quantization
// for Nearest Neighbor Search", 2011), for collections whose graphs would not fit the memory.
//
// Rows are divided among cells, each around a centroid; a row is kept as a code of one byte for
// every four dimensions: the nearest of 256 entries to that part of its difference from the
// centroid. A search looks at the codes of the cells nearest to the question alone, and scores the
// best of them again: it needs some 100 bytes a row in memory where a graph needs 520 (384
// dimensions). FAISS finds centroids and entries (cells.cc); the search is ours.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "index/vectors.h"

namespace vade {

inline constexpr size_t kCellPart = 4;        // dimensions of a byte of a code
inline constexpr size_t kCellEntries = 256;   // of the codebook, for each part
inline constexpr size_t kMinCellRows = 1024;  // fewer rows cannot teach the codebook
inline size_t CellParts(size_t dimension) { return (dimension + kCellPart - 1) / kCellPart; }
// How many cells a segment of this many rows has.
size_t CellCount(size_t rows);

// Borrowed cells: docs/formats.md, "Vector segments".
struct CellsView {
  std::span<const float> centroids;  // [cells, dimension]; empty: there are none
  std::span<const float> codebook;   // [parts, 256, 4]
  std::span<const uint32_t> begins;  // [cells + 1]
  std::span<const uint32_t> slots;   // [rows]
  std::span<const uint8_t> codes;    // [rows, parts]
};

// Cells with their codes.
struct Cells {
  std::vector<float> centroids;  // [cells, dimension]
  std::vector<float> codebook;   // [parts, 256, 4]
  std::vector<uint32_t> begins;  // [cells + 1]: where each cell's rows begin in slots and codes
  std::vector<uint32_t> slots;   // [rows], ascending within a cell
  std::vector<uint8_t> codes;    // [rows, parts], in the order of `slots`
  CellsView view() const;
};

// Single-threaded but for the linear algebra within FAISS, deterministic; holds a sample of the
// rows as float32. `rows` has kMinCellRows or more. CANCELLED once `stop` is true (it is looked at
// every few seconds); INTERNAL when FAISS fails.
Result<Cells> BuildCells(const VectorRows& rows, const std::atomic<bool>& stop);

}  // namespace vade
