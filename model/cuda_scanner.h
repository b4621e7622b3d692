// Rows of codes in the memory of an NVIDIA GPU and searches over all of them: kernels/row_scanner.h
// by the operations of kernels/cuda/scan_operations.h and best.cu. Here and not in index/, because
// it is part of the GPU's library, which knows nothing of stores.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "kernels/cuda/arena.h"
#include "kernels/cuda/device.h"
#include "kernels/row_scanner.h"
#include "model/cuda_staging.h"
#include "model/cuda_uploads.h"

namespace vade {

class CudaScanner final : public kernels::RowScanner {
 public:
  // memory_bytes: at most; 0: half of what is free.
  static Result<std::unique_ptr<CudaScanner>> Create(std::unique_ptr<kernels::cuda::Device> device,
                                                     uint64_t memory_bytes);
  ~CudaScanner() override;

  size_t max_best() const override;
  Result<std::unique_ptr<kernels::HeldRows>> Hold(const kernels::ScanRows& rows) override;
  Result<std::vector<kernels::ScoredRow>> Best(const kernels::HeldRows& rows,
                                               const kernels::RowQuestion& question) override;
  uint64_t used_bytes() const;  // of the device, for rows and scratch

 private:
  class Rows;
  // What a search works in; grows to the largest rows held.
  struct Scratch {
    uint8_t* at = nullptr;
    uint64_t bytes = 0;
  };

  CudaScanner(std::unique_ptr<kernels::cuda::Device> device, uint64_t budget_bytes);
  Status CopyRows(const kernels::ScanRows& from, Rows* to);
  Status GrowScratch(uint64_t bytes);
  void Free(Rows* rows);

  std::unique_ptr<kernels::cuda::Device> device_;
  mutable std::mutex mutex_;  // guards what follows
  kernels::cuda::Arena arena_;
  CudaStaging staging_;
  CudaUploads uploads_;
  Scratch scratch_;
};

}  // namespace vade
