#include "base/trace.h"

#include <random>

namespace vade {
namespace {

double Milliseconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

template <typename T>
T& Slot(std::vector<std::pair<std::string, T>>& list, std::string_view name) {
  for (auto& [key, value] : list) {
    if (key == name) return value;
  }
  return list.emplace_back(std::string(name), T{}).second;
}

}  // namespace

Trace::Trace(std::string request_id)
    : request_id_(std::move(request_id)), start_(std::chrono::steady_clock::now()) {}

double Trace::ElapsedMs() const { return Milliseconds(std::chrono::steady_clock::now() - start_); }

void Trace::AddTime(std::string_view stage, double milliseconds) {
  std::lock_guard lock(mutex_);
  Slot(times_, stage) += milliseconds;
}

void Trace::SetTime(std::string_view stage, double milliseconds) {
  std::lock_guard lock(mutex_);
  Slot(times_, stage) = milliseconds;
}

void Trace::AddCount(std::string_view counter, int64_t amount) {
  std::lock_guard lock(mutex_);
  Slot(counts_, counter) += amount;
}

std::vector<std::pair<std::string, double>> Trace::times_ms() const {
  std::lock_guard lock(mutex_);
  return times_;
}

std::vector<std::pair<std::string, int64_t>> Trace::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

TraceSpan::TraceSpan(const Context& ctx, std::string_view stage)
    : trace_(ctx.trace()), stage_(stage), start_(std::chrono::steady_clock::now()) {}

TraceSpan::~TraceSpan() {
  if (trace_) trace_->AddTime(stage_, Milliseconds(std::chrono::steady_clock::now() - start_));
}

void AddCount(const Context& ctx, std::string_view counter, int64_t amount) {
  if (ctx.trace()) ctx.trace()->AddCount(counter, amount);
}

std::string NewRequestId() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::random_device device;
  std::string id(16, '0');
  for (char& c : id) c = kDigits[device() & 15];
  return id;
}

}  // namespace vade
