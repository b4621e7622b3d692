// The encoder's work on rows: embedding and normalisation, GELU, rounding to codes, and at the end
// a text's rows to its vector. A block a row (a text); a thread owns four columns of each 512,
// whose codes are one word.
#include "kernels/cuda/dequantize.cuh"
#include "kernels/cuda/encoder_codes.cuh"
#include "kernels/cuda/encoder_operations.h"

namespace vade::kernels::cuda {
namespace {

constexpr uint32_t kThreads = kEncoderThreads, kWarps = kThreads / 32;

struct CodesView {
  Global<uint8_t> codes;
  Global<float> scales;
  uint32_t cols, stride;
};
CodesView ViewOf(const CodesOut& out, uint32_t rows, uint32_t cols) {
  const uint32_t stride = EncoderStride(cols);
  return {{out.codes, size_t{rows} * stride}, {out.scales, 2 * size_t{rows}}, cols, stride};
}

// f(column) for the columns of this thread.
template <typename F>
VADE_DEVICE void ForOwnColumns(uint32_t cols, F f) {
  for (uint32_t first = 4 * threadIdx.x; first < cols; first += 4 * kThreads) {
    for (uint32_t i = first; i < first + 4 && i < cols; ++i) f(i);
  }
}

// Room for the sums of the warps; `slot`: 0 or 1, one for each sum of a kernel.
VADE_DEVICE Shared<double> WarpSums(uint32_t slot) {
  return {slot * kWarps * static_cast<uint32_t>(sizeof(double)), kWarps};
}

// How the block's row is rounded, to every thread. Once a kernel.
VADE_DEVICE ActivationCodes BlockCodes(float low, float high, bool ordered) {
  constexpr uint32_t at = 2 * kWarps * sizeof(double);
  const Shared<float> lows(at, kWarps), highs(at + 4 * kWarps, kWarps);
  const Shared<uint32_t> flags(at + 8 * kWarps, kWarps);
  low = -WarpMax(-low);
  high = WarpMax(high);
  ordered = __ballot_sync(kAllLanes, ordered) == kAllLanes;
  if (threadIdx.x % 32 == 0) {
    lows[threadIdx.x / 32] = low;
    highs[threadIdx.x / 32] = high;
    flags[threadIdx.x / 32] = ordered ? 1u : 0u;
  }
  __syncthreads();
  uint32_t all = 1;
  for (uint32_t i = 0; i < kWarps; ++i) {
    low = fminf(low, lows[i]);
    high = fmaxf(high, highs[i]);
    all &= flags[i];
  }
  return ActivationCodesOf(low, high, all != 0);
}

// The row of which value(column) is each thread's own, as codes.
template <typename Value>
VADE_DEVICE void PutCodes(const CodesView& view, uint32_t row, Value value) {
  float low = 0, high = 0;
  bool ordered = true;
  ForOwnColumns(view.cols, [&](uint32_t i) {
    const float x = value(i);
    ordered = ordered && !IsNan(x);
    low = x < low ? x : low;
    high = x > high ? x : high;
  });
  const ActivationCodes codes = BlockCodes(low, high, ordered);
  for (uint32_t first = 4 * threadIdx.x; first < view.stride; first += 4 * kThreads) {
    uint32_t word = 0;
    for (uint32_t i = 0; i < 4 && first + i < view.cols; ++i) {
      word |= codes.Of(value(first + i)) << (8 * i);
    }
    view.codes.Store<uint32_t>(size_t{row} * view.stride + first, word);
  }
  if (threadIdx.x != 0) return;
  view.scales[2 * size_t{row}] = codes.scale;
  view.scales[2 * size_t{row} + 1] = codes.offset;
}

struct NormView {
  Global<float> x;
  Global<const float> weight, bias;
  CodesView out;
  float eps;
};
NormView ViewOf(const EncoderNorm& norm, float* x, const CodesOut& out, uint32_t rows,
                uint32_t cols) {
  return {.x = {x, size_t{rows} * cols},
          .weight = {norm.weight, cols},
          .bias = {norm.bias, cols},
          .out = ViewOf(out, rows, cols),
          .eps = norm.eps};
}

// x = norm(before(column)) of the block's row, and its codes.
template <typename Before>
VADE_DEVICE void NormRow(const NormView& view, uint32_t row, Before before) {
  const uint32_t cols = view.out.cols;
  const size_t begin = size_t{row} * cols;
  const auto value = [&](uint32_t i) -> float { return view.x[begin + i]; };
  double sum = 0, squares = 0;
  ForOwnColumns(cols, [&](uint32_t i) {
    const float x = before(i);
    view.x[begin + i] = x;
    sum += x;
  });
  const auto mean = static_cast<float>(BlockSum<kWarps>(sum, WarpSums(0)) / cols);
  ForOwnColumns(cols, [&](uint32_t i) {
    const double distance = __fadd_rn(value(i), -mean);
    squares += distance * distance;
  });
  const auto variance = static_cast<float>(BlockSum<kWarps>(squares, WarpSums(1)) / cols);
  const float inverse = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(variance, view.eps)));
  ForOwnColumns(cols, [&](uint32_t i) {
    const float unit = __fmul_rn(__fadd_rn(value(i), -mean), inverse);
    view.x[begin + i] = __fmaf_rn(unit, view.weight[i], view.bias[i]);
  });
  PutCodes(view.out, row, value);
}

