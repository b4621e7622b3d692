// Time as a dependency, so that tests can move it by hand (tests/testing/manual_clock.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace vade {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t UnixMicros() const = 0;  // wall clock, microseconds since 1970-01-01 UTC
  virtual std::chrono::steady_clock::time_point Steady() const = 0;
};

const Clock& SystemClock();

std::string FormatRfc3339(int64_t unix_micros);       // "2026-11-22T15:02:00Z"
Result<int64_t> ParseRfc3339(std::string_view text);  // also "2026-11-22"

}  // namespace vade
