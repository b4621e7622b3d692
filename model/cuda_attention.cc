// Key/value pages of the GPU's backend: what a step says about its sequences becomes one list of
// indices on the device, and a plan of what each block of the attention does.
#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "model/cuda_backend.h"
#include "model/rope_table.h"

namespace vade {

namespace cuda = kernels::cuda;

namespace {

// Enough blocks to fill the device: keys are split where there would be fewer.
constexpr int kBlocksOfMultiprocessor = 2;

std::vector<int32_t> Words(std::span<const KvSlot> slots) {
  std::vector<int32_t> words;
  for (const KvSlot slot : slots) {
    words.push_back(slot.page);
    words.push_back(slot.slot);
  }
  return words;
}

int32_t LastPage(std::span<const KvSlot> slots) {
  int32_t last = -1;
  for (const KvSlot slot : slots) last = std::max(last, slot.page);
  return last;
}

// The spans of a step as one list of indices.
struct SpanList {
  std::vector<cuda::SpanIndex> spans;
  std::vector<int32_t> indices;
  std::vector<cuda::AttendShape> shapes;
  uint64_t rows = 0;
  int32_t last_page = -1, last_position = 0;

  template <typename T>
  int32_t Append(std::span<const T> values) {
    const auto at = static_cast<int32_t>(indices.size());
    indices.insert(indices.end(), values.begin(), values.end());
    return at;
  }

  void Add(const AttentionSpan& span) {
    if (span.row_count == 0) return;
    spans.push_back({.first_row = span.first_row,
                     .row_count = span.row_count,
                     .visible = Append(span.visible),
                     .row_positions = Append(span.row_positions),
                     .pages = Append(span.pages),
                     .key_positions = Append(span.key_positions)});
    shapes.push_back({static_cast<uint32_t>(span.row_count), span.visible});
    rows = std::max<uint64_t>(rows, static_cast<uint64_t>(span.first_row + span.row_count));
    for (int32_t page : span.pages) last_page = std::max(last_page, page);
    for (int32_t position : span.key_positions) last_position = std::max(last_position, position);
    for (int32_t position : span.row_positions) last_position = std::max(last_position, position);
  }
};

}  // namespace

Status CudaBackend::CheckShape(const AttentionShape& shape) const {
  if (static_cast<uint32_t>(shape.head_dim) <= cuda::kMaxHeadDim) return OkStatus();
  return Unimplemented(StrCat("heads of ", shape.head_dim, " values do not fit the GPU's kernels (",
                              cuda::kMaxHeadDim, " at most); use --device cpu"));
}

cuda::KvShape CudaBackend::ShapeOf(const AttentionShape& shape, int layer) const {
  return {.heads = static_cast<uint32_t>(shape.heads),
          .kv_heads = static_cast<uint32_t>(shape.kv_heads),
          .head_dim = static_cast<uint32_t>(shape.head_dim),
          .rope_dims = static_cast<uint32_t>(shape.rope_dims),
          .rope_style = shape.rope_style,
          .type = shape.kv_type,
          .layer = static_cast<uint32_t>(layer),
          .page_bytes = PageBytes(shape)};
}

const float* CudaBackend::RoundedBias(const AttentionShape& shape, VectorHandle key_bias) const {
  if (!IsSet(key_bias) || shape.kv_type == kernels::KvType::kF32) return nullptr;
  return FloatsOf(VectorOf(key_bias));
}

CudaBackend::Memory CudaBackend::PagesOf(const AttentionShape& shape, BufferHandle buffer,
                                         int64_t last_page) const {
  const Memory pages = BufferOf(buffer);
  VADE_CHECK(static_cast<uint64_t>(last_page + 1) * PageBytes(shape) <= pages.bytes,
             "page numbers come from the pool");
  return pages;
}

Status CudaBackend::GrowRopeTable(const AttentionShape& shape, int32_t max_position) {
  const size_t half = static_cast<size_t>(shape.rope_dims) / 2;
  if (half != rope_half_ || shape.rope_base != rope_base_) rope_positions_ = 0;
  rope_half_ = half;
  rope_base_ = shape.rope_base;
  const auto wanted = static_cast<size_t>(max_position) + 1;
  if (half == 0 || wanted <= rope_positions_) return OkStatus();
  const size_t count = std::max<size_t>({wanted, 2 * rope_positions_, 1024});
  std::vector<float> table(count * 2 * half);
  FillRopeRows(rope_base_, half, 0, count, table.data());
  if (rope_.at) arena_.Free(rope_.at);
  rope_ = {};
  rope_positions_ = 0;
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(table.data()),
                                       table.size() * sizeof(float));
  ASSIGN_OR_RETURN(rope_, Copy(bytes, "the table of rotations"));
  RETURN_IF_ERROR(Wait());  // the table goes
  rope_positions_ = count;
  return OkStatus();
}

