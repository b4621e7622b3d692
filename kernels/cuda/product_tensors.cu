// Matrix products by int8 tensor cores: for prompts. A warp takes a tile of 16 rows by 32 tokens; a
// packed tile is the left operand of m16n8k32 as it lies, since a register of the fragment is a row
// of a step (codes.cuh). Activations pass through shared memory, 256 columns at a time, for the
// four warps of a block.
//
// The integer sums are exact and the float steps those of product_dots.cu, slice by slice, so that
// a token's result has the same bits on either path.
#include "kernels/cuda/product.cuh"

namespace vade::kernels::cuda {
namespace {

using Fragments = float[kColumnTiles][4];
using IntFragments = int[kColumnTiles][4];

constexpr uint32_t kThreads = kMatrixThreads;
constexpr uint32_t kRecords = kStagedBytes;  // where they begin in shared memory

template <Format kFormat>
VADE_DEVICE uint32_t LoadStep(const WarpTile& w, size_t group, uint32_t step, uint32_t row) {
  return StepCodes<kFormat>(
      [&](uint32_t line) { return w.data.Load<uint32_t>(group + kLine * line + 4 * row); }, step);
}

template <Format kFormat>
VADE_DEVICE void LoadFragment(const WarpTile& w, size_t group, uint32_t (&a)[4]) {
  a[0] = LoadStep<kFormat>(w, group, w.t, w.g);
  a[1] = LoadStep<kFormat>(w, group, w.t, w.g + 8);
  a[2] = LoadStep<kFormat>(w, group, w.t + 4, w.g);
  a[3] = LoadStep<kFormat>(w, group, w.t + 4, w.g + 8);
}

// Activations of columns [256 step, ...) of the block's tokens and their records, to shared memory.
template <Format kFormat>
VADE_DEVICE void Stage(const ProductView& view, uint32_t step, uint32_t first_token) {
  const Shared<uint32_t> records(kRecords, kMatrixTokens * kRecordBytes / 4);
  const uint32_t cols =
      view.cols - step * kStepCols < kStepCols ? view.cols - step * kStepCols : kStepCols;
  StageCodes(view, step, cols, first_token);
  constexpr uint32_t record_words =
      (IsSuper(kFormat) ? sizeof(Prepared256) : 8 * sizeof(Prepared32)) / 4;
  const uint32_t words =
      IsSuper(kFormat) ? record_words : cols / 32 * static_cast<uint32_t>(sizeof(Prepared32) / 4);
  for (uint32_t i = threadIdx.x; i < kMatrixTokens * record_words; i += kThreads) {
    const uint32_t token = i / record_words, word = i % record_words;
    uint32_t value = 0;
    if (first_token + token < view.tokens && word < words) {
      value = view.x.Load<uint32_t>(size_t{first_token + token} * view.row_bytes + view.cols +
                                    size_t{step} * 4 * record_words + 4 * word);
    }
    records[token * (kRecordBytes / 4) + word] = value;
  }
}

// What is staged of a token.
template <typename T>
VADE_DEVICE T RecordOf(uint32_t token, uint32_t byte) {
  const Shared<uint32_t> records(kRecords, kMatrixTokens * kRecordBytes / 4);
  return records.Load<T>(token * kRecordBytes + byte);
}

template <Format kFormat>
VADE_DEVICE void AddBlock32(const WarpTile& w, uint32_t unit, uint32_t in_step, Fragments& sums) {
  const size_t block = w.tile + size_t{unit} * BlockBytes(kFormat);
  const float scales[2] = {LoadHalf(w.data, block + 2 * w.g),
                           LoadHalf(w.data, block + 2 * w.g + 16)};
  float minima[2] = {0, 0};
  if constexpr (HasMinimum(kFormat)) {
    minima[0] = LoadHalf(w.data, block + kMinimumOffset + 2 * w.g);
    minima[1] = LoadHalf(w.data, block + kMinimumOffset + 2 * w.g + 16);
  }
  uint32_t a[4];
  LoadFragment<kFormat>(w, block + CodesOffset(kFormat), a);
#pragma unroll
  for (int n = 0; n < kColumnTiles; ++n) {
    const uint32_t token = 8 * n + w.g;
    const uint32_t b[2] = {StagedCodes(token, 32 * in_step + 4 * w.t),
                           StagedCodes(token, 32 * in_step + 16 + 4 * w.t)};
    int dots[4] = {0, 0, 0, 0};
    MmaS8K32(dots, a, b);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t of = TokenOf(w, n, i), record = in_step * sizeof(Prepared32);
      int dot = dots[i];
      if constexpr (ZeroOf(kFormat) != 0) {
        dot -= ZeroOf(kFormat) * RecordOf<int32_t>(of, record + 8);
      }
      sums[n][i] = AddScaled(sums[n][i], dot, scales[i / 2], RecordOf<float>(of, record));
      if constexpr (HasMinimum(kFormat)) {
        sums[n][i] = __fmaf_rn(minima[i / 2], RecordOf<float>(of, record + 4), sums[n][i]);
      }
    }
  }
}

// Groups of kQ6Super have a scale for each sixteen columns: two products of 16.
VADE_DEVICE void AddGroupOfSixteens(const WarpTile& w, size_t block, uint32_t group,
                                    IntFragments& dots) {
  constexpr Format format = Format::kQ6Super;
  uint32_t a[4];
  LoadFragment<format>(w, block + CodesOffset(format) + group * GroupBytes(format), a);
  const size_t scales = block + ScalesOffset(format);
  const uint32_t low = w.data.Load<uint16_t>(scales + Q6Scale(group, w.g));
  const uint32_t high = w.data.Load<uint16_t>(scales + Q6Scale(group, w.g + 8));
#pragma unroll
  for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      int some[4] = {0, 0, 0, 0};
      MmaS8K16(some, a[2 * half], a[2 * half + 1],
               StagedCodes(8 * n + w.g, 32 * group + 16 * half + 4 * w.t));
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int scale = static_cast<int8_t>((i < 2 ? low : high) >> (8 * half) & 255);
        const int sum = RecordOf<int16_t>(TokenOf(w, n, i), 4 + 2 * (2 * group + half));
        dots[n][i] += scale * (some[i] - ZeroOf(format) * sum);
      }
    }
  }
}

