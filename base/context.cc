#include "base/context.h"

#include <utility>

namespace vade {

Context Context::WithCancel(CancelToken token) const {
  Context copy = *this;
  copy.cancel_ = std::move(token);
  return copy;
}

Context Context::WithDeadline(SteadyTime deadline) const {
  Context copy = *this;
  copy.deadline_ = deadline;
  return copy;
}

Context Context::WithTimeout(std::chrono::nanoseconds timeout) const {
  return WithDeadline(std::chrono::steady_clock::now() + timeout);
}

Context Context::WithTrace(Trace* trace) const {
  Context copy = *this;
  copy.trace_ = trace;
  return copy;
}

Status Context::Check() const {
  if (cancel_.cancelled()) return Cancelled("the request was cancelled by its caller");
  if (deadline_ && std::chrono::steady_clock::now() >= *deadline_) {
    return DeadlineExceeded("the deadline of the request has passed; allow it more time");
  }
  return OkStatus();
}

}  // namespace vade
