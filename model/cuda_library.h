// The way to the GPU: libvade_cuda.so beside the executable, opened when a GPU is first asked for,
// so that one executable runs on machines with and without a driver. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "model/backend.h"
#include "model/device_choice.h"

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

namespace internal {
// What the library exports as "vade_cuda_open": a status code; its message goes into `message`.
struct CudaOpenArgs {
  GpuOptions options;
  GpuFound found;
  Backend* backend = nullptr;  // the caller owns it
  char message[1024] = {};
};
using CudaOpenFunction = int (*)(const char* abi, CudaOpenArgs* args);
// The library at a path instead of the one beside the executable.
Result<std::unique_ptr<Backend>> OpenCudaBackendAt(const std::string& path,
                                                   const GpuOptions& options, GpuFound* found);
}  // namespace internal

}  // namespace vade
