// Where a decoder's numbers live and are worked on: buffers and weights behind opaque handles, and
// the handful of coarse operations that a transformer is made of.
//
// Nothing behind a handle may be touched by the caller: it may be memory of another device. Data
// crosses only in Upload, Download, CopyOut, CopyIn and the Add functions; index arrays (rows, page
// tables, positions) are host memory that the operation has read when it returns. Operations of one
// backend are called by one thread at a time; they may run parallel inside. Results for a row never
// depend on the other rows.
//
// Activations are float32 rows: a Buffer of [rows, width] floats. "x" is the residual stream.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/status.h"
#include "kernels/kernels.h"
#include "kernels/matrix.h"
#include "kernels/tensor_type.h"
#include "model/best_logits.h"

namespace vade {

// Handles; a default one names nothing. Distinct types, so that they cannot be mixed up.
struct BufferHandle {
  int32_t id = -1;
};
struct MatrixHandle {
  int32_t id = -1;
};
struct TableHandle {
  int32_t id = -1;
};
struct VectorHandle {
  int32_t id = -1;
};
inline bool IsSet(VectorHandle v) { return v.id >= 0; }

// How the heads of a model are shaped, turned and kept; the same for every layer.
struct AttentionShape {
  int heads = 0;
  int kv_heads = 0;  // each is shared by heads / kv_heads query heads
  int head_dim = 0;
  int rope_dims = 0;         // the first dims of a head that rotate, even; the others pass through
  double rope_base = 10000;  // angle of pair i: position * base^(-2i / rope_dims)
  kernels::RopeStyle rope_style = kernels::RopeStyle::kInterleaved;
  kernels::KvType kv_type = kernels::KvType::kF16;
  int layers = 0;

  int q_width() const { return heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
  int qkv_width() const { return q_width() + 2 * kv_width(); }
};

// Keys and values lie in pages of this many tokens: [layer][key|value][kv_head][slot][head_dim] in
// the type of the pages, keys un-rotated and, where the type rounds, without the constant bias of
// the key projection: models have biases a hundred times what varies, which would take all of the
// precision. A whole tile of the attention, so that a tile never spans two pages.
inline constexpr int kPageTokens = 32;
static_assert(kPageTokens == kernels::kAttentionTile);
uint64_t PageBytes(const AttentionShape& shape);
// Of one token, all layers.
inline uint64_t TokenBytes(const AttentionShape& shape) { return PageBytes(shape) / kPageTokens; }

// A matrix with its optional bias.
struct Projection {
  MatrixHandle matrix;
  VectorHandle bias;
};

// The rows of a step that belong to one sequence. Row i (of row_count) sees keys
// [0, visible[i]); `pages` and `key_positions` cover the largest of them.
struct AttentionSpan {
  int first_row = 0;
  int row_count = 0;
  std::span<const uint32_t> visible;
  std::span<const int32_t> row_positions;  // [row_count], where the queries stand
  std::span<const int32_t> pages;          // page numbers in the pool buffer, in order of the keys
  std::span<const int32_t> key_positions;  // where each key stands; it is rotated by it when read
};

// Where a row's key and value go.
struct KvSlot {
  int32_t page = 0;
  int32_t slot = 0;  // [0, kPageTokens)
};

// Bytes of a row of an embedding table of whole blocks; INVALID_ARGUMENT where `bytes` end before
// the last of `rows`.
Result<uint64_t> TableRowBytes(TensorType type, uint64_t bytes, uint64_t rows, uint64_t cols);

class Backend {
 public:
  virtual ~Backend() = default;

  // UNIMPLEMENTED says why a model with such heads cannot run here, and what to use instead.
  virtual Status CheckShape(const AttentionShape&) const { return OkStatus(); }

  // --- memory ------------------------------------------------------------------------------------
  // Zeroed. RESOURCE_EXHAUSTED when there is not enough.
  virtual Result<BufferHandle> NewBuffer(uint64_t bytes) = 0;
  virtual void FreeBuffer(BufferHandle buffer) = 0;
  virtual Status Upload(BufferHandle to, uint64_t offset, std::span<const uint8_t> bytes) = 0;
  virtual Status Download(BufferHandle from, uint64_t offset, std::span<uint8_t> bytes) = 0;

  // --- weights: kept until the backend ends ------------------------------------------------------
  // Bytes of matrices and tables must outlive the backend: it may read them in place or copy them.
  virtual Result<MatrixHandle> AddMatrix(const kernels::PackedMatrix& matrix) = 0;
  virtual Result<TableHandle> AddTable(TensorType type, std::span<const uint8_t> bytes,
                                       uint64_t rows, uint64_t cols) = 0;
  virtual Result<VectorHandle> AddVector(std::span<const float> values) = 0;

