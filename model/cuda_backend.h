// The backend of an NVIDIA GPU: weights and buffers in its memory, the operations of kernels/cuda.
//
// Operations only queue work; Download, LogProbabilities and CopyOut wait for it, and there errors
// of earlier operations show. Matrices keep the packed form of the processor's kernels, so both
// backends read the same pack, and matrix products of quantised weights round as the processor's
// specification does.
//
// cuda_backend.cc has memory, weights and the row-wise operations, cuda_attention.cc the key/value
// pages. In a library of its own (cuda_library.h), so that the executable starts where there is no
// driver; the tests run the same code over a fake device.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/cuda/arena.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/operations.h"
#include "model/backend.h"

namespace vade {

// Arrays of the host on their way to the device: one piece of memory on each side, filled from the
// front. What was given stays until the next Reset.
class CudaStaging {
 public:
  CudaStaging(kernels::cuda::Device* device, uint64_t bytes) : device_(device), bytes_(bytes) {}
  ~CudaStaging();
  CudaStaging(const CudaStaging&) = delete;
  CudaStaging& operator=(const CudaStaging&) = delete;

  // A copy of the array on the device, good until the next call that may reset: an operation that
  // puts several asks for room first. Arrays that are `slot`'s last ones are not copied again.
  template <typename T>
  Result<const T*> Put(std::string_view slot, std::span<const T> values) {
    ASSIGN_OR_RETURN(const uint8_t* at,
                     PutBytes(slot, {reinterpret_cast<const uint8_t*>(values.data()),
                                     values.size() * sizeof(T)}));
    return reinterpret_cast<const T*>(at);
  }
  // Arrays of so many bytes may follow without any that was put before being lost.
  static uint64_t Rounded(uint64_t bytes) { return (bytes / 256 + 1) * 256; }
  Status MakeRoom(uint64_t rounded_bytes);
  // Forgets all arrays. Only once nothing queued reads them.
  void Reset();
  bool NearlyFull() const { return used_ > bytes_ / 2; }
  // `bytes` of the host to copy to, beside the arrays. Allocated at the first use.
  Result<std::span<uint8_t>> HostBytes();

 private:
  struct Kept {
    std::vector<uint8_t> bytes;
    const uint8_t* at = nullptr;  // on the device; null once it is gone
  };
  Result<const uint8_t*> PutBytes(std::string_view slot, std::span<const uint8_t> bytes);

  kernels::cuda::Device* device_;
  uint64_t bytes_, used_ = 0;
  uint8_t* host_ = nullptr;
  uint8_t* on_device_ = nullptr;
  uint8_t* read_back_ = nullptr;
  std::map<std::string, Kept, std::less<>> kept_;
};

class CudaBackend final : public Backend {
 public:
  // At most `budget_bytes` of the device's memory are taken.
  static Result<std::unique_ptr<CudaBackend>> Create(std::unique_ptr<kernels::cuda::Device> device,
                                                     uint64_t budget_bytes);
  ~CudaBackend() override;

  const kernels::cuda::DeviceInfo& info() const { return info_; }
  Status CheckShape(const AttentionShape& shape) const override;

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
  enum Scratch { kPrepared, kGateUp, kResults, kPartials, kRows, kScratchCount };

  CudaBackend(std::unique_ptr<kernels::cuda::Device> device, uint64_t budget_bytes);

  Memory BufferOf(BufferHandle handle) const;
  float* Floats(BufferHandle handle, uint64_t count) const;
  const Matrix& MatrixOf(MatrixHandle handle) const;
  const Vector& VectorOf(VectorHandle handle) const;
  float* FloatsOf(const Vector& vector) const { return reinterpret_cast<float*>(vector.data.at); }
  Result<Memory> Take(uint64_t bytes, const std::string& what);
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

  // cuda_attention.cc
  kernels::cuda::KvShape ShapeOf(const AttentionShape& shape, int layer) const;
  const float* RoundedBias(const AttentionShape& shape, VectorHandle key_bias) const;
  Status GrowRopeTable(const AttentionShape& shape, int32_t max_position);
  Result<kernels::cuda::CopyTokensArgs> CopyArgs(const TokenArgs& args, uint64_t bytes);
  Memory PagesOf(const AttentionShape& shape, BufferHandle buffer, int64_t last_page) const;

  std::unique_ptr<kernels::cuda::Device> device_;
  kernels::cuda::DeviceInfo info_;
  kernels::cuda::Arena arena_;
  CudaStaging staging_;
  mutable std::mutex mutex_;

  std::vector<Memory> buffers_;  // at null: a free handle
  std::vector<Matrix> matrices_;
  std::vector<Table> tables_;
  std::vector<Vector> vectors_;
  Memory scratch_[kScratchCount];

  Memory rope_;
  size_t rope_positions_ = 0, rope_half_ = 0;
  double rope_base_ = 0;
};

}  // namespace vade
