// The greatest logits of a row, so that not all of them have to go to the host. A row is cut into
// chunks; a block finds the greatest of its chunk, then one block the greatest of what the chunks
// found, then the chunks' sums of exponentials follow, for which the row's greatest must be known.
//
// What is set apart has no key; its logits go to the host by themselves.
//
// A logit and its token are one key: the bits of the float, turned so that they order as floats do,
// above the token's complement. No two keys are alike, and the greatest are those of a sort by
// logit and, among equals, by token.
#include "kernels/cuda/launch.cuh"

namespace vade::kernels::cuda {
namespace {

constexpr uint32_t kThreads = kBestThreads, kWarps = kThreads / 32;

// A bit a token of each row, set where it is set apart.
struct Marks {
  Global<const uint32_t> bits;  // [rows, words]; null: there are none
  uint32_t words;
};
VADE_DEVICE bool IsApart(const Marks& marks, uint32_t row, uint32_t token) {
  if (marks.bits.IsNull()) return false;
  const uint32_t word = marks.bits[size_t{row} * marks.words + token / 32];
  return (word >> (token % 32) & 1u) != 0;
}

struct BestView {
  Global<const float> logits;
  Global<const int32_t> rows;
  Global<uint64_t> chunk_keys, keys;  // [rows, chunks, count], [rows, count]
  Global<uint32_t> finite;            // [rows, chunks]
  Marks marks;
  uint32_t width, chunks, chunk_values, count;
};

VADE_DEVICE uint64_t KeyOf(float logit, uint32_t token) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);  // one zero, not two
  const uint32_t ordered = (bits >> 31) ? ~bits : bits | 0x80000000u;
  return (uint64_t{ordered} << 32) | (0xffffffffu - token);
}
VADE_DEVICE float LogitOf(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float((ordered >> 31) ? ordered & 0x7fffffffu : ~ordered);
}

VADE_DEVICE uint64_t WarpMaxKey(uint64_t value) {
  for (int step = 16; step > 0; step /= 2) {
    const uint64_t other = __shfl_xor_sync(kAllLanes, value, step);
    value = other > value ? other : value;
  }
  return value;
}

// The block's shared memory: kBestScratchBytes for what threads tell each other, then keys.
struct BestShared {
  Shared<uint64_t> tops;    // [kWarps]
  Shared<uint32_t> counts;  // [2, kWarps]
  Shared<uint64_t> keys;
};
VADE_DEVICE BestShared SharedOf(uint32_t keys) {
  return {{0, kWarps}, {8 * kWarps, 2 * kWarps}, {kBestScratchBytes, keys}};
}

// The greatest of what the threads hold, to every thread. Once a kernel.
VADE_DEVICE uint64_t BlockMaxKey(const BestShared& shared, uint64_t value) {
  value = WarpMaxKey(value);
  if (threadIdx.x % 32 == 0) shared.tops[threadIdx.x / 32] = value;
  __syncthreads();
  for (uint32_t i = 0; i < kWarps; ++i) {
    const uint64_t other = shared.tops[i];
    value = other > value ? other : value;
  }
  return value;
}

// The greatest threshold that at least `count` of the keys reach, or one that just `count` do; 0
// where there are no more keys than that. Bit by bit; the sums of a round lie where those of the
// round before the last were, so that one barrier a round is enough.
VADE_DEVICE uint64_t ThresholdOf(const BestShared& shared, uint32_t keys, uint32_t count) {
  uint64_t threshold = 0;
  if (keys <= count) return threshold;
  for (int bit = 63; bit >= 0; --bit) {
    const uint64_t trial = threshold | (uint64_t{1} << bit);
    int reach = 0;
    for (uint32_t i = threadIdx.x; i < keys; i += kThreads) {
      const uint64_t key = shared.keys[i];
      reach += key >= trial ? 1 : 0;
    }
    reach = WarpSum(reach);
    const uint32_t round = (bit % 2) * kWarps;
    if (threadIdx.x % 32 == 0)
      shared.counts[round + threadIdx.x / 32] = static_cast<uint32_t>(reach);
    __syncthreads();
    uint32_t all = 0;
    for (uint32_t i = 0; i < kWarps; ++i) all += shared.counts[round + i];
    if (all >= count) threshold = trial;
    if (all == count) break;  // all threads alike
  }
  return threshold;
}

