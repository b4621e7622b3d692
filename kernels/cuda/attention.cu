// Attention over the pages: flash attention for prompts and split keys for decoding are one kernel.
//
// A block takes up to 16 pairs (row of the sequence, head of the group) of one key/value head: they
// share its keys. Page after page the keys are read, rounded values made floats, their bias put
// back, rotated by the position recorded for each, and laid into shared memory with the values. A
// warp takes 4 pairs; for the scores lane j is key j of the page, for the mix lanes are the
// elements of the head. Softmax in one pass, as in vector_scalar.cc.
//
// Order of sums: see kSplitKeys in plans.h. What a pair gets depends on its own query and keys
// alone.
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/cuda/launch.cuh"

namespace vade::kernels::cuda {
namespace {

constexpr uint32_t kTile = static_cast<uint32_t>(kAttentionTile);
constexpr uint32_t kWarps = kAttendThreads / 32;
constexpr uint32_t kPairsOfWarp = kAttendPairs / kWarps;

struct AttendView {
  KvShape shape;
  Global<const float> qkv, key_bias, rope;
  Global<const int32_t> indices;
  Global<const uint8_t> pages, spans, items, merges;
  Global<float> partials, out;
  uint32_t partial_count;
  float scale;
};

VADE_HD uint32_t GroupOf(const KvShape& shape) { return shape.heads / shape.kv_heads; }

// Structures that the host laid down as int32 words.
VADE_DEVICE SpanIndex LoadSpan(const AttendView& view, int32_t i) {
  const size_t at = static_cast<size_t>(i) * sizeof(SpanIndex);
  return {view.spans.Load<int32_t>(at),      view.spans.Load<int32_t>(at + 4),
          view.spans.Load<int32_t>(at + 8),  view.spans.Load<int32_t>(at + 12),
          view.spans.Load<int32_t>(at + 16), view.spans.Load<int32_t>(at + 20)};
}
VADE_DEVICE AttendItem LoadItem(const AttendView& view, uint32_t i) {
  const size_t at = size_t{i} * sizeof(AttendItem);
  return {view.items.Load<int32_t>(at),      view.items.Load<int32_t>(at + 4),
          view.items.Load<int32_t>(at + 8),  view.items.Load<int32_t>(at + 12),
          view.items.Load<int32_t>(at + 16), view.items.Load<int32_t>(at + 20)};
}

// The block's shared memory, in this order.
struct AttendShared {
  Shared<float> keys;     // [kTile, head_dim + 1]: a lane a key, no two in one bank
  Shared<float> values;   // [kTile, head_dim]
  Shared<float> queries;  // [kAttendPairs, head_dim]
  Shared<float> weights;  // [kAttendPairs, kTile]
};
VADE_DEVICE AttendShared SharedOf(uint32_t dim) {
  const uint32_t keys = kTile * (dim + 1), values = keys + kTile * dim;
  const uint32_t queries = values + kAttendPairs * dim;
  return {{0, keys},
          {4 * keys, kTile * dim},
          {4 * values, kAttendPairs * dim},
          {4 * queries, kAttendPairs * kTile}};
}

// What has been summed for one pair: largest score, sum of the weights, weighted values.
template <int kEach>
struct Sums {
  float largest, total;
  float mixed[kEach];  // element lane + 32 k
};

template <int kEach>
VADE_DEVICE void Clear(Sums<kEach>& sums) {
  sums.largest = -INFINITY;
  sums.total = 0;
#pragma unroll
  for (int k = 0; k < kEach; ++k) sums.mixed[k] = 0;
}

// The result of a later split joins those of the ones before it.
template <int kEach>
VADE_DEVICE void Merge(const Sums<kEach>& split, Sums<kEach>& all) {
  if (split.total == 0) return;  // it had no key that this pair sees
  if (all.total == 0) {
    all = split;
    return;
  }
  const float largest = fmaxf(all.largest, split.largest);
  const float before = expf(__fadd_rn(all.largest, -largest));
  const float after = expf(__fadd_rn(split.largest, -largest));
  all.largest = largest;
  all.total = __fmaf_rn(all.total, before, __fmul_rn(split.total, after));
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    all.mixed[k] = __fmaf_rn(all.mixed[k], before, __fmul_rn(split.mixed[k], after));
  }
}

// Row of x and head of a pair.
struct PairPlace {
  uint32_t row, head;
};
VADE_DEVICE PairPlace PlaceOf(const AttendView& view, const SpanIndex& span, uint32_t pair,
                              uint32_t kv_head) {
  const uint32_t group = GroupOf(view.shape);
  return {static_cast<uint32_t>(span.first_row) + pair / group, kv_head * group + pair % group};
}

VADE_DEVICE void LoadQueries(const AttendView& view, const SpanIndex& span, const AttendItem& item,
                             uint32_t kv_head, const Shared<float>& queries) {
  const KvShape& shape = view.shape;
  const uint32_t dim = shape.head_dim, half = shape.rope_dims / 2, steps = dim - half;
  const uint32_t width = (shape.heads + 2 * shape.kv_heads) * dim;
  const auto pairs = static_cast<uint32_t>(item.pair_end - item.pair_begin);
  for (uint32_t n = threadIdx.x; n < pairs * steps; n += kAttendThreads) {
    const uint32_t p = n / steps, i = n % steps;
    const uint32_t pair = static_cast<uint32_t>(item.pair_begin) + p;
    const PairPlace place = PlaceOf(view, span, pair, kv_head);
    const size_t from = size_t{place.row} * width + place.head * dim;
    if (i >= half) {  // does not rotate
      const uint32_t e = shape.rope_dims + i - half;
      queries[p * dim + e] = view.qkv[from + e];
      continue;
    }
    const int32_t position = view.indices[span.row_positions + pair / GroupOf(shape)];
    const Turn turn = TurnAt(shape, view.rope, position, i);
    const RopePair at = PairOf(shape, i);
    const float a = view.qkv[from + at.a], b = view.qkv[from + at.b];
    queries[p * dim + at.a] = a * turn.cosine - b * turn.sine;
    queries[p * dim + at.b] = a * turn.sine + b * turn.cosine;
  }
}

// Keys and values of `count` tokens of a page.
template <KvType kType>
VADE_DEVICE void LoadPage(const AttendView& view, const SpanIndex& span, uint32_t page,
                          uint32_t count, uint32_t kv_head, const AttendShared& shared) {
  const KvShape& shape = view.shape;
  const uint32_t dim = shape.head_dim, half = shape.rope_dims / 2, steps = dim - half;
  const auto number = static_cast<uint64_t>(view.indices[span.pages + page]);
  const bool biased = !view.key_bias.IsNull();
  for (uint32_t n = threadIdx.x; n < count * steps; n += kAttendThreads) {
    const uint32_t slot = n / steps, i = n % steps;
    const uint64_t row = HeadRowAt(shape, number, slot, 0, kv_head);
    const auto key = [&](uint32_t e) {
      const float value = LoadKv<kType>(view.pages, row, e);
      return biased ? value + view.key_bias[kv_head * dim + e] : value;
    };
    const uint32_t to = slot * (dim + 1);
    if (i >= half) {
      const uint32_t e = shape.rope_dims + i - half;
      shared.keys[to + e] = key(e);
      continue;
    }
    const int32_t position = view.indices[span.key_positions + page * kTile + slot];
    const Turn turn = TurnAt(shape, view.rope, position, i);
    const RopePair at = PairOf(shape, i);
    const float a = key(at.a), b = key(at.b);
    shared.keys[to + at.a] = a * turn.cosine - b * turn.sine;
    shared.keys[to + at.b] = a * turn.sine + b * turn.cosine;
  }
  for (uint32_t n = threadIdx.x; n < count * dim; n += kAttendThreads) {
    const uint64_t row = HeadRowAt(shape, number, n / dim, 1, kv_head);
    shared.values[n] = LoadKv<kType>(view.pages, row, n % dim);
  }
}

// One pair over the `count` keys of the page in shared memory; `p` is its place in the block.
template <int kEach>
VADE_DEVICE void AddPage(const AttendView& view, const AttendShared& shared, uint32_t p,
                         uint32_t count, Sums<kEach>& sums) {
  const uint32_t dim = view.shape.head_dim, lane = threadIdx.x % 32;
  float score = -INFINITY;
  if (lane < count) {
    float dot = 0;
    for (uint32_t e = 0; e < dim; ++e) {
      dot = __fmaf_rn(shared.queries[p * dim + e], shared.keys[lane * (dim + 1) + e], dot);
    }
    score = __fmul_rn(dot, view.scale);
  }
  const float raised = fmaxf(sums.largest, WarpMax(score));
  if (raised > sums.largest) {
    const float factor = expf(__fadd_rn(sums.largest, -raised));
    sums.largest = raised;
    sums.total = __fmul_rn(sums.total, factor);
#pragma unroll
    for (int k = 0; k < kEach; ++k) sums.mixed[k] = __fmul_rn(sums.mixed[k], factor);
  }
  const float weight = lane < count ? expf(__fadd_rn(score, -raised)) : 0.0f;
  sums.total = __fadd_rn(sums.total, WarpSum(weight));
  shared.weights[p * kTile + lane] = weight;
  __syncwarp();
  for (uint32_t j = 0; j < count; ++j) {
    const float w = shared.weights[p * kTile + j];
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      const uint32_t e = lane + 32 * k;
      if (e < dim) sums.mixed[k] = __fmaf_rn(w, shared.values[j * dim + e], sums.mixed[k]);
    }
  }
  __syncwarp();  // before the weights are overwritten
}

