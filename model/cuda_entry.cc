// The one function that the executable finds in libvade_cuda.so.
#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "model/cuda_abi.h"
#include "model/cuda_backend.h"
#include "model/cuda_library.h"

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
  ASSIGN_OR_RETURN(auto backend, CudaBackend::Create(std::move(device), args->options));
  args->found = Found(backend->info());
  args->backend = backend.release();
  return OkStatus();
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