// Writes the keys that reach the threshold, by thread, then zeros up to `count`. After a barrier.
VADE_DEVICE void PutReaching(const BestShared& shared, uint32_t keys, uint64_t threshold,
                             uint32_t count, const Global<uint64_t>& out, size_t at) {
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint32_t own = 0;
  for (uint32_t i = threadIdx.x; i < keys; i += kThreads) {
    const uint64_t key = shared.keys[i];
    own += key != 0 && key >= threshold ? 1u : 0u;
  }
  uint32_t before = own;  // and its own, of the lanes up to this one
  for (uint32_t step = 1; step < 32; step *= 2) {
    const uint32_t other = __shfl_sync(kAllLanes, before, static_cast<int>(lane - step) & 31);
    if (lane >= step) before += other;
  }
  if (lane == 31) shared.counts[warp] = before;
  __syncthreads();
  uint32_t place = before - own, all = 0;
  for (uint32_t i = 0; i < kWarps; ++i) {
    const uint32_t of_warp = shared.counts[i];
    if (i < warp) place += of_warp;
    all += of_warp;
  }
  for (uint32_t i = threadIdx.x; i < keys; i += kThreads) {
    const uint64_t key = shared.keys[i];
    if (key != 0 && key >= threshold) out[at + place++] = key;
  }
  for (uint32_t i = all + threadIdx.x; i < count; i += kThreads) out[at + i] = 0;
}

// budget: registers 48, shared 101376 bytes
__global__ void __launch_bounds__(kThreads) BestOfChunksKernel(BestView view) {
  const uint32_t chunk = blockIdx.x, row = blockIdx.y;
  const uint32_t begin = chunk * view.chunk_values;
  const uint32_t end =
      begin + view.chunk_values < view.width ? begin + view.chunk_values : view.width;
  const uint32_t keys = end - begin;
  const size_t from = static_cast<size_t>(view.rows[row]) * view.width + begin;
  const size_t piece = size_t{row} * view.chunks + chunk;
  const BestShared shared = SharedOf(view.count == 1 ? 0 : keys);
  uint64_t greatest = 0;
  bool finite = true;
  for (uint32_t i = threadIdx.x; i < keys; i += kThreads) {
    const float logit = view.logits[from + i];
    const uint64_t key = IsApart(view.marks, row, begin + i) ? 0 : KeyOf(logit, begin + i);
    finite = finite && IsFinite(logit);
    greatest = key > greatest ? key : greatest;
    if (view.count > 1) shared.keys[i] = key;
  }
  finite = __ballot_sync(kAllLanes, finite) == kAllLanes;
  if (threadIdx.x % 32 == 0) shared.counts[threadIdx.x / 32] = finite ? 1u : 0u;
  greatest = BlockMaxKey(shared, greatest);
  if (threadIdx.x == 0) {
    uint32_t all = 1;
    for (uint32_t i = 0; i < kWarps; ++i) all &= shared.counts[i];
    view.finite[piece] = all;
    if (view.count == 1) view.chunk_keys[piece] = greatest;
  }
  if (view.count == 1) return;
  __syncthreads();  // the counts are used up
  const uint64_t threshold = ThresholdOf(shared, keys, view.count);
  __syncthreads();
  PutReaching(shared, keys, threshold, view.count, view.chunk_keys, piece * view.count);
}

// budget: registers 48, shared 101376 bytes
__global__ void __launch_bounds__(kThreads)
    BestOfRowsKernel(BestView view, Global<float> greatest_of) {
  const uint32_t row = blockIdx.x, keys = view.chunks * view.count;
  const BestShared shared = SharedOf(view.count == 1 ? 0 : keys);
  uint64_t greatest = 0;
  for (uint32_t i = threadIdx.x; i < keys; i += kThreads) {
    const uint64_t key = view.chunk_keys[size_t{row} * keys + i];
    greatest = key > greatest ? key : greatest;
    if (view.count > 1) shared.keys[i] = key;
  }
  greatest = BlockMaxKey(shared, greatest);
  if (threadIdx.x == 0) greatest_of[row] = greatest != 0 ? LogitOf(greatest) : -INFINITY;
  if (view.count == 1) {
    if (threadIdx.x == 0) view.keys[row] = greatest;
    return;
  }
  const uint64_t threshold = ThresholdOf(shared, keys, view.count);
  __syncthreads();
  PutReaching(shared, keys, threshold, view.count, view.keys, size_t{row} * view.count);
}