  // --- a step ------------------------------------------------------------------------------------
  // The arrays that the operations of a step are given. Steps with as many rows, spans and rows
  // going out do the same with them.
  struct StepArgs {
    const AttentionShape* shape = nullptr;
    std::span<const int32_t> tokens;            // of Embed
    std::span<const KvSlot> slots = {};         // of StoreKeysValues
    std::span<const AttentionSpan> spans = {};  // of Attend
    // Rows that go through the last Attend and the head. Where those are not all, KeepRows has
    // `kept` and the last Attend has `last_spans`.
    uint64_t rows_out = 0;
    std::span<const int32_t> kept = {};
    std::span<const AttentionSpan> last_spans = {};
  };
  // Calls `operations`, which calls the operations below with just these arrays; or does, instead,
  // what they did in an earlier step that was like this one. Nobody else's work comes between.
  virtual Status RunStep(const StepArgs&, const std::function<Status()>& operations) {
    return operations();
  }

  // --- operations, in the order in which a step uses them ----------------------------------------
  // x[i] = table[tokens[i]]
  virtual Status Embed(TableHandle table, std::span<const int32_t> tokens, BufferHandle x) = 0;

  // out[i] = the projections of rms_norm(x[first_row + i]), side by side
  struct NormProjectArgs {
    BufferHandle x;
    int first_row = 0;
    int rows = 0;
    VectorHandle norm;
    float eps = 0;
    std::span<const Projection> projections;
    BufferHandle out;
  };
  virtual Status NormProject(const NormProjectArgs& args) = 0;

  // Rows of [q | k | v] -> their slots of one layer's pages. slots[i] belongs to row i.
  struct StoreArgs {
    const AttentionShape* shape = nullptr;
    int layer = 0;
    BufferHandle qkv;
    VectorHandle key_bias = {};  // [kv_width], part of every k; unset where there is none
    std::span<const KvSlot> slots;
    BufferHandle pages;
  };
  virtual Status StoreKeysValues(const StoreArgs& args) = 0;

  // out[i] = softmax(q[i] k / sqrt(head_dim)) v per head, over the pages of its sequence.
  struct AttendArgs {
    const AttentionShape* shape = nullptr;
    int layer = 0;
    BufferHandle qkv;
    VectorHandle key_bias = {};  // as they were stored with
    std::span<const AttentionSpan> spans;
    BufferHandle pages;
    BufferHandle out;  // [rows, q_width]
  };
  virtual Status Attend(const AttendArgs& args) = 0;

  // x[i] += matrix in[i]
  virtual Status ProjectAdd(MatrixHandle matrix, BufferHandle in, int rows, BufferHandle x) = 0;

  // x[i] += down (silu(gate n) * up n), n = rms_norm(x[i])
  struct FeedForwardArgs {
    BufferHandle x;
    int rows = 0;
    VectorHandle norm;
    float eps = 0;
    MatrixHandle gate, up, down;
    BufferHandle hidden;  // scratch, [rows, rows of gate]
  };
  virtual Status FeedForward(const FeedForwardArgs& args) = 0;

  // out[i] = log softmax(row i of logits)[targets[i]]; rows with a negative target are passed over.
  virtual Status LogProbabilities(BufferHandle logits, int width, std::span<const int32_t> targets,
                                  std::span<float> out) = 0;

  // Where copying logits costs more than choosing among them: how many of the greatest of a row of
  // that width FindBest finds. 0: logits are at hand, it is not there.
  virtual uint32_t MaxBest(int /*width*/) const { return 0; }
  struct BestArgs {
    BufferHandle logits;  // [rows, width]
    int width = 0;
    std::span<const int32_t> rows;         // which
    std::span<const double> temperatures;  // [rows.size()], above 0
    uint32_t count = 0;                    // 1..MaxBest(width)
    bool weights = false;                  // BestLogits::weights are wanted
    // [rows.size()], or none: the tokens that are set apart (BestLogits::apart), ascending, each
    // below `width`.
    std::span<const std::span<const int32_t>> apart = {};
  };
  virtual Result<std::vector<BestLogits>> FindBest(const BestArgs&) {
    return Unimplemented("this backend hands out whole rows of logits");
  }

  // Moves rows `keep` (ascending) of [rows, width] to the front.
  virtual Status KeepRows(BufferHandle buffer, int width, std::span<const int32_t> keep) = 0;

  // Tokens outside of the pages: [layer][key|value][kv_head][token] rows of one head, as they lie
  // in the pages. TokenBytes(shape) a token; slots[i] holds token i.
  struct TokenArgs {
    const AttentionShape* shape = nullptr;
    std::span<const KvSlot> slots;
    BufferHandle pages;
  };
  virtual Status CopyOut(const TokenArgs& args, std::span<uint8_t> out) = 0;
  virtual Status CopyIn(const TokenArgs& args, std::span<const uint8_t> in) = 0;

  // One page of the pool onto another: copy on write.
  virtual Status CopyPage(const AttentionShape& shape, BufferHandle pages, int32_t from,
                          int32_t to) = 0;
  // Writes zeros over these pages.
  virtual Status ClearPages(const AttentionShape& shape, BufferHandle buffer,
                            std::span<const int32_t> pages) = 0;
};

}  // namespace vade
