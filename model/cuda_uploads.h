// Bytes of the host on their way to the GPU beside its work: weights when a model is loaded, rows
// of codes, tokens that were kept. They pass through a few pieces of memory that the GPU reads by
// itself, so while one piece is on its way the next is filled: what lies in a mapped file is read
// from the disk meanwhile.
//
//   CudaUploads uploads(device);
//   uploads.Copy(at, tensor);   // the tensor may go; work queued from now on finds it there
//
// One thread at a time. Nothing may be on its way when it ends.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "kernels/cuda/device.h"

namespace vade {

// The memory of the host that copies pass through: slots that are filled one after the other.
struct UploadRing {
  uint32_t slots = 4;
  uint64_t slot_bytes = 2ull << 20;  // a multiple of kUploadAlignment
};
inline constexpr uint64_t kUploadAlignment = 256;

// Where the next bytes go.
struct UploadPlace {
  uint32_t slot = 0;
  uint64_t used = 0;
};
// One copy.
struct UploadPiece {
  uint64_t begin = 0, bytes = 0;  // of what is copied
  uint32_t slot = 0;
  uint64_t at = 0;  // in the slot; at 0 what the slot held before must have arrived
};
// What so many bytes are cut into from `place` on, which goes behind them.
std::vector<UploadPiece> PlanUpload(const UploadRing& ring, uint64_t bytes, UploadPlace* place);

class CudaUploads {
 public:
  explicit CudaUploads(kernels::cuda::Device* device, UploadRing ring = {})
      : device_(device), ring_(ring) {}
  ~CudaUploads() { Release(); }
  CudaUploads(const CudaUploads&) = delete;
  CudaUploads& operator=(const CudaUploads&) = delete;

  // Queues a copy of the bytes to `to`, behind the work that is queued, which may use that memory,
  // and before all work that is queued later. Returns once the bytes have been read.
  Status Copy(uint8_t* to, std::span<const uint8_t> bytes);
  // Gives the host's memory back, until the next Copy. Only when nothing is on its way.
  void Release();

 private:
  struct Slot {
    uint8_t* host = nullptr;
    kernels::cuda::Event arrived;
    bool in_use = false;  // `arrived` was recorded
  };
  Status MakeReady();
  Status CopyPiece(uint8_t* to, const uint8_t* from, const UploadPiece& piece);

  kernels::cuda::Device* device_;
  const UploadRing ring_;
  UploadPlace place_;
  std::vector<Slot> slots_;
  kernels::cuda::Event work_, uploads_;  // where both streams were when they last met
};

}  // namespace vade
