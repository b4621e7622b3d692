// Scores of all rows of codes by one question: bound by the memory that holds the codes. Eight
// lanes take a row, sixteen codes each at a time, so that a warp reads pieces of 128 bytes, and
// four rows at once, so that there is always something on its way. The greatest scores are found by
// best.cu.
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/scan_operations.h"

namespace vade::kernels::cuda {
namespace {

constexpr uint32_t kThreads = kScanThreads, kLanes = 8, kGroups = kThreads / kLanes;
constexpr uint32_t kTogether = kScanRowsOfBlock / kGroups;  // rows of a group
constexpr uint32_t kMinusInfinity = 0xff800000u;            // no score is as low

struct ScanView {
  Global<const uint8_t> codes, question, labels;
  Global<const float> scales, lifts;
  Global<const uint32_t> kept;
  Global<float> scores;
  uint32_t rows, padded_rows, pieces;  // pieces: of 16 codes, of a row
  float lift;                          // of all rows, where there are no labels
};

VADE_DEVICE bool IsKept(const ScanView& view, uint32_t row) {
  return view.kept.IsNull() || (view.kept[row / 32] >> (row % 32) & 1) != 0;
}

VADE_DEVICE float ScoreOf(const ScanView& view, uint32_t row, int dot) {
  const float lift = view.labels.IsNull() ? view.lift : view.lifts[view.labels[row]];
  return __fadd_rn(__fmul_rn(static_cast<float>(dot), view.scales[row]), lift);
}

// budget: registers 40, shared 65536 bytes
__global__ void __launch_bounds__(kThreads) ScoresKernel(ScanView view) {
  const Shared<uint4> question(0, view.pieces);
  for (uint32_t i = threadIdx.x; i < view.pieces; i += kThreads) {
    question[i] = view.question.Load<uint4>(16 * i);
  }
  __syncthreads();
  const uint32_t lane = threadIdx.x % kLanes;
  const uint32_t first = blockIdx.x * kScanRowsOfBlock + threadIdx.x / kLanes;
  int dots[kTogether] = {};
  for (uint32_t piece = lane; piece < view.pieces; piece += kLanes) {
    const uint4 q = question[piece];
#pragma unroll
    for (uint32_t i = 0; i < kTogether; ++i) {
      const uint32_t row = first + i * kGroups;
      if (row >= view.rows) continue;
      const uint4 x = view.codes.Load<uint4>((size_t{row} * view.pieces + piece) * 16);
      int dot = __dp4a(static_cast<int>(x.x), static_cast<int>(q.x), dots[i]);
      dot = __dp4a(static_cast<int>(x.y), static_cast<int>(q.y), dot);
      dot = __dp4a(static_cast<int>(x.z), static_cast<int>(q.z), dot);
      dots[i] = __dp4a(static_cast<int>(x.w), static_cast<int>(q.w), dot);
    }
  }
#pragma unroll
  for (uint32_t i = 0; i < kTogether; ++i) {
    int dot = dots[i];
    for (int step = 1; step < static_cast<int>(kLanes); step *= 2) {
      dot += __shfl_xor_sync(kAllLanes, dot, step);
    }
    const uint32_t row = first + i * kGroups;
    if (lane != 0 || row >= view.padded_rows) continue;
    const bool found = row < view.rows && IsKept(view, row);
    view.scores[row] = found ? ScoreOf(view, row, dot) : __uint_as_float(kMinusInfinity);
  }
}

}  // namespace

void ScanScores(const ScanScoresArgs& args, Stream stream) {
  if (args.rows == 0) return;
  const uint32_t pieces = args.stride / 16;
  const ScanView view = {
      .codes = {reinterpret_cast<const uint8_t*>(args.codes), size_t{args.rows} * args.stride},
      .question = {reinterpret_cast<const uint8_t*>(args.question), args.stride},
      .labels = {args.labels, args.labels ? args.rows : 0},
      .scales = {args.scales, args.rows},
      .lifts = {args.lifts, args.labels ? args.lift_count : 0},
      .kept = {args.kept, args.kept ? (args.rows + 31) / 32 : 0},
      .scores = {args.scores, args.padded_rows},
      .rows = args.rows,
      .padded_rows = args.padded_rows,
      .pieces = pieces,
      .lift = args.lift};
  Launch<ScoresKernel>(PlanScan(args.padded_rows, args.stride), stream, view);
}

}  // namespace vade::kernels::cuda
