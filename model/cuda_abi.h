// Executable and GPU library share classes, so both must be built from the same headers. The string
// names what their layout depends on; cmake makes VADE_CUDA_ABI from the headers' bytes.
#pragma once

namespace vade::internal {

inline constexpr char kCudaAbi[] = VADE_CUDA_ABI " g++ " __VERSION__;

}  // namespace vade::internal
