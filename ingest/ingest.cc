// The whole path: list -> read -> parse -> compare -> split | embed -> commit, and what has gone
// goes. The stages are in pipeline.cc, what a run shares with one through a service in run.cc.
#include "ingest/ingest.h"

#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "ingest/jail.h"
#include "ingest/progress.h"
#include "ingest/run.h"
#include "ingest/sources.h"

namespace vade {
namespace {

// Files of this machine, one after the other.
class DiskFeed {
 public:
  DiskFeed(const IngestRun& run, const IngestOptions& options, const SourceList& sources)
      : run_(run), options_(options), sources_(sources) {}

  Result<std::optional<IncomingFile>> Next() {
    if (next_ == sources_.files.size()) return std::optional<IncomingFile>();
    const SourceFile& source = sources_.files[next_];
    IncomingFile file;
    file.number = next_++;
    file.shown = source.path;
    file.origin = source.origin;
    file.device = source.device;
    file.size_bytes = source.size_bytes;
    file.request.info.id = file.request.info.source = source.document_id;
    auto bytes = ReadSource(source, options_.max_file_bytes);
    if (!bytes.ok()) {
      file.failure = bytes.status();
      return std::optional(std::move(file));
    }
    file.hash = Sha256Hex(*bytes);
    RETURN_IF_ERROR(run_.Recall(&file));
    if (!file.unchanged) file.request.bytes = *std::move(bytes);
    return std::optional(std::move(file));
  }

 private:
  const IngestRun& run_;
  const IngestOptions& options_;
  const SourceList& sources_;
  size_t next_ = 0;
};

// One answer for a container: that of the document that the caller named, else of the first that
// could be stored.
Result<PutResult> Together(const std::vector<Result<PutResult>>& results, const std::string& id) {
  if (results.empty()) return Internal("the document was not committed");
  const PutResult* answer = nullptr;
  uint64_t passages = 0;
  for (const Result<PutResult>& one : results) {
    if (!one.ok()) {
      if (results.size() > 1) LogWarning(one.status().message());
      continue;
    }
    passages += one->passages;
    if (answer == nullptr || one->document_id == id) answer = &*one;
  }
  if (answer == nullptr) return results.front().status();
  PutResult all = *answer;
  all.passages = passages;
  return all;
}

// What lay below the scopes of the listing and is there no more.
Status PlanPruning(const SourceList& sources, IngestRun* run) {
  VanishedFiles vanished(sources);
  for (const std::string& scope : sources.scopes) {
    RETURN_IF_ERROR(run->ledger().Visit(scope, [&](const SourceRecord& record) {
      if (vanished.IsVanished(record)) run->pruner().FileHasGone(record);
      return OkStatus();
    }));
  }
  run->report().notes = vanished.TakeNotes();
  return OkStatus();
}

}  // namespace

Ingestor::Ingestor(Store* store, Embedder* embedder, IngestOptions options)
    : store_(store),
      embedder_(embedder),
      options_(std::move(options)),
      jail_(std::make_unique<Jail>(JailOptions{.parser_path = options_.parser_path})) {}
Ingestor::~Ingestor() = default;

Result<IngestReport> Ingestor::IngestPaths(const std::vector<std::string>& paths,
                                           const ProgressFunction& progress, const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  ASSIGN_OR_RETURN(const SourceList sources, ListSources(paths, options_, ctx));
  ProgressMeter meter(progress, sources.files.size(), sources.total_bytes);
  IngestRun run({store_, embedder_, jail_.get()}, options_,
                [&](const Job& job, const Result<PutResult>& result) {
                  meter.DocumentDone(job, result);
                },
                ctx);
  RETURN_IF_ERROR(run.Begin());
  run.report().errors = sources.errors;
  run.report().failed = sources.errors.size();
  if (options_.prune) RETURN_IF_ERROR(PlanPruning(sources, &run));

  DiskFeed feed(run, options_, sources);
  RETURN_IF_ERROR(run.Feed([&] { return feed.Next(); },
                           [&](const Job& job, double under_way) {
                             meter.Report(job.source, under_way);
                           }));
  RETURN_IF_ERROR(run.Prune());
  meter.ReportEnd();
  return std::move(run.report());
}

Result<PutResult> Ingestor::Put(PutRequest request, const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  const std::string id = request.info.id;
  std::vector<Result<PutResult>> results;
  IngestRun run({store_, embedder_, jail_.get()}, options_,
                [&](const Job& job, const Result<PutResult>& one) {
                  const std::string& name = job.info.id.empty() ? id : job.info.id;
                  results.push_back(one.ok() ? one
                                             : one.status().WithContext(
                                                   StrCat("document '", name, "'")));
                },
                ctx);
  RETURN_IF_ERROR(run.Begin());
  bool fed = false;
  RETURN_IF_ERROR(run.Feed(
      [&]() -> Result<std::optional<IncomingFile>> {
        if (std::exchange(fed, true)) return std::optional<IncomingFile>();
        IncomingFile file;
        file.size_bytes = request.bytes.size();
        file.request = std::move(request);
        return std::optional(std::move(file));
      },
      nullptr));
  return Together(results, id);
}

}  // namespace vade
