// What kernels/cuda/launch.cuh takes instead of <<< >>>: a launch goes to the stream of the fake
// device, or runs at once where there is none.
#pragma once

#include <functional>
#include <utility>

#include "kernels/cuda/operations.h"
#include "tests/testing/cuda/emulated_device.h"

namespace vade::emulation {

// A stream of the fake device; its owner decides when what it holds is done.
class WorkQueue {
 public:
  virtual ~WorkQueue() = default;
  virtual void Enqueue(std::function<void()> work) = 0;
};

}  // namespace vade::emulation

namespace vade::kernels::cuda {

template <typename... Parameters, typename... Arguments>
void Launch(const char* name, const LaunchPlan& plan, Stream stream, void (*kernel)(Parameters...),
            Arguments... arguments) {
  std::function<void()> work = [=] {
    emulation::Engine::Get().Run({.grid = {plan.grid_x, plan.grid_y, 1},
                                  .block = {plan.block, 1, 1},
                                  .shared_bytes = plan.shared_bytes,
                                  .name = name},
                                 [&] { kernel(arguments...); });
  };
  if (stream.handle == nullptr) return work();
  static_cast<emulation::WorkQueue*>(stream.handle)->Enqueue(std::move(work));
}

}  // namespace vade::kernels::cuda
