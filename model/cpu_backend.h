// The backend of the processor itself: buffers are anonymous mappings, the operations call the
// kernel table of the level in force and split their work over a pool of threads. Weights are read
// in place.
//
// cpu_backend.cc has memory and the row-wise operations, cpu_projection.cc everything that
// multiplies by a matrix, cpu_attention.cc the key/value pages.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/threads.h"
#include "model/backend.h"
#include "model/scratch.h"

namespace vade {

class CpuBackend final : public Backend {
 public:
  // The pool is not owned and outlives the backend; null: the caller's thread alone.
  explicit CpuBackend(ThreadPool* pool);
  ~CpuBackend() override;

  Result<BufferHandle> NewBuffer(uint64_t bytes) override;
  void FreeBuffer(BufferHandle buffer) override;
  Status Upload(BufferHandle to, uint64_t offset, std::span<const uint8_t> bytes) override;
  Status Download(BufferHandle from, uint64_t offset, std::span<uint8_t> bytes) override;
  Result<MatrixHandle> AddMatrix(const kernels::PackedMatrix& matrix) override;
  Result<TableHandle> AddTable(TensorType type, std::span<const uint8_t> bytes, uint64_t rows,
                               uint64_t cols) override;
  Result<VectorHandle> AddVector(std::span<const float> values) override;

  Status Embed(TableHandle table, std::span<const int32_t> tokens, BufferHandle x) override;
  Status NormProject(const NormProjectArgs& args) override;
  Status StoreKeysValues(const StoreArgs& args) override;
  Status Attend(const AttendArgs& args) override;
  Status ProjectAdd(MatrixHandle matrix, BufferHandle in, int rows, BufferHandle x) override;
  Status FeedForward(const FeedForwardArgs& args) override;
  Status LogProbabilities(BufferHandle logits, int width, std::span<const int32_t> targets,
                          std::span<float> out) override;
  Status KeepRows(BufferHandle buffer, int width, std::span<const int32_t> keep) override;
  Status CopyOut(const TokenArgs& args, std::span<uint8_t> out) override;
  Status CopyIn(const TokenArgs& args, std::span<const uint8_t> in) override;
  Status CopyPage(const AttentionShape& shape, BufferHandle pages, int32_t from,
                  int32_t to) override;
  Status ClearPages(const AttentionShape& shape, BufferHandle buffer,
                    std::span<const int32_t> pages) override;

  // The memory behind a buffer; for the test backend that takes it away between operations.
  std::span<uint8_t> HostMemory(BufferHandle buffer) const;

 private:
  struct Table {
    TensorType type;
    std::span<const uint8_t> bytes;
    uint64_t rows, cols, row_bytes;
  };
  // What one piece of a parallel loop works in. Borrowed, so that pieces never share one.
  struct Scratch {
    ScratchBytes norm, result, gate, up;        // cpu_projection.cc
    ScratchBytes keys, values, queries, mixed;  // cpu_attention.cc
    ScratchBytes unbiased;
    std::vector<uint32_t> visible;
  };
  // Rows of activations in the form that weights of `format` want.
  struct Prepared {
    kernels::Format format;
    uint8_t* rows;
    size_t row_bytes;
  };
  // One matrix times prepared rows; cpu_projection.cc explains.
  struct Product;
  struct AttendTask;

  float* Floats(BufferHandle buffer, uint64_t count) const;
  const kernels::PackedMatrix& Matrix(MatrixHandle handle) const;
  std::span<const float> Vector(VectorHandle handle) const;
  void For(size_t count, size_t grain, RangeFunction f) const;
  int threads() const { return pool_ ? pool_->threads() : 1; }

  // cpu_projection.cc
  Prepared Reserve(size_t slot, kernels::Format format, size_t rows, size_t cols);
  void PrepareRows(const float* x, size_t rows, size_t cols, const float* norm, float eps,
                   std::span<const Prepared> forms);
  size_t TileGrain(size_t tiles, size_t tokens) const;
  void Multiply(std::span<const Product> products, size_t tokens);
  void GateUp(const Product& gate, const Product& up, size_t tokens, float* hidden);

  // cpu_attention.cc
  const float* RoundedBias(const AttentionShape& shape, VectorHandle key_bias) const;
  void GrowRopeTable(const AttentionShape& shape, int32_t max_position);
  const float* RopeCos(int32_t position) const;
  void AttendOne(const AttendArgs& args, const AttendTask& task, const float* qkv,
                 const uint8_t* pages, float* out, Scratch& scratch) const;
  void GatherKeysValues(const AttendArgs& args, const AttentionSpan& span, int kv_head,
                        size_t count, const uint8_t* pages, Scratch& scratch) const;

  ThreadPool* pool_;
  std::vector<std::span<uint8_t>> buffers_;  // an empty span is a free handle
  std::vector<kernels::PackedMatrix> matrices_;
  std::vector<Table> tables_;
  std::vector<std::vector<float>> vectors_;

  std::vector<ScratchBytes> prepared_;  // by slot
  std::mutex scratch_mutex_;
  std::vector<std::unique_ptr<Scratch>> scratch_;  // those not borrowed
  std::vector<AttendTask> attend_tasks_;

  // [position][cos of each pair | sin of each pair]
  std::vector<float> rope_;
  size_t rope_half_ = 0;
  double rope_base_ = 0;
};

struct CpuBackend::Product {
  const kernels::PackedMatrix* matrix = nullptr;
  Prepared x;
  float* y = nullptr;           // row 0 of token 0
  size_t y_stride = 0;          // in floats
  const float* bias = nullptr;  // added to the product; may be null
  enum class Into { kReplace, kAdd } into = Into::kReplace;
};

struct CpuBackend::AttendTask {
  int span = 0;
  int kv_head = 0;
  int row_begin = 0, row_end = 0;  // within the span
};

}  // namespace vade
