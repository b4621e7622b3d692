// Something big that is made at first use, once, whoever comes first. Private to service/.
//
// A failure is not kept: the next caller tries again, so that a model fetched meanwhile is found.
// Those who come while it is being made wait, as long as their context lets them. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/context.h"
#include "base/status.h"

namespace vade {

template <typename T>
class Lazy {
 public:
  using Make = std::function<Result<std::unique_ptr<T>>()>;

  Lazy() = default;
  explicit Lazy(std::unique_ptr<T> made) : value_(std::move(made)) {}

  // The pointer stays valid for the life of this object.
  Result<T*> Get(const Make& make, const Context& ctx) {
    std::unique_lock lock(mutex_);
    while (making_) {
      RETURN_IF_ERROR(ctx.Check());
      made_.wait_for(lock, std::chrono::milliseconds(10));
    }
    if (value_) return value_.get();
    making_ = true;
    lock.unlock();
    auto fresh = make();
    lock.lock();
    making_ = false;
    made_.notify_all();
    if (!fresh.ok()) return fresh.status();
    value_ = std::move(fresh).value();
    return value_.get();
  }

  // What has been made, or null. Does not wait for one that is being made.
  T* Peek() {
    std::lock_guard lock(mutex_);
    return value_.get();
  }

 private:
  std::mutex mutex_;
  std::condition_variable made_;
  bool making_ = false;
  std::unique_ptr<T> value_;
};

}  // namespace vade
