#include "service/call_watch.h"

#include <chrono>
#include <utility>

namespace vade {
namespace {
constexpr std::chrono::milliseconds kEvery(5);  // well below one step of a decoder
}

CallWatch::CallWatch() : thread_([this] { Run(); }) {}

CallWatch::~CallWatch() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void CallWatch::Run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (calls_.empty()) {
      wake_.wait(lock, [&] { return ending_ || !calls_.empty(); });
    } else {
      wake_.wait_for(lock, kEvery, [&] { return ending_; });
    }
    for (const auto& look : calls_) look();
  }
}

CallWatch::Watching::Watching(CallWatch* watch, std::function<void()> look) : watch_(watch) {
  std::lock_guard lock(watch_->mutex_);
  at_ = watch_->calls_.insert(watch_->calls_.end(), std::move(look));
  if (watch_->calls_.size() == 1) watch_->wake_.notify_all();
}

CallWatch::Watching::~Watching() {
  std::lock_guard lock(watch_->mutex_);
  watch_->calls_.erase(at_);
}

}  // namespace vade
