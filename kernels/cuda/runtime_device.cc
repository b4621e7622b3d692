#include <cuda_runtime_api.h>

#include <utility>

#include "base/strings.h"
#include "kernels/cuda/device.h"

namespace vade::kernels::cuda {
namespace {

// The one place where CUDA's errors become ours.
Status ToStatus(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return OkStatus();
  const std::string message = StrCat(what, ": ", cudaGetErrorString(error));
  switch (error) {
    case cudaErrorMemoryAllocation:
      return ResourceExhausted(message +
                               "; lower model.gpu_bytes, embed.gpu_bytes, search.gpu_bytes or the "
                               "key/value budget, or use --device cpu");
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorInitializationError: return Unavailable(message);
    default: return Internal(message);
  }
}

class RuntimeDevice final : public Device {
 public:
  RuntimeDevice(int index, cudaStream_t work, cudaStream_t uploads)
      : index_(index), stream_(work), uploads_(uploads) {}
  ~RuntimeDevice() override {
    Enter();
    for (cudaStream_t stream : {stream_, uploads_}) {
      cudaStreamSynchronize(stream);
      cudaStreamDestroy(stream);
    }
  }

  Result<DeviceInfo> Describe() override {
    Enter();
    cudaDeviceProp properties;
    RETURN_IF_ERROR(ToStatus(cudaGetDeviceProperties(&properties, index_), "asking for the GPU"));
    DeviceInfo info;
    info.name = properties.name;
    info.compute_major = properties.major;
    info.compute_minor = properties.minor;
    info.multiprocessors = properties.multiProcessorCount;
    size_t free = 0, total = 0;
    RETURN_IF_ERROR(ToStatus(cudaMemGetInfo(&free, &total), "asking for the GPU's memory"));
    info.free_bytes = free;
    info.total_bytes = total;
    cudaDriverGetVersion(&info.driver_version);
    cudaRuntimeGetVersion(&info.runtime_version);
    return info;
  }

  Result<uint8_t*> Allocate(uint64_t bytes) override {
    Enter();
    void* at = nullptr;
    const cudaError_t error = cudaMalloc(&at, bytes);
    if (error != cudaSuccess) cudaGetLastError();  // it is reported here and not once more later
    RETURN_IF_ERROR(ToStatus(error, StrCat("no ", bytes, " bytes of GPU memory")));
    return static_cast<uint8_t*>(at);
  }
  void Free(uint8_t* at) override {
    Enter();
    cudaFree(at);
  }
  Result<uint8_t*> AllocateHost(uint64_t bytes) override {
    Enter();
    void* at = nullptr;
    RETURN_IF_ERROR(ToStatus(cudaMallocHost(&at, bytes), "no memory for copies to the GPU"));
    return static_cast<uint8_t*>(at);
  }
  void FreeHost(uint8_t* at) override {
    Enter();
    cudaFreeHost(at);
  }

