// The whole path: list -> read -> parse -> compare -> split | embed -> commit. The bar is a queue
// between two threads: one reads ahead while the other keeps the embedder busy.
#include "ingest/ingest.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/threads.h"
#include "ingest/byte_budget.h"
#include "ingest/committer.h"
#include "ingest/document.h"
#include "ingest/jail.h"
#include "ingest/job.h"
#include "ingest/progress.h"
#include "ingest/sources.h"
#include "ingest/splitter.h"

namespace vade {
namespace {

constexpr size_t kBatchPassages = 32;
constexpr size_t kQueuedBatches = 64;
constexpr uint64_t kQueuedBytes = 64ull << 20;  // of documents that wait between the threads

Status EnsureCollection(Store* store, const Embedder& embedder, const std::string& name) {
  ASSIGN_OR_RETURN(
      const CollectionInfo found,
      FindOrCreateCollection(
          store, {.name = name, .embedder_id = embedder.id(), .dimension = embedder.dimension()}));
  if (found.embedder_id == embedder.id() && found.dimension == embedder.dimension())
    return OkStatus();
  return FailedPrecondition(
      StrCat("collection '", name, "' was made with embedder '", found.embedder_id, "' (",
             found.dimension, " dimensions), and this is '", embedder.id(), "' (",
             embedder.dimension(), "); use that embedder or another collection"));
}

// PageAt() for places that ascend, without counting again from the start.
class PageCounter {
 public:
  PageCounter(std::string_view text, uint32_t first_page) : text_(text), page_(first_page) {}
  uint32_t PageAt(size_t at) {
    page_ = vade::PageAt(text_.substr(counted_), page_, at - counted_);
    counted_ = at;
    return page_;
  }

 private:
  const std::string_view text_;
  uint32_t page_;
  size_t counted_ = 0;
};

// Splits a job and hands it on in batches. Stops when `sink` says no.
template <typename Sink>
Status SplitInto(const std::shared_ptr<Job>& job, const IngestOptions& options,
                 const Embedder& embedder, Sink sink) {
  Splitter splitter(job->text, job->info.mime_type, job->info.title,
                    SplitOptionsOf(options, embedder), CounterOf(embedder));
  job->embedded_title = splitter.embedded_title();
  PageCounter pages(job->text, job->first_page);
  Passage next;
  bool more = splitter.Next(&next);
  for (bool first = true;; first = false) {
    Batch batch;
    batch.job = job;
    batch.first = first;
    while (more && batch.passages.size() < kBatchPassages) {
      const std::string_view words =
          std::string_view(job->text).substr(next.begin, next.end - next.begin);
      next.language = LanguageName(DetectLanguage(words, job->language));
      next.page = pages.PageAt(next.begin);
      batch.passages.push_back(std::move(next));
      more = splitter.Next(&next);
    }
    batch.last = !more;
    Status status = sink(std::move(batch));
    if (!status.ok() || !more) return status;
  }
}

// The reading thread: from files to batches in a bounded queue.
class Reader {
 public:
  Reader(Store* store, const Embedder& embedder, Jail* jail, const IngestOptions& options,
         const SourceList& sources, const Context& ctx)
      : store_(store),
        embedder_(embedder),
        jail_(jail),
        options_(options),
        sources_(sources),
        ctx_(ctx),
        queue_(kQueuedBatches),
        budget_(kQueuedBytes),
        thread_([this] { Run(); }) {}

