// Work on rows of logits and activations.
#include "kernels/cuda/launch.cuh"

namespace vade::kernels::cuda {
namespace {

constexpr uint32_t kThreads = 256, kWarps = kThreads / 32;

// budget: registers 40
__global__ void __launch_bounds__(kThreads)
    LogProbabilityKernel(Global<const float> logits, Global<const int32_t> targets, uint32_t width,
                         Global<float> out) {
  const Shared<float> shared(0, 2 * kWarps);
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int32_t target = targets[blockIdx.x];
  const size_t row = size_t{blockIdx.x} * width;
  if (target < 0) {  // all threads alike
    if (threadIdx.x == 0) out[blockIdx.x] = 0.0f;
    return;
  }
  float largest = -INFINITY;
  for (uint32_t i = threadIdx.x; i < width; i += kThreads) {
    largest = fmaxf(largest, logits[row + i]);
  }
  largest = WarpMax(largest);
  if (lane == 0) shared[warp] = largest;
  __syncthreads();
  for (uint32_t i = 0; i < kWarps; ++i) largest = fmaxf(largest, shared[i]);

  float sum = 0;
  for (uint32_t i = threadIdx.x; i < width; i += kThreads) sum += expf(logits[row + i] - largest);
  sum = WarpSum(sum);
  if (lane == 0) shared[kWarps + warp] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  float total = 0;
  for (uint32_t i = 0; i < kWarps; ++i) total += shared[kWarps + i];
  out[blockIdx.x] = logits[row + static_cast<uint32_t>(target)] - (largest + logf(total));
}

// A thread a column: rows move to the front one after the other, so that none is overwritten before
// it was read.
// budget: registers 40
__global__ void __launch_bounds__(kThreads)
    KeepRowsKernel(Global<float> rows, Global<const int32_t> keep, uint32_t kept, uint32_t width) {
  const uint32_t column = blockIdx.x * kThreads + threadIdx.x;
  if (column >= width) return;
  for (uint32_t i = 0; i < kept; ++i) {
    const auto from = static_cast<uint32_t>(keep[i]);
    if (from != i) {
      const float value = rows[size_t{from} * width + column];
      rows[size_t{i} * width + column] = value;
    }
  }
}

}  // namespace

void LogProbabilities(const LogProbabilityArgs& args, Stream stream) {
  if (args.rows == 0) return;
  Launch<LogProbabilityKernel>(PlanRows(args.rows), stream,
                               Global<const float>(args.logits, size_t{args.rows} * args.width),
                               Global<const int32_t>(args.targets, args.rows), args.width,
                               Global<float>(args.out, args.rows));
}

void KeepRows(const KeepRowsArgs& args, Stream stream) {
  if (args.kept == 0) return;
  Launch<KeepRowsKernel>(PlanElements(args.width), stream,
                         Global<float>(args.rows, size_t{args.row_count} * args.width),
                         Global<const int32_t>(args.keep, args.kept), args.kept, args.width);
}

}  // namespace vade::kernels::cuda
