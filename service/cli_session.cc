#include "service/cli_session.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "base/threads.h"
#include "service/endpoint.h"
#include "service/printable.h"
#include "service/remote_api.h"

namespace vade {
namespace {

// One for the process, because a signal handler has no other way to reach it.
CancelSource& Interrupt() {
  static CancelSource source;
  return source;
}

// What does not look at the context for so long, such as the first repacking of a large model, is
// cut short. That harms nothing: every file is written so that it survives the death of the
// process.
constexpr unsigned kGraceSeconds = 3;

// Not restarting: a read that waits for a person returns.
void OnInterrupt(int) {
  Interrupt().Cancel();
  alarm(kGraceSeconds);
}

void OnGraceOver(int) {
  constexpr char kLine[] = "vade: stopped\n";
  [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, kLine, sizeof(kLine) - 1);
  _exit(1);
}

// How long a service that is there may take to say so.
constexpr std::chrono::seconds kAnswersWithin(5);

// What a service settled when it started would be ignored in silence.
Status CheckServiceOptions(const CommonOptions& options) {
  const std::pair<const char*, bool> own[] = {{"--model", !options.model.empty()},
                                              {"--embedder", !options.embedder.empty()},
                                              {"--threads", options.threads > 0},
                                              {"--device", options.device != DeviceChoice::kAuto},
                                              {"--level", !options.level.empty()}};
  for (const auto& [name, given] : own) {
    if (!given) continue;
    return FailedPrecondition(
        StrCat(name, " is the service's own; leave it out, or stop the service"));
  }
  return OkStatus();
}

// The address in the file may be that of a service which is no more.
bool NobodyThere(StatusCode code) {
  return code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded;
}

bool StdoutIsTerminal() { return isatty(STDOUT_FILENO) == 1; }

}  // namespace

CliSession::CliSession() : ctx_(Context().WithCancel(Interrupt().token())) {
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second one ends the process at once
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGALRM, OnGraceOver);
  std::signal(SIGPIPE, SIG_IGN);
}

CliSession::~CliSession() { alarm(0); }

LocalOptions CliSession::local_options() const {
  LocalOptions local;
  local.data_dir = options.data_dir;
  local.decoder_model = options.model;
  local.embedder_model = options.embedder;
  local.threads = options.threads;
  SetDevices(options.device, &local);
  local.store.background = options.background;
  return local;
}

Result<LocalApi*> CliSession::local() {
  if (!options.server.empty()) {
    return FailedPrecondition("this command works in its own process; leave --server out");
  }
  if (!local_) {
    ASSIGN_OR_RETURN(local_, LocalApi::Open(local_options()));
  }
  return local_.get();
}

Result<Api*> CliSession::api() {
  if (remote_) return remote_.get();
  if (!options.server.empty()) {
    RETURN_IF_ERROR(CheckServiceOptions(options));
    ASSIGN_OR_RETURN(remote_, ConnectApi(options.server));
    return remote_.get();
  }
  auto opened = local();
  if (opened.ok()) return static_cast<Api*>(*opened);
  if (opened.status().code() != StatusCode::kUnavailable) return opened.status();
  const auto endpoint = ReadEndpoint(options.data_dir);
  if (!endpoint) return opened.status();
  ASSIGN_OR_RETURN(auto service, ConnectApi(*endpoint));
  const Status answers = service->ListCollections(ctx_.WithTimeout(kAnswersWithin)).status();
  RETURN_IF_ERROR(ctx_.Check());
  if (NobodyThere(answers.code())) return opened.status();
  RETURN_IF_ERROR(CheckServiceOptions(options));
  std::fprintf(stderr, "vade: %s is open in a running service; talking to it at %s\n",
               options.data_dir.c_str(), endpoint->c_str());
  remote_ = std::move(service);
  return remote_.get();
}

Status CliSession::Explain(const Status& status) {
  if (status.code() != StatusCode::kNotFound) return status;
  const auto found = api();
  if (!found.ok()) return status;
  const auto collections = (*found)->ListCollections(ctx_);
  if (!collections.ok()) return status;
  std::string names;
  for (const CollectionInfo& info : *collections) {
    if (info.name == options.collection) return status;
    names += (names.empty() ? "" : ", ") + info.name;
  }
  const std::string there =
      names.empty() ? "nothing has been ingested there yet" : "there are " + names;
  return NotFound(StrCat("there is no collection '", options.collection, "' in ",
                         options.server.empty() ? options.data_dir : options.server, " (", there,
                         "); `vade ingest PATH` makes it"));
}

void CliSession::Run(const std::function<Status()>& command) {
  if (status_.ok()) status_ = command();
}

std::string DefaultDataDir() {
  if (const char* dir = std::getenv("VADE_DATA"); dir && *dir) return dir;
  const std::string home = HomeDirectory();
  return home.empty() ? std::string(".vade") : JoinPath(home, ".local/share/vade");
}

bool StderrIsTerminal() { return isatty(STDERR_FILENO) == 1; }

std::string ShownLine(std::string_view text) {
  return StdoutIsTerminal() ? PrintableLine(text) : std::string(text);
}

std::string ShownText(std::string_view text) {
  return StdoutIsTerminal() ? PrintableText(text) : std::string(text);
}

std::string HumanTime(double milliseconds) {
  char buffer[32];
  if (milliseconds >= 1000) {
    std::snprintf(buffer, sizeof(buffer), "%.1f s", milliseconds / 1000);
  } else {
    std::snprintf(buffer, sizeof(buffer), "%.0f ms", milliseconds);
  }
  return buffer;
}

std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> parts;
  for (std::string& part : Split(text, ',')) {
    if (!part.empty()) parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace vade
