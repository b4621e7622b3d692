// What travels with a request through every stage: who it is, until when, and whether it is still
// wanted.
//
// Every operation that can take longer than a few milliseconds takes `const Context&` last and
// calls Check() between units of work (a decoder step, a batch of passages, a block of a scan), so
// that a client that goes away stops its work within one step.
//
//   CancelSource cancel;
//   Trace trace("req-17");
//   Context ctx = Context().WithCancel(cancel.token()).WithTimeout(5s).WithTrace(&trace);
//
// A Context is a cheap value and safe to copy between threads. The Trace is not owned and outlives
// it.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"

namespace vade {

class Trace;

// A flag shared by one CancelSource and any number of tokens.
class CancelToken {
 public:
  CancelToken() = default;  // never cancelled
  bool cancelled() const { return flag_ && flag_->load(std::memory_order_relaxed); }

 private:
  friend class CancelSource;
  explicit CancelToken(std::shared_ptr<std::atomic<bool>> flag) : flag_(std::move(flag)) {}
  std::shared_ptr<std::atomic<bool>> flag_;
};

class CancelSource {
 public:
  CancelSource() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
  void Cancel() { flag_->store(true, std::memory_order_relaxed); }
  CancelToken token() const { return CancelToken(flag_); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

class Context {
 public:
  using SteadyTime = std::chrono::steady_clock::time_point;

  Context() = default;  // no deadline, never cancelled, traced nowhere

  Context WithCancel(CancelToken token) const;
  Context WithDeadline(SteadyTime deadline) const;
  Context WithTimeout(std::chrono::nanoseconds timeout) const;
  Context WithTrace(Trace* trace) const;

  // OK while the work is wanted; CANCELLED or DEADLINE_EXCEEDED otherwise.
  Status Check() const;

  std::optional<SteadyTime> deadline() const { return deadline_; }
  Trace* trace() const { return trace_; }  // may be null: use TraceSpan, which allows that

 private:
  CancelToken cancel_;
  std::optional<SteadyTime> deadline_;
  Trace* trace_ = nullptr;
};

}  // namespace vade
