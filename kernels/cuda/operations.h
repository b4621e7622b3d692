// The operations of a decoder on a CUDA device, as plain host functions. All pointers are device
// memory; what a function does is queued on the stream and is not over when it returns. Errors of a
// launch are found by the next check of the device.
//
// The arithmetic is that of kernels/ (scalar is the specification), with the orders of sums that
// plans.h names: a row's result never depends on the rows beside it. Matrices are packed as
// kernels/matrix.h says, prepared activations lie as kernels/packed.h says.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cuda/plans.h"
#include "kernels/kernels.h"
#include "kernels/matrix.h"
#include "kernels/tensor_type.h"

namespace vade::kernels::cuda {

struct Stream {
  void* handle = nullptr;  // cudaStream_t; the fake device's stream in tests
};

// x[i] = row tokens[i] of the table, as it lies in the file.
struct EmbedArgs {
  TensorType type = TensorType::kF32;
  const uint8_t* table = nullptr;
  uint64_t table_bytes = 0;
  uint32_t cols = 0;
  const int32_t* tokens = nullptr;  // [count]
  uint32_t count = 0;
  float* x = nullptr;  // [count, cols]
};
void Embed(const EmbedArgs& args, Stream stream);

// Rows of activations in the form that weights of `format` are multiplied with. What is prepared of
// row i: rms_norm(x[i]) with `norm`, silu(x[i]) * up[i] with `up`, x[i] with neither.
struct PrepareArgs {
  const float* x = nullptr;  // rows x_stride apart
  uint32_t rows = 0, cols = 0;
  uint32_t x_stride = 0;
  const float* norm = nullptr;  // [cols]
  float eps = 0;
  const float* up = nullptr;  // rows x_stride apart
  Format format = Format::kF32;
  uint8_t* out = nullptr;  // [rows, PreparedBytes(format, cols)]
};
void Prepare(const PrepareArgs& args, Stream stream);

// y[t][first_column + r] = sum_c w[r][c] x[t][c] (+ bias[r]) for matrices of one format and width.
struct ProductMatrix {
  const uint8_t* data = nullptr;  // device copy of PackedMatrix::data
  uint32_t rows = 0;
  const float* bias = nullptr;  // [rows] or null
  uint32_t first_column = 0;
};
inline constexpr uint32_t kMaxProducts = 3;
struct MultiplyArgs {
  Format format = Format::kF32;
  uint32_t cols = 0;
  std::span<const ProductMatrix> matrices;  // 1..kMaxProducts
  const uint8_t* x = nullptr;               // prepared
  uint32_t tokens = 0;
  float* y = nullptr;  // [tokens, y_stride]
  uint32_t y_stride = 0;
  enum class Into : uint8_t { kReplace, kAdd } into = Into::kReplace;
};
void Multiply(const MultiplyArgs& args, Stream stream);
void MultiplyByDots(const MultiplyArgs& args, Stream stream);     // any format, any tokens
void MultiplyByTensors(const MultiplyArgs& args, Stream stream);  // not float formats

// How keys and values lie; model/backend.h says what each means.
struct KvShape {
  uint32_t heads = 0, kv_heads = 0, head_dim = 0;
  uint32_t rope_dims = 0;
  RopeStyle rope_style = RopeStyle::kInterleaved;
  KvType type = KvType::kF16;
  uint32_t layer = 0;
  uint64_t page_bytes = 0;
};

// Rows of [q | k | v] to their slots: (page, slot) pairs.
struct StoreArgs {
  KvShape shape;
  const float* qkv = nullptr;
  uint32_t rows = 0;
  const float* key_bias = nullptr;  // taken off the keys; null: nothing is
  const int32_t* slots = nullptr;   // [rows, 2]
  uint8_t* pages = nullptr;
  uint64_t pool_bytes = 0;
};
void StoreKeysValues(const StoreArgs& args, Stream stream);

// Where a span's arrays begin in AttendArgs::indices.
struct SpanIndex {
  int32_t first_row = 0, row_count = 0;
  int32_t visible = 0, row_positions = 0;  // [row_count] each
  int32_t pages = 0, key_positions = 0;    // of the largest visible
};
struct AttendArgs {
  KvShape shape;
  const float* qkv = nullptr;
  uint32_t rows = 0;
  const float* key_bias = nullptr;  // put back on the keys
  const float* rope = nullptr;      // [positions, rope_dims]: cosines of the pairs, then sines
  uint32_t positions = 0;
  const SpanIndex* spans = nullptr;
  uint32_t span_count = 0;
  const int32_t* indices = nullptr;
  uint64_t index_count = 0;
  const AttendItem* items = nullptr;  // of PlanAttention
  uint32_t item_count = 0;
  const MergeItem* merges = nullptr;
  uint32_t merge_count = 0;
  uint32_t partial_count = 0;
  float* partials = nullptr;  // [kv_heads, partial_count, kAttendPairs, PartialFloats]
  const uint8_t* pages = nullptr;
  uint64_t pool_bytes = 0;
  float* out = nullptr;  // [rows, heads * head_dim]
};
void Attend(const AttendArgs& args, Stream stream);

// out[i] = log softmax(row i)[targets[i]] where the target is not negative, else 0.
struct LogProbabilityArgs {
  const float* logits = nullptr;  // [rows, width]
  uint32_t rows = 0, width = 0;
  const int32_t* targets = nullptr;
  float* out = nullptr;
};
void LogProbabilities(const LogProbabilityArgs& args, Stream stream);

// Tokens whose logits are wanted by themselves: the greatest and their tempered sums are of the
// others. Row i of BestLogitsArgs has tokens lists[3 i] up to lists[3 i + 1], counted in `lists`,
// ascending; their logits go to values[lists[3 i + 2]] and on.
struct ApartArgs {
  const int32_t* lists = nullptr;  // [list_words]; null: no row has any
  uint32_t list_words = 0, value_count = 0;
  float* values = nullptr;
  uint32_t* marks = nullptr;  // scratch, [row_count, MarkWords(width)]
  float* greatest = nullptr;  // scratch, [row_count]: of the row's `values`
};
constexpr uint32_t MarkWords(uint32_t width) { return width / 32 + 1; }

// Of rows of logits, the `count` greatest (the lower token first among equals) and what the others
// weigh. Arrays are those of PlanBest.
struct BestLogitsArgs {
  const float* logits = nullptr;  // [logit_rows, width]
  uint32_t logit_rows = 0, width = 0;
  const int32_t* rows = nullptr;  // [row_count], which
  uint32_t row_count = 0, count = 0;
  const double* temperatures = nullptr;  // [row_count], above 0
  uint64_t* chunk_keys = nullptr;        // scratch, [row_count, chunks, count]
  uint64_t* keys = nullptr;   // [row_count, count], in no order: BestToken, BestLogit; 0: no more
  float* greatest = nullptr;  // [row_count]
  uint32_t* finite =
      nullptr;  // [row_count, chunks]: 0 where a logit is no number; keys are void then
  // [row_count, chunks, 2]: of e^(logit - greatest) above kBestExponent, over all tokens, and of
  // the same over the temperature without those that are set apart, whose greatest is not looked at
  // then. Null: they are not wanted, nor are temperatures.
  float* sums = nullptr;
  // [row_count, chunks]: the latter as doubles, above kWeightExponent. Null: they are not wanted.
  double* weights = nullptr;
  ApartArgs apart = {};
};
void BestLogits(const BestLogitsArgs& args, Stream stream);
constexpr int32_t BestToken(uint64_t key) {
  return static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(key));
}
constexpr float BestLogit(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return std::bit_cast<float>((ordered >> 31) ? ordered & 0x7fffffffu : ~ordered);
}

// Moves rows keep[i] (ascending) of [rows, width] to row i.
struct KeepRowsArgs {
  float* rows = nullptr;
  uint32_t row_count = 0, width = 0;
  const int32_t* keep = nullptr;
  uint32_t kept = 0;
};
void KeepRows(const KeepRowsArgs& args, Stream stream);

// Between pages and [piece][token] rows of one head; pieces are [layer][key|value][kv_head].
struct CopyTokensArgs {
  uint32_t pieces = 0;
  uint32_t row_bytes = 0;  // of one head, even
  uint64_t page_bytes = 0;
  const int32_t* slots = nullptr;  // [tokens, 2]
  uint32_t tokens = 0;
  uint8_t* pages = nullptr;
  uint64_t pool_bytes = 0;
  uint8_t* rows = nullptr;  // [pieces, tokens, row_bytes]
  enum class Way : uint8_t { kOut, kIn } way = Way::kOut;
};
void CopyTokens(const CopyTokensArgs& args, Stream stream);

}  // namespace vade::kernels::cuda
