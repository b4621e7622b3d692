// A device without a GPU: memory of the process that the emulation watches, kernels run by it. Work
// is only queued, and done when it is waited for, as late as a real device may do it. Found are:
// copies beyond a buffer, of memory that is not written, from host memory that changed before its
// copy ran; memory given back twice, while work that uses it is queued, or not at all; a graph that
// records what it cannot, names memory that has been given back since, to the device or to an
// arena, or is launched or freed when there is no such graph.
//
// Faults are those of Engine::Get(). What is read back before Synchronize is poison.
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
  void Forget(uint8_t* at, uint64_t bytes) override;
  Status BeginCapture() override;
  Result<kernels::cuda::Graph> EndCapture() override;
  void Launch(kernels::cuda::Graph graph) override;
  void FreeGraph(kernels::cuda::Graph graph) override;
  Status Check() override { return OkStatus(); }
  Status Synchronize() override;

  uint64_t allocated_bytes() const { return allocated_; }
  // As a device that cannot record graphs, or not this one.
  void RefuseCaptures() { refuses_captures_ = true; }

 private:
  struct Recording {
    std::vector<std::function<void()>> work;
    emulation::Engine::Views memory;  // that it touches
    bool lost_memory = false;         // some of it was given back since
  };

  void Enqueue(std::function<void()> work) override;
  void NotWhileCapturing(const char* what) const;
  void LoseMemory(const uint8_t* at, uint64_t bytes);
  static bool Inside(const uint8_t* at, uint64_t bytes, const char* what);
  static void RequireWritten(const uint8_t* at, uint64_t bytes, const char* what);

  uint64_t memory_bytes_, allocated_ = 0;
  std::map<uint8_t*, uint64_t> buffers_, host_buffers_;
  std::deque<std::function<void()>> queue_;
  std::unique_ptr<Recording> capture_;
  std::map<void*, std::unique_ptr<Recording>> graphs_;  // by themselves
  bool refuses_captures_ = false;
};

}  // namespace vade::testing
