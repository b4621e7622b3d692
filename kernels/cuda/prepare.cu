// Activations on their way into a matrix product: the norm in front of it, or the gate of the
// feed-forward part, then rounding to int8 as kernels/packed.h says. One block a row; a warp rounds
// one block of 32 or 256 columns at a time. Codes and records have the bits of matmul_scalar.cc for
// the same input.
#include "kernels/cuda/launch.cuh"
#include "kernels/packed.h"

namespace vade::kernels::cuda {
namespace {

constexpr uint32_t kThreads = 256, kWarps = kThreads / 32;
constexpr uint32_t kQuietNan = 0x7fc00000u;

struct PrepareView {
  Global<const float> x, norm, up;
  Global<uint8_t> out;
  uint32_t cols, stride, row_bytes;
  float eps;
};

// What is prepared of a row, value by value.
struct RowValues {
  const PrepareView& view;
  size_t begin;
  float inverse = 1;  // of the root mean square

  VADE_DEVICE float operator()(uint32_t i) const {
    const float x = view.x[begin + i];
    if (!view.norm.IsNull()) return __fmul_rn(__fmul_rn(x, inverse), view.norm[i]);
    if (!view.up.IsNull()) return __fmul_rn(__fdiv_rn(x, 1.0f + expf(-x)), view.up[begin + i]);
    return x;
  }
};

VADE_DEVICE RowValues ValuesOf(const PrepareView& view, uint32_t row) {
  RowValues values = {view, size_t{row} * view.stride};
  if (view.norm.IsNull()) return values;
  float squares = 0;
  for (uint32_t i = threadIdx.x; i < view.cols; i += kThreads) {
    const float x = view.x[values.begin + i];
    squares = __fmaf_rn(x, x, squares);
  }
  const Shared<float> sums(0, kWarps);
  const float mean = __fdiv_rn(BlockSum<kWarps>(squares, sums), static_cast<float>(view.cols));
  values.inverse = __fdiv_rn(1.0f, __fsqrt_rn(mean + view.eps));
  return values;
}

// How the 32 * kEach values that a warp holds are rounded.
struct Rounding {
  float scale, inverse;  // inverse 0: the codes are zeros
};
template <int kEach>
VADE_DEVICE Rounding RoundingOf(const float (&values)[kEach]) {
  float largest = 0;
  bool finite = true;
  for (int j = 0; j < kEach; ++j) {
    finite = finite && IsFinite(values[j]);
    largest = fmaxf(largest, fabsf(values[j]));
  }
  largest = WarpMax(largest);
  finite = __ballot_sync(kAllLanes, finite) == kAllLanes;
  if (!finite) return {__uint_as_float(kQuietNan), 0};
  if (largest < kSmallestMaximum) return {0, 0};
  return {__fdiv_rn(largest, 127.0f), __fdiv_rn(127.0f, largest)};
}

VADE_DEVICE int CodeOf(float value, const Rounding& rounding) {
  return rounding.inverse == 0 ? 0 : __float2int_rn(__fmul_rn(value, rounding.inverse));
}

// budget: registers 40, shared 128 bytes
__global__ void __launch_bounds__(kThreads) PrepareFloatsKernel(PrepareView view) {
  const RowValues values = ValuesOf(view, blockIdx.x);
  const size_t out = size_t{blockIdx.x} * view.row_bytes;
  for (uint32_t i = threadIdx.x; i < view.cols; i += kThreads) {
    view.out.Store<float>(out + 4 * size_t{i}, values(i));
  }
}

// budget: registers 40, shared 128 bytes
__global__ void __launch_bounds__(kThreads) Prepare32Kernel(PrepareView view) {
  const RowValues values = ValuesOf(view, blockIdx.x);
  const uint32_t lane = threadIdx.x % 32;
  const size_t out = size_t{blockIdx.x} * view.row_bytes;
  for (uint32_t block = threadIdx.x / 32; block < view.cols / 32; block += kWarps) {
    const float value[1] = {values(32 * block + lane)};
    const Rounding rounding = RoundingOf(value);
    const int code = CodeOf(value[0], rounding);
    view.out.Store<int8_t>(out + 32 * block + lane, static_cast<int8_t>(code));
    const int sum = WarpSum(code);
    const size_t record = out + view.cols + size_t{block} * sizeof(Prepared32);
    if (lane == 0) {
      view.out.Store<float>(record, rounding.scale);
      view.out.Store<float>(record + 4, __fmul_rn(rounding.scale, static_cast<float>(sum)));
      view.out.Store<int32_t>(record + 8, sum);
    }
  }
}

// budget: registers 48, shared 128 bytes
__global__ void __launch_bounds__(kThreads) Prepare256Kernel(PrepareView view) {
  const RowValues values = ValuesOf(view, blockIdx.x);
  const uint32_t lane = threadIdx.x % 32;
  const size_t out = size_t{blockIdx.x} * view.row_bytes;
  for (uint32_t block = threadIdx.x / 32; block < view.cols / 256; block += kWarps) {
    // A lane holds one column of each 32.
    float held[8];
    for (uint32_t j = 0; j < 8; ++j) held[j] = values(256 * block + 32 * j + lane);
    const Rounding rounding = RoundingOf(held);
    const size_t record = out + view.cols + size_t{block} * sizeof(Prepared256);
    if (lane == 0) view.out.Store<float>(record, rounding.scale);
    for (uint32_t j = 0; j < 8; ++j) {
      const int code = CodeOf(held[j], rounding);
      view.out.Store<int8_t>(out + 256 * block + 32 * j + lane, static_cast<int8_t>(code));
      int sum16 = code;
      for (int step = 8; step > 0; step /= 2) sum16 += __shfl_xor_sync(kAllLanes, sum16, step);
      const int other = __shfl_xor_sync(kAllLanes, sum16, 16);
      if (lane % 16 == 0) {
        view.out.Store<int16_t>(record + 4 + 2 * (2 * j + lane / 16), static_cast<int16_t>(sum16));
      }
      if (lane == 0) {
        view.out.Store<int16_t>(record + 36 + 2 * j, static_cast<int16_t>(sum16 + other));
      }
    }
  }
}

}  // namespace

void Prepare(const PrepareArgs& args, Stream stream) {
  if (args.rows == 0) return;
  const size_t row_bytes = PreparedBytes(args.format, args.cols);
  const size_t floats = size_t{args.rows - 1} * args.x_stride + args.cols;
  const PrepareView view = {.x = {args.x, floats},
                            .norm = {args.norm, args.norm ? args.cols : 0},
                            .up = {args.up, args.up ? floats : 0},
                            .out = {args.out, args.rows * row_bytes},
                            .cols = args.cols,
                            .stride = args.x_stride,
                            .row_bytes = static_cast<uint32_t>(row_bytes),
                            .eps = args.eps};
  const LaunchPlan plan = PlanRows(args.rows);
  if (IsFloat(args.format)) {
    Launch<PrepareFloatsKernel>(plan, stream, view);
  } else if (IsSuper(args.format)) {
    Launch<Prepare256Kernel>(plan, stream, view);
  } else {
    Launch<Prepare32Kernel>(plan, stream, view);
  }
}

}  // namespace vade::kernels::cuda
