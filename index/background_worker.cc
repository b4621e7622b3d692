#include "index/background_worker.h"

#include <utility>

namespace vade {

BackgroundWorker::~BackgroundWorker() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BackgroundWorker::Start(std::chrono::milliseconds retry_after, std::function<Status()> work) {
  retry_after_ = retry_after;
  work_ = std::move(work);
  thread_ = std::thread([this] { Loop(); });
}

void BackgroundWorker::Wake() {
  {
    std::lock_guard lock(mutex_);
    woken_ = true;
  }
  wake_.notify_all();
}

void BackgroundWorker::Loop() {
  while (WaitForWork()) {
    if (!work_().ok()) WaitToRetry();
  }
}

bool BackgroundWorker::WaitForWork() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return woken_ || stopping_; });
  woken_ = false;
  return !stopping_;
}

// Wake() does not cut it short: what failed would fail again each time.
void BackgroundWorker::WaitToRetry() {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, retry_after_, [&] { return stopping_.load(); });
  woken_ = true;
}

}  // namespace vade