template <Format kFormat>
VADE_DEVICE void AddGroup(const WarpTile& w, size_t block, uint32_t group, IntFragments& dots,
                          IntFragments& minima) {
  uint32_t a[4];
  LoadFragment<kFormat>(w, block + CodesOffset(kFormat) + group * GroupBytes(kFormat), a);
  ScaleAndMinimum six[2];
#pragma unroll
  for (uint32_t half = 0; half < 2; ++half) {
    const size_t scales = block + ScalesOffset(kFormat);
    const uint32_t row = w.g + 8 * half;
    six[half] = SixBits(w.data.Load<uint8_t>(scales + SixBitsLow(group, row)),
                        w.data.Load<uint8_t>(scales + SixBitsHigh(group, row)), group);
  }
#pragma unroll
  for (int n = 0; n < kColumnTiles; ++n) {
    const uint32_t token = 8 * n + w.g;
    const uint32_t b[2] = {StagedCodes(token, 32 * group + 4 * w.t),
                           StagedCodes(token, 32 * group + 16 + 4 * w.t)};
    int some[4] = {0, 0, 0, 0};
    MmaS8K32(some, a, b);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      dots[n][i] += six[i / 2].scale * some[i];
      minima[n][i] += six[i / 2].minimum * RecordOf<int16_t>(TokenOf(w, n, i), 36 + 2 * group);
    }
  }
}

template <Format kFormat>
VADE_DEVICE void AddSuper(const WarpTile& w, uint32_t unit, Fragments& sums) {
  const size_t block = w.tile + size_t{unit} * BlockBytes(kFormat);
  IntFragments dots = {}, minima = {};
  for (uint32_t group = 0; group < 8; ++group) {
    if constexpr (kFormat == Format::kQ6Super) {
      AddGroupOfSixteens(w, block, group, dots);
    } else {
      AddGroup<kFormat>(w, block, group, dots, minima);
    }
  }
#pragma unroll
  for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float x_scale = RecordOf<float>(TokenOf(w, n, i), 0);
      const size_t row = 2 * RowOf(w, i);
      sums[n][i] = AddScaled(sums[n][i], dots[n][i], LoadHalf(w.data, block + row), x_scale);
      if constexpr (HasMinimum(kFormat)) {
        sums[n][i] = AddScaled(sums[n][i], -minima[n][i],
                               LoadHalf(w.data, block + kMinimumOffset + row), x_scale);
      }
    }
  }
}