struct ApartView {
  Global<const float> logits;
  Global<const int32_t> rows, lists;
  Global<uint32_t> marks;           // [rows, words]
  Global<float> values, greatest;  // as ApartArgs has them
  uint32_t width, words;
};

// A block a row. Tokens of a row differ, so that adding their bits sets them.
// budget: registers 32
__global__ void __launch_bounds__(kThreads) SetApartKernel(ApartView view) {
  const uint32_t row = blockIdx.x;
  const Shared<float> shared(0, kWarps);
  const size_t marks = size_t{row} * view.words;
  for (uint32_t i = threadIdx.x; i < view.words; i += kThreads) view.marks[marks + i] = 0u;
  __syncthreads();
  const int32_t begin = view.lists[3 * row], end = view.lists[3 * row + 1];
  const int32_t out = view.lists[3 * row + 2];
  const size_t from = static_cast<size_t>(view.rows[row]) * view.width;
  float greatest = -INFINITY;
  for (int32_t i = begin + static_cast<int32_t>(threadIdx.x); i < end; i += kThreads) {
    const auto token = static_cast<uint32_t>(view.lists[i]);
    const float logit = view.logits[from + token];
    view.values[out + (i - begin)] = logit;
    view.marks.AtomicAdd(marks + token / 32, 1u << (token % 32));
    greatest = fmaxf(greatest, logit);
  }
  greatest = WarpMax(greatest);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = greatest;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (uint32_t i = 0; i < kWarps; ++i) greatest = fmaxf(greatest, shared[i]);
  view.greatest[row] = greatest;
}

struct SumView {
  Global<const float> logits, greatest;
  Global<const double> temperatures;
  Global<const float> apart_greatest;  // where there are marks
  Global<const int32_t> rows;
  Global<float> sums;  // [rows, chunks, 2]
  Marks marks;
  uint32_t width, chunks, chunk_values;
};

// budget: registers 40, shared 128 bytes
__global__ void __launch_bounds__(kThreads) BestSumsKernel(SumView view) {
  const uint32_t chunk = blockIdx.x, row = blockIdx.y, warp = threadIdx.x / 32;
  const Shared<float> shared(0, 2 * kWarps);
  const uint32_t begin = chunk * view.chunk_values;
  const uint32_t end =
      begin + view.chunk_values < view.width ? begin + view.chunk_values : view.width;
  const size_t from = static_cast<size_t>(view.rows[row]) * view.width;
  const float of_others = view.greatest[row];
  const auto temperature = static_cast<float>(view.temperatures[row]);
  float greatest = of_others;
  if (!view.marks.bits.IsNull()) greatest = fmaxf(greatest, view.apart_greatest[row]);
  float plain = 0, tempered = 0;
  for (uint32_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const float logit = view.logits[from + i], x = logit - greatest;
    if (x > kBestExponent) plain += expf(x);
    if (!IsApart(view.marks, row, i)) tempered += expf(__fdiv_rn(logit - of_others, temperature));
  }
  plain = WarpSum(plain);
  tempered = WarpSum(tempered);
  if (threadIdx.x % 32 == 0) {
    shared[warp] = plain;
    shared[kWarps + warp] = tempered;
  }
  __syncthreads();
  if (threadIdx.x >= 2) return;
  float sum = 0;
  for (uint32_t i = 0; i < kWarps; ++i) sum += shared[threadIdx.x * kWarps + i];
  view.sums[2 * (size_t{row} * view.chunks + chunk) + threadIdx.x] = sum;
}

