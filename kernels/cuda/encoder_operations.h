// The operations of an encoder on a CUDA device: kernels/int8.h on the GPU. As in operations.h, all
// pointers are device memory and a function only queues its work.
//
// The scalar level is the specification, and what is computed from the same floats has its very
// bits: codes, products, GELU, softmax, means. Only the sums of a normalisation are added in
// another order, in doubles; they come out as other floats once in many millions.
//
// A row of activation codes is `EncoderStride(cols)` bytes, zeros behind the columns, and has its
// RowScale as two floats.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cuda/operations.h"
#include "kernels/int8.h"

namespace vade::kernels::cuda {

// Bytes of a row of codes: whole fragments of the tensor cores.
constexpr uint32_t EncoderStride(uint32_t cols) { return (cols + 31) / 32 * 32; }

struct CodesOut {
  uint8_t* codes = nullptr;  // [rows, EncoderStride(cols)]
  float* scales = nullptr;   // [rows, 2]: scale, offset
};

struct EncoderNorm {
  const float* weight = nullptr;  // [cols]
  const float* bias = nullptr;    // [cols]
  float eps = 0;
};

// x = norm(token vector + position vector), and that as codes.
struct EmbedNormArgs {
  TensorType type = TensorType::kF32;  // of the token table, which lies as in the file
  const uint8_t* table = nullptr;
  uint64_t table_bytes = 0;
  const float* positions = nullptr;  // [position_count, cols]
  uint32_t position_count = 0;
  const int32_t* tokens = nullptr;  // [rows]
  const int32_t* places = nullptr;  // [rows], of the tokens in their texts
  uint32_t rows = 0, cols = 0;
  EncoderNorm norm;
  float* x = nullptr;  // [rows, cols]
  CodesOut out;
};
void EmbedNorm(const EmbedNormArgs& args, Stream stream);

// x = norm(x + y), and that as codes.
struct AddNormArgs {
  const float* y = nullptr;  // [rows, cols]
  uint32_t rows = 0, cols = 0;
  EncoderNorm norm;
  float* x = nullptr;  // [rows, cols]
  CodesOut out;
};
void AddNorm(const AddNormArgs& args, Stream stream);

// Rows of x, or GELU of them, as codes. With GELU x is overwritten.
struct RowsToCodesArgs {
  float* x = nullptr;  // [rows, cols]
  uint32_t rows = 0, cols = 0;
  enum class Of : uint8_t { kRows, kGelu } of = Of::kRows;
  CodesOut out;
};
void RowsToCodes(const RowsToCodesArgs& args, Stream stream);

// y[t][first_column + r] = sum_c w[r][c] x[t][c] + bias[r]; matrices of Format::kInt8Rows.
struct MultiplyCodesArgs {
  uint32_t cols = 0;
  std::span<const ProductMatrix> matrices;  // 1..kMaxProducts
  const uint8_t* codes = nullptr;           // [tokens, EncoderStride(cols)]
  const float* scales = nullptr;            // [tokens, 2]
  uint32_t tokens = 0;
  float* y = nullptr;  // [tokens, y_stride]
  uint32_t y_stride = 0;
};
void MultiplyCodes(const MultiplyCodesArgs& args, Stream stream);

// Where a text lies.
struct TextSpan {
  int32_t first_row = 0, rows = 0;
  int32_t first_column = 0;  // of its values: a multiple of 32
};
constexpr uint32_t TextColumns(uint32_t rows) { return EncoderStride(rows); }

// The heads of all texts as codes: queries as activations, keys as rows and values as columns of
// matrices, as int8.h packs them, but for the tiles.
struct HeadCodes {
  uint32_t heads = 0, head_dim = 0;
  uint32_t rows = 0, columns = 0, text_count = 0;  // columns: of the values of all texts
  uint8_t* queries = nullptr;                      // [rows, heads, EncoderStride(head_dim)]
  float* query_scales = nullptr;                   // [rows, heads, 2]: scale, offset
  uint8_t* keys = nullptr;                         // [rows, heads, EncoderStride(head_dim)]
  float* key_scales = nullptr;                     // [rows, heads, 2]: scale, scale * sum
  uint8_t* values = nullptr;                       // [heads * head_dim, columns]
  float* value_scales = nullptr;                   // [text_count, heads * head_dim, 2]
  const TextSpan* texts = nullptr;                 // [text_count]
};
// `qkv` is [rows, 3, heads, head_dim].
void PackHeads(const float* qkv, const HeadCodes& heads, Stream stream);

// out = softmax(q k / sqrt(head_dim)) v, for each head of each text alone.
struct AttendTextsArgs {
  HeadCodes heads;                     // of PackHeads
  const TextQueries* items = nullptr;  // of PlanTexts
  uint32_t item_count = 0;
  float* out = nullptr;  // [rows, heads * head_dim]
};
void AttendTexts(const AttendTextsArgs& args, Stream stream);

// out[i] = the mean of the text's rows, or its first, as a unit vector.
struct PoolTextsArgs {
  const float* x = nullptr;  // [rows, cols]
  uint32_t rows = 0, cols = 0;
  const TextSpan* texts = nullptr;
  uint32_t text_count = 0;
  enum class Pool : uint8_t { kMean, kFirst } pool = Pool::kMean;
  float* out = nullptr;  // [text_count, cols]
};
void PoolTexts(const PoolTextsArgs& args, Stream stream);

}  // namespace vade::kernels::cuda
