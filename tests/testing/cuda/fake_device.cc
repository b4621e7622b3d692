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
  if (capture_) (void)EndCapture();
  if (!graphs_.empty()) Fault(StrCat("leak: ", graphs_.size(), " graphs were not given back"));
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
  NotWhileCapturing("memory is allocated");
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
  NotWhileCapturing("memory is given back");
  const auto found = buffers_.find(at);
  if (found == buffers_.end()) return Fault("memory is given back that is not out");
  if (!queue_.empty()) Fault("memory is given back while work is queued");
  LoseMemory(at, found->second);
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
  NotWhileCapturing("host memory is copied");
  if (bytes == 0 || !Inside(to, bytes, "copy in")) return;
  const uint64_t sum = Sum(from, bytes);
  Enqueue([=] {
    if (Sum(from, bytes) != sum) Fault("host memory changed before it was copied");
    std::memcpy(to, from, bytes);
    MarkWritten(to, bytes);
  });
}

void FakeDevice::CopyOut(uint8_t* to, const uint8_t* from, uint64_t bytes) {
  NotWhileCapturing("memory is copied to the host");
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
  Engine::Get().NoteView(from, bytes);
  Engine::Get().NoteView(to, bytes);
  Enqueue([=] {
    RequireWritten(from, bytes, "copy");
    std::memcpy(to, from, bytes);
    MarkWritten(to, bytes);
  });
}

void FakeDevice::Clear(uint8_t* at, uint64_t bytes) {
  if (bytes == 0 || !Inside(at, bytes, "clearing")) return;
  Engine::Get().NoteView(at, bytes);
  Enqueue([=] {
    std::memset(at, 0, bytes);
    MarkWritten(at, bytes);
  });
}

// Whoever reads it from now on without writing it first reads what nobody has written.
void FakeDevice::Forget(uint8_t* at, uint64_t bytes) {
  LoseMemory(at, bytes);
  const auto forget = [=] {
    emulation::Region* region = Engine::Get().Find(at, bytes);
    if (region) region->shadow->Forget(static_cast<size_t>(at - region->begin), bytes);
  };
  if (queue_.empty()) return forget();
  queue_.push_back(forget);
}

void FakeDevice::LoseMemory(const uint8_t* at, uint64_t bytes) {
  for (const auto& [handle, graph] : graphs_) {
    for (const auto& [begin, size] : graph->memory) {
      const auto* first = static_cast<const uint8_t*>(begin);
      graph->lost_memory |= first < at + bytes && at < first + size;
    }
  }
}

// --- graphs --------------------------------------------------------------------------------------

void FakeDevice::Enqueue(std::function<void()> work) {
  if (capture_) {
    capture_->work.push_back(std::move(work));
  } else {
    queue_.push_back(std::move(work));
  }
}

void FakeDevice::NotWhileCapturing(const char* what) const {
  if (capture_) Fault(StrCat(what, " while a graph is recorded"));
}

Status FakeDevice::BeginCapture() {
  if (refuses_captures_) return Internal("the emulated device records no graphs");
  if (capture_) return Internal("a graph is being recorded already");
  capture_ = std::make_unique<Recording>();
  Engine::Get().CollectViews(&capture_->memory);
  return OkStatus();
}

Result<kernels::cuda::Graph> FakeDevice::EndCapture() {
  if (!capture_) return Internal("no graph is being recorded");
  Engine::Get().CollectViews(nullptr);
  void* const handle = capture_.get();
  graphs_[handle] = std::move(capture_);
  return kernels::cuda::Graph{handle};
}

void FakeDevice::Launch(kernels::cuda::Graph graph) {
  NotWhileCapturing("a graph is launched");
  const auto found = graphs_.find(graph.handle);
  if (found == graphs_.end()) return Fault("a graph is launched that is not there");
  if (found->second->lost_memory) return Fault("a graph is launched whose memory was given back");
  for (const auto& work : found->second->work) queue_.push_back(work);
}

void FakeDevice::FreeGraph(kernels::cuda::Graph graph) {
  if (!queue_.empty()) Fault("a graph is given back while work is queued");
  if (graphs_.erase(graph.handle) == 0) Fault("a graph is given back that is not there");
}

Status FakeDevice::Synchronize() {
  NotWhileCapturing("work is waited for");
  while (!queue_.empty()) {
    const auto work = std::move(queue_.front());
    queue_.pop_front();
    work();
  }
  return OkStatus();
}

}  // namespace vade::testing
