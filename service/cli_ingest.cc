// ingest.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "base/trace.h"
#include "ingest/fetch.h"
#include "ingest/follow.h"
#include "service/cli_session.h"
#include "service/json_output.h"
#include "service/printable.h"

namespace vade {
namespace {

struct IngestFlags {
  std::vector<std::string> paths;
  bool watch = false;
  bool prune = false;
  std::string source_root;
  std::string groups;
  std::string password;
  std::string parser;
  bool allow_private = false;
};

// "3 created, 1 failed": what there is any of.
std::string Counts(const std::vector<std::pair<uint64_t, const char*>>& counts) {
  std::string text;
  for (const auto& [count, name] : counts) {
    if (count > 0) text += StrCat(text.empty() ? "" : ", ", count, " ", name);
  }
  return text.empty() ? "nothing yet" : text;
}

// A line that is redrawn in place on a terminal and not shown elsewhere.
void PrintProgress(const IngestProgress& p) {
  const double percent = p.bytes_total ? 100.0 * p.bytes_done / p.bytes_total : 100.0;
  const std::string left = p.seconds_left < 0 ? "?" : HumanTime(p.seconds_left * 1000);
  const std::string counts = Counts({{p.created, "created"},
                                     {p.updated, "updated"},
                                     {p.unchanged, "unchanged"},
                                     {p.duplicate, "duplicate"},
                                     {p.renamed, "renamed"},
                                     {p.failed, "failed"}});
  std::fprintf(stderr,
               "\r\033[K%3.0f%%  %llu of %llu files (%s), %llu passages, %.1f KB/s, %s left  %.30s",
               percent, static_cast<unsigned long long>(p.files_done),
               static_cast<unsigned long long>(p.files_total), counts.c_str(),
               static_cast<unsigned long long>(p.passages), p.bytes_per_second / 1000, left.c_str(),
               PrintableLine(p.current).c_str());
}

void PrintLines(const char* kind, const std::vector<IngestError>& lines) {
  for (const IngestError& line : lines) {
    std::fprintf(stderr, "%s: %s: %s\n", kind, PrintableLine(line.source).c_str(),
                 PrintableLine(line.reason).c_str());
  }
}

void PrintReport(const IngestReport& report, double milliseconds) {
  PrintLines("failed", report.errors);
  PrintLines("note", report.notes);
  std::string rest;
  if (report.renamed > 0) rest += StrCat(", ", report.renamed, " renamed");
  if (report.deleted > 0) rest += StrCat(", ", report.deleted, " deleted");
  std::printf(
      "%llu created, %llu updated, %llu unchanged, %llu duplicate, %llu failed%s; %llu passages in "
      "%s\n",
      static_cast<unsigned long long>(report.created),
      static_cast<unsigned long long>(report.updated),
      static_cast<unsigned long long>(report.unchanged),
      static_cast<unsigned long long>(report.duplicate),
      static_cast<unsigned long long>(report.failed), rest.c_str(),
      static_cast<unsigned long long>(report.passages), HumanTime(milliseconds).c_str());
}

// Whether a run over changes has found any.
bool DidAnything(const IngestReport& report) {
  return report.created + report.updated + report.duplicate + report.renamed + report.deleted +
             report.failed >
         0;
}

class IngestCommand {
 public:
  IngestCommand(CliSession* session, Api* api, const IngestFlags& flags)
      : session_(session), api_(api), flags_(flags) {
    options_.collection = session->options.collection;
    options_.source_root = flags.source_root;
    options_.groups = SplitList(flags.groups);
    options_.password = flags.password;
    options_.parser_path = flags.parser;
    options_.prune = flags.prune || flags.watch;
    options_.web.allow_private = flags.allow_private;
    options_.web.cache_dir = JoinPath(CacheDirectory(), "fetched");
  }

  Status Once() {
    ASSIGN_OR_RETURN(const IngestReport report, Run({}));
    Print(report);
    if (report.failed > 0 &&
        report.created + report.updated + report.unchanged + report.duplicate + report.renamed ==
            0) {
      return InvalidArgument("no file could be ingested; the reasons stand above");
    }
    return OkStatus();
  }

  Status Watch() {
    if (std::any_of(flags_.paths.begin(), flags_.paths.end(), IsUrl)) {
      return Unimplemented("pages of the web are not followed; ingest them again now and then");
    }
    bool first = true;
    FollowEvents events;
    events.ran = [&](const IngestReport& report) {
      if (first || DidAnything(report)) Print(report);
      if (std::exchange(first, false)) {
        std::fprintf(stderr, "vade: watching; Ctrl-C ends\n");
      }
    };
    events.trouble = [](const std::string& line) {
      std::fprintf(stderr, "vade: %s\n", PrintableLine(line).c_str());
    };
    return FollowFolders(
        flags_.paths, {.source_root = flags_.source_root, .watch = {}},
        [this](const std::vector<std::string>& only) { return Run(only); }, events,
        session_->ctx());
  }

 private:
  Result<IngestReport> Run(const std::vector<std::string>& only) {
    options_.only = only;
    trace_ = std::make_unique<Trace>(NewRequestId());
    const bool progress = StderrIsTerminal() && !session_->options.json && only.empty();
    auto report =
        api_->Ingest(flags_.paths, options_, progress ? PrintProgress : ProgressFunction(),
                     session_->ctx().WithTrace(trace_.get()));
    if (progress) std::fprintf(stderr, "\r\033[K");
    trace_->SetTime("total", trace_->ElapsedMs());
    return report;
  }

  void Print(const IngestReport& report) const {
    if (session_->options.json) {
      std::printf("%s\n", IngestJson(report, *trace_).c_str());
    } else {
      PrintReport(report, trace_->ElapsedMs());
    }
    std::fflush(stdout);
  }

  CliSession* const session_;
  Api* const api_;
  const IngestFlags& flags_;
  IngestOptions options_;
  std::unique_ptr<Trace> trace_;  // of the last run
};

Status RunIngest(CliSession& session, const IngestFlags& flags) {
  session.options.background = session.options.background || flags.watch;
  ASSIGN_OR_RETURN(Api * api, session.api());
  IngestCommand command(&session, api, flags);
  return flags.watch ? command.Watch() : command.Once();
}

}  // namespace

void AddIngestCommand(CLI::App& app, CliSession& session) {
  auto flags = std::make_shared<IngestFlags>();
  CLI::App* ingest = app.add_subcommand("ingest", "Take files and folders into the collection");
  ingest
      ->add_option("path", flags->paths, "Files, folders, and pages of the web (http://, https://)")
      ->required();
  ingest->add_flag("--watch", flags->watch,
                   "Go on following the folders, what vanishes included, until Ctrl-C or SIGTERM");
  ingest->add_flag("--prune", flags->prune, "Delete documents whose file has vanished");
  ingest->add_option("--password", flags->password, "Tried on encrypted files");
  ingest->add_option("--parser", flags->parser, "Where vade-parse is, if not beside vade");
  ingest->add_flag("--allow-private", flags->allow_private,
                   "Fetch pages from loopback and private addresses too");
  ingest->add_option("--source-root", flags->source_root,
                     "Document ids are paths relative to this folder");
  ingest->add_option("--groups", flags->groups, "Who may find the documents, comma-separated");
  ingest->callback([&session, flags] { session.Run([&] { return RunIngest(session, *flags); }); });
}

}  // namespace vade
