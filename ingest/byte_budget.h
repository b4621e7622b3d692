// A bound on the bytes that lie between two threads: the producer waits while too many do.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace vade {

class ByteBudget {
 public:
  explicit ByteBudget(uint64_t limit) : limit_(limit) {}

  // Waits for room; an amount over the limit gets through alone. False when closed.
  bool Take(uint64_t bytes) {
    std::unique_lock lock(mutex_);
    room_.wait(
        lock, [&] { return closed_ || taken_ == 0 || bytes <= limit_ - std::min(taken_, limit_); });
    if (closed_) return false;
    taken_ += bytes;
    return true;
  }
  // The same without waiting: false when there is no room, too.
  bool TryTake(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    if (closed_ || (taken_ != 0 && bytes > limit_ - std::min(taken_, limit_))) return false;
    taken_ += bytes;
    return true;
  }
  void Return(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    taken_ -= bytes;
    room_.notify_all();
  }
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    room_.notify_all();
  }

 private:
  const uint64_t limit_;
  std::mutex mutex_;
  std::condition_variable room_;
  uint64_t taken_ = 0;
  bool closed_ = false;
};

}  // namespace vade
