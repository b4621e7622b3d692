// Keys and values into their pages, and between pages and saved rows.
#include "kernels/cuda/kv_layout.cuh"
#include "kernels/cuda/launch.cuh"

namespace vade::kernels::cuda {
namespace {

struct StoreView {
  KvShape shape;
  Global<const float> qkv, key_bias;
  Global<const int32_t> slots;
  Global<uint8_t> pages;
};

// 32 values, one a lane, as a block of q8: the bits of ToQ8 in vector_scalar.cc.
VADE_DEVICE void StoreQ8(const Global<uint8_t>& pages, uint64_t block, float value) {
  const float largest = WarpMax(fabsf(value));
  const bool finite = __ballot_sync(kAllLanes, IsFinite(value)) == kAllLanes;
  uint32_t half = FloatToHalfBits(__fdiv_rn(largest, 127.0f));
  if (!finite || half >= 0x7c00) half = 0x7e00;  // infinity: the block is NaN as a whole
  int code = 0;
  if (half != 0 && half != 0x7e00) {
    const float inverse = __fdiv_rn(1.0f, HalfBitsToFloat(static_cast<uint16_t>(half)));
    code = __float2int_rn(fminf(fmaxf(__fmul_rn(value, inverse), -128.0f), 127.0f));
  }
  const uint32_t lane = threadIdx.x % 32;
  pages.Store<int8_t>(block + 2 + lane, static_cast<int8_t>(code));
  if (lane == 0) pages.Store<uint16_t>(block, static_cast<uint16_t>(half));
}

// budget: registers 40
template <KvType kType>
__global__ void __launch_bounds__(128) StoreKernel(StoreView view) {
  const KvShape& shape = view.shape;
  const uint32_t lane = threadIdx.x % 32, warp = blockIdx.y * 4 + threadIdx.x / 32;
  const uint32_t pieces = (shape.head_dim + 31) / 32;  // of a head
  const uint32_t piece = warp % pieces, head = warp / pieces % shape.kv_heads;
  const uint32_t kind = warp / pieces / shape.kv_heads;
  if (kind > 1) return;  // a warp beyond the last piece

  const uint32_t i = 32 * piece + lane;
  const uint32_t kv_width = shape.kv_heads * shape.head_dim;
  const uint32_t in_kv = head * shape.head_dim + i;
  const size_t row = size_t{blockIdx.x} * (shape.heads * shape.head_dim + 2 * kv_width);
  float value = 0;
  if (i < shape.head_dim) {
    value = view.qkv[row + shape.heads * shape.head_dim + kind * kv_width + in_kv];
    if (kind == 0 && !view.key_bias.IsNull()) value -= view.key_bias[in_kv];
  }
  const auto page = static_cast<uint64_t>(view.slots[2 * blockIdx.x]);
  const auto slot = static_cast<uint32_t>(view.slots[2 * blockIdx.x + 1]);
  const uint64_t to = HeadRowAt(shape, page, slot, kind, head);
  if constexpr (kType == KvType::kQ8) {
    StoreQ8(view.pages, to + piece * kQ8BlockBytes, value);
  } else if (i < shape.head_dim) {
    if constexpr (kType == KvType::kF16) {
      view.pages.Store<uint16_t>(to + 2 * i, FloatToHalfBits(value));
    } else {
      view.pages.Store<float>(to + 4 * i, value);
    }
  }
}

struct CopyView {
  Global<const int32_t> slots;
  Global<uint8_t> pages, rows;
  uint64_t page_bytes;
  uint32_t tokens, words;  // of two bytes: of a row
  uint64_t count;          // of all rows
  bool out;
};

// budget: registers 40
__global__ void __launch_bounds__(256) CopyTokensKernel(CopyView view) {
  const uint64_t i = uint64_t{blockIdx.x} * 256 + threadIdx.x;
  if (i >= view.count) return;
  const uint64_t row = i / view.words, piece = row / view.tokens, token = row % view.tokens;
  const auto page = static_cast<uint64_t>(view.slots[2 * token]);
  const auto slot = static_cast<uint64_t>(view.slots[2 * token + 1]);
  const uint64_t in_pages = page * view.page_bytes +
                            (piece * kAttentionTile + slot) * view.words * 2 + i % view.words * 2;
  if (view.out) {
    view.rows.Store<uint16_t>(2 * i, view.pages.Load<uint16_t>(in_pages));
  } else {
    view.pages.Store<uint16_t>(in_pages, view.rows.Load<uint16_t>(2 * i));
  }
}

}  // namespace

void StoreKeysValues(const StoreArgs& args, Stream stream) {
  if (args.rows == 0) return;
  const KvShape& shape = args.shape;
  const size_t kv_width = size_t{shape.kv_heads} * shape.head_dim;
  const size_t width = size_t{shape.heads} * shape.head_dim + 2 * kv_width;
  const StoreView view = {.shape = shape,
                          .qkv = {args.qkv, args.rows * width},
                          .key_bias = {args.key_bias, args.key_bias ? kv_width : 0},
                          .slots = {args.slots, 2 * size_t{args.rows}},
                          .pages = {args.pages, args.pool_bytes}};
  const LaunchPlan plan = PlanStore(args.rows, shape.kv_heads, shape.head_dim);
  switch (shape.type) {
    case KvType::kF32: return Launch<StoreKernel<KvType::kF32>>(plan, stream, view);
    case KvType::kF16: return Launch<StoreKernel<KvType::kF16>>(plan, stream, view);
    case KvType::kQ8: return Launch<StoreKernel<KvType::kQ8>>(plan, stream, view);
    case KvType::kQ4: break;  // CudaBackend::ShapeOf lets none through
  }
}

void CopyTokens(const CopyTokensArgs& args, Stream stream) {
  const uint64_t bytes = uint64_t{args.pieces} * args.tokens * args.row_bytes;
  if (bytes == 0) return;
  const CopyView view = {.slots = {args.slots, 2 * size_t{args.tokens}},
                         .pages = {args.pages, args.pool_bytes},
                         .rows = {args.rows, bytes},
                         .page_bytes = args.page_bytes,
                         .tokens = args.tokens,
                         .words = args.row_bytes / 2,
                         .count = bytes / 2,
                         .out = args.way == CopyTokensArgs::Way::kOut};
  Launch<CopyTokensKernel>(PlanElements(view.count), stream, view);
}

}  // namespace vade::kernels::cuda