  Stream stream() override {
    Enter();
    return {stream_};
  }
  void CopyIn(uint8_t* to, const uint8_t* from, uint64_t bytes) override {
    Note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, (Enter(), stream_)));
  }
  void CopyOut(uint8_t* to, const uint8_t* from, uint64_t bytes) override {
    Note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, (Enter(), stream_)));
  }
  void CopyWithin(uint8_t* to, const uint8_t* from, uint64_t bytes) override {
    Note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, (Enter(), stream_)));
  }
  void Clear(uint8_t* at, uint64_t bytes) override {
    Note(cudaMemsetAsync(at, 0, bytes, (Enter(), stream_)));
  }

  void Upload(uint8_t* to, const uint8_t* from, uint64_t bytes) override {
    Note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, (Enter(), uploads_)));
  }
  Result<Event> NewEvent() override {
    Enter();
    cudaEvent_t event = nullptr;
    RETURN_IF_ERROR(ToStatus(cudaEventCreateWithFlags(&event, cudaEventDisableTiming),
                             "making an event on the GPU"));
    return Event{event};
  }
  void FreeEvent(Event event) override {
    Enter();
    cudaEventDestroy(static_cast<cudaEvent_t>(event.handle));
  }
  void Record(Event event, Queue queue) override {
    Enter();
    Note(cudaEventRecord(static_cast<cudaEvent_t>(event.handle), StreamOf(queue)));
  }
  void LetWait(Queue queue, Event event) override {
    Enter();
    Note(cudaStreamWaitEvent(StreamOf(queue), static_cast<cudaEvent_t>(event.handle), 0));
  }
  Status WaitFor(Event event) override {
    Enter();
    Note(cudaEventSynchronize(static_cast<cudaEvent_t>(event.handle)));
    return Check();
  }

  // Of this thread alone: others may allocate meanwhile.
  Status BeginCapture() override {
    Enter();
    Note(cudaGetLastError());
    before_capture_ = first_error_;
    return ToStatus(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
                    "recording a graph");
  }
  Result<Graph> EndCapture() override {
    Enter();
    cudaGraph_t recorded = nullptr;
    cudaGraphExec_t graph = nullptr;
    cudaError_t error = cudaStreamEndCapture(stream_, &recorded);
    if (error == cudaSuccess) error = cudaGetLastError();
    if (error == cudaSuccess) error = cudaGraphInstantiate(&graph, recorded, 0);
    if (recorded) cudaGraphDestroy(recorded);
    // Errors of what was recorded are this function's; none of it was done.
    cudaGetLastError();
    if (error == cudaSuccess && first_error_ != before_capture_) error = first_error_;
    first_error_ = before_capture_;
    if (error != cudaSuccess && graph) cudaGraphExecDestroy(graph);
    RETURN_IF_ERROR(ToStatus(error, "recording a graph"));
    return Graph{graph};
  }
  void Launch(Graph graph) override {
    Note(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph.handle), (Enter(), stream_)));
  }
  void FreeGraph(Graph graph) override {
    Enter();
    cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph.handle));
  }

  Status Check() override {
    Note(cudaGetLastError());  // of launches
    return ToStatus(first_error_, "the GPU refused work");
  }
  Status Synchronize() override {
    Enter();
    Note(cudaGetLastError());
    Note(cudaStreamSynchronize(stream_));
    Note(cudaStreamSynchronize(uploads_));
    const cudaError_t error = std::exchange(first_error_, cudaSuccess);
    return ToStatus(error, "the GPU's work failed");
  }

 private:
  // Callers come on different threads; the device in use is a setting of the thread.
  void Enter() { cudaSetDevice(index_); }
  void Note(cudaError_t error) {
    if (first_error_ == cudaSuccess) first_error_ = error;
  }

  cudaStream_t StreamOf(Queue queue) const { return queue == Queue::kWork ? stream_ : uploads_; }

  int index_;
  cudaStream_t stream_, uploads_;
  cudaError_t first_error_ = cudaSuccess, before_capture_ = cudaSuccess;
};

}  // namespace

Result<std::unique_ptr<Device>> OpenRuntimeDevice(int index) {
  int driver = 0;
  cudaDriverGetVersion(&driver);  // without one cudaGetDeviceCount speaks of versions
  if (driver == 0) return Unavailable("no NVIDIA driver is installed");
  int count = 0;
  RETURN_IF_ERROR(ToStatus(cudaGetDeviceCount(&count), "the CUDA driver finds no GPU"));
  if (count == 0) return Unavailable("the CUDA driver finds no GPU");
  if (index < 0 || index >= count) {
    return FailedPrecondition(
        StrCat("there is no GPU ", index, ": the driver finds ", count, ", counted from 0"));
  }
  RETURN_IF_ERROR(ToStatus(cudaSetDevice(index), StrCat("using GPU ", index)));
  int major = 0;
  RETURN_IF_ERROR(ToStatus(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index),
                           "asking for the GPU"));
  if (major < 8) {
    return Unavailable(StrCat("GPU ", index, " has compute capability ", major,
                              "; the kernels need 8.0 (Ampere) or later"));
  }
  cudaStream_t work = nullptr, uploads = nullptr;
  cudaError_t error = cudaStreamCreateWithFlags(&work, cudaStreamNonBlocking);
  if (error == cudaSuccess) error = cudaStreamCreateWithFlags(&uploads, cudaStreamNonBlocking);
  if (error != cudaSuccess && work) cudaStreamDestroy(work);
  RETURN_IF_ERROR(ToStatus(error, "making streams on the GPU"));
  return std::unique_ptr<Device>(std::make_unique<RuntimeDevice>(index, work, uploads));
}

}  // namespace vade::kernels::cuda
