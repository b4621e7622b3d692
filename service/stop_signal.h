// Waits for SIGINT or SIGTERM. While it lives, the first is taken note of instead of ending the
// process, and a second one, of either kind, ends it. One at a time in a process. Private to
// service/.
#pragma once

#include <csignal>
#include <memory>

#include "base/context.h"
#include "base/status.h"

namespace vade {

class StopSignal {
 public:
  static Result<std::unique_ptr<StopSignal>> Install();
  ~StopSignal();  // puts back what was there before
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Returns when a signal has come (at once when it came before), or when `other` is cancelled.
  void Wait(const CancelToken& other) const;
  bool Came() const;

 private:
  StopSignal(int read_end, int write_end) : read_end_(read_end), write_end_(write_end) {}

  const int read_end_, write_end_;
  struct sigaction old_int_ = {}, old_term_ = {};
};

}  // namespace vade
