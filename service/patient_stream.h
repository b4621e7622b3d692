// A stream of a call whose client may take its time, but not for ever: one that takes or sends
// nothing for too long is let go, since it holds a place, and perhaps more, of the service.
//
// Private to service/. Read() and Write() may be at work at the same time, each once.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/context.h"
#include "base/status.h"
#include "service/call_watch.h"

namespace vade {

template <typename Stream>
class PatientStream {
 public:
  // `cancel` ends the call. Nothing is owned; all of it outlives the object.
  // `excused`: the client need not send anything now, since it waits for this side; may be null.
  PatientStream(Stream* stream, std::chrono::milliseconds patience, CallWatch* watch,
                std::function<void()> cancel, std::function<bool()> excused = nullptr)
      : stream_(stream),
        watching_(watch,
                  [this, patience, cancel = std::move(cancel), excused = std::move(excused)] {
                    if (excused && excused()) StartReadingAnew();
                    if (Within(writing_since_, patience) && Within(reading_since_, patience))
                      return;
                    impatient_ = true;
                    cancel();
                  }) {}

  template <typename Message>
  Status Write(const Message& message, const Context& ctx) {
    writing_since_ = Now();
    const bool taken = stream_->Write(message);
    writing_since_ = 0;
    return taken ? OkStatus() : WhyEnded(ctx);
  }

  // False at the end, whatever it came of; WhyEnded() tells.
  template <typename Message>
  bool Read(Message* message) {
    reading_since_ = Now();
    const bool read = stream_->Read(message);
    reading_since_ = 0;
    return read;
  }

  Status WhyEnded(const Context& ctx) const {
    if (impatient_) return Aborted("the client took or sent nothing for too long");
    RETURN_IF_ERROR(ctx.Check());
    return Cancelled("the client has gone");
  }

 private:
  static int64_t Now() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  void StartReadingAnew() {
    int64_t since = reading_since_;
    if (since != 0) reading_since_.compare_exchange_strong(since, Now());
  }
  static bool Within(int64_t since, std::chrono::milliseconds patience) {
    return since == 0 || Now() - since < patience.count();
  }

  Stream* const stream_;
  std::atomic<int64_t> writing_since_{0}, reading_since_{0};  // milliseconds; 0: it is not
  std::atomic<bool> impatient_{false};
  const CallWatch::Watching watching_;  // last: it looks at the above
};

}  // namespace vade
