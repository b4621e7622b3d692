// The one function that the executable finds in libvade_cuda.so.
#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "model/cuda_abi.h"
#include "model/cuda_backend.h"
#include "model/cuda_encoder.h"
#include "model/cuda_library.h"
#include "model/cuda_scanner.h"

namespace vade {
namespace {

GpuFound Found(const kernels::cuda::DeviceInfo& info) {
  GpuFound found;
  std::copy_n(info.name.begin(), std::min(info.name.size(), sizeof(found.name) - 1), found.name);
  found.compute_major = info.compute_major;
  found.compute_minor = info.compute_minor;
  found.multiprocessors = info.multiprocessors;
  found.total_bytes = info.total_bytes;
  found.free_bytes = info.free_bytes;
  found.driver_version = info.driver_version;
  found.runtime_version = info.runtime_version;
  return found;
}

Status Open(const char* abi, internal::CudaOpenArgs* args) {
  if (std::strcmp(abi, internal::kCudaAbi) != 0) {
    return Unavailable("libvade_cuda.so is of another build than the executable; build both anew");
  }
  ASSIGN_OR_RETURN(auto device, kernels::cuda::OpenRuntimeDevice(args->options.device));
  ASSIGN_OR_RETURN(const auto info, device->Describe());
  args->found = Found(info);
  using Want = internal::CudaOpenArgs::Want;
  switch (args->want) {
    case Want::kBackend: {
      ASSIGN_OR_RETURN(auto backend, CudaBackend::Create(std::move(device), args->options));
      args->backend = backend.release();
      return OkStatus();
    }
    case Want::kEncoder: {
      ASSIGN_OR_RETURN(auto encoder,
                       CudaEncoder::Create(std::move(device), *args->encoder_weights, args->pooling,
                                           args->options.memory_bytes));
      args->encoder = encoder.release();
      return OkStatus();
    }
    case Want::kScanner: {
      ASSIGN_OR_RETURN(auto scanner,
                       CudaScanner::Create(std::move(device), args->options.memory_bytes));
      args->scanner = scanner.release();
      return OkStatus();
    }
  }
  return Internal("the GPU's library is asked for something that it does not know");
}

}  // namespace
}  // namespace vade

extern "C" __attribute__((visibility("default"))) int vade_cuda_open(
    const char* abi, vade::internal::CudaOpenArgs* args) {
  const vade::Status status = vade::Open(abi, args);
  const std::string& message = status.message();
  std::copy_n(message.begin(), std::min(message.size(), sizeof(args->message) - 1), args->message);
  return static_cast<int>(status.code());
}