struct WeightView {
  Global<const float> logits, greatest;
  Global<const double> temperatures;
  Global<const int32_t> rows;
  Global<double> weights;  // [rows, chunks]
  Marks marks;
  uint32_t width, chunks, chunk_values;
};

// What a draw needs of a whole row: in which chunk it falls must be known far better than floats
// tell.
// budget: registers 48
__global__ void __launch_bounds__(kThreads) BestWeightsKernel(WeightView view) {
  const uint32_t chunk = blockIdx.x, row = blockIdx.y;
  const Shared<double> shared(0, kWarps);
  const uint32_t begin = chunk * view.chunk_values;
  const uint32_t end =
      begin + view.chunk_values < view.width ? begin + view.chunk_values : view.width;
  const size_t from = static_cast<size_t>(view.rows[row]) * view.width;
  const double greatest = view.greatest[row], temperature = view.temperatures[row];
  double sum = 0;
  for (uint32_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const double x = (static_cast<double>(view.logits[from + i]) - greatest) / temperature;
    if (x > kWeightExponent && !IsApart(view.marks, row, i)) sum += exp(x);
  }
  sum = BlockSum<kWarps>(sum, shared);
  if (threadIdx.x == 0) view.weights[size_t{row} * view.chunks + chunk] = sum;
}

}  // namespace

void BestLogits(const BestLogitsArgs& args, Stream stream) {
  if (args.row_count == 0) return;
  const BestPlan plan = PlanBest(args.row_count, args.width, args.count);
  const size_t pieces = size_t{args.row_count} * plan.chunks;
  const size_t logits = args.logit_rows * size_t{args.width};
  const ApartArgs& apart = args.apart;
  const uint32_t words = MarkWords(args.width);
  const size_t mark_words = apart.lists ? size_t{args.row_count} * words : 0;
  const size_t apart_rows = apart.lists ? args.row_count : 0;
  const BestView view = {.logits = {args.logits, logits},
                         .rows = {args.rows, args.row_count},
                         .chunk_keys = {args.chunk_keys, pieces * args.count},
                         .keys = {args.keys, size_t{args.row_count} * args.count},
                         .finite = {args.finite, pieces},
                         .marks = {{apart.lists ? apart.marks : nullptr, mark_words}, words},
                         .width = args.width,
                         .chunks = plan.chunks,
                         .chunk_values = plan.chunk_values,
                         .count = args.count};
  if (apart.lists) {
    const ApartView set = {.logits = view.logits,
                           .rows = view.rows,
                           .lists = {apart.lists, apart.list_words},
                           .marks = {apart.marks, mark_words},
                           .values = {apart.values, apart.value_count},
                           .greatest = {apart.greatest, apart_rows},
                           .width = args.width,
                           .words = words};
    Launch<SetApartKernel>(PlanRows(args.row_count), stream, set);
  }
  const Global<float> greatest(args.greatest, args.row_count);
  Launch<BestOfChunksKernel>(plan.of_chunks, stream, view);
  Launch<BestOfRowsKernel>(plan.of_rows, stream, view, greatest);
  if (args.weights != nullptr) {
    const WeightView weights = {.logits = view.logits,
                                .greatest = {args.greatest, args.row_count},
                                .temperatures = {args.temperatures, args.row_count},
                                .rows = view.rows,
                                .weights = {args.weights, pieces},
                                .marks = view.marks,
                                .width = args.width,
                                .chunks = plan.chunks,
                                .chunk_values = plan.chunk_values};
    Launch<BestWeightsKernel>(plan.of_sums, stream, weights);
  }
  if (args.sums == nullptr) return;
  const SumView sums = {.logits = view.logits,
                        .greatest = {args.greatest, args.row_count},
                        .temperatures = {args.temperatures, args.row_count},
                        .apart_greatest = {apart.greatest, apart_rows},
                        .rows = view.rows,
                        .sums = {args.sums, 2 * pieces},
                        .marks = view.marks,
                        .width = args.width,
                        .chunks = plan.chunks,
                        .chunk_values = plan.chunk_values};
  Launch<BestSumsKernel>(plan.of_sums, stream, sums);
}

}  // namespace vade::kernels::cuda
