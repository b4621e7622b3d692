// Scores of rows of codes by a question, on a CUDA device (kernels/row_scanner.h). As in
// operations.h, all pointers are device memory and the function only queues its work. The greatest
// are found by BestLogits.
#pragma once

#include <cstdint>

#include "kernels/cuda/operations.h"

namespace vade::kernels::cuda {

struct ScanScoresArgs {
  uint32_t rows = 0;
  uint32_t stride = 0;               // of a row and of the question: a multiple of 64
  const int8_t* codes = nullptr;     // [rows, stride], 16-byte aligned
  const float* scales = nullptr;     // [rows]
  const uint8_t* labels = nullptr;   // [rows], numbers of lifts; null: `lift` for all
  const int8_t* question = nullptr;  // [stride], 16-byte aligned
  const float* lifts = nullptr;      // [lift_count]; not read without labels
  uint32_t lift_count = 0;
  float lift = 0;
  const uint32_t* kept = nullptr;  // a bit a row; null: all are
  uint32_t padded_rows = 0;        // rows or more
  float* scores = nullptr;         // [padded_rows]; minus infinity where a row is not kept or none
};
void ScanScores(const ScanScoresArgs& args, Stream stream);

}  // namespace vade::kernels::cuda
