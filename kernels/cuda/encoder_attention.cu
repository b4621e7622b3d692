// Attention of an encoder: every token of a text attends to all of them, texts of all lengths side
// by side and without padding. Keys and values are rounded to codes as int8_scalar.cc packs a head,
// but lie row by row, which is how the tensor cores' fragments want them.
//
// A warp takes 8 queries of a head. The codes of their weights depend on their greatest score, so
// the scores are computed twice: once for the greatest, once for the codes, 32 keys at a time. Sums
// of codes are exact, so no order of keys or pieces changes a bit.
#include "kernels/cuda/encoder_codes.cuh"
#include "kernels/cuda/encoder_operations.h"

namespace vade::kernels::cuda {
namespace {

constexpr uint32_t kThreads = kEncoderThreads, kWarps = kThreads / 32;

// Byte and Float are const for who only reads.
template <typename Byte, typename Float>
struct HeadsOf {
  Global<Byte> queries, keys, values;
  Global<Float> query_scales, key_scales, value_scales;
  Global<const TextSpan> texts;
  uint32_t heads, head_dim, stride, columns;  // stride: of a head's codes of a row
};
using HeadsView = HeadsOf<uint8_t, float>;

template <typename Byte, typename Float>
HeadsOf<Byte, Float> ViewOf(const HeadCodes& h) {
  const uint32_t stride = EncoderStride(h.head_dim);
  const size_t pairs = size_t{h.rows} * h.heads, width = size_t{h.heads} * h.head_dim;
  return {.queries = {h.queries, pairs * stride},
          .keys = {h.keys, pairs * stride},
          .values = {h.values, width * h.columns},
          .query_scales = {h.query_scales, 2 * pairs},
          .key_scales = {h.key_scales, 2 * pairs},
          .value_scales = {h.value_scales, 2 * width * h.text_count},
          .texts = {h.texts, h.text_count},
          .heads = h.heads,
          .head_dim = h.head_dim,
          .stride = stride,
          .columns = h.columns};
}

VADE_DEVICE TextSpan TextOf(const Global<const TextSpan>& texts, uint32_t text) {
  const size_t at = text * sizeof(TextSpan);
  return {texts.Load<int32_t>(at), texts.Load<int32_t>(at + offsetof(TextSpan, rows)),
          texts.Load<int32_t>(at + offsetof(TextSpan, first_column))};
}

// --- packing -------------------------------------------------------------------------------------

// A warp's row of a head, [head_dim] from `at`: its query.
VADE_DEVICE void PackQuery(const HeadsView& view, const Global<const float>& qkv, size_t at,
                           size_t pair) {
  const uint32_t lane = threadIdx.x % 32;
  float low = 0, high = 0;
  bool ordered = true;
  for (uint32_t i = lane; i < view.head_dim; i += 32) {
    const float x = qkv[at + i];
    ordered = ordered && !IsNan(x);
    low = x < low ? x : low;
    high = x > high ? x : high;
  }
  ordered = __ballot_sync(kAllLanes, ordered) == kAllLanes;
  const ActivationCodes codes = ActivationCodesOf(-WarpMax(-low), WarpMax(high), ordered);
  for (uint32_t i = lane; i < view.stride; i += 32) {
    const uint32_t code = i < view.head_dim ? codes.Of(qkv[at + i]) : 0;
    view.queries[pair * view.stride + i] = static_cast<uint8_t>(code);
  }
  if (lane != 0) return;
  view.query_scales[2 * pair] = codes.scale;
  view.query_scales[2 * pair + 1] = codes.offset;
}

VADE_DEVICE void PackKey(const HeadsView& view, const Global<const float>& qkv, size_t at,
                         size_t pair) {
  const uint32_t lane = threadIdx.x % 32;
  float largest = 0;
  bool finite = true;
  for (uint32_t i = lane; i < view.head_dim; i += 32) {
    const float x = qkv[at + i];
    finite = finite && IsFinite(x);
    largest = fmaxf(largest, fabsf(x));
  }
  finite = __ballot_sync(kAllLanes, finite) == kAllLanes;
  const WeightCodes codes = WeightCodesOf(WarpMax(largest), finite);
  int sum = 0;
  for (uint32_t i = lane; i < view.stride; i += 32) {
    const int code = i < view.head_dim ? codes.Of(qkv[at + i]) : 0;
    sum += code;
    view.keys[pair * view.stride + i] = static_cast<uint8_t>(code);
  }
  sum = WarpSum(sum);
  if (lane != 0) return;
  view.key_scales[2 * pair] = codes.scale;
  view.key_scales[2 * pair + 1] = codes.ScaledSum(sum);
}

// A block a row; its warps take the heads' queries and keys in turn.
// budget: registers 40
__global__ void __launch_bounds__(kThreads)
    PackRowsKernel(HeadsView view, Global<const float> qkv) {
  const size_t row = blockIdx.x, width = size_t{view.heads} * view.head_dim;
  for (uint32_t i = threadIdx.x / 32; i < 2 * view.heads; i += kWarps) {
    const uint32_t head = i / 2, of_row = head * view.head_dim;
    const size_t pair = row * view.heads + head;
    if (i % 2 == 0) {
      PackQuery(view, qkv, row * 3 * width + of_row, pair);
    } else {
      PackKey(view, qkv, row * 3 * width + width + of_row, pair);
    }
  }
}

// The values of one dimension of a head over a text become a row of codes. A lane a dimension; the
// warps share the rows.
// budget: registers 48, shared 1024 bytes
__global__ void __launch_bounds__(kThreads)
    PackValuesKernel(HeadsView view, Global<const float> qkv) {
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const size_t width = size_t{view.heads} * view.head_dim;
  const TextSpan text = TextOf(view.texts, blockIdx.x);
  const auto rows = static_cast<uint32_t>(text.rows), columns = TextColumns(rows);
  const Shared<float> largest_of(0, kThreads);
  const Shared<int> sum_of(kThreads * sizeof(float), kThreads);
  for (uint32_t begin = 0; begin < view.head_dim; begin += 32) {
    const bool has_dim = begin + lane < view.head_dim;
    const uint32_t dim = blockIdx.y * view.head_dim + begin + lane;
    const auto value = [&](uint32_t row) -> float {
      return qkv[(static_cast<size_t>(text.first_row) + row) * 3 * width + 2 * width + dim];
    };
    float largest = 0;
    for (uint32_t row = warp; has_dim && row < rows; row += kWarps) {
      const float magnitude = fabsf(value(row));
      // What is not finite stays: nothing is greater than infinity.
      largest = IsFinite(magnitude) ? fmaxf(largest, magnitude) : __uint_as_float(0x7f800000u);
    }
    largest_of[threadIdx.x] = largest;
    __syncthreads();
    for (uint32_t i = 0; i < kWarps; ++i) largest = fmaxf(largest, largest_of[32 * i + lane]);
    const WeightCodes codes = WeightCodesOf(largest, IsFinite(largest));
    int sum = 0;
    for (uint32_t first = 4 * warp; has_dim && first < columns; first += 4 * kWarps) {
      uint32_t word = 0;
      for (uint32_t i = 0; i < 4 && first + i < rows; ++i) {
        const int code = codes.Of(value(first + i));
        sum += code;
        word |= static_cast<uint32_t>(code & 255) << (8 * i);
      }
      view.values.Store<uint32_t>(
          size_t{dim} * view.columns + static_cast<uint32_t>(text.first_column) + first, word);
    }
    sum_of[threadIdx.x] = sum;
    __syncthreads();
    if (warp != 0 || !has_dim) continue;  // whoever goes on writes elsewhere until the next barrier
    int total = 0;
    for (uint32_t i = 0; i < kWarps; ++i) total += sum_of[32 * i + lane];
    const size_t at = 2 * (blockIdx.x * width + dim);
    view.value_scales[at] = codes.scale;
    view.value_scales[at + 1] = codes.ScaledSum(total);
  }
}

// --- attending -----------------------------------------------------------------------------------

// Of a multiprocessor: leave a thread 96 registers. Without a number ptxas aims for more blocks and
// spills.
constexpr uint32_t kAttendBlocks = 5;
constexpr int kDimTiles = 4;  // of 16 dimensions, whose sums a warp holds at once

struct AttendView : HeadsOf<const uint8_t, const float> {
  Global<const TextQueries> items;
  Global<float> out;
  float scale;  // of the exponents: 1 / sqrt(head_dim), in powers of 2
};

// A warp's 8 queries. As in product.cuh lane = 4 g + t: of scores it holds keys g and g + 8 of 16,
// queries 2 t and 2 t + 1.
struct QueriesOfWarp {
  uint32_t head, first_row, rows;  // of the text
  uint32_t first;                  // query of the text
  uint32_t g, t;

