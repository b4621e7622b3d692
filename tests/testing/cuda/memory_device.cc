#include "base/status.h"
#include "tests/testing/cuda/memory.h"

namespace vade::testing {
namespace {

using kernels::cuda::Device;

// One for the suites that launch kernels themselves; null where there is none.
Device* Shared() {
  static auto* device = new Result<std::unique_ptr<Device>>(NewDevice());
  return device->ok() ? device->value().get() : nullptr;
}

std::string& Faults() {
  static std::string faults;
  return faults;
}

void Note(const Status& status) {
  if (!status.ok()) Faults() += status.message() + "\n";
}

}  // namespace

Result<std::unique_ptr<Device>> NewDevice() { return kernels::cuda::OpenRuntimeDevice(0); }

std::string WhyNoDevice() {
  if (Shared()) return "";
  return "no GPU: " + NewDevice().status().message();
}

void* NewDeviceBytes(size_t bytes) {
  if (bytes == 0) return nullptr;
  auto at = Shared()->Allocate(bytes);
  Note(at.status());
  return at.ok() ? *at : nullptr;
}

void FreeDeviceBytes(void* at) {
  if (at) Shared()->Free(static_cast<uint8_t*>(at));
}

void ToDevice(void* to, const void* from, size_t bytes) {
  Shared()->CopyIn(static_cast<uint8_t*>(to), static_cast<const uint8_t*>(from), bytes);
  Note(Shared()->Synchronize());
}

void FromDevice(void* to, const void* from, size_t bytes) {
  Shared()->CopyOut(static_cast<uint8_t*>(to), static_cast<const uint8_t*>(from), bytes);
  Note(Shared()->Synchronize());
}

kernels::cuda::Stream DeviceStream() { return Shared()->stream(); }

std::string DeviceFaults() {
  if (Shared()) Note(Shared()->Synchronize());
  return std::exchange(Faults(), "");
}

}  // namespace vade::testing
