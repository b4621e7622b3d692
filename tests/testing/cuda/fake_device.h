// A device without a GPU: memory of the process that the emulation watches, kernels run by it. Work
// is only queued, and done when it is waited for, as late as a real device may do it. An upload
// begins as early as the events before it allow and ends as late as the events behind it do; what
// it writes to is nobody's in between. Found are: copies beyond a buffer, of memory that is not
// written, from and to host memory that is not AllocateHost's, from host memory that changed before
// its copy ran; work that uses memory of an upload that it does not wait for, before or behind it;
// memory given back twice, while work that uses it is queued, or not at all; events that were never
// recorded, are not there, or stay; a graph that records what it cannot, names memory that has been
// given back since, to the device or to an arena, or is launched or freed when there is no such
// graph.
//
// Faults are those of Engine::Get(). What is read back before it is waited for is poison.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "kernels/cuda/device.h"
#include "tests/testing/cuda/emulated_launch.h"

namespace vade::testing {

class FakeDevice final : public kernels::cuda::Device, private emulation::WorkQueue {
 public:
  explicit FakeDevice(uint64_t memory_bytes) : memory_bytes_(memory_bytes) {}
  ~FakeDevice() override;

  Result<kernels::cuda::DeviceInfo> Describe() override;
  Result<uint8_t*> Allocate(uint64_t bytes) override;
  void Free(uint8_t* at) override;
  Result<uint8_t*> AllocateHost(uint64_t bytes) override;
  void FreeHost(uint8_t* at) override;
  kernels::cuda::Stream stream() override;
  void CopyIn(uint8_t* to, const uint8_t* from, uint64_t bytes) override;
  void CopyOut(uint8_t* to, const uint8_t* from, uint64_t bytes) override;
  void CopyWithin(uint8_t* to, const uint8_t* from, uint64_t bytes) override;
  void Clear(uint8_t* at, uint64_t bytes) override;
  void Upload(uint8_t* to, const uint8_t* from, uint64_t bytes) override;
  Result<kernels::cuda::Event> NewEvent() override;
  void FreeEvent(kernels::cuda::Event event) override;
  void Record(kernels::cuda::Event event, kernels::cuda::Queue queue) override;
  void LetWait(kernels::cuda::Queue queue, kernels::cuda::Event event) override;
  Status WaitFor(kernels::cuda::Event event) override;
  void Forget(uint8_t* at, uint64_t bytes) override;
  Status BeginCapture() override;
  Result<kernels::cuda::Graph> EndCapture() override;
  void Launch(kernels::cuda::Graph graph) override;
  void FreeGraph(kernels::cuda::Graph graph) override;
  Status Check() override { return OkStatus(); }
  Status Synchronize() override;

  uint64_t allocated_bytes() const { return allocated_; }
  uint64_t host_bytes() const;  // of the host, that copies are made from and to
  uint64_t uploads_ended() const { return ended_uploads_; }
  // As a device that cannot record graphs, or not this one.
  void RefuseCaptures() { refuses_captures_ = true; }

 private:
  struct Recording {
    std::vector<std::function<void()>> work;
    emulation::Engine::Views memory;  // that it touches
    bool lost_memory = false;         // some of it was given back since
  };

  // A place in a queue: so many of what was ever put there.
  struct Place {
    kernels::cuda::Queue queue = kernels::cuda::Queue::kWork;
    uint64_t count = 0;
  };
  struct RecordedEvent {
    bool recorded = false;
    Place place;
  };
  // Of the queue of uploads: a copy, or where work is waited for.
  struct UploadItem {
    uint8_t* to = nullptr;
    const uint8_t* from = nullptr;
    uint64_t bytes = 0, sum = 0;
    uint64_t work = 0;  // that is done before
  };

  void Enqueue(std::function<void()> work) override;
  RecordedEvent* Find(kernels::cuda::Event event, const char* what);
  uint64_t Queued(kernels::cuda::Queue queue) const;
  void RunUntil(Place place);
  void RunOne();
  void BeginUploads();
  void EndOneUpload();
  bool AllDone() const { return queue_.empty() && uploads_.empty(); }
  bool InHostBuffer(const uint8_t* at, uint64_t bytes, const char* what) const;
  void NotWhileCapturing(const char* what) const;
  void LoseMemory(const uint8_t* at, uint64_t bytes);
  static bool Inside(const uint8_t* at, uint64_t bytes, const char* what);
  static void RequireWritten(const uint8_t* at, uint64_t bytes, const char* what);

  uint64_t memory_bytes_, allocated_ = 0;
  std::map<uint8_t*, uint64_t> buffers_, host_buffers_;
  std::deque<std::function<void()>> queue_;
  uint64_t done_ = 0;  // of the work
  std::deque<UploadItem> uploads_;
  uint64_t begun_uploads_ = 0, done_uploads_ = 0;           // of the queue's items
  uint64_t ended_uploads_ = 0;                              // of the copies among them
  std::map<void*, std::unique_ptr<RecordedEvent>> events_;  // by themselves
  std::unique_ptr<Recording> capture_;
  std::map<void*, std::unique_ptr<Recording>> graphs_;  // by themselves
  bool refuses_captures_ = false;
};

}  // namespace vade::testing
