// A thread that works when it is woken, and waits a while after a failure before it tries again.
//
// The owner declares it as its last member, so that the thread has ended before what it works on
// goes. Wake() and stopping() from any thread. Private to index/.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/status.h"

namespace vade {

class BackgroundWorker {
 public:
  ~BackgroundWorker();  // stops: `work` is to look at stopping() and return soon
  // At most once; without it there is no thread. Works at once, for what the last process left
  // undone.
  void Start(std::chrono::milliseconds retry_after, std::function<Status()> work);
  void Wake();
  const std::atomic<bool>& stopping() const { return stopping_; }

 private:
  void Loop();
  bool WaitForWork();
  void WaitToRetry();

  std::chrono::milliseconds retry_after_{0};
  std::function<Status()> work_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = true;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace vade
