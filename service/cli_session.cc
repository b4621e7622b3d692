#include "service/cli_session.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>

#include "base/files.h"
#include "base/strings.h"
#include "base/threads.h"
#include "service/endpoint.h"
#include "service/remote_api.h"

namespace vade {
namespace {

// One for the process, because a signal handler has no other way to reach it.
CancelSource& Interrupt() {
  static CancelSource source;
  return source;
}

void OnInterrupt(int) {
  Interrupt().Cancel();
  // A second Ctrl-C ends the process at once.
  std::signal(SIGINT, SIG_DFL);
}

}  // namespace

CliSession::CliSession() : ctx_(Context().WithCancel(Interrupt().token())) {
  std::signal(SIGINT, OnInterrupt);
  std::signal(SIGPIPE, SIG_IGN);
}

CliSession::~CliSession() = default;

LocalOptions CliSession::local_options() const {
  LocalOptions local;
  local.data_dir = options.data_dir;
  local.decoder_model = options.model;
  local.embedder_model = options.embedder;
  local.threads = options.threads;
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
    ASSIGN_OR_RETURN(remote_, ConnectApi(options.server));
    return remote_.get();
  }
  auto opened = local();
  if (opened.ok()) return static_cast<Api*>(*opened);
  if (opened.status().code() != StatusCode::kUnavailable) return opened.status();
  const auto endpoint = ReadEndpoint(options.data_dir);
  if (!endpoint) return opened.status();
  std::fprintf(stderr, "vade: %s is open in a running service; talking to it at %s\n",
               options.data_dir.c_str(), endpoint->c_str());
  ASSIGN_OR_RETURN(remote_, ConnectApi(*endpoint));
  return remote_.get();
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

std::string HumanTime(double milliseconds) {
  char buffer[32];
  if (milliseconds >= 1000) {
    std::snprintf(buffer, sizeof(buffer), "%.1f s", milliseconds / 1000);
  } else {
    std::snprintf(buffer, sizeof(buffer), "%.0f ms", milliseconds);
  }
  return buffer;
}

Result<std::string> ReadInput(const std::string& path) {
  constexpr uint64_t kLimit = 256ull << 20;
  if (path != "-") return ReadFile(path, kLimit);
  std::string bytes;
  char buffer[65536];
  while (std::cin.read(buffer, sizeof(buffer)) || std::cin.gcount() > 0) {
    bytes.append(buffer, static_cast<size_t>(std::cin.gcount()));
    if (bytes.size() > kLimit) {
      return ResourceExhausted("standard input is longer than 256 MiB; put it as several documents");
    }
  }
  return bytes;
}

std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> parts;
  for (std::string& part : Split(text, ',')) {
    if (!part.empty()) parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace vade
