// Matrix products by dot products: for decoding, where reading the weights is the cost. Half a warp
// takes a slice of a tile, a lane one of its 16 rows: a line of codes is 64 bytes that the half
// warp reads together, and the activations of a token are the same for all of it. A block's slices
// meet in shared memory and are added in their order.
//
// Also the path of float32, float16 and bfloat16 weights, for any number of tokens.
#include "kernels/cuda/product.cuh"

namespace vade::kernels::cuda {
namespace {

constexpr uint32_t kRows = static_cast<uint32_t>(kTileRows);
constexpr uint32_t kHalfWarps = kVectorThreads / kRows;
// Of a multiprocessor: 3 leave a thread 80 registers. Without a number ptxas aims for more blocks
// and spills.
constexpr uint32_t kBlocks = 3;

// A lane's row of one tile.
struct LaneRow {
  Global<const uint8_t> data;
  size_t tile;  // its first byte
  uint32_t row;
};

// The 32 codes of a group as 8 registers.
template <Format kFormat>
VADE_DEVICE void LoadCodes(const LaneRow& lane, size_t group, uint32_t (&codes)[8]) {
  uint32_t lines[kLines<kFormat>];
#pragma unroll
  for (int j = 0; j < kLines<kFormat>; ++j) {
    lines[j] = lane.data.Load<uint32_t>(group + kLine * j + 4 * lane.row);
  }
#pragma unroll
  for (uint32_t step = 0; step < 8; ++step) {
    codes[step] = StepCodes<kFormat>([&](uint32_t j) { return lines[j]; }, step);
  }
}

// The activations of 32 columns of a token as 8 registers.
VADE_DEVICE void LoadActivations(const ProductView& view, size_t at, uint32_t (&x)[8]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint4 four = view.x.Load<uint4>(at + 16 * half);
    x[4 * half] = four.x;
    x[4 * half + 1] = four.y;
    x[4 * half + 2] = four.z;
    x[4 * half + 3] = four.w;
  }
}

VADE_DEVICE int Dot(const uint32_t (&codes)[8], const uint32_t (&x)[8], int first, int end) {
  int dot = 0;
#pragma unroll
  for (int step = 0; step < 8; ++step) {
    if (step < first || step >= end) continue;
    dot = __dp4a(static_cast<int>(codes[step]), static_cast<int>(x[step]), dot);
  }
  return dot;
}

// --- a unit of each kind of format: adds to sums[token]
// ---------------------------------------------

template <Format kFormat, int kTokens>
VADE_DEVICE void AddFloats(const ProductView& view, const LaneRow& lane, uint32_t unit,
                           uint32_t first_token, float (&sums)[kTokens]) {
  constexpr uint32_t width = kFormat == Format::kF32 ? 4 : 2;
  const uint32_t end = unit * 32 + 32 < view.cols ? unit * 32 + 32 : view.cols;
  for (uint32_t column = unit * 32; column < end; ++column) {
    const size_t at = lane.tile + (size_t{column} * kRows + lane.row) * width;
    float weight;
    if constexpr (kFormat == Format::kF32) {
      weight = lane.data.Load<float>(at);
    } else if constexpr (kFormat == Format::kF16) {
      weight = LoadHalf(lane.data, at);
    } else {
      weight = __uint_as_float(static_cast<uint32_t>(lane.data.Load<uint16_t>(at)) << 16);
    }
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (first_token + t >= view.tokens) break;
      const float x =
          view.x.Load<float>(size_t{first_token + t} * view.row_bytes + 4 * size_t{column});
      sums[t] = __fmaf_rn(weight, x, sums[t]);
    }
  }
}

template <Format kFormat, int kTokens>
VADE_DEVICE void AddBlock32(const ProductView& view, const LaneRow& lane, uint32_t unit,
                            uint32_t first_token, float (&sums)[kTokens]) {
  const size_t block = lane.tile + size_t{unit} * BlockBytes(kFormat);
  const float scale = LoadHalf(lane.data, block + 2 * lane.row);
  float minimum = 0;
  if constexpr (HasMinimum(kFormat)) {
    minimum = LoadHalf(lane.data, block + kMinimumOffset + 2 * lane.row);
  }
  uint32_t codes[8];
  LoadCodes<kFormat>(lane, block + CodesOffset(kFormat), codes);
#pragma unroll
  for (int t = 0; t < kTokens; ++t) {
    if (first_token + t >= view.tokens) break;
    const size_t row = size_t{first_token + t} * view.row_bytes;
    uint32_t x[8];
    LoadActivations(view, row + 32 * unit, x);
    const size_t record = row + view.cols + size_t{unit} * sizeof(Prepared32);
    int dot = Dot(codes, x, 0, 8);
    if constexpr (ZeroOf(kFormat) != 0) {
      dot -= ZeroOf(kFormat) * view.x.Load<int32_t>(record + 8);
    }
    sums[t] = AddScaled(sums[t], dot, scale, view.x.Load<float>(record));
    if constexpr (HasMinimum(kFormat)) {
      sums[t] = __fmaf_rn(minimum, view.x.Load<float>(record + 4), sums[t]);
    }
  }
}