  VADE_DEVICE bool Has(uint32_t query) const { return first + query < rows; }
  VADE_DEVICE size_t Pair(uint32_t row, uint32_t heads) const {
    return size_t{first_row + row} * heads + head;
  }
};

// Scores of 16 keys from `key` on, by the two queries of the lane. Keys behind the text: no matter.
VADE_DEVICE void ScoresOf(const AttendView& view, const QueriesOfWarp& w, uint32_t key,
                          const float (&scale)[2], const float (&offset)[2], float (&scores)[4]) {
  const bool low = key + w.g < w.rows, high = key + w.g + 8 < w.rows, has = w.Has(w.g);
  const size_t first = w.Pair(key + w.g, view.heads), second = w.Pair(key + w.g + 8, view.heads);
  const size_t query = w.Pair(w.first + w.g, view.heads);
  int dots[4] = {};
  for (uint32_t begin = 4 * w.t; begin < view.stride; begin += 32) {
    const auto load = [&](const Global<const uint8_t>& codes, bool there, size_t pair,
                          uint32_t byte) -> uint32_t {
      return there ? codes.Load<uint32_t>(pair * view.stride + byte) : 0;
    };
    const uint32_t a[4] = {load(view.keys, low, first, begin), load(view.keys, high, second, begin),
                           load(view.keys, low, first, begin + 16),
                           load(view.keys, high, second, begin + 16)};
    const uint32_t b[2] = {load(view.queries, has, query, begin),
                           load(view.queries, has, query, begin + 16)};
    MmaS8U8K32(dots, a, b);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const bool there = half == 0 ? low : high;
    const size_t pair = half == 0 ? first : second;
    const float key_scale = there ? view.key_scales[2 * pair] : 0.0f;
    const float key_sum = there ? view.key_scales[2 * pair + 1] : 0.0f;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      scores[2 * half + i] =
          CodeProduct(dots[2 * half + i], key_scale, key_sum, scale[i], offset[i], 0.0f);
    }
  }
}

// How the weights of a lane's queries are made from their scores.
struct Softmax {
  float shift[2];
  bool ordered[2];
};
VADE_DEVICE Softmax SoftmaxOf(const AttendView& view, const QueriesOfWarp& w,
                              const float (&scale)[2], const float (&offset)[2]) {
  float highest[2] = {-__uint_as_float(0x7f800000u), -__uint_as_float(0x7f800000u)};
  int odd[2] = {0, 0};  // scores that are no numbers
  for (uint32_t key = 0; key < w.rows; key += 16) {
    float scores[4];
    ScoresOf(view, w, key, scale, offset, scores);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (key + w.g + (i < 2 ? 0 : 8) >= w.rows) continue;
      odd[i % 2] += IsNan(scores[i]) ? 1 : 0;
      highest[i % 2] = fmaxf(highest[i % 2], scores[i]);
    }
  }
  Softmax softmax;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    for (int step = 4; step < 32; step *= 2) {  // over the lanes of these queries
      highest[i] = fmaxf(highest[i], __shfl_xor_sync(kAllLanes, highest[i], step));
      odd[i] += __shfl_xor_sync(kAllLanes, odd[i], step);
    }
    softmax.ordered[i] = odd[i] == 0 && IsFinite(highest[i]);
    softmax.shift[i] = __fmul_rn(-highest[i], view.scale);
  }
  return softmax;
}

