#include "ingest/store_stage.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "base/trace.h"
#include "base/unicode.h"
#include "ingest/ledger.h"

namespace vade {
namespace {

constexpr size_t kTextSlice = 1 << 20;
// What is committed together: bounds on memory (a staged document keeps its vectors) and on how
// long a document that is ready may be without being found.
constexpr size_t kDocumentsTogether = 64, kPassagesTogether = 1024;
constexpr std::chrono::milliseconds kLongestWait(200);

// Whether an error of the store concerns one document only, so that others may still succeed.
bool IsAboutDocument(const Status& status) {
  return status.code() == StatusCode::kInvalidArgument ||
         status.code() == StatusCode::kOutOfRange || status.code() == StatusCode::kAborted;
}

Status UnlessAboutDocument(const Status& status) {
  return IsAboutDocument(status) ? OkStatus() : status;
}

IngestOutcome OutcomeOf(bool duplicate, bool created) {
  if (duplicate) return IngestOutcome::kDuplicate;
  return created ? IngestOutcome::kCreated : IngestOutcome::kUpdated;
}

PutResult Unchanged(const DocumentInfo& current) {
  return {.outcome = IngestOutcome::kUnchanged,
          .document_id = current.id,
          .duplicate_of = "",
          .revision = current.revision,
          .passages = current.passage_count,
          .commit = current.commit,
          .note = ""};
}

}  // namespace

StoreStage::StoreStage(Store* store, const IngestOptions& options, std::string embedder_id,
                       Done done)
    : store_(store),
      options_(options),
      embedder_id_(std::move(embedder_id)),
      done_(std::move(done)),
      near_(store, options.collection),
      tables_(store, options.collection) {}

Status StoreStage::Take(EmbeddedBatch embedded, const Context& ctx) {
  const std::shared_ptr<Job> job = embedded.batch.job;
  if (!embedded.batch.failure.ok()) return Settle(job, embedded.batch.failure, ctx);
  if (job->unchanged) return Settle(job, Unchanged(*job->previous), ctx);
  if (embedded.batch.first) RETURN_IF_ERROR(Begin(&embedded, ctx));
  RETURN_IF_ERROR(AddPassages(embedded));
  if (embedded.batch.last) return End(ctx);
  return HasWaitedLong() ? Flush(ctx) : OkStatus();
}

double StoreStage::bytes_under_way() const {
  if (!open_.job) return 0;
  const double share = static_cast<double>(open_.stored_until) /
                       static_cast<double>(std::max<size_t>(open_.job->text.size(), 1));
  return share * static_cast<double>(open_.job->source_bytes);
}

Status StoreStage::Begin(EmbeddedBatch* first, const Context& ctx) {
  const DocumentInfo& info = first->batch.job->info;
  // Two revisions of one document follow each other: what the second removes of the first one's
  // notes is read from the store.
  const bool again = std::any_of(waiting_.begin(), waiting_.end(), [&](const OpenDocument& one) {
    return one.job->info.id == info.id;
  });
  if (again) RETURN_IF_ERROR(Flush(ctx));
  open_ = {};
  open_.job = first->batch.job;
  open_.duplicate_of = std::move(first->duplicate_of);
  Announce(open_.job->file.get());
  open_.failure = StageText();
  if (open_.failure.ok()) open_.failure = StageNotes();
  return UnlessAboutDocument(open_.failure);
}

// The writer is bound to the vectors that the collection had when it began; should they be another
// embedder's by now, or have been so in between, its commit is refused.
Status StoreStage::CheckEmbedder() const {
  ASSIGN_OR_RETURN(const CollectionInfo collection, store_->GetCollection(options_.collection));
  if (collection.embedder_id == embedder_id_) return OkStatus();
  return FailedPrecondition(StrCat("the embedder of collection '", options_.collection, "' is '",
                                   collection.embedder_id, "' by now, no longer '", embedder_id_,
                                   "'; ingest again"));
}

Status StoreStage::StageText() {
  ASSIGN_OR_RETURN(open_.writer, store_->BeginDocument(options_.collection, open_.job->info));
  RETURN_IF_ERROR(CheckEmbedder());
  for (std::string_view rest = open_.job->text; !rest.empty();) {
    const std::string_view slice =
        rest.substr(0, FloorToCodePoint(rest, std::min(rest.size(), kTextSlice)));
    RETURN_IF_ERROR(open_.writer->AddText(slice));
    rest.remove_prefix(slice.size());
  }
  return OkStatus();
}

// They become current with the revision that they are of: a commit that fails leaves those of the
// one before.
Status StoreStage::StageNotes() {
  Job& job = *open_.job;
  std::vector<StoreNote> notes;
  RETURN_IF_ERROR(near_.AddNotes(job.info.id, job.info.content_hash, job.sketch, &notes));
  RETURN_IF_ERROR(tables_.AddNote(job.info.id, std::move(job.tables), &notes));
  for (StoreNote& note : notes) RETURN_IF_ERROR(open_.writer->PutNote(std::move(note)));
  return OkStatus();
}

Status StoreStage::AddPassages(const EmbeddedBatch& embedded) {
  const std::vector<Passage>& passages = embedded.batch.passages;
  if (!open_.failure.ok() || passages.empty()) return OkStatus();
  open_.failure = open_.writer->AddPassages(passages, embedded.vectors);
  open_.passages += passages.size();
  open_.stored_until = passages.back().end;
  return UnlessAboutDocument(open_.failure);
}

// All of the document is staged.
Status StoreStage::End(const Context& ctx) {
  OpenDocument document = std::exchange(open_, {});
  std::string().swap(document.job->text);
  if (!document.failure.ok()) {
    document.job->file->whole = false;
    document.result = document.failure;
    document.writer.reset();
  }
  return Wait(std::move(document), ctx);
}

Status StoreStage::Settle(const std::shared_ptr<Job>& job, Result<PutResult> result,
                          const Context& ctx) {
  OpenDocument document;
  document.job = job;
  document.result = std::move(result);
  return Wait(std::move(document), ctx);
}

// `done` hears of documents in order, so that what needs no commit waits behind what does.
Status StoreStage::Wait(OpenDocument document, const Context& ctx) {
  if (waiting_.empty()) oldest_ = SteadyClock::now();
  const bool nothing_to_commit = waiting_.empty() && document.result;
  waiting_passages_ += document.passages;
  waiting_.push_back(std::move(document));
  const bool enough = waiting_.size() >= kDocumentsTogether ||
                      waiting_passages_ >= kPassagesTogether || HasWaitedLong();
  return enough || nothing_to_commit ? Flush(ctx) : OkStatus();
}

bool StoreStage::HasWaitedLong() const {
  return waiting() && SteadyClock::now() - oldest_ >= kLongestWait;
}

Status StoreStage::Flush(const Context& ctx) {
  std::vector<OpenDocument> documents = std::exchange(waiting_, {});
  waiting_passages_ = 0;
  const Status committed = Commit(&documents, ctx);
  for (const OpenDocument& one : documents) {
    if (one.result) Conclude(*one.job, *one.result);
  }
  RETURN_IF_ERROR(committed);
  return PutNotes();
}

// Fills in the results. An error is about more than a document; those that it concerns have no
// result.
Status StoreStage::Commit(std::vector<OpenDocument>* documents, const Context& ctx) {
  std::vector<OpenDocument*> staged;
  std::vector<DocumentWriter*> writers;
  for (OpenDocument& one : *documents) {
    if (one.result) continue;
    staged.push_back(&one);
    writers.push_back(one.writer.get());
  }
  if (staged.empty()) return OkStatus();
  RETURN_IF_ERROR(PutNotes());
  TraceSpan span(ctx, "commit");
  const auto outcomes = store_->CommitTogether(writers, ctx);
  Status first;
  for (size_t i = 0; i < staged.size(); ++i) {
    OpenDocument& one = *staged[i];
    const auto& commit = outcomes[i];
    if (commit.ok()) {
      one.result = PutResult{.outcome = OutcomeOf(!one.duplicate_of.empty(), commit->created),
                             .document_id = one.job->info.id,
                             .duplicate_of = one.duplicate_of,
                             .revision = commit->revision,
                             .passages = one.passages,
                             .commit = commit->commit,
                             .note = ""};
      continue;
    }
    one.job->file->whole = false;
    if (IsAboutDocument(commit.status())) {
      one.result = commit.status();
    } else if (first.ok()) {
      first = commit.status();
    }
  }
  return first;
}

// Before the first of a file's documents is committed, its record names them all, without a hash:
// a run that dies in between is gone over again, and nothing that it stored is lost sight of.
void StoreStage::Announce(FileTrail* file) {
  if (file->record.origin.empty() || std::exchange(file->announced, true)) return;
  SourceRecord record = file->record;
  record.hash.clear();
  if (file->before) {
    for (const MadeDocument& made : file->before->documents) {
      if (made.digest != 0) record.documents.push_back(made);
    }
  }
  notes_.push_back(NoteOf(record));
}

Status StoreStage::PutNotes() {
  if (notes_.empty()) return OkStatus();
  const std::vector<StoreNote> notes = std::exchange(notes_, {});
  return store_->PutNotes(options_.collection, notes);
}

void StoreStage::Conclude(const Job& job, const Result<PutResult>& result) {
  done_(job, result);
  FileTrail& file = *job.file;
  const bool remember = job.ends_file && !file.record.origin.empty() && file.whole;
  if (!remember || (file.before == file.record && !file.announced)) return;
  notes_.push_back(NoteOf(file.record));
}

}  // namespace vade