// The integer sums of one group of a super-block: codes by scales, minima by sums of activations.
struct GroupScales {
  int first, second;  // of the two sixteens; kQ6Super only, else `first` is the scale of all
  int minimum;
};
template <Format kFormat>
VADE_DEVICE GroupScales LoadScales(const LaneRow& lane, size_t scales, uint32_t group) {
  if constexpr (kFormat == Format::kQ6Super) {
    const uint32_t both = lane.data.Load<uint16_t>(scales + Q6Scale(group, lane.row));
    return {static_cast<int8_t>(both & 255), static_cast<int8_t>(both >> 8), 0};
  } else {
    const ScaleAndMinimum six =
        SixBits(lane.data.Load<uint8_t>(scales + SixBitsLow(group, lane.row)),
                lane.data.Load<uint8_t>(scales + SixBitsHigh(group, lane.row)), group);
    return {six.scale, six.scale, six.minimum};
  }
}

template <Format kFormat, int kTokens>
VADE_DEVICE void AddSuper(const ProductView& view, const LaneRow& lane, uint32_t unit,
                          uint32_t first_token, float (&sums)[kTokens]) {
  const size_t block = lane.tile + size_t{unit} * BlockBytes(kFormat);
  int dots[kTokens] = {}, minima[kTokens] = {};
  for (uint32_t group = 0; group < 8; ++group) {
    const GroupScales scales = LoadScales<kFormat>(lane, block + ScalesOffset(kFormat), group);
    uint32_t codes[8];
    LoadCodes<kFormat>(lane, block + CodesOffset(kFormat) + group * GroupBytes(kFormat), codes);
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (first_token + t >= view.tokens) break;
      const size_t row = size_t{first_token + t} * view.row_bytes;
      const size_t record = row + view.cols + size_t{unit} * sizeof(Prepared256);
      uint32_t x[8];
      LoadActivations(view, row + 256 * size_t{unit} + 32 * group, x);
      if constexpr (kFormat == Format::kQ6Super) {
        const size_t sums16 = record + 4 + 4 * group;
        dots[t] +=
            scales.first * (Dot(codes, x, 0, 4) - ZeroOf(kFormat) * view.x.Load<int16_t>(sums16));
        dots[t] += scales.second *
                   (Dot(codes, x, 4, 8) - ZeroOf(kFormat) * view.x.Load<int16_t>(sums16 + 2));
      } else {
        dots[t] += scales.first * Dot(codes, x, 0, 8);
        minima[t] += scales.minimum * view.x.Load<int16_t>(record + 36 + 2 * group);
      }
    }
  }
  const float scale = LoadHalf(lane.data, block + 2 * lane.row);
#pragma unroll
  for (int t = 0; t < kTokens; ++t) {
    if (first_token + t >= view.tokens) break;
    const size_t record =
        size_t{first_token + t} * view.row_bytes + view.cols + size_t{unit} * sizeof(Prepared256);
    const float x_scale = view.x.Load<float>(record);
    sums[t] = AddScaled(sums[t], dots[t], scale, x_scale);
    if constexpr (HasMinimum(kFormat)) {
      const float minimum = LoadHalf(lane.data, block + kMinimumOffset + 2 * lane.row);
      sums[t] = AddScaled(sums[t], -minima[t], minimum, x_scale);
    }
  }
}

