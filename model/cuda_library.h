// The way to the GPU: libvade_cuda.so beside the executable, opened when a GPU is first asked for,
// so that one executable runs on machines with and without a driver. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "kernels/row_scanner.h"
#include "model/backend.h"
#include "model/device_choice.h"
#include "model/device_encoder.h"

namespace vade {

struct GpuFound {
  char name[256] = {};
  int compute_major = 0, compute_minor = 0;
  int multiprocessors = 0;
  uint64_t total_bytes = 0, free_bytes = 0;
  int driver_version = 0, runtime_version = 0;  // 13000 is 13.0
};

// UNAVAILABLE says why there is no GPU to use; its message goes behind "no GPU: ".
Result<std::unique_ptr<Backend>> OpenCudaBackend(const GpuOptions& options,
                                                 GpuFound* found = nullptr);

// The encoder of these weights. options.graphs does not count.
Result<std::unique_ptr<DeviceEncoder>> OpenCudaEncoder(const EncoderWeights& weights,
                                                       Pooling pooling, const GpuOptions& options,
                                                       GpuFound* found = nullptr);

// Searches rows of codes (kernels/row_scanner.h). options.memory_bytes 0: half of what is free.
Result<std::unique_ptr<kernels::RowScanner>> OpenCudaScanner(const GpuOptions& options,
                                                             GpuFound* found = nullptr);

// Says that there is no GPU, and that the processor is used: at most once a process, since
// everybody who looks for one would say the same.
void SayNoGpu(const std::string& why_not);

namespace internal {
// What the library exports as "vade_cuda_open": a status code; its message goes into `message`.
struct CudaOpenArgs {
  GpuOptions options;
  GpuFound found;
  // What is made; the caller owns it.
  enum class Want : uint8_t { kBackend, kEncoder, kScanner } want = Want::kBackend;
  const EncoderWeights* encoder_weights = nullptr;  // with kEncoder
  Pooling pooling = Pooling::kMean;
  Backend* backend = nullptr;
  DeviceEncoder* encoder = nullptr;
  kernels::RowScanner* scanner = nullptr;
  char message[1024] = {};
};
using CudaOpenFunction = int (*)(const char* abi, CudaOpenArgs* args);
// The library at a path: the one beside the executable is LibraryPath().
Status OpenCudaAt(const std::string& path, CudaOpenArgs* args);
Result<std::string> LibraryPath();
}  // namespace internal

}  // namespace vade
