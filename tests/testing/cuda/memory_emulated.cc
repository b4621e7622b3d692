#include <cstdlib>
#include <cstring>

#include "tests/testing/cuda/engine.h"
#include "tests/testing/cuda/fake_device.h"
#include "tests/testing/cuda/memory.h"

namespace vade::testing {

using emulation::Engine;
using emulation::Shadow;

Result<std::unique_ptr<kernels::cuda::Device>> NewDevice() {
  return std::unique_ptr<kernels::cuda::Device>(std::make_unique<FakeDevice>(256ull << 20));
}

std::string WhyNoDevice() { return ""; }

kernels::cuda::Stream DeviceStream() { return {}; }  // at once

void* NewDeviceBytes(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* at = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  Engine::Get().Register(at, bytes, Shadow::Begin::kUnwritten);
  return at;
}

void FreeDeviceBytes(void* at) {
  if (!at) return;
  Engine::Get().Unregister(at);
  std::free(at);
}

void ToDevice(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  emulation::Region* region = Engine::Get().Find(to, bytes);
  region->shadow->HostWrites(static_cast<uint8_t*>(to) - region->begin, bytes);
  std::memcpy(to, from, bytes);
}

void FromDevice(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

std::string DeviceFaults() { return Engine::Get().TakeFaults(); }

}  // namespace vade::testing
