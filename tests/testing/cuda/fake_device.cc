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

Shadow& ShadowOf(const uint8_t* at, uint64_t bytes, size_t* offset) {
  emulation::Region* region = Engine::Get().Find(at, bytes);
  *offset = static_cast<size_t>(at - region->begin);
  return *region->shadow;
}

void MarkWritten(const uint8_t* at, uint64_t bytes) {
  size_t offset = 0;
  ShadowOf(at, bytes, &offset).HostWrites(offset, bytes);
}

}  // namespace

FakeDevice::~FakeDevice() {
  if (!AllDone()) Fault("the device ends with work queued");
  if (capture_) (void)EndCapture();
  if (!events_.empty()) Fault(StrCat("leak: ", events_.size(), " events were not given back"));
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
  if (!AllDone()) {
    Fault("memory is given back while work is queued");
    (void)Synchronize();  // it may use that memory
  }
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
  if (!host_buffers_.contains(at)) return Fault("host memory is given back that is not out");
  if (!AllDone()) {
    Fault("host memory is given back while work is queued");
    (void)Synchronize();
  }
  host_buffers_.erase(at);
  std::free(at);
}

uint64_t FakeDevice::host_bytes() const {
  uint64_t sum = 0;
  for (const auto& [at, bytes] : host_buffers_) sum += bytes;
  return sum;
}

bool FakeDevice::InHostBuffer(const uint8_t* at, uint64_t bytes, const char* what) const {
  auto buffer = host_buffers_.upper_bound(const_cast<uint8_t*>(at));
  if (buffer != host_buffers_.begin()) {
    --buffer;
    if (at + bytes <= buffer->first + buffer->second) return true;
  }
  Fault(StrCat(what, " of ", bytes, " bytes of the host that no buffer for copies holds"));
  return false;
}

kernels::cuda::Stream FakeDevice::stream() { return {static_cast<emulation::WorkQueue*>(this)}; }

bool FakeDevice::Inside(const uint8_t* at, uint64_t bytes, const char* what) {
  if (Engine::Get().Find(at, bytes)) return true;
  Fault(StrCat(what, " of ", bytes, " bytes that no buffer holds"));
  return false;
}

void FakeDevice::RequireWritten(const uint8_t* at, uint64_t bytes, const char* what) {
  size_t offset = 0;
  const Shadow& shadow = ShadowOf(at, bytes, &offset);
  for (uint64_t i = 0; i < bytes; ++i) {
    if (shadow.written(offset + i)) continue;
    return Fault(StrCat(what, " of memory that nobody has written"));
  }
}

