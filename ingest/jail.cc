#include "ingest/jail.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "ingest/formats/limits.h"

extern char** environ;

namespace vade {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kReadAtOnce = 256 << 10;
// A cancelled caller waits no longer than that.
constexpr std::chrono::milliseconds kLookAround(50);
// Beyond this, frames are not the documents of a file but an attack.
constexpr uint64_t kMaxAnswerBytes = kMaxTextBytes + (64ull << 20);

// Only what a sanitizer or a loader of unusual libraries needs: nothing of the user's reaches a
// parser.
std::vector<std::string> ParserEnvironment() {
  static constexpr std::array<std::string_view, 5> kPassed = {
      "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS=", "LD_LIBRARY_PATH="};
  std::vector<std::string> passed = {"LC_ALL=C.UTF-8"};
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view entry = *at;
    if (std::any_of(kPassed.begin(), kPassed.end(),
                    [&](std::string_view name) { return entry.starts_with(name); })) {
      passed.emplace_back(entry);
    }
  }
  return passed;
}

std::string ParserBesideThis() { return JoinPath(ExecutableFolder(), "vade-parse"); }

std::string WhyItDied(int wait_status) {
  int number = 0;
  if (WIFSIGNALED(wait_status)) number = WTERMSIG(wait_status);
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) > kDiedOfSignal) {
    number = WEXITSTATUS(wait_status) - kDiedOfSignal;
  }
  if (number == SIGXCPU || number == SIGKILL) return "takes too much time to be read; split it";
  if (number == SIGSYS) return "made its parser do what it must not; the file may be hostile";
  if (number != 0) {
    return StrCat("made its parser crash (signal ", number, "); it is damaged, save it again");
  }
  return "needs too much memory to be read, or its parser gave up; save it again or split it";
}

}  // namespace

struct Jail::Impl {
  explicit Impl(JailOptions given) : options(std::move(given)) {}
  ~Impl() { Stop(); }

  Status Start();
  void Stop();      // the child of the child dies with it
  int Aftermath();  // the wait status of a parser that has gone
  Status Send(std::string_view bytes);
  Status Receive(size_t size, std::string* out);
  Status Wait(short events) const;
  Status Exchange(const ParseRequest& request, const std::function<Status(ParsedPart)>& sink);

  const JailOptions options;
  std::mutex mutex;
  pid_t pid = -1;
  int socket = -1;
  // Of the file at work:
  const Context* ctx = nullptr;
  SteadyClock::time_point deadline;
  std::chrono::seconds time_limit{0};
  Status failure;  // what the parser said about it
};

Status Jail::Impl::Start() {
  const std::string path = options.parser_path.empty() ? ParserBesideThis() : options.parser_path;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ResourceExhausted("too many open files; raise the limit (ulimit -n)");
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  // A group of its own: Ctrl-C is for us to handle, and one kill reaches parent and child.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  std::vector<std::string> variables = ParserEnvironment();
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string name = path, mode = "--jailed";
  std::array<char*, 3> arguments = {name.data(), mode.data(), nullptr};
  const int error =
      posix_spawn(&pid, path.c_str(), &actions, &attributes, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    pid = -1;
    return InvalidArgument(StrCat("needs the parser ", path,
                                  ", which cannot be started; build the target vade-parse, or say "
                                  "where it is with --parser"));
  }
  socket = ends[0];
  fcntl(socket, F_SETFL, O_NONBLOCK);
  return OkStatus();
}

void Jail::Impl::Stop() {
  if (socket >= 0) close(std::exchange(socket, -1));
  if (pid < 0) return;
  kill(-pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid = -1;
}

int Jail::Impl::Aftermath() {
  int status = 0;
  // The socket's other end closes as the process ends; it only remains to be waited for.
  for (int i = 0; i < 100; ++i) {
    const pid_t done = waitpid(pid, &status, WNOHANG);
    if (done == pid) {
      pid = -1;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  Stop();
  return status;
}

Status Jail::Impl::Wait(short events) const {
  for (;;) {
    RETURN_IF_ERROR(ctx->Check());
    if (SteadyClock::now() >= deadline) {
      return InvalidArgument(
          StrCat("takes more than ", time_limit.count(), " seconds to be read; split it"));
    }
    pollfd one{.fd = socket, .events = events, .revents = 0};
    const int ready = poll(&one, 1, static_cast<int>(kLookAround.count()));
    if (ready > 0) return OkStatus();
    if (ready < 0 && errno != EINTR) return Internal("poll failed");
  }
}

// DATA_LOSS: the other side has gone.
Status Jail::Impl::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      RETURN_IF_ERROR(Wait(POLLOUT));
    } else if (errno != EINTR) {
      return DataLoss("the parser has gone");
    }
  }
  return OkStatus();
}

Status Jail::Impl::Receive(size_t size, std::string* out) {
  out->clear();
  while (out->size() < size) {
    // What was promised and never comes takes no memory.
    const size_t had = out->size();
    out->resize(std::min(size, had + kReadAtOnce));
    const ssize_t got = recv(socket, out->data() + had, out->size() - had, 0);
    out->resize(had + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return DataLoss("the parser has gone");
    if (got > 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return DataLoss("the parser has gone");
    RETURN_IF_ERROR(Wait(POLLIN));
  }
  return OkStatus();
}

Status Jail::Impl::Exchange(const ParseRequest& request,
                            const std::function<Status(ParsedPart)>& sink) {
  RETURN_IF_ERROR(Send(EncodeRequestHead(request)));
  RETURN_IF_ERROR(Send(request.bytes));
  uint64_t answered = 0;
  int slow_pages = 0;
  for (std::string bytes;;) {
    RETURN_IF_ERROR(Receive(kFrameHeadBytes, &bytes));
    ASSIGN_OR_RETURN(const FrameHead head, DecodeFrameHead(bytes));
    answered += head.length;
    if (answered > kMaxAnswerBytes) {
      return InvalidArgument(
          StrCat("holds more than ", kMaxTextBytes >> 20, " MiB of text, the limit; split it"));
    }
    RETURN_IF_ERROR(Receive(head.length, &bytes));
    if (head.kind == FrameKind::kEnd) return OkStatus();
    if (head.kind == FrameKind::kAtWork) {
      if (++slow_pages > kMaxOcrPages) return DataLoss("the parser does not keep its limit");
      deadline = std::max(deadline, SteadyClock::now() + kOcrPageTime);
      continue;
    }
    if (head.kind == FrameKind::kFailure) {
      failure = DecodeFailure(bytes);
      return OkStatus();
    }
    ASSIGN_OR_RETURN(ParsedPart part, DecodePart(head.kind, bytes));
    RETURN_IF_ERROR(sink(std::move(part)));
  }
}

Jail::Jail(JailOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Jail::~Jail() = default;

Status Jail::Parse(const ParseRequest& request, const std::function<Status(ParsedPart)>& sink,
                   const Context& ctx) {
  const std::lock_guard lock(impl_->mutex);
  Impl& impl = *impl_;
  impl.ctx = &ctx;
  if (impl.pid < 0) RETURN_IF_ERROR(impl.Start());
  impl.time_limit = impl.options.time_limit.count() > 0 ? impl.options.time_limit
                                                        : ParseTimeLimit(request.bytes.size());
  impl.deadline = SteadyClock::now() + impl.time_limit;
  impl.failure = OkStatus();
  const Status status = impl.Exchange(request, sink);
  if (status.ok()) return impl.failure;
  if (status.code() == StatusCode::kDataLoss) return InvalidArgument(WhyItDied(impl.Aftermath()));
  impl.Stop();
  return status;
}

}  // namespace vade
