// What goes between the host and the GPU besides weights: arrays on their way in, results on their
// way out, by memory of the host that copies are fast from and to. Shared by the decoder's backend
// and the encoder. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernels/cuda/device.h"

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
  // Queues a copy of the bytes to `to`.
  Status CopyTo(uint8_t* to, std::span<const uint8_t> bytes);
  // Arrays of so many bytes may follow without any that was put before being lost.
  static uint64_t Rounded(uint64_t bytes) { return (bytes / 256 + 1) * 256; }
  Status MakeRoom(uint64_t rounded_bytes);
  // Forgets all arrays. Only once nothing queued reads them.
  void Reset();
  bool NearlyFull() const { return used_ > bytes_ / 2; }
  // What lies at `from`, once all that is queued is done. Forgets all arrays.
  Status ReadBack(const uint8_t* from, std::span<uint8_t> to);

 private:
  struct Kept {
    std::vector<uint8_t> bytes;
    const uint8_t* at = nullptr;  // on the device; null once it is gone
  };
  Result<std::span<uint8_t>> HostBytes();
  Result<const uint8_t*> PutBytes(std::string_view slot, std::span<const uint8_t> bytes);

  kernels::cuda::Device* device_;
  uint64_t bytes_, used_ = 0;
  uint8_t* host_ = nullptr;
  uint8_t* on_device_ = nullptr;
  uint8_t* read_back_ = nullptr;
  std::map<std::string, Kept, std::less<>> kept_;
};

}  // namespace vade
