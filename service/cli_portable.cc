// export, import, reembed: a collection as a whole.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

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

ReembedProgress ProgressOf(const CliSession& session) {
  if (!StderrIsTerminal() || session.options.json) return nullptr;
  return [](uint64_t done, uint64_t total) {
    std::fprintf(stderr, "\r\033[K%llu of %llu passages", static_cast<unsigned long long>(done),
                 static_cast<unsigned long long>(total));
  };
}

// The common --embedder names the embedder of new collections; here it is the one to be taken.
Status RunReembed(CliSession& session) {
  const std::string embedder = std::exchange(session.options.embedder, "");
  if (embedder.empty()) {
    return InvalidArgument("which embedder? name it with --embedder: of the catalog, or a file");
  }
  ASSIGN_OR_RETURN(Api * api, session.api());
  Trace trace(NewRequestId());
  const auto progress = ProgressOf(session);
  const auto outcome = api->Reembed(session.options.collection, embedder, progress, session.ctx());
  if (progress) std::fprintf(stderr, "\r\033[K");
  if (!outcome.ok()) return session.Explain(outcome.status());
  trace.SetTime("total", trace.ElapsedMs());
  if (session.options.json) {
    std::printf("%s\n", ReembedJson(*outcome, trace).c_str());
    return OkStatus();
  }
  std::printf("%llu passages, %llu embedded now, in %s\n",
              static_cast<unsigned long long>(outcome->report.passages),
              static_cast<unsigned long long>(outcome->report.embedded),
              HumanTime(trace.ElapsedMs()).c_str());
  if (outcome->cut > 0) {
    std::fprintf(stderr,
                 "note: %llu passages are longer than the embedder reads; ingest their documents "
                 "again for shorter ones\n",
                 static_cast<unsigned long long>(outcome->cut));
  }
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
  app.add_subcommand("reembed", "Another --embedder for the collection, while it is served")
      ->callback([&session] { session.Run([&] { return RunReembed(session); }); });
}

}  // namespace vade
