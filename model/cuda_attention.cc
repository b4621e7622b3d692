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

int32_t LastPage(std::span<const KvSlot> slots) {
  int32_t last = -1;
  for (const KvSlot slot : slots) last = std::max(last, slot.page);
  return last;
}

}  // namespace

Status CudaBackend::CheckShape(const AttentionShape& shape) const {
  if (shape.kv_type == kernels::KvType::kQ4) {
    return Unimplemented(
        "keys and values of 4 bits (model.kv_type = q4) are not available on the GPU; use --device "
        "cpu, or keep them as q8");
  }
  if (static_cast<uint32_t>(shape.head_dim) <= cuda::kMaxHeadDim) return OkStatus();
  return Unimplemented(StrCat("heads of ", shape.head_dim, " values do not fit the GPU's kernels (",
                              cuda::kMaxHeadDim, " at most); use --device cpu"));
}

cuda::KvShape CudaBackend::ShapeOf(const AttentionShape& shape, int layer) const {
  VADE_CHECK(shape.kv_type != kernels::KvType::kQ4, "CheckShape refuses pages of q4");
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
  if (rope_.at) GiveBack(&rope_);
  rope_positions_ = 0;
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(table.data()),
                                       table.size() * sizeof(float));
  ASSIGN_OR_RETURN(rope_, Copy(bytes, "the table of rotations"));
  rope_positions_ = count;
  return OkStatus();
}

Status CudaBackend::StoreKeysValues(const StoreArgs& args) {
  if (args.slots.empty()) return OkStatus();
  std::lock_guard lock(mutex_);
  const AttentionShape& shape = *args.shape;
  const Memory pages = PagesOf(shape, args.pages, LastPage(args.slots));
  ASSIGN_OR_RETURN(const int32_t* slots, Slots(args.slots));
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

uint32_t CudaBackend::EnoughBlocks() const {
  return static_cast<uint32_t>(info_.multiprocessors * kBlocksOfMultiprocessor);
}

// What an attention needs beside its lists.
Status CudaBackend::MakeAttentionReady(const AttentionShape& shape, const AttendArrays& arrays,
                                       Room room) {
  RETURN_IF_ERROR(GrowRopeTable(shape, arrays.last_position));
  const uint64_t pieces = uint64_t{arrays.RoomFor(room).partials} *
                          static_cast<uint64_t>(shape.kv_heads) * cuda::kAttendPairs;
  const uint64_t floats = pieces * cuda::PartialFloats(static_cast<uint32_t>(shape.head_dim));
  return ScratchBytes(kPartials, floats * sizeof(float)).status();
}

// The lists of the step that is being done lie there already.
Result<CudaBackend::DeviceSpans> CudaBackend::Spans(const AttentionShape& shape,
                                                    std::span<const AttentionSpan> spans) {
  const auto same = [&](std::span<const AttentionSpan> other) {
    return other.data() == spans.data() && other.size() == spans.size();
  };
  if (step_ && same(step_->args.spans)) return step_->spans;
  if (step_ && same(step_->args.last_spans)) return step_->last_spans;
  if (recording_) return FailedPrecondition("a recorded step cannot copy arrays");
  const AttendArrays arrays(shape, spans, EnoughBlocks());
  RETURN_IF_ERROR(MakeAttentionReady(shape, arrays, Room::kExact));
  StepBytes bytes;
  const AttendPlace place = bytes.Put(arrays, Room::kExact);
  ASSIGN_OR_RETURN(const uint8_t* at,
                   staging_.Put("spans", std::span<const uint8_t>(bytes.bytes())));
  return DeviceSpans{at, place, arrays.rows, arrays.last_page};
}

Status CudaBackend::Attend(const AttendArgs& args) {
  std::lock_guard lock(mutex_);
  const AttentionShape& shape = *args.shape;
  const auto has_rows = [](const AttentionSpan& span) { return span.row_count > 0; };
  if (std::ranges::none_of(args.spans, has_rows)) return OkStatus();
  ASSIGN_OR_RETURN(const DeviceSpans lists, Spans(shape, args.spans));
  const AttendPlace& place = lists.place;
  const Memory pages = PagesOf(shape, args.pages, lists.last_page);
  cuda::Attend({.shape = ShapeOf(shape, args.layer),
                .qkv = Floats(args.qkv, lists.rows * static_cast<uint64_t>(shape.qkv_width())),
                .rows = static_cast<uint32_t>(lists.rows),
                .key_bias = RoundedBias(shape, args.key_bias),
                .rope = reinterpret_cast<const float*>(rope_.at),
                .positions = static_cast<uint32_t>(rope_positions_),
                .spans = reinterpret_cast<const cuda::SpanIndex*>(lists.at + place.spans),
                .span_count = place.room.spans,
                .indices = reinterpret_cast<const int32_t*>(lists.at + place.indices),
                .index_count = place.room.indices,
                .items = reinterpret_cast<const cuda::AttendItem*>(lists.at + place.items),
                .item_count = place.room.items,
                .merges = reinterpret_cast<const cuda::MergeItem*>(lists.at + place.merges),
                .merge_count = place.room.merges,
                .partial_count = place.room.partials,
                .partials = reinterpret_cast<float*>(scratch_[kPartials].at),
                .pages = pages.at,
                .pool_bytes = pages.bytes,
                .out = Floats(args.out, lists.rows * static_cast<uint64_t>(shape.q_width()))},
               device_->stream());
  return Queued();
}

Result<cuda::CopyTokensArgs> CudaBackend::CopyArgs(const TokenArgs& args, uint64_t bytes) {
  const AttentionShape& shape = *args.shape;
  VADE_CHECK(bytes == TokenBytes(shape) * args.slots.size(), "the decoder checks sizes");
  const Memory pages = PagesOf(shape, args.pages, LastPage(args.slots));
  ASSIGN_OR_RETURN(uint8_t * rows, ScratchBytes(kRows, bytes));
  const std::vector<int32_t> words = SlotWords(args.slots);
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
  RETURN_IF_ERROR(uploads_.Copy(copy.rows, in));
  cuda::CopyTokens(copy, device_->stream());
  return Queued();
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