Status CudaBackend::StoreKeysValues(const StoreArgs& args) {
  if (args.slots.empty()) return OkStatus();
  std::lock_guard lock(mutex_);
  const AttentionShape& shape = *args.shape;
  const Memory pages = PagesOf(shape, args.pages, LastPage(args.slots));
  const std::vector<int32_t> words = Words(args.slots);
  ASSIGN_OR_RETURN(const int32_t* slots, staging_.Put("slots", std::span<const int32_t>(words)));
  cuda::StoreKeysValues(
      {.shape = ShapeOf(shape, args.layer),
       .qkv = Floats(args.qkv, args.slots.size() * static_cast<uint64_t>(shape.qkv_width())),
       .rows = static_cast<uint32_t>(args.slots.size()),
       .key_bias = RoundedBias(shape, args.key_bias),
       .slots = slots,
       .pages = pages.at,
       .pool_bytes = pages.bytes},
      device_->stream());
  return Queued();
}

Status CudaBackend::Attend(const AttendArgs& args) {
  std::lock_guard lock(mutex_);
  const AttentionShape& shape = *args.shape;
  SpanList list;
  for (const AttentionSpan& span : args.spans) list.Add(span);
  if (list.spans.empty()) return OkStatus();
  RETURN_IF_ERROR(GrowRopeTable(shape, list.last_position));
  const auto kv_heads = static_cast<uint32_t>(shape.kv_heads);
  const cuda::AttendPlan plan = cuda::PlanAttention(
      list.shapes, static_cast<uint32_t>(shape.heads / shape.kv_heads), kv_heads,
      static_cast<uint32_t>(info_.multiprocessors * kBlocksOfMultiprocessor));
  uint8_t* partials = nullptr;
  if (plan.partials > 0) {
    const uint64_t floats = uint64_t{kv_heads} * plan.partials * cuda::kAttendPairs *
                            cuda::PartialFloats(static_cast<uint32_t>(shape.head_dim));
    ASSIGN_OR_RETURN(partials, ScratchBytes(kPartials, floats * sizeof(float)));
  }
  const Memory pages = PagesOf(shape, args.pages, list.last_page);

  using Span = std::span<const int32_t>;
  RETURN_IF_ERROR(
      staging_.MakeRoom(CudaStaging::Rounded(list.indices.size() * sizeof(int32_t)) +
                        CudaStaging::Rounded(list.spans.size() * sizeof(cuda::SpanIndex)) +
                        CudaStaging::Rounded(plan.items.size() * sizeof(cuda::AttendItem)) +
                        CudaStaging::Rounded(plan.merges.size() * sizeof(cuda::MergeItem))));
  ASSIGN_OR_RETURN(const int32_t* indices, staging_.Put("indices", Span(list.indices)));
  ASSIGN_OR_RETURN(const cuda::SpanIndex* spans,
                   staging_.Put("spans", std::span<const cuda::SpanIndex>(list.spans)));
  ASSIGN_OR_RETURN(const cuda::AttendItem* items,
                   staging_.Put("items", std::span<const cuda::AttendItem>(plan.items)));
  ASSIGN_OR_RETURN(const cuda::MergeItem* merges,
                   staging_.Put("merges", std::span<const cuda::MergeItem>(plan.merges)));
  cuda::Attend({.shape = ShapeOf(shape, args.layer),
                .qkv = Floats(args.qkv, list.rows * static_cast<uint64_t>(shape.qkv_width())),
                .rows = static_cast<uint32_t>(list.rows),
                .key_bias = RoundedBias(shape, args.key_bias),
                .rope = reinterpret_cast<const float*>(rope_.at),
                .positions = static_cast<uint32_t>(rope_positions_),
                .spans = spans,
                .span_count = static_cast<uint32_t>(list.spans.size()),
                .indices = indices,
                .index_count = list.indices.size(),
                .items = items,
                .item_count = static_cast<uint32_t>(plan.items.size()),
                .merges = merges,
                .merge_count = static_cast<uint32_t>(plan.merges.size()),
                .partial_count = plan.partials,
                .partials = reinterpret_cast<float*>(partials),
                .pages = pages.at,
                .pool_bytes = pages.bytes,
                .out = Floats(args.out, list.rows * static_cast<uint64_t>(shape.q_width()))},
               device_->stream());
  return Queued();
}

