// Where a request's time went: one line a stage, with milliseconds and counts, which every API can
// return.
//
//   TraceSpan span(ctx, "embed");        // adds its wall time to stage "embed" when it ends
//   AddCount(ctx, "prompt_tokens", n);   // adds to a counter
//
// A Trace is safe to use from several threads. Stages keep the order of their first appearance.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/context.h"

namespace vade {

class Trace {
 public:
  explicit Trace(std::string request_id);

  const std::string& request_id() const { return request_id_; }
  std::chrono::steady_clock::time_point start() const { return start_; }
  double ElapsedMs() const;  // since construction

  void AddTime(std::string_view stage, double milliseconds);
  void SetTime(std::string_view stage,
               double milliseconds);  // replaces: for instants such as first_token
  void AddCount(std::string_view counter, int64_t amount);

  // Copies, in order of first appearance.
  std::vector<std::pair<std::string, double>> times_ms() const;
  std::vector<std::pair<std::string, int64_t>> counts() const;

 private:
  const std::string request_id_;
  const std::chrono::steady_clock::time_point start_;
  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, double>> times_;
  std::vector<std::pair<std::string, int64_t>> counts_;
};

// Measures a scope. Does nothing when the context has no trace.
class TraceSpan {
 public:
  TraceSpan(const Context& ctx, std::string_view stage);
  ~TraceSpan();
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  Trace* trace_;
  std::string stage_;
  std::chrono::steady_clock::time_point start_;
};

void AddCount(const Context& ctx, std::string_view counter, int64_t amount);

// 16 random hexadecimal digits.
std::string NewRequestId();

}  // namespace vade
