// How a kernel is started. The one place with <<< >>>.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/operations.h"

#ifdef __CUDACC__

#include <cuda_runtime_api.h>

namespace vade::kernels::cuda {

// Errors are found by the caller's next check (runtime_device.cc), as for everything on a stream.
template <typename... Parameters, typename... Arguments>
void Launch(const char*, const LaunchPlan& plan, Stream stream, void (*kernel)(Parameters...),
            Arguments... arguments) {
  if (plan.shared_bytes > (48u << 10)) {
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(plan.shared_bytes));
  }
  kernel<<<dim3(plan.grid_x, plan.grid_y), dim3(plan.block), plan.shared_bytes,
           static_cast<cudaStream_t>(stream.handle)>>>(arguments...);
}

}  // namespace vade::kernels::cuda

#else

#include <emulated_launch.h>

#endif
