#include "service/stop_signal.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace vade {
namespace {

// A handler is given nothing but the signal's number, so it must find the pipe here. -1: nobody
// waits.
std::atomic<int> pipe_of_handler{-1};
static_assert(std::atomic<int>::is_always_lock_free);

// The next signal, whichever of the two it is, ends the process.
void OnSignal(int) {
  const int saved = errno;
  struct sigaction at_once = {};
  at_once.sa_handler = SIG_DFL;
  sigaction(SIGINT, &at_once, nullptr);
  sigaction(SIGTERM, &at_once, nullptr);
  const char byte = 0;
  // A full pipe has told the news already.
  [[maybe_unused]] const ssize_t ignored = write(pipe_of_handler.load(), &byte, 1);
  errno = saved;
}

}  // namespace

Result<std::unique_ptr<StopSignal>> StopSignal::Install() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return ResourceExhausted("cannot make a pipe; too many files are open");
  }
  std::unique_ptr<StopSignal> watch(new StopSignal(ends[0], ends[1]));
  pipe_of_handler.store(ends[1]);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &watch->old_int_);
  sigaction(SIGTERM, &action, &watch->old_term_);
  return watch;
}

StopSignal::~StopSignal() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
  pipe_of_handler.store(-1);
  close(read_end_);
  close(write_end_);
}

bool StopSignal::Came() const {
  pollfd end = {.fd = read_end_, .events = POLLIN, .revents = 0};
  return poll(&end, 1, 0) == 1;
}

void StopSignal::Wait(const CancelToken& other) const {
  constexpr int kLookMs = 200;  // at `other`, which wakes nobody
  while (!other.cancelled()) {
    pollfd end = {.fd = read_end_, .events = POLLIN, .revents = 0};
    if (poll(&end, 1, kLookMs) == 1) return;
  }
}

}  // namespace vade
