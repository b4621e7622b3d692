// The backend of an NVIDIA GPU: weights and buffers in its memory, the operations of kernels/cuda.
//
// Operations only queue work; Download, LogProbabilities and CopyOut wait for it, and there errors
// of earlier operations show. Matrices keep the packed form of the processor's kernels, so both
// backends read the same pack, and matrix products of quantised weights round as the processor's
// specification does.
//
// Steps that come again in the same shape are recorded as graphs (cuda_graphs.cc): the first of a
// shape is done plainly and lets the scratch grow, the second is recorded, the others are launched.
// A graph names memory, so all of them end when a piece of memory that one may name is given back.
//
// cuda_backend.cc has memory, weights and the row-wise operations, cuda_attention.cc the key/value
// pages. In a library of its own (cuda_library.h), so that the executable starts where there is no
// driver; the tests run the same code over a fake device.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/arena.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"
#include "model/backend.h"
#include "model/cuda_staging.h"
#include "model/cuda_step.h"
#include "model/cuda_uploads.h"
#include "model/device_choice.h"

namespace vade {

// How often steps were recorded, and launched as recorded.
struct GraphCounts {
  uint64_t recorded = 0, launched = 0, dropped = 0;
};

class CudaBackend final : public Backend {
 public:
  // options.device is not looked at: the device has been opened.
  static Result<std::unique_ptr<CudaBackend>> Create(std::unique_ptr<kernels::cuda::Device> device,
                                                     const GpuOptions& options);
  ~CudaBackend() override;

  const kernels::cuda::DeviceInfo& info() const { return info_; }  // before anything was taken
  const GraphCounts& graph_counts() const { return graph_counts_; }
  Status CheckShape(const AttentionShape& shape) const override;

  Result<BufferHandle> NewBuffer(uint64_t bytes) override;
  void FreeBuffer(BufferHandle buffer) override;
  Status Upload(BufferHandle to, uint64_t offset, std::span<const uint8_t> bytes) override;
  Status Download(BufferHandle from, uint64_t offset, std::span<uint8_t> bytes) override;
  Result<MatrixHandle> AddMatrix(const kernels::PackedMatrix& matrix) override;
  Result<TableHandle> AddTable(TensorType type, std::span<const uint8_t> bytes, uint64_t rows,
                               uint64_t cols) override;
  Result<VectorHandle> AddVector(std::span<const float> values) override;

  Status RunStep(const StepArgs& args, const std::function<Status()>& operations) override;
  Status Embed(TableHandle table, std::span<const int32_t> tokens, BufferHandle x) override;
  Status NormProject(const NormProjectArgs& args) override;
  Status StoreKeysValues(const StoreArgs& args) override;
  Status Attend(const AttendArgs& args) override;
  Status ProjectAdd(MatrixHandle matrix, BufferHandle in, int rows, BufferHandle x) override;
  Status FeedForward(const FeedForwardArgs& args) override;
  Status LogProbabilities(BufferHandle logits, int width, std::span<const int32_t> targets,
                          std::span<float> out) override;
  uint32_t MaxBest(int width) const override;
  Result<std::vector<BestLogits>> FindBest(const BestArgs& args) override;
  Status KeepRows(BufferHandle buffer, int width, std::span<const int32_t> keep) override;
  Status CopyOut(const TokenArgs& args, std::span<uint8_t> out) override;
  Status CopyIn(const TokenArgs& args, std::span<const uint8_t> in) override;
  Status CopyPage(const AttentionShape& shape, BufferHandle pages, int32_t from,
                  int32_t to) override;
  Status ClearPages(const AttentionShape& shape, BufferHandle buffer,
                    std::span<const int32_t> pages) override;

 private:
  struct Memory {
    uint8_t* at = nullptr;
    uint64_t bytes = 0;
  };
  struct Matrix {
    kernels::Format format;
    uint32_t rows, cols;
    Memory data;
  };
  struct Table {
    TensorType type;
    uint64_t rows, cols;
    Memory data;
  };
  struct Vector {
    uint32_t count;
    Memory data;
  };
  // What operations work in between; grows to the largest step seen.
  enum Scratch { kPrepared, kGateUp, kResults, kPartials, kRows, kStep, kBestKeys, kScratchCount };

