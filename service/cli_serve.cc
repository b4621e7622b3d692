// serve.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "service/cli_session.h"
#include "service/serve.h"

namespace vade {
namespace {

struct ServeFlags {
  std::string config, grpc, http;
};

// Only what was given on the command line beats the configuration file.
Status RunServe(const CLI::App& app, CliSession& session, const ServeFlags& flags) {
  if (!session.options.server.empty()) {
    return FailedPrecondition("serve opens a data directory itself; leave --server out");
  }
  ServeOptions options;
  options.config_file = flags.config;
  if (app.count("--data") > 0) options.data_dir = session.options.data_dir;
  if (!flags.grpc.empty()) options.grpc_address = flags.grpc;
  if (!flags.http.empty()) options.http_address = flags.http;
  if (!session.options.model.empty()) options.decoder_model = session.options.model;
  if (!session.options.embedder.empty()) options.embedder_model = session.options.embedder;
  if (app.count("--threads") > 0) options.threads = session.options.threads;
  if (app.count("--device") > 0) options.device = session.options.device;
  options.announce =
      session.options.json ? ServeOptions::Announce::kJson : ServeOptions::Announce::kLine;
  return Serve(options);
}

}  // namespace

void AddServeCommand(CLI::App& app, CliSession& session) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* serve = app.add_subcommand("serve", "Answer over gRPC until told to stop");
  serve->add_option("--config", flags->config, "Configuration file: lines key = value");
  serve->add_option("--grpc", flags->grpc,
                    "HOST:PORT (default 127.0.0.1:50051; port 0: a free one)");
  serve->add_option("--http", flags->http, "HOST:PORT of the HTTP server (not in this version)");
  serve->callback(
      [&app, &session, flags] { session.Run([&] { return RunServe(app, session, *flags); }); });
}

}  // namespace vade