  ~Reader() {
    queue_.Close();
    budget_.Close();
    thread_.join();
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Nothing at the end, or when the context says that the work is not wanted.
  std::optional<Batch> Next() {
    std::optional<Batch> batch = queue_.Pop();
    if (batch && batch->first) budget_.Return(batch->job->text.size());
    return batch;
  }

 private:
  void Run() {
    for (const SourceFile& file : sources_.files) {
      if (!ctx_.Check().ok() || !ReadOne(file).ok()) break;
    }
    queue_.Close();
  }

  // An error: nobody listens any more.
  Status ReadOne(const SourceFile& file) {
    auto prepared = Prepare(file);
    if (!prepared.ok()) {
      PreparedJob failed{std::make_shared<Job>(), prepared.status()};
      failed.job->source_bytes = file.size_bytes;
      return HandOn(file, failed);
    }
    for (PreparedJob& one : *prepared) RETURN_IF_ERROR(HandOn(file, one));
    return OkStatus();
  }

  Status HandOn(const SourceFile& file, const PreparedJob& prepared) {
    const std::shared_ptr<Job>& job = prepared.job;
    // As the user named it, and the place in a container behind that.
    const std::string_view inner =
        std::string_view(job->source).substr(std::min(job->source.size(), file.document_id.size()));
    job->source = StrCat(file.path, inner);
    if (prepared.status.ok() && !job->unchanged) {
      return SplitInto(job, options_, embedder_,
                       [this](Batch batch) { return Push(std::move(batch)); });
    }
    job->text.clear();
    Batch batch;
    batch.job = job;
    batch.first = batch.last = true;
    batch.failure = prepared.status;
    return Push(std::move(batch));
  }

  Result<std::vector<PreparedJob>> Prepare(const SourceFile& file) {
    if (file.size_bytes > options_.max_file_bytes) {
      return InvalidArgument(StrCat("has ", file.size_bytes, " bytes, and ",
                                    options_.max_file_bytes, " is the limit; split it"));
    }
    PutRequest request;
    request.info.id = file.document_id;
    request.info.source = file.document_id;
    auto bytes = ReadFile(file.path, options_.max_file_bytes);
    // A file that cannot be read is that file's failure, whatever the code.
    if (!bytes.ok()) return InvalidArgument(bytes.status().message());
    request.bytes = std::move(bytes).value();
    return PrepareJobs(store_, jail_, options_, std::move(request), ctx_);
  }

  Status Push(Batch batch) {
    RETURN_IF_ERROR(ctx_.Check());
    if (batch.first && !budget_.Take(batch.job->text.size())) return Cancelled("closed");
    return queue_.Push(std::move(batch)) ? OkStatus() : Cancelled("closed");
  }

  Store* store_;
  const Embedder& embedder_;
  Jail* jail_;
  const IngestOptions& options_;
  const SourceList& sources_;
  const Context& ctx_;
  BoundedQueue<Batch> queue_;
  ByteBudget budget_;
  std::thread thread_;  // last: it uses all of the above
};

void Count(const PutResult& result, IngestReport* report) {
  switch (result.outcome) {
    case IngestOutcome::kCreated: ++report->created; break;
    case IngestOutcome::kUpdated: ++report->updated; break;
    case IngestOutcome::kDuplicate: ++report->duplicate; break;
    case IngestOutcome::kUnchanged: ++report->unchanged; break;
    case IngestOutcome::kFailed: ++report->failed; break;
  }
  if (result.outcome != IngestOutcome::kUnchanged) report->passages += result.passages;
}

// What a reader of the report should know of a document that was stored.
void NoteGaps(const Job& job, std::vector<IngestError>* notes) {
  const auto gaps = job.info.metadata.find("pages_without_text");
  if (gaps == job.info.metadata.end()) return;
  const auto* pages = std::get_if<std::string>(&gaps->second);
  if (pages == nullptr) return;
  notes->push_back({job.source, StrCat("has no text layer on page(s) ", *pages,
                                       ", which were left out; run OCR over it first")});
}

PutResult Unchanged(const DocumentInfo& current) {
  return {.outcome = IngestOutcome::kUnchanged,
          .document_id = current.id,
          .duplicate_of = "",
          .revision = current.revision,
          .passages = current.passage_count,
          .commit = current.commit};
}

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
  RETURN_IF_ERROR(EnsureCollection(store_, *embedder_, options_.collection));

  IngestReport report;
  report.errors = sources.errors;
  report.failed = sources.errors.size();
  ProgressMeter meter(progress, sources.files.size(), sources.total_bytes);
  const auto fail = [&](const Job& job, const Status& status) {
    ++report.failed;
    report.errors.push_back({job.source, status.message()});
    meter.DocumentDone(job, 0);
  };
  Committer committer(store_, embedder_, options_,
                      [&](const Job& job, const Result<PutResult>& result) {
                        if (!result.ok()) return fail(job, result.status());
                        Count(*result, &report);
                        NoteGaps(job, &report.notes);
                        meter.DocumentDone(job, result->passages);
                      });

  Reader reader(store_, *embedder_, jail_.get(), options_, sources, ctx);
  while (std::optional<Batch> batch = reader.Next()) {
    const std::shared_ptr<Job> job = batch->job;
    if (!batch->failure.ok()) {
      if (batch->failure.code() != StatusCode::kInvalidArgument)
        return batch->failure;  // the store's
      fail(*job, batch->failure);
    } else if (job->unchanged) {
      ++report.unchanged;
      meter.DocumentDone(*job, 0);
    } else {
      RETURN_IF_ERROR(committer.Add(std::move(*batch), ctx));
    }
    meter.Report(job->source, committer.bytes_under_way());
  }
  RETURN_IF_ERROR(ctx.Check());
  RETURN_IF_ERROR(committer.Finish(ctx));
  meter.ReportEnd();
  return report;
}

Result<PutResult> Ingestor::Put(PutRequest request, const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  RETURN_IF_ERROR(EnsureCollection(store_, *embedder_, options_.collection));
  const std::string id = request.info.id;
  auto prepared = PrepareJobs(store_, jail_.get(), options_, std::move(request), ctx);
  if (!prepared.ok()) return prepared.status().WithContext(StrCat("document '", id, "'"));

  std::vector<Result<PutResult>> results;
  Committer committer(store_, embedder_, options_,
                      [&](const Job&, const Result<PutResult>& one) { results.push_back(one); });
  for (PreparedJob& one : *prepared) {
    if (!one.status.ok()) {
      results.push_back(one.status.WithContext(StrCat("document '", one.job->source, "'")));
    } else if (one.job->unchanged) {
      results.push_back(Unchanged(*one.job->previous));
    } else {
      RETURN_IF_ERROR(SplitInto(one.job, options_, *embedder_,
                                [&](Batch batch) { return committer.Add(std::move(batch), ctx); }));
    }
  }
  RETURN_IF_ERROR(committer.Finish(ctx));
  return Together(results, id);
}

}  // namespace vade
