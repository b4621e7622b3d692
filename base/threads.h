// Threads that share the machine politely: a pool for data-parallel loops and a bounded queue.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace vade {

// A borrowed callable void(size_t begin, size_t end); valid only during the call it is passed to.
class RangeFunction {
 public:
  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, RangeFunction>)
      RangeFunction(F&& f)  // NOLINT: implicit by design
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* object, size_t begin, size_t end) {
          (*static_cast<std::remove_reference_t<F>*>(object))(begin, end);
        }) {}
  void operator()(size_t begin, size_t end) const { call_(object_, begin, end); }

 private:
  void* object_;
  void (*call_)(void*, size_t, size_t);
};

// Runs loops on `threads` threads, the caller's included. Workers take pieces of the range as they
// become free, so a thread that the system takes away delays one piece, not the loop. Idle threads
// sleep; nobody spins without bound. Several threads may call ParallelFor at once: the loops then
// share the workers.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // at least 1; 1 runs everything on the caller
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls f(begin, end) over disjoint pieces of [0, count) of at most `grain` items each; returns
  // when all are done. f must not throw. The split never changes what f computes for an item.
  void ParallelFor(size_t count, size_t grain, RangeFunction f);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Cores that this process may use (affinity and cgroup quota heeded), at least 1.
int UsableCores();
// Physical memory of the machine.
uint64_t MachineMemoryBytes();

namespace internal {
// The cgroup quota in cores (rounded up), or 0 for none, from the text of /proc/self/cgroup and the
// folder where cgroups are mounted: for UsableCores() and its test.
int CgroupCores(std::string_view proc_self_cgroup, const std::string& root);
}  // namespace internal

// A queue between stages that holds at most `capacity` items: producers wait, memory stays bounded.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Waits for room. False when the queue is closed: the item is dropped.
  bool Push(T item) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || items_.size() < capacity_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    items_ready_.notify_one();
    return true;
  }

  // False at once when full or closed.
  bool TryPush(T item) {
    std::lock_guard lock(mutex_);
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    items_ready_.notify_one();
    return true;
  }

  // Waits for an item. Nothing once the queue is closed and empty.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    items_ready_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return TakeFront();
  }

  // The same, but waits no longer than that: nothing then, too.
  std::optional<T> PopWithin(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    items_ready_.wait_for(lock, patience, [&] { return closed_ || !items_.empty(); });
    return TakeFront();
  }

  // Closed, and all is popped.
  bool Finished() const {
    std::lock_guard lock(mutex_);
    return closed_ && items_.empty();
  }

  // No more pushes; pops drain what is left.
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    room_.notify_all();
    items_ready_.notify_all();
  }

 private:
  std::optional<T> TakeFront() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    room_.notify_one();
    return item;
  }

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable room_, items_ready_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace vade