// The weights of 32 keys as codes, from each lane's keys and queries to where the product with the
// values wants them: word `half` of lane (g, t) is query g, keys 16 half + 4 t and the three
// behind.
VADE_DEVICE void WeightsOf(const AttendView& view, const QueriesOfWarp& w, uint32_t key,
                           const float (&scale)[2], const float (&offset)[2],
                           const Softmax& softmax, int (&totals)[2], uint32_t (&words)[2]) {
  const uint32_t warp_bytes = 8 * kWeightsPitch;
  const Shared<uint8_t> turned(threadIdx.x / 32 * warp_bytes, warp_bytes);
#pragma unroll
  for (uint32_t half = 0; half < 2; ++half) {
    float scores[4];
    ScoresOf(view, w, key + 16 * half, scale, offset, scores);
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t of_sixteen = w.g + (i < 2 ? 0 : 8), query = 2 * w.t + i % 2;
      uint32_t code = 0;
      if (key + 16 * half + of_sixteen < w.rows && softmax.ordered[i % 2]) {
        code = SoftmaxCode(scores[i], view.scale, softmax.shift[i % 2]);
      }
      totals[i % 2] += static_cast<int>(code);
      turned[query * kWeightsPitch + 16 * half + of_sixteen] = static_cast<uint8_t>(code);
    }
  }
  __syncwarp();
  words[0] = turned.Load<uint32_t>(w.g * kWeightsPitch + 4 * w.t);
  words[1] = turned.Load<uint32_t>(w.g * kWeightsPitch + 16 + 4 * w.t);
  __syncwarp();
}

