#include "tests/testing/cuda/kernels_run.h"

#include <cstdlib>
#include <deque>
#include <fstream>

#include "base/status.h"

namespace vade::emulation {
namespace {

// Kernels are added before main begins, in any order, and looked at after it has ended.
std::deque<Kernel>& Kernels() {
  static auto* kernels = new std::deque<Kernel>();
  return *kernels;
}

void WriteKernels() {
  std::ofstream out(std::getenv("VADE_KERNELS_RUN"));
  for (const Kernel& kernel : Kernels()) {
    out << (kernel.ran ? "ran " : "idle ") << kernel.name << "\n";
  }
}

void Remove(std::string* text, std::string_view what) {
  for (size_t at = text->find(what); at != std::string::npos; at = text->find(what, at)) {
    text->erase(at, what.size());
  }
}

}  // namespace

std::string KernelName(std::string_view signature) {
  constexpr std::string_view kBefore = "kKernel = ";
  const size_t begin = signature.find(kBefore), end = signature.rfind(']');
  VADE_CHECK(begin != std::string_view::npos && end != std::string_view::npos,
             "the compiler spells signatures as g++ does");
  std::string name(signature.substr(begin + kBefore.size(), end - begin - kBefore.size()));
  for (std::string_view space : {"{anonymous}::", "vade::", "kernels::", "cuda::"}) {
    Remove(&name, space);
  }
  return name;
}

Kernel& AddKernel(std::string_view signature) {
  if (Kernels().empty() && std::getenv("VADE_KERNELS_RUN")) std::atexit(WriteKernels);
  return Kernels().emplace_back(Kernel{KernelName(signature)});
}

}  // namespace vade::emulation
