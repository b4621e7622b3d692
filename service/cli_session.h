// What the commands of the command line share: the common options, the Api they talk to, how they
// report. Used on one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "service/api.h"
#include "service/local_api.h"

namespace CLI {
class App;
}

namespace vade {

struct CommonOptions {
  std::string data_dir;                // --data, $VADE_DATA, ~/.local/share/vade
  std::string server;                  // --server HOST:PORT; "": in this process
  std::string collection = "default";  // --collection
  std::string model;                   // --model: catalog name or path; "": the best that is there
  std::string embedder;                // --embedder
  int threads = 0;                     // --threads; 0: all
  std::string level;                   // --level; "": the best of the machine
  bool background = false;  // segments are made beside the command: for those that stay a while
  bool json = false;        // --json: one object on standard output and nothing else there
};

class CliSession {
 public:
  CliSession();
  ~CliSession();

  CommonOptions options;

  // --server, or the data directory, or the service that has it open (said on standard error).
  // FAILED_PRECONDITION when a service answers and an option is given that is the service's own.
  Result<Api*> api();
  // In this process only; FAILED_PRECONDITION with --server.
  Result<LocalApi*> local();
  LocalOptions local_options() const;

  // For an error of a call about options.collection: when that is what does not exist, says so,
  // names those that do, and the command that makes it. Other errors pass unchanged.
  Status Explain(const Status& status);

  // Cancelled by Ctrl-C or SIGTERM; a command that does not end within three seconds of it is
  // ended.
  const Context& ctx() const { return ctx_; }

  // Runs a command unless something has failed before it; keeps the first error.
  void Run(const std::function<Status()>& command);
  const Status& status() const { return status_; }

 private:
  std::unique_ptr<LocalApi> local_;
  std::unique_ptr<Api> remote_;
  Context ctx_;
  Status status_;
};

// A document's words as they may go to standard output: whole into a file or a pipe, without what
// steers a terminal (service/printable.h) when it is one.
std::string ShownLine(std::string_view text);
std::string ShownText(std::string_view text);

std::string DefaultDataDir();
bool StderrIsTerminal();

// "3.2 s", "412 ms".
std::string HumanTime(double milliseconds);

// Comma-separated, empty parts dropped.
std::vector<std::string> SplitList(const std::string& text);

// Each adds its commands to the application; callbacks go through session.Run().
void AddAskCommands(CLI::App& app, CliSession& session);       // search, ask, chat
void AddIngestCommand(CLI::App& app, CliSession& session);     // ingest
void AddCorpusCommands(CLI::App& app, CliSession& session);    // docs, collections, warm, verify
void AddPortableCommands(CLI::App& app, CliSession& session);  // export, import
void AddModelCommands(CLI::App& app, CliSession& session);     // models
void AddServeCommand(CLI::App& app, CliSession& session);      // serve
void AddEvalCommands(CLI::App& app, CliSession& session);      // eval
void AddBenchCommands(CLI::App& app, CliSession& session);     // bench
void AddDoctorCommand(CLI::App& app, CliSession& session);     // doctor

}  // namespace vade
