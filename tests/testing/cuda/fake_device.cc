#include "tests/testing/cuda/fake_device.h"

#include <cstdlib>
#include <cstring>

#include "base/bytes.h"
#include "base/strings.h"

namespace vade::testing {

using emulation::Engine;
using emulation::Shadow;

namespace {

constexpr int kPoison = 0xdb;

void Fault(const std::string& what) { Engine::Get().AddFault("fake device: " + what); }

uint64_t Sum(const uint8_t* at, uint64_t bytes) {
  return Checksum64(std::span<const uint8_t>(at, bytes));
}

void MarkWritten(const uint8_t* at, uint64_t bytes) {
  emulation::Region* region = Engine::Get().Find(at, bytes);
  region->shadow->HostWrites(static_cast<size_t>(at - region->begin), bytes);
}

}  // namespace

FakeDevice::~FakeDevice() {
  if (!queue_.empty()) Fault("the device ends with work queued");
  for (const auto& [at, bytes] : buffers_) {
    Fault(StrCat("leak: ", bytes, " bytes were not given back"));
    Engine::Get().Unregister(at);
    std::free(at);
  }
  for (const auto& [at, bytes] : host_buffers_) {
    Fault(StrCat("leak: ", bytes, " bytes of the host were not given back"));
    std::free(at);
  }
}

Result<kernels::cuda::DeviceInfo> FakeDevice::Describe() {
  kernels::cuda::DeviceInfo info;
  info.name = "emulated";
  info.compute_major = 8;
  info.multiprocessors = 4;
  info.total_bytes = memory_bytes_;
  info.free_bytes = memory_bytes_ - allocated_;
  return info;
}

Result<uint8_t*> FakeDevice::Allocate(uint64_t bytes) {
  if (bytes > memory_bytes_ - allocated_) return ResourceExhausted("the emulated device is full");
  auto* at = static_cast<uint8_t*>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
  std::memset(at, kPoison, bytes);
  Engine::Get().Register(at, bytes, Shadow::Begin::kUnwritten);
  buffers_[at] = bytes;
  allocated_ += bytes;
  return at;
}

// The real one waits here; code that relies on it would be slow without anybody noticing.
void FakeDevice::Free(uint8_t* at) {
  const auto found = buffers_.find(at);
  if (found == buffers_.end()) return Fault("memory is given back that is not out");
  if (!queue_.empty()) Fault("memory is given back while work is queued");
  allocated_ -= found->second;
  buffers_.erase(found);
  Engine::Get().Unregister(at);
  std::free(at);
}

Result<uint8_t*> FakeDevice::AllocateHost(uint64_t bytes) {
  auto* at = static_cast<uint8_t*>(std::malloc(bytes));
  host_buffers_[at] = bytes;
  return at;
}

void FakeDevice::FreeHost(uint8_t* at) {
  if (host_buffers_.erase(at) == 0) return Fault("host memory is given back that is not out");
  if (!queue_.empty()) Fault("host memory is given back while work is queued");
  std::free(at);
}

kernels::cuda::Stream FakeDevice::stream() { return {static_cast<emulation::WorkQueue*>(this)}; }

bool FakeDevice::Inside(const uint8_t* at, uint64_t bytes, const char* what) {
  if (Engine::Get().Find(at, bytes)) return true;
  Fault(StrCat(what, " of ", bytes, " bytes that no buffer holds"));
  return false;
}

void FakeDevice::RequireWritten(const uint8_t* at, uint64_t bytes, const char* what) {
  const emulation::Region* region = Engine::Get().Find(at, bytes);
  for (uint64_t i = 0; i < bytes; ++i) {
    if (region->shadow->written(static_cast<size_t>(at - region->begin) + i)) continue;
    return Fault(StrCat(what, " of memory that nobody has written"));
  }
}

void FakeDevice::CopyIn(uint8_t* to, const uint8_t* from, uint64_t bytes) {
  if (bytes == 0 || !Inside(to, bytes, "copy in")) return;
  const uint64_t sum = Sum(from, bytes);
  Enqueue([=] {
    if (Sum(from, bytes) != sum) Fault("host memory changed before it was copied");
    std::memcpy(to, from, bytes);
    MarkWritten(to, bytes);
  });
}

void FakeDevice::CopyOut(uint8_t* to, const uint8_t* from, uint64_t bytes) {
  if (bytes == 0 || !Inside(from, bytes, "copy out")) return;
  std::memset(to, kPoison, bytes);
  Enqueue([=] {
    RequireWritten(from, bytes, "copy out");
    std::memcpy(to, from, bytes);
  });
}

void FakeDevice::CopyWithin(uint8_t* to, const uint8_t* from, uint64_t bytes) {
  if (bytes == 0 || !Inside(from, bytes, "copy") || !Inside(to, bytes, "copy")) return;
  if (to < from + bytes && from < to + bytes) Fault("a copy overlaps itself");
  Enqueue([=] {
    RequireWritten(from, bytes, "copy");
    std::memcpy(to, from, bytes);
    MarkWritten(to, bytes);
  });
}

void FakeDevice::Clear(uint8_t* at, uint64_t bytes) {
  if (bytes == 0 || !Inside(at, bytes, "clearing")) return;
  Enqueue([=] {
    std::memset(at, 0, bytes);
    MarkWritten(at, bytes);
  });
}

Status FakeDevice::Synchronize() {
  while (!queue_.empty()) {
    const auto work = std::move(queue_.front());
    queue_.pop_front();
    work();
  }
  return OkStatus();
}

}  // namespace vade::testing
