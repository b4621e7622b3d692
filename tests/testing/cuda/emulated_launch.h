// What kernels/cuda/launch.cuh takes instead of <<< >>>: a launch goes to the stream of the fake
// device, or runs at once where there is none.
#pragma once

#include <functional>
#include <utility>

#include "kernels/cuda/operations.h"
#include "tests/testing/cuda/emulated_device.h"
#include "tests/testing/cuda/kernels_run.h"

namespace vade::emulation {

// A stream of the fake device; its owner decides when what it holds is done.
class WorkQueue {
 public:
  virtual ~WorkQueue() = default;
  virtual void Enqueue(std::function<void()> work) = 0;
};

// The kernel of a Launch. It is there as soon as some code has that Launch, called or not.
template <auto* kKernel>
struct Launched {
  static Kernel& Add() { return AddKernel(__PRETTY_FUNCTION__); }
  static inline Kernel& kernel = Add();
};

}  // namespace vade::emulation

namespace vade::kernels::cuda {

template <auto* kKernel, typename... Arguments>
void Launch(const LaunchPlan& plan, Stream stream, Arguments... arguments) {
  emulation::Kernel* const kernel = &emulation::Launched<kKernel>::kernel;
  std::function<void()> work = [=] {
    emulation::Engine::Get().Run({.grid = {plan.grid_x, plan.grid_y, 1},
                                  .block = {plan.block, 1, 1},
                                  .shared_bytes = plan.shared_bytes,
                                  .name = kernel->name.c_str(),
                                  .kernel = kernel},
                                 [&] { kKernel(arguments...); });
  };
  if (stream.handle == nullptr) return work();
  static_cast<emulation::WorkQueue*>(stream.handle)->Enqueue(std::move(work));
}

}  // namespace vade::kernels::cuda