VADE_DEVICE uint32_t VisibleOf(const AttendView& view, const SpanIndex& span, uint32_t pair) {
  return static_cast<uint32_t>(view.indices[span.visible + pair / GroupOf(view.shape)]);
}

VADE_HD size_t PartialAt(const AttendView& view, uint32_t kv_head, int32_t partial, uint32_t p) {
  const size_t piece = size_t{kv_head} * view.partial_count + static_cast<size_t>(partial);
  return (piece * kAttendPairs + p) * PartialFloats(view.shape.head_dim);
}

template <int kEach>
VADE_DEVICE void PutOut(const AttendView& view, PairPlace place, const Sums<kEach>& sums) {
  const uint32_t dim = view.shape.head_dim;
  const float inverse = __fdiv_rn(1.0f, sums.total);
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const uint32_t e = threadIdx.x % 32 + 32 * k;
    if (e >= dim) continue;
    view.out[(size_t{place.row} * view.shape.heads + place.head) * dim + e] =
        __fmul_rn(sums.mixed[k], inverse);
  }
}

template <int kEach>
VADE_DEVICE void PutPartial(const AttendView& view, size_t at, const Sums<kEach>& sums) {
  const uint32_t lane = threadIdx.x % 32;
  if (lane == 0) {
    view.partials[at] = sums.largest;
    view.partials[at + 1] = sums.total;
  }
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const uint32_t e = lane + 32 * k;
    if (e < view.shape.head_dim) view.partials[at + 2 + e] = sums.mixed[k];
  }
}

