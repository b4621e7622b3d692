// export, import.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "base/trace.h"
#include "service/cli_session.h"
#include "service/json_output.h"

namespace vade {
namespace {

Status RunExport(CliSession& session, const std::string& file) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  Trace trace(NewRequestId());
  const auto exported =
      api->Export(session.options.collection, file, session.ctx().WithTrace(&trace));
  if (!exported.ok()) return session.Explain(exported.status());
  trace.SetTime("total", trace.ElapsedMs());
  if (session.options.json) {
    std::printf("%s\n", ExportJson(file, *exported, trace).c_str());
    return OkStatus();
  }
  std::printf("%llu documents, %llu passages in %s\n",
              static_cast<unsigned long long>(exported->documents),
              static_cast<unsigned long long>(exported->passages), ShownLine(file).c_str());
  return OkStatus();
}

Status RunImport(CliSession& session, const std::string& file) {
  ASSIGN_OR_RETURN(Api * api, session.api());
  Trace trace(NewRequestId());
  ASSIGN_OR_RETURN(const ImportReport report,
                   api->Import(session.options.collection, file, session.ctx().WithTrace(&trace)));
  trace.SetTime("total", trace.ElapsedMs());
  if (session.options.json) {
    std::printf("%s\n", ImportJson(report, trace).c_str());
    return OkStatus();
  }
  std::printf("%llu created, %llu updated, %llu unchanged; %llu passages in %s\n",
              static_cast<unsigned long long>(report.created),
              static_cast<unsigned long long>(report.updated),
              static_cast<unsigned long long>(report.unchanged),
              static_cast<unsigned long long>(report.passages),
              HumanTime(trace.ElapsedMs()).c_str());
  return OkStatus();
}

}  // namespace

void AddPortableCommands(CLI::App& app, CliSession& session) {
  auto file = std::make_shared<std::string>();
  CLI::App* out = app.add_subcommand("export", "The collection as one file, while it is served");
  out->add_option("file", *file, "File to write")->required();
  out->callback([&session, file] { session.Run([&] { return RunExport(session, *file); }); });
  CLI::App* in = app.add_subcommand("import", "Take such a file into the collection");
  in->add_option("file", *file, "File of `vade export`")->required();
  in->callback([&session, file] { session.Run([&] { return RunImport(session, *file); }); });
}

}  // namespace vade
