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

// One at a time is at work with a process: who took it.
class Jail::Process {
 public:
  explicit Process(const JailOptions& options) : options_(options) {}
  ~Process() { Stop(); }

  Result<OcrPart> Parse(const ParseRequest& request, const std::function<Status(ParsedPart)>& sink,
                        const Context& ctx);

 private:
  Status Start();
  void Stop();      // the child of the child dies with it
  int Aftermath();  // the wait status of a parser that has gone
  Status Send(std::string_view bytes);
  Status Receive(size_t size, std::string* out);
  Status Wait(short events) const;
  Status Exchange(const ParseRequest& request, const std::function<Status(ParsedPart)>& sink);

  const JailOptions& options_;
  pid_t pid_ = -1;
  int socket_ = -1;
  // Of the file at work:
  const Context* ctx_ = nullptr;
  SteadyClock::time_point deadline_;
  std::chrono::seconds time_limit_{0};
  int slow_pages_ = 0;
  bool wants_ocr_ = false;
  Status failure_;  // what the parser said about it
};

Status Jail::Process::Start() {
  const std::string path = options_.parser_path.empty() ? ParserBesideThis() : options_.parser_path;
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
  std::string name = path, mode = "--jailed", ocr = "--ocr";
  std::array<char*, 4> arguments = {name.data(), mode.data(),
                                    options_.with_ocr ? ocr.data() : nullptr, nullptr};
  const int error =
      posix_spawn(&pid_, path.c_str(), &actions, &attributes, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    pid_ = -1;
    return InvalidArgument(StrCat("needs the parser ", path,
                                  ", which cannot be started; build the target vade-parse, or say "
                                  "where it is with --parser"));
  }
  socket_ = ends[0];
  fcntl(socket_, F_SETFL, O_NONBLOCK);
  return OkStatus();
}

void Jail::Process::Stop() {
  if (socket_ >= 0) close(std::exchange(socket_, -1));
  if (pid_ < 0) return;
  kill(-pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

int Jail::Process::Aftermath() {
  int status = 0;
  // The socket's other end closes as the process ends; it only remains to be waited for.
  for (int i = 0; i < 100; ++i) {
    const pid_t done = waitpid(pid_, &status, WNOHANG);
    if (done == pid_) {
      pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  Stop();
  return status;
}

Status Jail::Process::Wait(short events) const {
  for (;;) {
    RETURN_IF_ERROR(ctx_->Check());
    if (SteadyClock::now() >= deadline_) {
      return InvalidArgument(
          StrCat("takes more than ", time_limit_.count(), " seconds to be read; split it"));
    }
    pollfd one{.fd = socket_, .events = events, .revents = 0};
    const int ready = poll(&one, 1, static_cast<int>(kLookAround.count()));
    if (ready > 0) return OkStatus();
    if (ready < 0 && errno != EINTR) return Internal("poll failed");
  }
}

// DATA_LOSS: the other side has gone.
Status Jail::Process::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
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

Status Jail::Process::Receive(size_t size, std::string* out) {
  out->clear();
  while (out->size() < size) {
    // What was promised and never comes takes no memory.
    const size_t had = out->size();
    out->resize(std::min(size, had + kReadAtOnce));
    const ssize_t got = recv(socket_, out->data() + had, out->size() - had, 0);
    out->resize(had + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return DataLoss("the parser has gone");
    if (got > 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return DataLoss("the parser has gone");
    RETURN_IF_ERROR(Wait(POLLIN));
  }
  return OkStatus();
}

Status Jail::Process::Exchange(const ParseRequest& request,
                               const std::function<Status(ParsedPart)>& sink) {
  RETURN_IF_ERROR(Send(EncodeRequestHead(request)));
  RETURN_IF_ERROR(Send(request.bytes));
  uint64_t answered = 0;
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
      if (++slow_pages_ > kMaxOcrPages) return DataLoss("the parser does not keep its limit");
      deadline_ = std::max(deadline_, SteadyClock::now() + kOcrPageTime);
      continue;
    }
    if (head.kind == FrameKind::kWantsOcr) {
      // One that has it does not ask for another.
      if (options_.with_ocr) return DataLoss("the parser asks for what it has");
      wants_ocr_ = true;
      return OkStatus();
    }
    if (head.kind == FrameKind::kFailure) {
      failure_ = DecodeFailure(bytes);
      return OkStatus();
    }
    ASSIGN_OR_RETURN(ParsedPart part, DecodePart(head.kind, bytes));
    RETURN_IF_ERROR(sink(std::move(part)));
  }
}

Result<OcrPart> Jail::Process::Parse(const ParseRequest& request,
                                     const std::function<Status(ParsedPart)>& sink,
                                     const Context& ctx) {
  ctx_ = &ctx;
  if (pid_ < 0) RETURN_IF_ERROR(Start());
  time_limit_ =
      options_.time_limit.count() > 0 ? options_.time_limit : ParseTimeLimit(request.bytes.size());
  deadline_ = SteadyClock::now() + time_limit_;
  slow_pages_ = 0;
  wants_ocr_ = false;
  failure_ = OkStatus();
  const Status status = Exchange(request, sink);
  if (status.code() == StatusCode::kDataLoss) return InvalidArgument(WhyItDied(Aftermath()));
  if (!status.ok()) {
    Stop();
    return status;
  }
  RETURN_IF_ERROR(failure_);
  if (wants_ocr_) return OcrPart::kWanted;
  return slow_pages_ > 0 ? OcrPart::kPages : OcrPart::kNone;
}

Jail::Jail(JailOptions options) : options_(std::move(options)) {}
Jail::~Jail() = default;

Result<std::unique_ptr<Jail::Process>> Jail::TakeIdle(const Context& ctx) {
  std::unique_lock lock(mutex_);
  while (at_work_ >= options_.processes) {
    given_back_.wait_for(lock, kLookAround);
    RETURN_IF_ERROR(ctx.Check());
  }
  ++at_work_;
  if (idle_.empty()) return std::make_unique<Process>(options_);
  std::unique_ptr<Process> process = std::move(idle_.back());
  idle_.pop_back();
  return process;
}

void Jail::GiveBack(std::unique_ptr<Process> process) {
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(process));
    --at_work_;
  }
  given_back_.notify_one();
}

Result<OcrPart> Jail::Parse(const ParseRequest& request,
                            const std::function<Status(ParsedPart)>& sink, const Context& ctx) {
  ASSIGN_OR_RETURN(std::unique_ptr<Process> process, TakeIdle(ctx));
  auto parsed = process->Parse(request, sink, ctx);
  GiveBack(std::move(process));
  return parsed;
}

}  // namespace vade