// The sums of a slice that has ended go to the total.
VADE_DEVICE void EndSlice(Fragments& sums, Fragments& total) {
#pragma unroll
  for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      total[n][i] = __fadd_rn(total[n][i], sums[n][i]);
      sums[n][i] = 0;
    }
  }
}

// budget: registers 128, shared 11776 bytes
template <Format kFormat>
__global__ void __launch_bounds__(kThreads) TensorsKernel(ProductView view) {
  const uint32_t tile = blockIdx.x * kMatrixWarps + threadIdx.x / 32;
  const uint32_t lane = threadIdx.x % 32, first_token = blockIdx.y * kMatrixTokens;
  const bool has_tile = tile < view.tiles;  // all lanes of a warp alike
  const TilePlace place = PlaceOf(view, has_tile ? tile : 0);
  const WarpTile w = {view.matrices[place.matrix].data, place.tile * view.tile_bytes, lane / 4,
                      lane % 4};
  Fragments sums = {}, total = {};
  uint32_t slice = 0, slice_end = SliceBegin(view.units, view.slices, 1);
  constexpr uint32_t units_of_step = IsSuper(kFormat) ? 1 : kStepCols / 32;

  for (uint32_t unit = 0; unit < view.units; unit += units_of_step) {
    __syncthreads();  // what was staged before is used up
    Stage<kFormat>(view, unit / units_of_step, first_token);
    __syncthreads();
    if (!has_tile) continue;
    const uint32_t end = unit + units_of_step < view.units ? unit + units_of_step : view.units;
    for (uint32_t i = unit; i < end; ++i) {
      if constexpr (IsSuper(kFormat)) {
        AddSuper<kFormat>(w, i, sums);
      } else {
        AddBlock32<kFormat>(w, i, i - unit, sums);
      }
      if (i + 1 == slice_end) {
        EndSlice(sums, total);
        ++slice;
        slice_end = SliceBegin(view.units, view.slices, slice + 1);
      }
    }
  }
  if (!has_tile) return;
#pragma unroll
  for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      PutResult(view, place, RowOf(w, i), first_token + TokenOf(w, n, i), total[n][i]);
    }
  }
}

template <Format kFormat>
void LaunchTensors(const ProductView& view, Stream stream) {
  Launch<TensorsKernel<kFormat>>(PlanMatrix(view.tiles, view.tokens), stream, view);
}

}  // namespace

void MultiplyByTensors(const MultiplyArgs& args, Stream stream) {
  if (args.tokens == 0) return;
  const ProductView view = ViewOf(args, PreparedBytes(args.format, args.cols));
  switch (args.format) {
    case Format::kF32:
    case Format::kF16:
    case Format::kBf16: return MultiplyByDots(args, stream);
    case Format::kQ4Block32: return LaunchTensors<Format::kQ4Block32>(view, stream);
    case Format::kQ5Block32: return LaunchTensors<Format::kQ5Block32>(view, stream);
    case Format::kQ8Block32: return LaunchTensors<Format::kQ8Block32>(view, stream);
    case Format::kQ4Super: return LaunchTensors<Format::kQ4Super>(view, stream);
    case Format::kQ5Super: return LaunchTensors<Format::kQ5Super>(view, stream);
    case Format::kQ6Super: return LaunchTensors<Format::kQ6Super>(view, stream);
    case Format::kQ4Centred: return LaunchTensors<Format::kQ4Centred>(view, stream);
    case Format::kQ5Centred: return LaunchTensors<Format::kQ5Centred>(view, stream);
    case Format::kInt8Rows: break;  // of encoders; PackedFormat() never gives it
  }
}

}  // namespace vade::kernels::cuda