struct EmbedView {
  TensorType type;
  Global<const uint8_t> table;
  Global<const float> positions;
  Global<const int32_t> tokens, places;
};

// budget: registers 64, shared 256 bytes
__global__ void __launch_bounds__(kThreads) EmbedNormKernel(EmbedView view, NormView norm) {
  const uint32_t row = blockIdx.x, cols = norm.out.cols;
  const size_t token = static_cast<size_t>(view.tokens[row]) * cols;
  const size_t place = static_cast<size_t>(view.places[row]) * cols;
  NormRow(norm, row, [&](uint32_t i) {
    return __fadd_rn(DequantizedValue(view.type, view.table, token + i), view.positions[place + i]);
  });
}

// budget: registers 40, shared 256 bytes
__global__ void __launch_bounds__(kThreads) AddNormKernel(Global<const float> y, NormView norm) {
  const uint32_t row = blockIdx.x;
  const size_t begin = size_t{row} * norm.out.cols;
  NormRow(norm, row,
          [&](uint32_t i) -> float { return __fadd_rn(norm.x[begin + i], y[begin + i]); });
}

// budget: registers 40, shared 256 bytes
template <bool kGelu>
__global__ void __launch_bounds__(kThreads) RowsToCodesKernel(Global<float> x, CodesView out) {
  const size_t begin = size_t{blockIdx.x} * out.cols;
  const auto value = [&](uint32_t i) -> float { return x[begin + i]; };
  if constexpr (kGelu) {
    ForOwnColumns(out.cols, [&](uint32_t i) { x[begin + i] = GeluOf(value(i)); });
  }
  PutCodes(out, blockIdx.x, value);
}

struct PoolView {
  Global<const float> x;
  Global<const TextSpan> texts;
  Global<float> out;
  uint32_t cols;
  bool mean;
};

// budget: registers 48, shared 256 bytes
__global__ void __launch_bounds__(kThreads) PoolKernel(PoolView view) {
  const size_t text = blockIdx.x, out = text * view.cols;
  const auto first = static_cast<size_t>(view.texts.Load<int32_t>(text * sizeof(TextSpan)));
  const int32_t length =
      view.texts.Load<int32_t>(text * sizeof(TextSpan) + offsetof(TextSpan, rows));
  const int32_t rows = view.mean ? length : 1;
  double squares = 0;
  ForOwnColumns(view.cols, [&](uint32_t i) {
    float sum = 0;
    for (int32_t row = 0; row < rows; ++row) {
      sum = __fadd_rn(sum, view.x[(first + static_cast<size_t>(row)) * view.cols + i]);
    }
    view.out[out + i] = sum;
    squares += static_cast<double>(sum) * sum;
  });
  const auto length_of = static_cast<float>(sqrt(BlockSum<kWarps>(squares, WarpSums(0))));
  const float scale = __fdiv_rn(1.0f, fmaxf(length_of, kLeastVectorLength));
  ForOwnColumns(view.cols, [&](uint32_t i) {
    const float sum = view.out[out + i];
    view.out[out + i] = __fmul_rn(sum, scale);
  });
}

}  // namespace

void EmbedNorm(const EmbedNormArgs& args, Stream stream) {
  if (args.rows == 0) return;
  const EmbedView view = {.type = args.type,
                          .table = {args.table, args.table_bytes},
                          .positions = {args.positions, size_t{args.position_count} * args.cols},
                          .tokens = {args.tokens, args.rows},
                          .places = {args.places, args.rows}};
  Launch<EmbedNormKernel>(PlanEncoderRows(args.rows), stream, view,
                          ViewOf(args.norm, args.x, args.out, args.rows, args.cols));
}

void AddNorm(const AddNormArgs& args, Stream stream) {
  if (args.rows == 0) return;
  Launch<AddNormKernel>(PlanEncoderRows(args.rows), stream,
                        Global<const float>(args.y, size_t{args.rows} * args.cols),
                        ViewOf(args.norm, args.x, args.out, args.rows, args.cols));
}

void RowsToCodes(const RowsToCodesArgs& args, Stream stream) {
  if (args.rows == 0) return;
  const LaunchPlan plan = PlanEncoderRows(args.rows);
  const Global<float> x(args.x, size_t{args.rows} * args.cols);
  const CodesView out = ViewOf(args.out, args.rows, args.cols);
  if (args.of == RowsToCodesArgs::Of::kGelu) {
    Launch<RowsToCodesKernel<true>>(plan, stream, x, out);
  } else {
    Launch<RowsToCodesKernel<false>>(plan, stream, x, out);
  }
}

void PoolTexts(const PoolTextsArgs& args, Stream stream) {
  if (args.text_count == 0) return;
  const PoolView view = {.x = {args.x, size_t{args.rows} * args.cols},
                         .texts = {args.texts, args.text_count},
                         .out = {args.out, size_t{args.text_count} * args.cols},
                         .cols = args.cols,
                         .mean = args.pool == PoolTextsArgs::Pool::kMean};
  Launch<PoolKernel>(PlanEncoderRows(args.text_count), stream, view);
}

}  // namespace vade::kernels::cuda
