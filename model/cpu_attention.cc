// Key/value pages of the processor's backend. One piece of work is a key/value head of a sequence
// for a block of its rows: keys and values are gathered from the pages into contiguous float32
// (keys rotated by the position recorded for each), then all query heads that share them run over
// them. A row's result depends on its own query and keys alone, so neither blocks nor threads nor
// pages show in it.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/cpu_backend.h"
#include "model/rope_table.h"

namespace vade {
namespace {

// Rows of a block: enough that gathering the keys is small beside using them.
constexpr int kBlockRows = 64;

// Bytes from the start of a page to the keys of one head; its values are kv_heads such pieces
// further.
size_t KeyOffset(const AttentionShape& shape, int layer, int kv_head) {
  const size_t piece = kPageTokens * kernels::KvBytes(shape.kv_type, shape.head_dim);
  return (2ull * layer * shape.kv_heads + kv_head) * piece;
}

size_t ValueOffset(const AttentionShape& shape, int layer, int kv_head) {
  return KeyOffset(shape, layer, kv_head + shape.kv_heads);
}

}  // namespace

void CpuBackend::GrowRopeTable(const AttentionShape& shape, int32_t max_position) {
  const size_t half = shape.rope_dims / 2;
  if (half != rope_half_ || shape.rope_base != rope_base_) {
    rope_.clear();
    rope_half_ = half;
    rope_base_ = shape.rope_base;
  }
  if (half == 0) return;
  const size_t have = rope_.size() / (2 * half);
  if (static_cast<size_t>(max_position) < have) return;
  const size_t want = std::max<size_t>({max_position + 1ull, 2 * have, 1024});
  rope_.resize(want * 2 * half);
  For(want - have, 64, [&](size_t begin, size_t end) {
    FillRopeRows(rope_base_, half, have + begin, have + end, rope_.data());
  });
}

const float* CpuBackend::RopeCos(int32_t position) const {
  return rope_.data() + static_cast<size_t>(position) * 2 * rope_half_;
}

// The bias that the keys of the pages are without; null where they lie as they are.
const float* CpuBackend::RoundedBias(const AttentionShape& shape, VectorHandle key_bias) const {
  if (!IsSet(key_bias) || shape.kv_type == kernels::KvType::kF32) return nullptr;
  return Vector(key_bias).data();
}

Status CpuBackend::StoreKeysValues(const StoreArgs& args) {
  const AttentionShape& shape = *args.shape;
  const auto& kernel = kernels::Active().vector;
  const float* rows = Floats(args.qkv, args.slots.size() * shape.qkv_width());
  const float* bias = RoundedBias(shape, args.key_bias);
  const std::span<uint8_t> memory = HostMemory(args.pages);
  const size_t page_bytes = PageBytes(shape), dim = shape.head_dim;
  const size_t slot_bytes = kernels::KvBytes(shape.kv_type, dim);
  For(args.slots.size(), 32, [&](size_t begin, size_t end) {
    Borrowed<Scratch> scratch(&scratch_mutex_, &scratch_);
    float* unbiased = scratch->unbiased.Floats(shape.kv_width());
    for (size_t i = begin; i < end; ++i) {
      const KvSlot at = args.slots[i];
      VADE_CHECK((at.page + 1ull) * page_bytes <= memory.size(), "page numbers come from the pool");
      uint8_t* page = memory.data() + at.page * page_bytes + at.slot * slot_bytes;
      const float* key = rows + i * shape.qkv_width() + shape.q_width();
      const float* value = key + shape.kv_width();
      if (bias) {
        for (int j = 0; j < shape.kv_width(); ++j) unbiased[j] = key[j] - bias[j];
        key = unbiased;
      }
      for (int head = 0; head < shape.kv_heads; ++head, key += dim, value += dim) {
        kernel.to_kv(shape.kv_type, key, dim, page + KeyOffset(shape, args.layer, head));
        kernel.to_kv(shape.kv_type, value, dim, page + ValueOffset(shape, args.layer, head));
      }
    }
  });
  return OkStatus();
}

void CpuBackend::GatherKeysValues(const AttendArgs& args, const AttentionSpan& span, int kv_head,
                                  size_t count, const uint8_t* pages, Scratch& scratch) const {
  const AttentionShape& shape = *args.shape;
  const auto& kernel = kernels::Active().vector;
  const size_t dim = shape.head_dim, page_bytes = PageBytes(shape);
  const float* bias = RoundedBias(shape, args.key_bias);
  if (bias) bias += kv_head * dim;
  float* keys = scratch.keys.Floats(count * dim);
  float* values = scratch.values.Floats(count * dim);
  for (size_t begin = 0; begin < count; begin += kPageTokens) {
    const size_t n = std::min<size_t>(kPageTokens, count - begin);
    const uint8_t* page = pages + span.pages[begin / kPageTokens] * page_bytes;
    kernel.from_kv(shape.kv_type, page + KeyOffset(shape, args.layer, kv_head), n * dim,
                   keys + begin * dim);
    kernel.from_kv(shape.kv_type, page + ValueOffset(shape, args.layer, kv_head), n * dim,
                   values + begin * dim);
    for (size_t i = begin; bias && i < begin + n; ++i) kernel.add(bias, dim, keys + i * dim);
    for (size_t i = begin; rope_half_ > 0 && i < begin + n; ++i) {
      const float* cos = RopeCos(span.key_positions[i]);
      kernel.rotate(shape.rope_style, cos, cos + rope_half_, shape.rope_dims, keys + i * dim);
    }
  }
}

void CpuBackend::AttendOne(const AttendArgs& args, const AttendTask& task, const float* qkv,
                           const uint8_t* pages, float* out, Scratch& scratch) const {
  const AttentionShape& shape = *args.shape;
  const AttentionSpan& span = args.spans[task.span];
  const auto& kernel = kernels::Active().vector;
  const size_t dim = shape.head_dim, group = shape.heads / shape.kv_heads;
  const size_t rows = task.row_end - task.row_begin, width = group * dim;
  const size_t key_count = span.visible[task.row_end - 1];
  GatherKeysValues(args, span, task.kv_head, key_count, pages, scratch);

  // The heads of the group lie side by side in a row of q: one copy, then each is rotated.
  float* queries = scratch.queries.Floats(rows * width);
  float* mixed = scratch.mixed.Floats(rows * width);
  scratch.visible.resize(rows * group);
  for (size_t r = 0; r < rows; ++r) {
    const size_t in_span = task.row_begin + r, row = span.first_row + in_span;
    std::memcpy(queries + r * width, qkv + row * shape.qkv_width() + task.kv_head * width,
                width * sizeof(float));
    const float* cos = RopeCos(span.row_positions[in_span]);
    for (size_t h = 0; h < group; ++h) {
      if (rope_half_ > 0) {
        kernel.rotate(shape.rope_style, cos, cos + rope_half_, shape.rope_dims,
                      queries + r * width + h * dim);
      }
      scratch.visible[r * group + h] = span.visible[in_span];
    }
  }
  kernel.attend({.queries = queries,
                 .query_count = rows * group,
                 .query_stride = dim,
                 .keys = scratch.keys.Floats(0),
                 .values = scratch.values.Floats(0),
                 .visible = scratch.visible.data(),
                 .head_dim = dim,
                 .scale = 1.0f / std::sqrt(static_cast<float>(dim)),
                 .out = mixed,
                 .out_stride = dim});
  for (size_t r = 0; r < rows; ++r) {
    const size_t row = span.first_row + task.row_begin + r;
    std::memcpy(out + row * shape.q_width() + task.kv_head * width, mixed + r * width,
                width * sizeof(float));
  }
}

Status CpuBackend::Attend(const AttendArgs& args) {
  const AttentionShape& shape = *args.shape;
  uint64_t rows = 0;
  int32_t max_position = 0;
  attend_tasks_.clear();
  for (size_t s = 0; s < args.spans.size(); ++s) {
    const AttentionSpan& span = args.spans[s];
    if (span.row_count == 0) continue;
    rows = std::max<uint64_t>(rows, span.first_row + span.row_count);
    max_position = std::max(max_position, span.key_positions.back());
    // From the last block, which has the most keys, to the first: no thread is left with the
    // longest.
    for (int end = span.row_count; end > 0; end = (end - 1) / kBlockRows * kBlockRows) {
      const int begin = (end - 1) / kBlockRows * kBlockRows;
      for (int head = 0; head < shape.kv_heads; ++head) {
        attend_tasks_.push_back({static_cast<int>(s), head, begin, end});
      }
    }
  }
  if (rows == 0) return OkStatus();
  GrowRopeTable(shape, max_position);
  const float* qkv = Floats(args.qkv, rows * shape.qkv_width());
  float* out = Floats(args.out, rows * shape.q_width());
  const uint8_t* pages = HostMemory(args.pages).data();
  For(attend_tasks_.size(), 1, [&](size_t begin, size_t end) {
    Borrowed<Scratch> scratch(&scratch_mutex_, &scratch_);
    for (size_t i = begin; i < end; ++i)
      AttendOne(args, attend_tasks_[i], qkv, pages, out, *scratch);
  });
  return OkStatus();
}

namespace {

// Tokens that lie one after the other in a page.
struct Run {
  KvSlot first;
  size_t token = 0, count = 0;
};

std::vector<Run> RunsOf(std::span<const KvSlot> slots) {
  std::vector<Run> runs;
  for (size_t i = 0; i < slots.size(); ++i) {
    const bool goes_on = !runs.empty() && runs.back().first.page == slots[i].page &&
                         slots[i - 1].slot + 1 == slots[i].slot;
    if (goes_on) {
      ++runs.back().count;
    } else {
      runs.push_back({.first = slots[i], .token = i, .count = 1});
    }
  }
  return runs;
}

// Calls copy(offset in the pages, offset in the saved rows, bytes) for what is contiguous in both.
// Pieces are the heads of one layer's keys or values, in their order within a page.
template <typename Copy>
void ForContiguous(const AttentionShape& shape, std::span<const KvSlot> slots, size_t first_piece,
                   size_t end_piece, Copy copy) {
  const size_t row = kernels::KvBytes(shape.kv_type, shape.head_dim);
  const std::vector<Run> runs = RunsOf(slots);
  for (size_t piece = first_piece; piece < end_piece; ++piece) {
    for (const Run& run : runs) {
      const size_t in_page = (piece * kPageTokens + run.first.slot) * row;
      copy(run.first.page * PageBytes(shape) + in_page, (piece * slots.size() + run.token) * row,
           run.count * row);
    }
  }
}

size_t Pieces(const AttentionShape& shape) { return 2ull * shape.layers * shape.kv_heads; }

}  // namespace

Status CpuBackend::CopyOut(const TokenArgs& args, std::span<uint8_t> out) {
  const std::span<const uint8_t> pages = HostMemory(args.pages);
  VADE_CHECK(out.size() == TokenBytes(*args.shape) * args.slots.size(), "the decoder checks sizes");
  For(Pieces(*args.shape), 16, [&](size_t begin, size_t end) {
    ForContiguous(*args.shape, args.slots, begin, end, [&](size_t from, size_t to, size_t bytes) {
      std::memcpy(out.data() + to, pages.data() + from, bytes);
    });
  });
  return OkStatus();
}

Status CpuBackend::CopyIn(const TokenArgs& args, std::span<const uint8_t> in) {
  const std::span<uint8_t> pages = HostMemory(args.pages);
  VADE_CHECK(in.size() == TokenBytes(*args.shape) * args.slots.size(), "the decoder checks sizes");
  For(Pieces(*args.shape), 16, [&](size_t begin, size_t end) {
    ForContiguous(*args.shape, args.slots, begin, end, [&](size_t to, size_t from, size_t bytes) {
      std::memcpy(pages.data() + to, in.data() + from, bytes);
    });
  });
  return OkStatus();
}

}  // namespace vade
