// Exhaustive search over rows of int8 codes that a device holds: what a GPU does for index/. The
// result is that of looking at every row on the processor, score for score.
//
//   score = product of codes * scale of the row + lift of the row's label
//
// in float32, each operation rounded by itself.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"

namespace vade::kernels {

// Borrowed for the time of Hold().
struct ScanRows {
  size_t count = 0, dimension = 0;
  size_t stride = 0;                 // bytes from row to row of codes: a multiple of 64
  const int8_t* codes = nullptr;     // [count, stride]
  const float* scales = nullptr;     // [count], finite and not negative
  const uint16_t* labels = nullptr;  // [count]
};

// Rows on a device. Destroying it gives their memory back; it must not outlive its scanner.
class HeldRows {
 public:
  virtual ~HeldRows() = default;
  virtual size_t count() const = 0;
  // The different labels of its rows, ascending.
  virtual std::span<const uint16_t> labels() const = 0;
};

struct RowQuestion {
  std::span<const int8_t> code = {};    // as long as the rows' stride, zeros behind the dimension
  std::span<const float> lifts = {};    // finite, one for each of HeldRows::labels()
  std::span<const uint64_t> kept = {};  // bit i: row i may be found; empty: all may
  size_t best = 1;                      // 1..RowScanner::max_best()
};

struct ScoredRow {
  float score = 0;
  uint32_t row = 0;
  friend bool operator==(const ScoredRow&, const ScoredRow&) = default;
};

// Thread-safe: calls queue up.
class RowScanner {
 public:
  virtual ~RowScanner() = default;
  virtual size_t max_best() const = 0;

  // A copy of the rows. RESOURCE_EXHAUSTED: there is no room for it now, the message has the
  // remedy; UNIMPLEMENTED: more labels or longer rows than the device takes. Other errors are the
  // device's.
  virtual Result<std::unique_ptr<HeldRows>> Hold(const ScanRows& rows) = 0;

  // At least the `best` rows of the greatest scores, the first among equals, and as many as may be
  // found where those are fewer; in no order. An error is the device's: nothing is to be expected
  // of it any more.
  virtual Result<std::vector<ScoredRow>> Best(const HeldRows& rows,
                                              const RowQuestion& question) = 0;
};

}  // namespace vade::kernels