Result<cuda::CopyTokensArgs> CudaBackend::CopyArgs(const TokenArgs& args, uint64_t bytes) {
  const AttentionShape& shape = *args.shape;
  VADE_CHECK(bytes == TokenBytes(shape) * args.slots.size(), "the decoder checks sizes");
  const Memory pages = PagesOf(shape, args.pages, LastPage(args.slots));
  ASSIGN_OR_RETURN(uint8_t * rows, ScratchBytes(kRows, bytes));
  const std::vector<int32_t> words = Words(args.slots);
  ASSIGN_OR_RETURN(const int32_t* slots, staging_.Put("copied", std::span<const int32_t>(words)));
  return cuda::CopyTokensArgs{.pieces = static_cast<uint32_t>(2 * shape.layers * shape.kv_heads),
                              .row_bytes = static_cast<uint32_t>(kernels::KvBytes(
                                  shape.kv_type, static_cast<size_t>(shape.head_dim))),
                              .page_bytes = PageBytes(shape),
                              .slots = slots,
                              .tokens = static_cast<uint32_t>(args.slots.size()),
                              .pages = pages.at,
                              .pool_bytes = pages.bytes,
                              .rows = rows};
}

Status CudaBackend::CopyOut(const TokenArgs& args, std::span<uint8_t> out) {
  if (args.slots.empty()) return OkStatus();
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const cuda::CopyTokensArgs copy, CopyArgs(args, out.size()));
  cuda::CopyTokens(copy, device_->stream());
  return ReadBack(copy.rows, out);
}

Status CudaBackend::CopyIn(const TokenArgs& args, std::span<const uint8_t> in) {
  if (args.slots.empty()) return OkStatus();
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(cuda::CopyTokensArgs copy, CopyArgs(args, in.size()));
  copy.way = cuda::CopyTokensArgs::Way::kIn;
  device_->CopyIn(copy.rows, in.data(), in.size());
  cuda::CopyTokens(copy, device_->stream());
  return Wait();  // the caller's memory may go
}

Status CudaBackend::CopyPage(const AttentionShape& shape, BufferHandle buffer, int32_t from,
                             int32_t to) {
  std::lock_guard lock(mutex_);
  const Memory pages = PagesOf(shape, buffer, std::max(from, to));
  const uint64_t bytes = PageBytes(shape);
  device_->CopyWithin(pages.at + static_cast<uint64_t>(to) * bytes,
                      pages.at + static_cast<uint64_t>(from) * bytes, bytes);
  return Queued();
}

Status CudaBackend::ClearPages(const AttentionShape& shape, BufferHandle buffer,
                               std::span<const int32_t> pages) {
  std::lock_guard lock(mutex_);
  const uint64_t bytes = PageBytes(shape);
  for (int32_t page : pages) {
    const Memory memory = PagesOf(shape, buffer, page);
    device_->Clear(memory.at + static_cast<uint64_t>(page) * bytes, bytes);
  }
  return Queued();
}

}  // namespace vade
