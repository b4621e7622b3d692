// The outcome of an operation that can fail: a code of gRPC's canonical list and a message.
//
// A message says what failed, on which thing, and the remedy, because it is what the user reads:
//   return InvalidArgument(StrCat("weights file ", path, ": tensor ", name, " is truncated; ",
//                                 "fetch it again with scripts/fetch-models"));
// Both types are [[nodiscard]]. Nothing in this project throws across a module's border.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace vade {

// The numbers are gRPC's, so that service/ converts by a cast.
enum class StatusCode : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "INVALID_ARGUMENT" and so on; "UNKNOWN" for a number outside the list.
std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // "NOT_FOUND: collection 'x' does not exist"; "OK".
  std::string ToString() const;

  // The same code with `context` and ": " in front of the message; OK stays OK.
  Status WithContext(std::string_view context) const;

  friend bool operator==(const Status&, const Status&) = default;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status OkStatus() { return {}; }
inline Status Cancelled(std::string m) { return {StatusCode::kCancelled, std::move(m)}; }
inline Status InvalidArgument(std::string m) {
  return {StatusCode::kInvalidArgument, std::move(m)};
}
inline Status DeadlineExceeded(std::string m) {
  return {StatusCode::kDeadlineExceeded, std::move(m)};
}
inline Status NotFound(std::string m) { return {StatusCode::kNotFound, std::move(m)}; }
inline Status AlreadyExists(std::string m) { return {StatusCode::kAlreadyExists, std::move(m)}; }
inline Status PermissionDenied(std::string m) {
  return {StatusCode::kPermissionDenied, std::move(m)};
}
inline Status ResourceExhausted(std::string m) {
  return {StatusCode::kResourceExhausted, std::move(m)};
}
inline Status FailedPrecondition(std::string m) {
  return {StatusCode::kFailedPrecondition, std::move(m)};
}
inline Status Aborted(std::string m) { return {StatusCode::kAborted, std::move(m)}; }
inline Status OutOfRange(std::string m) { return {StatusCode::kOutOfRange, std::move(m)}; }
inline Status Unimplemented(std::string m) { return {StatusCode::kUnimplemented, std::move(m)}; }
inline Status Internal(std::string m) { return {StatusCode::kInternal, std::move(m)}; }
inline Status Unavailable(std::string m) { return {StatusCode::kUnavailable, std::move(m)}; }
inline Status DataLoss(std::string m) { return {StatusCode::kDataLoss, std::move(m)}; }

namespace internal {
[[noreturn]] void DieOnBadResult(const Status& status);
}

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit by design
    if (status_.ok())
      internal::DieOnBadResult(Status(StatusCode::kInternal, "Result from an OK Status"));
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Precondition: ok(). A violation is a bug of ours and ends the process with the status.
  T& value() & { return Checked(), *value_; }
  const T& value() const& { return Checked(), *value_; }
  T&& value() && { return Checked(), std::move(*value_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  void Checked() const {
    if (!value_.has_value()) internal::DieOnBadResult(status_);
  }
  Status status_;
  std::optional<T> value_;
};

#define VADE_CONCAT_INNER(a, b) a##b
#define VADE_CONCAT(a, b) VADE_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(expr): returns the Status of `expr` from this function when it is not OK.
#define RETURN_IF_ERROR(expr)                    \
  do {                                           \
    ::vade::Status vade_status_ = (expr);        \
    if (!vade_status_.ok()) return vade_status_; \
  } while (false)

// ASSIGN_OR_RETURN(auto x, expr): x = the value of the Result `expr`, or returns its Status.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(VADE_CONCAT(vade_result_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                          \
  if (!result.ok()) return result.status();      \
  lhs = std::move(result).value()

// CHECK(condition, "sentence"): for bugs of our own only; outside bytes never reach one.
#define VADE_CHECK(condition, sentence)                                                            \
  do {                                                                                             \
    if (!(condition))                                                                              \
      ::vade::internal::DieOnBadResult(::vade::Status(::vade::StatusCode::kInternal,               \
                                                      "CHECK failed: " #condition ": " sentence)); \
  } while (false)

}  // namespace vade
