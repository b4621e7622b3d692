#include "model/cuda_library.h"

#include <dlfcn.h>

#include "base/files.h"
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

namespace internal {

Result<std::unique_ptr<Backend>> OpenCudaBackendAt(const std::string& path,
                                                   const GpuOptions& options, GpuFound* found) {
  if (!FileExists(path)) {
    return Unavailable(StrCat("there is no ", path, "; it is built where nvcc is found"));
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // open until the process ends
  if (!library) return Unavailable(StrCat("opening the GPU's library: ", dlerror()));
  const auto open = reinterpret_cast<CudaOpenFunction>(dlsym(library, "vade_cuda_open"));
  if (!open) return Unavailable(StrCat(path, " is not the GPU's library"));
  CudaOpenArgs args;
  args.options = options;
  const auto code = static_cast<StatusCode>(open(kCudaAbi, &args));
  if (found) *found = args.found;
  if (code != StatusCode::kOk) return Status(code, args.message);
  return std::unique_ptr<Backend>(args.backend);
}

}  // namespace internal

Result<std::unique_ptr<Backend>> OpenCudaBackend(const GpuOptions& options, GpuFound* found) {
  const std::string folder = ExecutableFolder();
  if (folder.empty()) {
    return Unavailable("the executable's folder, where the GPU's library lies, is unknown");
  }
  return internal::OpenCudaBackendAt(JoinPath(folder, "libvade_cuda.so"), options, found);
}

}  // namespace vade
