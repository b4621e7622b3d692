// How kernels are launched: pure functions of the shapes, so that every size can be tested without
// a device. The order of sums is decided here too, by the shape of a row alone: SliceCount and
// kSplitKeys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/matrix.h"

namespace vade::kernels::cuda {

struct LaunchPlan {
  uint32_t grid_x = 1, grid_y = 1;
  uint32_t block = 32;        // threads; whole warps
  uint32_t shared_bytes = 0;  // dynamic; there is no static shared memory
};

// What devices of compute capability 8.0 and later offer.
inline constexpr uint32_t kMaxSharedBytes = 99 << 10;  // of a block, once a kernel asks for it
inline constexpr uint32_t kMaxGridX = 0x7fffffff, kMaxGridY = 65535;

// --- matrix products -----------------------------------------------------------------------------
// A row of weights is cut into slices of whole units. A slice is summed from its first unit to its
// last, then the slices' sums are added, first to last: on every path, for any number of tokens.
constexpr size_t UnitCols(Format format) {
  switch (format) {
    case Format::kQ4Super:
    case Format::kQ5Super:
    case Format::kQ6Super: return 256;
    default: return 32;
  }
}
constexpr uint32_t UnitCount(Format format, size_t cols) {
  return static_cast<uint32_t>((cols + UnitCols(format) - 1) / UnitCols(format));
}
inline constexpr uint32_t kMaxSlices = 16;
// A power of two, at most kMaxSlices and at most the units.
constexpr uint32_t SliceCount(uint32_t units) {
  uint32_t slices = 1;
  while (2 * slices <= units && 2 * slices <= kMaxSlices) slices *= 2;
  return slices;
}
constexpr uint32_t SliceBegin(uint32_t units, uint32_t slices, uint32_t slice) {
  return static_cast<uint32_t>(uint64_t{units} * slice / slices);
}

// The dot-product path: half a warp takes a slice of a tile, a lane one of its rows.
inline constexpr uint32_t kVectorThreads = 256;
inline constexpr uint32_t kVectorTokens = 8;  // tokens that share one reading of the weights
LaunchPlan PlanMatrixVector(uint32_t tiles, uint32_t slices, uint32_t tokens);
// Tokens of a block of the plan: 1, 2, 4 or 8.
uint32_t VectorTokens(uint32_t tokens);

// The tensor-core path: a warp takes a tile by kMatrixTokens tokens, a block 4 tiles. Activations
// pass through shared memory in steps of 256 columns.
inline constexpr uint32_t kMatrixWarps = 4;
inline constexpr uint32_t kMatrixTokens = 32;
inline constexpr uint32_t kStepCols = 256;
inline constexpr uint32_t kStepPitch = kStepCols + 16;  // bytes of a token: no two in one bank
inline constexpr uint32_t kRecordBytes = 96;            // of a token's step: 8 of 12, or one of 52
LaunchPlan PlanMatrix(uint32_t tiles, uint32_t tokens);
// Whether that path takes the product; the other one takes any.
bool UsesTensorCores(Format format, uint32_t tokens);

// --- rows
// ------------------------------------------------------------------------------------------
LaunchPlan PlanRows(uint32_t rows);       // a block of 256 threads a row
LaunchPlan PlanElements(uint64_t count);  // a thread an element
LaunchPlan PlanStore(uint32_t rows, uint32_t kv_heads, uint32_t head_dim);

// --- the greatest logits
// -----------------------------------------------------------------------------
inline constexpr uint32_t kMaxBest = 256;  // of a row
inline constexpr uint32_t kBestThreads = 256;
inline constexpr uint32_t kMaxBestChunks = 48;  // of a row: what they find fits one block's memory
inline constexpr uint32_t kBestScratchBytes = 256;
inline constexpr float kBestExponent =
    -20;  // the sum leaves out what is below e^this of the largest
inline constexpr double kWeightExponent = -32;  // the same of the weights
struct BestPlan {
  uint32_t chunks = 1, chunk_values = 1;
  LaunchPlan of_chunks, of_rows, of_sums;
};
// `count` is 1..kMaxBest.
BestPlan PlanBest(uint32_t rows, uint32_t width, uint32_t count);
// Whether the chunks of rows so wide fit.
bool CanFindBest(uint32_t width);

// --- attention
// --------------------------------------------------------------------------------------- Keys are
// cut into splits of this many from index 0. A split is summed by itself, page after page; the
// splits' results are merged first to last, whether one block saw all of them or one each.
inline constexpr uint32_t kSplitKeys = 256;
inline constexpr uint32_t kPagesOfSplit = kSplitKeys / static_cast<uint32_t>(kAttentionTile);
inline constexpr uint32_t kAttendThreads = 128;
inline constexpr uint32_t kAttendPairs = 16;  // (row, head of the group) pairs of a block
inline constexpr uint32_t kMaxHeadDim = 256;

// Rows of one sequence, as the plan needs them.
struct AttendShape {
  uint32_t row_count = 0;
  std::span<const uint32_t> visible;  // [row_count]
  // What tells that sequences begin with the same keys: forks of one prompt. Empty: not looked at.
  uint32_t first_row = 0;
  std::span<const int32_t> pages = {}, key_positions = {};
};
// Spans that follow one another and begin with the same keys. Where each alone would leave a block
// partly idle, blocks take the pairs of all of them, so that the keys are read once: a span of its
// own, behind the others, that has all their rows and sees what they share.
struct SharedKeys {
  uint32_t first_span = 0, span_count = 0;
  uint32_t splits = 0;  // whole ones, which all rows see
  uint32_t rows = 0;
};
// What one block does for each key/value head; nothing where it has no pairs, which fills up lists
// whose length is fixed.
struct AttendItem {
  int32_t span = 0;                        // those that share keys are counted behind the others
  int32_t pair_begin = 0, pair_end = 0;    // row * group + head of the group
  int32_t split_begin = 0, split_end = 0;  // of the keys
  int32_t partial = -1;  // where its kAttendPairs results go, counted in such; -1: it ends them
};
// Rows whose splits went to several blocks: to be merged. Without pairs: nothing to do.
struct MergeItem {
  int32_t span = 0;
  int32_t pair_begin = 0, pair_end = 0;
  int32_t partial = 0;      // of the first split that is the span's own
  int32_t split_count = 0;  // the others follow
  // Before them the pieces of shared keys: the span's pairs are counted from `shared_pair` on among
  // all that share them, and each kAttendPairs of those have `shared_count` pieces.
  int32_t shared_partial = 0, shared_pair = 0, shared_count = 0;
};
struct AttendPlan {
  std::vector<AttendItem> items;
  std::vector<MergeItem> merges;
  std::vector<SharedKeys> shared;  // each is a span more
  uint32_t partials = 0;           // pieces of kAttendPairs results, for each key/value head
};
std::vector<SharedKeys> FindSharedKeys(std::span<const AttendShape> spans, uint32_t group);
// Splits go to blocks of their own only where there would be fewer than `enough_blocks` otherwise,
// and where the first of them are shared.
AttendPlan PlanAttention(std::span<const AttendShape> spans, uint32_t group, uint32_t kv_heads,
                         uint32_t enough_blocks);
uint32_t AttendSharedBytes(uint32_t head_dim);
inline constexpr uint32_t PartialFloats(uint32_t head_dim) { return head_dim + 2; }

// --- scans of rows of codes ----------------------------------------------------------------------
inline constexpr uint32_t kScanThreads = 256;
inline constexpr uint32_t kScanRowsOfBlock = 128;
inline constexpr uint32_t kMaxScanStride = 64 << 10;  // of a row, in bytes: the question is shared
// The greatest are looked for in pieces of so many rows at a time, so that there are blocks for all
// multiprocessors; every piece gives its own.
inline constexpr uint32_t kScanPiece = 64 << 10;
LaunchPlan PlanScan(uint32_t padded_rows, uint32_t stride);
struct ScanPieces {
  uint32_t count = 1, rows = 1;  // of a piece; together as many rows as there are, or some more
};
ScanPieces CutScan(uint32_t rows);

// --- encoders ------------------------------------------------------------------------------------
inline constexpr uint32_t kEncoderThreads = 128;
inline constexpr uint32_t kEncoderScratchBytes = 256;   // for sums over a block
LaunchPlan PlanEncoderRows(uint32_t rows);              // a block a row
LaunchPlan PlanCodes(uint32_t tiles, uint32_t tokens);  // MultiplyCodes; as PlanMatrix, no records
LaunchPlan PlanHeadRows(uint32_t rows);
LaunchPlan PlanHeadValues(uint32_t texts, uint32_t heads);

// Queries of one text that a block takes for one head: 8 a warp.
inline constexpr uint32_t kTextQueries = kEncoderThreads / 32 * 8;
struct TextQueries {
  int32_t text = 0, first = 0;
};
// Texts of these lengths, cut; for AttendTexts.
std::vector<TextQueries> PlanTexts(std::span<const uint32_t> lengths);
// A warp's weights of 32 keys on their way from rows to columns: a query has kWeightsPitch bytes.
inline constexpr uint32_t kWeightsPitch = 36;
LaunchPlan PlanAttendTexts(uint32_t items, uint32_t heads);

}  // namespace vade::kernels::cuda