void FakeDevice::CopyIn(uint8_t* to, const uint8_t* from, uint64_t bytes) {
  NotWhileCapturing("host memory is copied");
  if (bytes == 0 || !Inside(to, bytes, "copy in")) return;
  if (!InHostBuffer(from, bytes, "copy in")) return;
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
  if (!InHostBuffer(to, bytes, "copy out")) return;
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

// --- uploads and events --------------------------------------------------------------------------

void FakeDevice::Upload(uint8_t* to, const uint8_t* from, uint64_t bytes) {
  NotWhileCapturing("host memory is copied");
  if (bytes == 0 || !Inside(to, bytes, "upload")) return;
  if (!InHostBuffer(from, bytes, "upload")) return;
  uploads_.push_back({to, from, bytes, Sum(from, bytes), 0});
  BeginUploads();
}

// From here to the end of the copy whoever reads there reads what nobody has written.
void FakeDevice::BeginUploads() {
  while (begun_uploads_ < done_uploads_ + uploads_.size()) {
    const UploadItem& item = uploads_[begun_uploads_ - done_uploads_];
    if (item.work > done_) return;
    ++begun_uploads_;
    if (!item.to) continue;
    size_t offset = 0;
    ShadowOf(item.to, item.bytes, &offset).Forget(offset, item.bytes);
    std::memset(item.to, kPoison, item.bytes);
  }
}

void FakeDevice::EndOneUpload() {
  RunUntil({kernels::cuda::Queue::kWork, uploads_.front().work});
  BeginUploads();
  const UploadItem item = uploads_.front();
  uploads_.pop_front();
  ++done_uploads_;
  if (!item.to) return;
  ++ended_uploads_;
  if (Sum(item.from, item.bytes) != item.sum) Fault("host memory changed before it was uploaded");
  size_t offset = 0;
  const Shadow& shadow = ShadowOf(item.to, item.bytes, &offset);
  for (uint64_t i = 0; i < item.bytes; ++i) {
    if (!shadow.written(offset + i)) continue;
    Fault("memory is written that an upload is on its way to");
    break;
  }
  std::memcpy(item.to, item.from, item.bytes);
  MarkWritten(item.to, item.bytes);
}

Result<kernels::cuda::Event> FakeDevice::NewEvent() {
  auto event = std::make_unique<RecordedEvent>();
  void* const handle = event.get();
  events_[handle] = std::move(event);
  return kernels::cuda::Event{handle};
}

void FakeDevice::FreeEvent(kernels::cuda::Event event) {
  if (events_.erase(event.handle) == 0) Fault("an event is given back that is not there");
}

FakeDevice::RecordedEvent* FakeDevice::Find(kernels::cuda::Event event, const char* what) {
  NotWhileCapturing(what);
  const auto found = events_.find(event.handle);
  if (found != events_.end()) return found->second.get();
  Fault(StrCat(what, " that is not there"));
  return nullptr;
}

uint64_t FakeDevice::Queued(kernels::cuda::Queue queue) const {
  if (queue == kernels::cuda::Queue::kWork) return done_ + queue_.size();
  return done_uploads_ + uploads_.size();
}

void FakeDevice::Record(kernels::cuda::Event event, kernels::cuda::Queue queue) {
  RecordedEvent* const found = Find(event, "an event is recorded");
  if (found) *found = {true, {queue, Queued(queue)}};
}

void FakeDevice::LetWait(kernels::cuda::Queue queue, kernels::cuda::Event event) {
  const RecordedEvent* const found = Find(event, "an event is waited for");
  if (!found) return;
  if (!found->recorded) return Fault("an event is waited for that was never recorded");
  const Place place = found->place;
  if (place.queue == queue) return;  // in order anyway
  if (queue == kernels::cuda::Queue::kWork) return Enqueue([=, this] { RunUntil(place); });
  uploads_.push_back({nullptr, nullptr, 0, 0, place.count});
  BeginUploads();
}

Status FakeDevice::WaitFor(kernels::cuda::Event event) {
  const RecordedEvent* const found = Find(event, "an event is waited for");
  if (!found) return OkStatus();
  if (!found->recorded) Fault("an event is waited for that was never recorded");
  RunUntil(found->place);
  return OkStatus();
}

// Events are recorded before they are waited for, so whoever is waited for here waits for nobody.
void FakeDevice::RunUntil(Place place) {
  if (place.queue == kernels::cuda::Queue::kWork) {
    while (done_ < place.count) RunOne();
  } else {
    while (done_uploads_ < place.count) EndOneUpload();
  }
}

void FakeDevice::RunOne() {
  const auto work = std::move(queue_.front());
  queue_.pop_front();
  work();
  ++done_;
  BeginUploads();
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
  if (!AllDone()) Fault("a graph is given back while work is queued");
  if (graphs_.erase(graph.handle) == 0) Fault("a graph is given back that is not there");
}

Status FakeDevice::Synchronize() {
  NotWhileCapturing("work is waited for");
  RunUntil({kernels::cuda::Queue::kWork, Queued(kernels::cuda::Queue::kWork)});
  RunUntil({kernels::cuda::Queue::kUploads, Queued(kernels::cuda::Queue::kUploads)});
  return OkStatus();
}

}  // namespace vade::testing
