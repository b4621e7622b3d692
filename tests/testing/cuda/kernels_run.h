// Which kernels the emulation could run, and which it ran: what tests/tools/cuda_coverage.py holds
// against the sources. A process that has VADE_KERNELS_RUN=FILE in its environment writes there, as
// it ends, a line "ran NAME" or "idle NAME" for each kernel that any code of it can start.
#pragma once

#include <string>
#include <string_view>

namespace vade::emulation {

struct Kernel {
  std::string name;  // with the arguments of its template: "StoreKernel<KvType::kF16>"
  bool ran = false;  // from beginning to end without a fault, and something was written
};

// `signature` is that of a function whose template argument is the kernel, as g++ spells it. Lives
// until the process ends.
Kernel& AddKernel(std::string_view signature);

// "... [with auto* kKernel = a::b::{anonymous}::Name<a::Type::kOne, 2>]" -> "Name<Type::kOne, 2>"
std::string KernelName(std::string_view signature);

}  // namespace vade::emulation
