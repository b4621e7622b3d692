#include "model/cuda_library.h"

#include <dlfcn.h>

#include <mutex>

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "model/cuda_abi.h"

namespace vade {

std::string_view DeviceChoiceName(DeviceChoice choice) {
  switch (choice) {
    case DeviceChoice::kAuto: return "auto";
    case DeviceChoice::kCpu: return "cpu";
    case DeviceChoice::kCuda: return "cuda";
  }
  return "auto";
}

std::optional<DeviceChoice> ParseDeviceChoice(std::string_view name) {
  for (DeviceChoice choice : {DeviceChoice::kAuto, DeviceChoice::kCpu, DeviceChoice::kCuda}) {
    if (name == DeviceChoiceName(choice)) return choice;
  }
  return std::nullopt;
}

void SayNoGpu(const std::string& why_not) {
  static std::once_flag said;
  std::call_once(said,
                 [&] { LogInfo(StrCat("no GPU: ", why_not, "; computing on the processor")); });
}

namespace internal {

Status OpenCudaAt(const std::string& path, CudaOpenArgs* args) {
  if (!FileExists(path)) {
    return Unavailable(StrCat("there is no ", path, "; it is built where nvcc is found"));
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // open until the process ends
  if (!library) return Unavailable(StrCat("opening the GPU's library: ", dlerror()));
  const auto open = reinterpret_cast<CudaOpenFunction>(dlsym(library, "vade_cuda_open"));
  if (!open) return Unavailable(StrCat(path, " is not the GPU's library"));
  const auto code = static_cast<StatusCode>(open(kCudaAbi, args));
  return code == StatusCode::kOk ? OkStatus() : Status(code, args->message);
}

Result<std::string> LibraryPath() {
  const std::string folder = ExecutableFolder();
  if (folder.empty()) {
    return Unavailable("the executable's folder, where the GPU's library lies, is unknown");
  }
  return JoinPath(folder, "libvade_cuda.so");
}

}  // namespace internal

namespace {

Status OpenCuda(internal::CudaOpenArgs* args, GpuFound* found) {
  ASSIGN_OR_RETURN(const std::string path, internal::LibraryPath());
  const Status status = internal::OpenCudaAt(path, args);
  if (found) *found = args->found;
  return status;
}

}  // namespace

Result<std::unique_ptr<Backend>> OpenCudaBackend(const GpuOptions& options, GpuFound* found) {
  internal::CudaOpenArgs args;
  args.options = options;
  RETURN_IF_ERROR(OpenCuda(&args, found));
  return std::unique_ptr<Backend>(args.backend);
}

Result<std::unique_ptr<DeviceEncoder>> OpenCudaEncoder(const EncoderWeights& weights,
                                                       Pooling pooling, const GpuOptions& options,
                                                       GpuFound* found) {
  internal::CudaOpenArgs args;
  args.options = options;
  args.want = internal::CudaOpenArgs::Want::kEncoder;
  args.encoder_weights = &weights;
  args.pooling = pooling;
  RETURN_IF_ERROR(OpenCuda(&args, found));
  return std::unique_ptr<DeviceEncoder>(args.encoder);
}

Result<std::unique_ptr<kernels::RowScanner>> OpenCudaScanner(const GpuOptions& options,
                                                             GpuFound* found) {
  internal::CudaOpenArgs args;
  args.options = options;
  args.want = internal::CudaOpenArgs::Want::kScanner;
  RETURN_IF_ERROR(OpenCuda(&args, found));
  return std::unique_ptr<kernels::RowScanner>(args.scanner);
}

}  // namespace vade
