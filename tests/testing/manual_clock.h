// A clock that stands still until a test moves it. Safe to use from several threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace vade::testing {

class ManualClock final : public Clock {
 public:
  // 2026-11-22T15:02:00Z unless told otherwise.
  explicit ManualClock(int64_t unix_micros = 1'795'359'720'000'000) : unix_micros_(unix_micros) {}

  void Advance(std::chrono::microseconds by) {
    unix_micros_ += by.count();
    steady_micros_ += by.count();
  }

  // Only the wall clock: somebody set it, maybe back.
  void SetWallClock(int64_t unix_micros) { unix_micros_ = unix_micros; }

  int64_t UnixMicros() const override { return unix_micros_; }
  std::chrono::steady_clock::time_point Steady() const override {
    return std::chrono::steady_clock::time_point(std::chrono::microseconds(steady_micros_));
  }

 private:
  std::atomic<int64_t> unix_micros_;
  std::atomic<int64_t> steady_micros_{1'000'000'000};
};

}  // namespace vade::testing
