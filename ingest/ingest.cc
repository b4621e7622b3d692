// The whole path: list -> read -> parse -> compare -> split | embed -> commit, and what has gone
// goes. The stages are in pipeline.cc, what a run shares with one through a service in run.cc.
#include "ingest/ingest.h"

#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "ingest/file_exchange.h"
#include "ingest/jail.h"
#include "ingest/progress.h"
#include "ingest/run.h"
#include "ingest/sources.h"

namespace vade {
namespace {

// Files of this machine, one after the other.
class DiskExchange final : public FileExchange {
 public:
  DiskExchange(const IngestOptions& options, const SourceList& sources,
               const ProgressFunction& progress)
      : options_(options),
        sources_(sources),
        meter_(progress, sources.files.size(), sources.total_bytes) {}

  // What lay below the scopes of the listing and is there no more.
  Status Plan(IngestRun* run) override {
    run->report().errors = sources_.errors;
    run->report().failed = sources_.errors.size();
    if (!options_.prune) return OkStatus();
    VanishedFiles vanished(sources_);
    for (const std::string& scope : sources_.scopes) {
      RETURN_IF_ERROR(run->ledger().Visit(scope, [&](const SourceRecord& record) {
        if (vanished.IsVanished(record)) run->pruner().FileHasGone(record);
        return OkStatus();
      }));
    }
    run->report().notes = vanished.TakeNotes();
    return OkStatus();
  }

  Result<std::optional<IncomingFile>> Next(const IngestRun& run) override {
    if (next_ == sources_.files.size()) return std::optional<IncomingFile>();
    const SourceFile& source = sources_.files[next_];
    IncomingFile file;
    file.number = next_++;
    file.shown = source.path;
    file.origin = source.origin;
    file.device = source.device;
    file.size_bytes = source.size_bytes;
    file.request.info.id = file.request.info.source = source.document_id;
    file.request.info.mime_type = source.mime_type;
    if (!source.hash.empty()) {
      file.hash = source.hash;
      RETURN_IF_ERROR(run.Recall(&file));
      if (file.unchanged) return std::optional(std::move(file));
    }
    auto bytes = ReadSource(source, options_.max_file_bytes);
    if (!bytes.ok()) {
      file.failure = bytes.status();
      return std::optional(std::move(file));
    }
    file.hash = Sha256Hex(*bytes);
    RETURN_IF_ERROR(run.Recall(&file));
    if (file.unchanged) return std::optional(std::move(file));
    file.request.bytes = *std::move(bytes);
    file.read_again = [this, &source] { return ReadSource(source, options_.max_file_bytes); };
    return std::optional(std::move(file));
  }

  void Done(const Job& job, const Result<PutResult>& result) override {
    meter_.DocumentDone(job, result);
  }
  void Stored(const Job& job, double bytes_under_way) override {
    meter_.Report(job.source, bytes_under_way);
  }
  void End() { meter_.ReportEnd(); }

 private:
  const IngestOptions& options_;
  const SourceList& sources_;
  ProgressMeter meter_;
  size_t next_ = 0;
};

// One document that is put. What needs no parser is read again each time, and not remembered.
class PutExchange final : public FileExchange {
 public:
  explicit PutExchange(PutRequest request) : id_(request.info.id), request_(std::move(request)) {}

  Status Plan(IngestRun*) override { return OkStatus(); }
  Result<std::optional<IncomingFile>> Next(const IngestRun& run) override {
    if (std::exchange(fed_, true)) return std::optional<IncomingFile>();
    IncomingFile file;
    file.size_bytes = request_.bytes.size();
    file.request = std::move(request_);
    if (!NeedsParser(file.request)) return std::optional(std::move(file));
    file.origin = kPutOrigin;
    file.hash = Sha256Hex(file.request.bytes);
    RETURN_IF_ERROR(run.Recall(&file));
    return std::optional(std::move(file));
  }
  void Done(const Job& job, const Result<PutResult>& result) override {
    const std::string& name = job.info.id.empty() ? id_ : job.info.id;
    if (result.ok()) results_.push_back(result);
    if (!result.ok()) {
      results_.push_back(result.status().WithContext(StrCat("document '", name, "'")));
    }
  }
  void Stored(const Job&, double) override {}

  // One answer for a container: that of the document that the caller named, else of the first that
  // could be stored.
  Result<PutResult> Together() const {
    if (results_.empty()) return Internal("the document was not committed");
    const PutResult* answer = nullptr;
    uint64_t passages = 0;
    for (const Result<PutResult>& one : results_) {
      if (!one.ok()) {
        if (results_.size() > 1) LogWarning(one.status().message());
        continue;
      }
      passages += one->passages;
      if (answer == nullptr || one->document_id == id_) answer = &*one;
    }
    if (answer == nullptr) return results_.front().status();
    PutResult all = *answer;
    all.passages = passages;
    return all;
  }

 private:
  const std::string id_;
  PutRequest request_;
  bool fed_ = false;
  std::vector<Result<PutResult>> results_;
};

}  // namespace

Ingestor::Ingestor(Store* store, Embedder* embedder, IngestOptions options)
    : store_(store),
      embedder_(embedder),
      options_(std::move(options)),
      jail_(std::make_unique<Jail>(JailOptions{.parser_path = options_.parser_path})),
      ocr_jail_(std::make_unique<Jail>(JailOptions{
          .parser_path = options_.parser_path, .with_ocr = true, .processes = OcrAtOnce()})) {}
Ingestor::~Ingestor() = default;

Result<IngestReport> Ingestor::IngestFrom(FileExchange* files, const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  IngestRun run({store_, embedder_, jail_.get(), ocr_jail_.get()}, options_, files, ctx);
  RETURN_IF_ERROR(run.Begin());
  RETURN_IF_ERROR(files->Plan(&run));
  RETURN_IF_ERROR(run.Feed());
  RETURN_IF_ERROR(run.Prune());
  return std::move(run.report());
}

Result<IngestReport> Ingestor::IngestPaths(const std::vector<std::string>& paths,
                                           const ProgressFunction& progress, const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  ASSIGN_OR_RETURN(const SourceList sources, ListSources(paths, options_, ctx));
  DiskExchange files(options_, sources, progress);
  ASSIGN_OR_RETURN(IngestReport report, IngestFrom(&files, ctx));
  files.End();
  return report;
}

Result<PutResult> Ingestor::Put(PutRequest request, const Context& ctx) {
  PutExchange file(std::move(request));
  RETURN_IF_ERROR(IngestFrom(&file, ctx).status());
  return file.Together();
}

}  // namespace vade
