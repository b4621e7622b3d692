#include "service/cli.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "kernels/kernels.h"
#include "service/cli_session.h"
#include "service/printable.h"

namespace vade {
namespace {

void AddCommonOptions(CLI::App& app, CommonOptions& options) {
  app.add_option("--data", options.data_dir,
                 "Data directory (default $VADE_DATA, else ~/.local/share/vade)");
  app.add_option("--server", options.server,
                 "HOST:PORT of a running service; without it, in this process");
  app.add_option("--collection", options.collection, "Collection")->capture_default_str();
  app.add_option("--model", options.model, "Decoder: catalog name (vade models list) or GGUF file");
  app.add_option("--embedder", options.embedder, "Embedder: catalog name or GGUF file");
  app.add_option("--threads", options.threads,
                 "Threads (default: all cores that this process may use)")
      ->check(CLI::Range(0, 1024));
  const std::map<std::string, DeviceChoice> devices = {
      {"auto", DeviceChoice::kAuto}, {"cpu", DeviceChoice::kCpu}, {"cuda", DeviceChoice::kCuda}};
  app.add_option("--device", options.device,
                 "Where models compute: auto (the GPU when there is one), cpu, cuda")
      ->transform(CLI::CheckedTransformer(devices))
      ->option_text("auto|cpu|cuda");
  app.add_flag("--json", options.json, "Print one JSON object");
}

// Forces a kernel level for the whole run.
Status ForceLevel(const std::string& name, std::optional<kernels::ScopedLevel>& forced) {
  if (name.empty()) return OkStatus();
  const auto level = kernels::ParseLevel(name);
  if (!level || !kernels::LevelSupported(*level)) {
    return FailedPrecondition("this processor cannot do --level " + name +
                              "; vade doctor shows what it can");
  }
  forced.emplace(*level);
  return OkStatus();
}

int Report(const Status& status) {
  if (status.ok()) return 0;
  std::fflush(stdout);
  std::fprintf(stderr, "vade: %s\n", PrintableLine(status.message()).c_str());
  return 1;
}

// CLI11 says of an unknown command only that one is missing.
int ReportUsage(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining(true);
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !unknown.empty()) {
    std::fprintf(stderr, "vade: '%s' is unknown here; vade --help lists the commands\n",
                 PrintableLine(unknown.front()).c_str());
    return 2;
  }
  return app.exit(error) == 0 ? 0 : 2;
}

}  // namespace

int RunCli(int argc, char** argv) {
  CLI::App app("Vademecum: ask your documents; a local model answers and says where from.", "vade");
  app.require_subcommand(1);
  app.fallthrough();
  CliSession session;
  session.options.data_dir = DefaultDataDir();
  AddCommonOptions(app, session.options);
  bool verbose = false;
  app.add_flag("-v,--verbose", verbose, "Log what happens to standard error");
  app.add_option("--level", session.options.level, "Force a kernel level: scalar, avx2, avx512, amx")
      ->check(CLI::IsMember({"scalar", "avx2", "avx512", "amx"}));
  std::optional<kernels::ScopedLevel> forced;
  app.parse_complete_callback([&] {
    if (verbose) SetLogLevel(LogLevel::kInfo);
    session.Run([&] { return ForceLevel(session.options.level, forced); });
  });

  AddServeCommand(app, session);
  AddIngestCommand(app, session);
  AddCorpusCommands(app, session);
  AddPortableCommands(app, session);
  AddAskCommands(app, session);
  AddModelCommands(app, session);
  AddEvalCommands(app, session);
  AddBenchCommands(app, session);
  AddDoctorCommand(app, session);
  app.add_subcommand("version", "Print the version")->callback([&] {
    if (session.options.json) {
      std::printf("{\"version\":\"%s\"}\n", VADE_VERSION);
    } else {
      std::printf("vade %s\n", VADE_VERSION);
    }
  });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ReportUsage(app, error);
  }
  return Report(session.status());
}

}  // namespace vade