// Heads of 256 take 233 registers, those of up to 128 take 128.
// budget: registers 240, shared 43136 bytes for heads of 128 and 84096 for those of 256
template <KvType kType, int kEach>
__global__ void __launch_bounds__(kAttendThreads) AttendKernel(AttendView view) {
  const AttendItem item = LoadItem(view, blockIdx.x);
  if (item.pair_begin == item.pair_end) return;  // room that this step does not need
  const SpanIndex span = LoadSpan(view, item.span);
  const uint32_t kv_head = blockIdx.y, warp = threadIdx.x / 32;
  const auto pairs = static_cast<uint32_t>(item.pair_end - item.pair_begin);
  const auto first = static_cast<uint32_t>(item.pair_begin);
  const AttendShared shared = SharedOf(view.shape.head_dim);
  LoadQueries(view, span, item, kv_head, shared.queries);

  Sums<kEach> sums[kPairsOfWarp], all[kPairsOfWarp];
  uint32_t visible[kPairsOfWarp];
#pragma unroll
  for (uint32_t r = 0; r < kPairsOfWarp; ++r) {
    const uint32_t p = r * kWarps + warp;
    visible[r] = p < pairs ? VisibleOf(view, span, first + p) : 0;
    Clear(all[r]);
  }
  const uint32_t keys = VisibleOf(view, span, first + pairs - 1);  // rows see more and more
  for (int32_t split = item.split_begin; split < item.split_end; ++split) {
#pragma unroll
    for (uint32_t r = 0; r < kPairsOfWarp; ++r) Clear(sums[r]);
    for (uint32_t i = 0; i < kPagesOfSplit; ++i) {
      const uint32_t page = static_cast<uint32_t>(split) * kPagesOfSplit + i, begin = page * kTile;
      if (begin >= keys) break;
      __syncthreads();  // the page before is used up, the queries are there
      LoadPage<kType>(view, span, page, keys - begin < kTile ? keys - begin : kTile, kv_head,
                      shared);
      __syncthreads();
#pragma unroll
      for (uint32_t r = 0; r < kPairsOfWarp; ++r) {
        if (begin >= visible[r]) continue;  // all lanes alike
        const uint32_t count = visible[r] - begin < kTile ? visible[r] - begin : kTile;
        AddPage(view, shared, r * kWarps + warp, count, sums[r]);
      }
    }
#pragma unroll
    for (uint32_t r = 0; r < kPairsOfWarp; ++r) Merge(sums[r], all[r]);
  }
#pragma unroll
  for (uint32_t r = 0; r < kPairsOfWarp; ++r) {
    const uint32_t p = r * kWarps + warp;
    if (p >= pairs) continue;
    if (item.partial < 0) {
      PutOut(view, PlaceOf(view, span, first + p, kv_head), all[r]);
    } else {
      PutPartial(view, PartialAt(view, kv_head, item.partial, p), all[r]);
    }
  }
}