// budget: registers 80, shared 1 KiB a token
template <Format kFormat, int kTokens>
__global__ void __launch_bounds__(kVectorThreads, kBlocks) DotsKernel(ProductView view) {
  const uint32_t half_warp = threadIdx.x / kRows, row = threadIdx.x % kRows;
  const uint32_t tiles_of_block = kHalfWarps / view.slices;
  const uint32_t tile = blockIdx.x * tiles_of_block + half_warp / view.slices;
  const uint32_t slice = half_warp % view.slices, first_token = blockIdx.y * kTokens;
  const Shared<float> partial(0, kVectorThreads * kTokens);  // [half warp, token, row]

  float sums[kTokens] = {};
  if (tile < view.tiles) {
    const TilePlace place = PlaceOf(view, tile);
    const LaneRow lane = {view.matrices[place.matrix].data, place.tile * view.tile_bytes, row};
    const uint32_t end = SliceBegin(view.units, view.slices, slice + 1);
    for (uint32_t unit = SliceBegin(view.units, view.slices, slice); unit < end; ++unit) {
      if constexpr (IsFloat(kFormat)) {
        AddFloats<kFormat, kTokens>(view, lane, unit, first_token, sums);
      } else if constexpr (IsSuper(kFormat)) {
        AddSuper<kFormat, kTokens>(view, lane, unit, first_token, sums);
      } else {
        AddBlock32<kFormat, kTokens>(view, lane, unit, first_token, sums);
      }
    }
  }
#pragma unroll
  for (int t = 0; t < kTokens; ++t) partial[(half_warp * kTokens + t) * kRows + row] = sums[t];
  __syncthreads();

  for (uint32_t i = threadIdx.x; i < tiles_of_block * kTokens * kRows; i += kVectorThreads) {
    const uint32_t in_block = i / (kTokens * kRows), t = i / kRows % kTokens;
    const uint32_t result_tile = blockIdx.x * tiles_of_block + in_block;
    if (result_tile >= view.tiles) continue;
    float sum = 0;
    for (uint32_t s = 0; s < view.slices; ++s) {
      const uint32_t from = in_block * view.slices + s;
      sum = __fadd_rn(sum, partial[(from * kTokens + t) * kRows + i % kRows]);
    }
    PutResult(view, PlaceOf(view, result_tile), i % kRows, first_token + t, sum);
  }
}

template <Format kFormat>
void LaunchDots(const ProductView& view, Stream stream) {
  const LaunchPlan plan = PlanMatrixVector(view.tiles, view.slices, view.tokens);
  switch (VectorTokens(view.tokens)) {
    case 1: return Launch<DotsKernel<kFormat, 1>>(plan, stream, view);
    case 2: return Launch<DotsKernel<kFormat, 2>>(plan, stream, view);
    case 4: return Launch<DotsKernel<kFormat, 4>>(plan, stream, view);
    default: return Launch<DotsKernel<kFormat, 8>>(plan, stream, view);
  }
}

}  // namespace

ProductView ViewOf(const MultiplyArgs& args, size_t row_bytes) {
  const auto matrix = [&](size_t i) -> MatrixView {
    if (i >= args.matrices.size()) return {{nullptr, 0}, {nullptr, 0}, 0, 0, 0};
    const ProductMatrix& m = args.matrices[i];
    return {.data = {m.data, PackedBytes(args.format, m.rows, args.cols)},
            .bias = {m.bias, m.bias ? m.rows : 0},
            .rows = m.rows,
            .tiles = (m.rows + kRows - 1) / kRows,
            .first_column = m.first_column};
  };
  ProductView view = {.matrices = {matrix(0), matrix(1), matrix(2)},
                      .x = {args.x, args.tokens * row_bytes},
                      .y = {args.y, size_t{args.tokens} * args.y_stride},
                      .cols = args.cols,
                      .units = UnitCount(args.format, args.cols),
                      .slices = SliceCount(UnitCount(args.format, args.cols)),
                      .tiles = 0,
                      .tokens = args.tokens,
                      .row_bytes = static_cast<uint32_t>(row_bytes),
                      .y_stride = args.y_stride,
                      .tile_bytes = TileBytes(args.format, args.cols),
                      .add = args.into == MultiplyArgs::Into::kAdd};
  for (const MatrixView& m : view.matrices) view.tiles += m.tiles;
  return view;
}

void MultiplyByDots(const MultiplyArgs& args, Stream stream) {
  if (args.tokens == 0) return;
  const ProductView view = ViewOf(args, PreparedBytes(args.format, args.cols));
  switch (args.format) {
    case Format::kF32: return LaunchDots<Format::kF32>(view, stream);
    case Format::kF16: return LaunchDots<Format::kF16>(view, stream);
    case Format::kBf16: return LaunchDots<Format::kBf16>(view, stream);
    case Format::kQ4Block32: return LaunchDots<Format::kQ4Block32>(view, stream);
    case Format::kQ5Block32: return LaunchDots<Format::kQ5Block32>(view, stream);
    case Format::kQ8Block32: return LaunchDots<Format::kQ8Block32>(view, stream);
    case Format::kQ4Super: return LaunchDots<Format::kQ4Super>(view, stream);
    case Format::kQ5Super: return LaunchDots<Format::kQ5Super>(view, stream);
    case Format::kQ6Super: return LaunchDots<Format::kQ6Super>(view, stream);
    case Format::kQ4Centred: return LaunchDots<Format::kQ4Centred>(view, stream);
    case Format::kQ5Centred: return LaunchDots<Format::kQ5Centred>(view, stream);
    case Format::kInt8Rows: break;  // of encoders; PackedFormat() never gives it
  }
}

void Multiply(const MultiplyArgs& args, Stream stream) {
  if (UsesTensorCores(args.format, args.tokens)) return MultiplyByTensors(args, stream);
  MultiplyByDots(args, stream);
}

}  // namespace vade::kernels::cuda