  // The lists of an attention on the device.
  struct DeviceSpans {
    const uint8_t* at = nullptr;
    AttendPlace place;
    uint64_t rows = 0;
    int32_t last_page = -1;
  };
  // The step that is being done.
  struct DeviceStep {
    StepArgs args;
    const int32_t *tokens = nullptr, *slots = nullptr, *kept = nullptr;
    DeviceSpans spans, last_spans;
  };
  // Steps whose launches are the same.
  struct StepKey {
    uint64_t rows = 0;
    AttendRoom room;
    auto operator<=>(const StepKey&) const = default;
  };

  CudaBackend(std::unique_ptr<kernels::cuda::Device> device, kernels::cuda::DeviceInfo info,
              const GpuOptions& options);

  Memory BufferOf(BufferHandle handle) const;
  float* Floats(BufferHandle handle, uint64_t count) const;
  const Matrix& MatrixOf(MatrixHandle handle) const;
  const Vector& VectorOf(VectorHandle handle) const;
  float* FloatsOf(const Vector& vector) const { return reinterpret_cast<float*>(vector.data.at); }
  Result<Memory> Take(uint64_t bytes, const std::string& what);
  void GiveBack(Memory* memory);
  Result<uint8_t*> ScratchBytes(Scratch which, uint64_t bytes);
  Result<Memory> Copy(std::span<const uint8_t> bytes, const std::string& what);
  // Ends an operation: what could not be queued; and waits when much is queued.
  Status Queued();
  Status Wait();
  Status ReadBack(const uint8_t* from, std::span<uint8_t> to);

  // A row's activations in the form of a matrix, and products of matrices that share it.
  struct Product {
    const Matrix* matrix;
    const Vector* bias;
    uint32_t first_column;
  };
  Status Multiply(std::span<const Product> products, kernels::cuda::PrepareArgs x, float* y,
                  uint32_t y_stride, kernels::cuda::MultiplyArgs::Into into);

  // cuda_graphs.cc
  Status PutStep(const StepArgs& args, Room room);
  Status RunRecorded(const StepKey& key, const std::function<Status()>& operations);
  Result<kernels::cuda::Graph> Record(const std::function<Status()>& operations);
  void DropGraphs();  // nothing launches them any more
  void FreeDroppedGraphs();
  // Where an array of the host is on the device: the step's own, else a copy.
  Result<const int32_t*> Array(std::string_view slot, std::span<const int32_t> values);

  // cuda_attention.cc
  uint32_t EnoughBlocks() const;
  Status MakeAttentionReady(const AttentionShape& shape, const AttendArrays& arrays, Room room);
  Result<DeviceSpans> Spans(const AttentionShape& shape, std::span<const AttentionSpan> spans);
  Result<const int32_t*> Slots(std::span<const KvSlot> slots);
  kernels::cuda::KvShape ShapeOf(const AttentionShape& shape, int layer) const;
  const float* RoundedBias(const AttentionShape& shape, VectorHandle key_bias) const;
  Status GrowRopeTable(const AttentionShape& shape, int32_t max_position);
  Result<kernels::cuda::CopyTokensArgs> CopyArgs(const TokenArgs& args, uint64_t bytes);
  Memory PagesOf(const AttentionShape& shape, BufferHandle buffer, int64_t last_page) const;

  std::unique_ptr<kernels::cuda::Device> device_;
  kernels::cuda::DeviceInfo info_;
  kernels::cuda::Arena arena_;
  CudaStaging staging_;
  CudaUploads uploads_;
  // A step holds it over its operations, which take it too: what is recorded is one thread's alone.
  mutable std::recursive_mutex mutex_;

  std::vector<Memory> buffers_;  // at null: a free handle
  std::vector<Matrix> matrices_;
  std::vector<Table> tables_;
  std::vector<Vector> vectors_;
  Memory scratch_[kScratchCount];

  Memory rope_;
  size_t rope_positions_ = 0, rope_half_ = 0;
  double rope_base_ = 0;

  std::optional<DeviceStep> step_;
  bool graphs_wanted_, recording_ = false;
  std::map<StepKey, kernels::cuda::Graph> graphs_;  // of a shape seen once: a null one
  std::vector<kernels::cuda::Graph> dropped_;       // may still be at work
  GraphCounts graph_counts_;
};

}  // namespace vade
