// How a kernel is started. The one place with <<< >>>. The kernel is a template argument, so that
// the emulation knows of every instance that can be started, whether or not anything starts it: a
// test fails where no suite does (tests/tools/cuda_coverage.py).
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/operations.h"

#ifdef __CUDACC__

#include <cuda_runtime_api.h>

namespace vade::kernels::cuda {

// Errors are found by the caller's next check (runtime_device.cc), as for everything on a stream.
template <auto* kKernel, typename... Arguments>
void Launch(const LaunchPlan& plan, Stream stream, Arguments... arguments) {
  if (plan.shared_bytes > (48u << 10)) {
    cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(plan.shared_bytes));
  }
  kKernel<<<dim3(plan.grid_x, plan.grid_y), dim3(plan.block), plan.shared_bytes,
            static_cast<cudaStream_t>(stream.handle)>>>(arguments...);
}

}  // namespace vade::kernels::cuda

#else

#include <emulated_launch.h>

#endif