VADE_DEVICE MergeItem LoadMerge(const AttendView& view, uint32_t i) {
  const size_t at = size_t{i} * sizeof(MergeItem);
  return {view.merges.Load<int32_t>(at),      view.merges.Load<int32_t>(at + 4),
          view.merges.Load<int32_t>(at + 8),  view.merges.Load<int32_t>(at + 12),
          view.merges.Load<int32_t>(at + 16), view.merges.Load<int32_t>(at + 20),
          view.merges.Load<int32_t>(at + 24), view.merges.Load<int32_t>(at + 28)};
}

template <int kEach>
VADE_DEVICE void MergePartial(const AttendView& view, size_t from, Sums<kEach>& all) {
  const uint32_t lane = threadIdx.x % 32;
  Sums<kEach> sums;
  sums.largest = view.partials[from];
  sums.total = view.partials[from + 1];
#pragma unroll
  for (int k = 0; k < kEach; ++k) {
    const uint32_t e = lane + 32 * k;
    sums.mixed[k] = e < view.shape.head_dim ? static_cast<float>(view.partials[from + 2 + e]) : 0;
  }
  Merge(sums, all);
}

// A warp a pair: the partial results of its splits, first to last.
// budget: registers 64
template <int kEach>
__global__ void __launch_bounds__(32 * kAttendPairs) MergeKernel(AttendView view) {
  const MergeItem item = LoadMerge(view, blockIdx.x);
  const SpanIndex span = LoadSpan(view, item.span);
  const uint32_t p = threadIdx.x / 32, kv_head = blockIdx.y;
  const uint32_t pair = static_cast<uint32_t>(item.pair_begin) + p;
  if (pair >= static_cast<uint32_t>(item.pair_end)) return;
  Sums<kEach> all;
  Clear(all);
  const uint32_t in_group = static_cast<uint32_t>(item.shared_pair) + pair;
  const int32_t shared = item.shared_partial +
                         static_cast<int32_t>(in_group / kAttendPairs) * item.shared_count;
  for (int32_t i = 0; i < item.shared_count; ++i) {
    MergePartial(view, PartialAt(view, kv_head, shared + i, in_group % kAttendPairs), all);
  }
  for (int32_t split = 0; split < item.split_count; ++split) {
    MergePartial(view, PartialAt(view, kv_head, item.partial + split, p), all);
  }
  PutOut(view, PlaceOf(view, span, pair, kv_head), all);
}