// budget: registers 96, shared 1152 bytes
__global__ void __launch_bounds__(kThreads, kAttendBlocks) AttendTextsKernel(AttendView view) {
  const size_t item = size_t{blockIdx.x} * sizeof(TextQueries);
  const auto text_number = static_cast<uint32_t>(view.items.Load<int32_t>(item));
  const auto first =
      static_cast<uint32_t>(view.items.Load<int32_t>(item + offsetof(TextQueries, first)));
  const TextSpan text = TextOf(view.texts, text_number);
  const uint32_t lane = threadIdx.x % 32;
  const QueriesOfWarp w = {.head = blockIdx.y,
                           .first_row = static_cast<uint32_t>(text.first_row),
                           .rows = static_cast<uint32_t>(text.rows),
                           .first = first + 8 * (threadIdx.x / 32),
                           .g = lane / 4,
                           .t = lane % 4};
  if (!w.Has(0)) return;  // a whole warp
  float scale[2] = {0, 0}, offset[2] = {0, 0};
#pragma unroll
  for (uint32_t i = 0; i < 2; ++i) {
    if (!w.Has(2 * w.t + i)) continue;
    const size_t pair = w.Pair(w.first + 2 * w.t + i, view.heads);
    scale[i] = view.query_scales[2 * pair];
    offset[i] = view.query_scales[2 * pair + 1];
  }
  const Softmax softmax = SoftmaxOf(view, w, scale, offset);
  const uint32_t width = view.heads * view.head_dim;

  for (uint32_t begin = 0; begin < view.head_dim; begin += 16 * kDimTiles) {
    int totals[2] = {0, 0}, sums[kDimTiles][4] = {};
    for (uint32_t key = 0; key < w.rows; key += 32) {
      uint32_t weights[2];
      WeightsOf(view, w, key, scale, offset, softmax, totals, weights);
      const uint32_t column = static_cast<uint32_t>(text.first_column) + key + 4 * w.t;
#pragma unroll
      for (uint32_t tile = 0; tile < kDimTiles; ++tile) {
        const uint32_t dim = begin + 16 * tile + w.g;
        const auto load = [&](uint32_t of_head, uint32_t at) -> uint32_t {
          if (of_head >= view.head_dim) return 0;
          return view.values.Load<uint32_t>(
              size_t{w.head * view.head_dim + of_head} * view.columns + at);
        };
        if (begin + 16 * tile >= view.head_dim) continue;
        const uint32_t a[4] = {load(dim, column), load(dim + 8, column), load(dim, column + 16),
                               load(dim + 8, column + 16)};
        MmaS8U8K32(sums[tile], a, weights);
      }
    }
    float inverse[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      for (int step = 4; step < 32; step *= 2) {
        totals[i] += __shfl_xor_sync(kAllLanes, totals[i], step);
      }
      inverse[i] = softmax.ordered[i] ? __fdiv_rn(1.0f, static_cast<float>(totals[i]))
                                      : __uint_as_float(kQuietNanBits);
    }
#pragma unroll
    for (uint32_t tile = 0; tile < kDimTiles; ++tile) {
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) {
        const uint32_t of_head = begin + 16 * tile + w.g + (i < 2 ? 0 : 8);
        const uint32_t query = 2 * w.t + i % 2, dim = w.head * view.head_dim + of_head;
        if (of_head >= view.head_dim || !w.Has(query)) continue;
        const size_t at = 2 * (size_t{text_number} * width + dim);
        view.out[size_t{w.first_row + w.first + query} * width + dim] =
            CodeProduct(sums[tile][i], view.value_scales[at], view.value_scales[at + 1],
                        inverse[i % 2], 0.0f, 0.0f);
      }
    }
  }
}

}  // namespace

void PackHeads(const float* qkv, const HeadCodes& heads, Stream stream) {
  if (heads.rows == 0) return;
  const HeadsView view = ViewOf<uint8_t, float>(heads);
  const Global<const float> rows(qkv, size_t{heads.rows} * 3 * heads.heads * heads.head_dim);
  Launch<PackRowsKernel>(PlanHeadRows(heads.rows), stream, view, rows);
  Launch<PackValuesKernel>(PlanHeadValues(heads.text_count, heads.heads), stream, view, rows);
}

void AttendTexts(const AttendTextsArgs& args, Stream stream) {
  if (args.item_count == 0) return;
  const HeadCodes& h = args.heads;
  const float root = std::sqrt(static_cast<float>(h.head_dim));
  const AttendView view = {ViewOf<const uint8_t, const float>(h),
                           {args.items, args.item_count},
                           {args.out, size_t{h.rows} * h.heads * h.head_dim},
                           1.0f / root * kLog2E};
  Launch<AttendTextsKernel>(PlanAttendTexts(args.item_count, h.heads), stream, view);
}

}  // namespace vade::kernels::cuda
