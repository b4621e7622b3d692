// A CUDA device as the host sees it beside kernels: memory and two streams. Two of them: the CUDA
// runtime (runtime_device.cc) and the fake of the tests, which runs kernels on the processor and
// checks lifetimes, order and leaks (tests/testing/cuda/fake_device.h).
//
// Work (kernels, copies, clearing) is queued on one stream and done in order, uploads on the other;
// nothing orders the two but events. Host memory that is copied from or to is AllocateHost's: other
// memory makes the copy wait for the device. What is copied from must stay as it is, and what is
// copied to must not be looked at, until Synchronize or the event behind it. One thread at a time.
//
// A graph is work that was recorded instead of done and is then queued as often as wanted by one
// call. It keeps the addresses and numbers that it was recorded with: what is to differ from one
// time to the next lies in the memory that it reads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "kernels/cuda/operations.h"

namespace vade::kernels::cuda {

struct DeviceInfo {
  std::string name;
  int compute_major = 0, compute_minor = 0;
  int multiprocessors = 0;
  uint64_t total_bytes = 0, free_bytes = 0;
  int driver_version = 0, runtime_version = 0;  // as CUDA numbers them: 13000 is 13.0
};

struct Graph {
  void* handle = nullptr;  // cudaGraphExec_t; the fake device's recording in tests
};

// A stream's work up to a place: where it was recorded last.
struct Event {
  void* handle = nullptr;  // cudaEvent_t
};

enum class Queue : uint8_t { kWork, kUploads };

class Device {
 public:
  virtual ~Device() = default;
  virtual Result<DeviceInfo> Describe() = 0;

  // 256-byte aligned. RESOURCE_EXHAUSTED when there is not enough.
  virtual Result<uint8_t*> Allocate(uint64_t bytes) = 0;
  virtual void Free(uint8_t* at) = 0;  // waits for what is queued
  // Memory of the host that copies are fast from and to.
  virtual Result<uint8_t*> AllocateHost(uint64_t bytes) = 0;
  virtual void FreeHost(uint8_t* at) = 0;

  virtual Stream stream() = 0;  // of the work
  virtual void CopyIn(uint8_t* to, const uint8_t* from, uint64_t bytes) = 0;
  virtual void CopyOut(uint8_t* to, const uint8_t* from, uint64_t bytes) = 0;
  virtual void CopyWithin(uint8_t* to, const uint8_t* from, uint64_t bytes) = 0;
  virtual void Clear(uint8_t* at, uint64_t bytes) = 0;

  // As CopyIn, on the stream of uploads.
  virtual void Upload(uint8_t* to, const uint8_t* from, uint64_t bytes) = 0;
  virtual Result<Event> NewEvent() = 0;
  virtual void FreeEvent(Event event) = 0;
  virtual void Record(Event event, Queue queue) = 0;
  // What is queued from now on waits for what was recorded.
  virtual void LetWait(Queue queue, Event event) = 0;
  // The host waits for what was recorded; what failed so far is said as by Check.
  virtual Status WaitFor(Event event) = 0;

  // What lies there is not needed any more, though the memory stays out: an arena has got it back.
  // For the fake, which then finds who still reads it.
  virtual void Forget(uint8_t* /*at*/, uint64_t /*bytes*/) {}

  // Until EndCapture, launches, CopyWithin and Clear are recorded and not done. Meanwhile nothing
  // is copied from or to the host, allocated, given back or waited for. An error: there are no
  // graphs, or the recording cannot be one; it has ended then too, and nothing of it is done.
  virtual Status BeginCapture() = 0;
  virtual Result<Graph> EndCapture() = 0;
  virtual void Launch(Graph graph) = 0;     // while all memory that it names is out
  virtual void FreeGraph(Graph graph) = 0;  // nothing that is queued may still launch it

  // Whether everything could be queued so far.
  virtual Status Check() = 0;
  // Waits for everything, uploads too; the first error since the last call.
  virtual Status Synchronize() = 0;
};

// Device `index` of the CUDA runtime. UNAVAILABLE says why there is none: no driver, no device, one
// that is too old. FAILED_PRECONDITION for an index beyond the devices.
Result<std::unique_ptr<Device>> OpenRuntimeDevice(int index);

}  // namespace vade::kernels::cuda