AttendView ViewOf(const AttendArgs& args) {
  const KvShape& shape = args.shape;
  const size_t dim = shape.head_dim, kv_width = shape.kv_heads * dim;
  const auto bytes = [](const auto* data, size_t count) {
    return Global<const uint8_t>(reinterpret_cast<const uint8_t*>(data), count * sizeof(*data));
  };
  return {.shape = shape,
          .qkv = {args.qkv, args.rows * (shape.heads * dim + 2 * kv_width)},
          .key_bias = {args.key_bias, args.key_bias ? kv_width : 0},
          .rope = {args.rope, size_t{args.positions} * shape.rope_dims},
          .indices = {args.indices, args.index_count},
          .pages = {args.pages, args.pool_bytes},
          .spans = bytes(args.spans, args.span_count),
          .items = bytes(args.items, args.item_count),
          .merges = bytes(args.merges, args.merge_count),
          .partials = {args.partials, size_t{shape.kv_heads} * args.partial_count * kAttendPairs *
                                          PartialFloats(shape.head_dim)},
          .out = {args.out, args.rows * shape.heads * dim},
          .partial_count = args.partial_count,
          .scale = 1.0f / sqrtf(static_cast<float>(dim))};
}

template <KvType kType, int kEach>
void LaunchAttend(const AttendArgs& args, Stream stream) {
  const AttendView view = ViewOf(args);
  const uint32_t heads = args.shape.kv_heads;
  Launch<AttendKernel<kType, kEach>>({.grid_x = args.item_count,
                                      .grid_y = heads,
                                      .block = kAttendThreads,
                                      .shared_bytes = AttendSharedBytes(args.shape.head_dim)},
                                     stream, view);
  if (args.merge_count == 0) return;
  Launch<MergeKernel<kEach>>(
      {.grid_x = args.merge_count, .grid_y = heads, .block = 32 * kAttendPairs}, stream, view);
}

template <KvType kType>
void LaunchAttend(const AttendArgs& args, Stream stream) {
  const uint32_t each = (args.shape.head_dim + 31) / 32;
  if (each <= 1) return LaunchAttend<kType, 1>(args, stream);
  if (each <= 2) return LaunchAttend<kType, 2>(args, stream);
  if (each <= 4) return LaunchAttend<kType, 4>(args, stream);
  LaunchAttend<kType, 8>(args, stream);
}

}  // namespace

void Attend(const AttendArgs& args, Stream stream) {
  if (args.item_count == 0) return;
  switch (args.shape.type) {
    case KvType::kF32: return LaunchAttend<KvType::kF32>(args, stream);
    case KvType::kF16: return LaunchAttend<KvType::kF16>(args, stream);
    case KvType::kQ8: return LaunchAttend<KvType::kQ8>(args, stream);
    case KvType::kQ4: break;  // CudaBackend::ShapeOf lets none through
  }
}

}  // namespace vade::kernels::cuda
