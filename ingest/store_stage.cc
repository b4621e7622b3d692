#include "ingest/store_stage.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "base/trace.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr size_t kTextSlice = 1 << 20;

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
      ledger_(store, options.collection),
      near_(store, options.collection) {}

Status StoreStage::Take(EmbeddedBatch embedded, const Context& ctx) {
  const std::shared_ptr<Job> job = embedded.batch.job;
  if (!embedded.batch.failure.ok()) return Conclude(*job, embedded.batch.failure);
  if (job->unchanged) return Conclude(*job, Unchanged(*job->previous));
  if (embedded.batch.first) RETURN_IF_ERROR(Begin(&embedded));
  RETURN_IF_ERROR(AddPassages(embedded));
  return embedded.batch.last ? Commit(ctx) : OkStatus();
}

double StoreStage::bytes_under_way() const {
  if (!open_.job) return 0;
  const double share = static_cast<double>(open_.stored_until) /
                       static_cast<double>(std::max<size_t>(open_.job->text.size(), 1));
  return share * static_cast<double>(open_.job->source_bytes);
}

Status StoreStage::Begin(EmbeddedBatch* first) {
  open_ = {};
  open_.job = first->batch.job;
  open_.duplicate_of = std::move(first->duplicate_of);
  RETURN_IF_ERROR(Announce(open_.job->file.get()));
  const DocumentInfo& info = open_.job->info;
  RETURN_IF_ERROR(near_.Keep(info.id, info.content_hash, open_.job->sketch));
  open_.failure = StageText();
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

Status StoreStage::AddPassages(const EmbeddedBatch& embedded) {
  const std::vector<Passage>& passages = embedded.batch.passages;
  if (!open_.failure.ok() || passages.empty()) return OkStatus();
  open_.failure = open_.writer->AddPassages(passages, embedded.vectors);
  open_.passages += passages.size();
  open_.stored_until = passages.back().end;
  return UnlessAboutDocument(open_.failure);
}

Status StoreStage::Commit(const Context& ctx) {
  const OpenDocument document = std::exchange(open_, {});
  Result<PutResult> result(Internal("not committed"));
  if (!document.failure.ok()) {
    result = document.failure;
  } else {
    TraceSpan span(ctx, "commit");
    const auto commit = document.writer->Commit(ctx);
    if (!commit.ok()) {
      RETURN_IF_ERROR(UnlessAboutDocument(commit.status()));
      result = commit.status();
    } else {
      result = PutResult{.outcome = OutcomeOf(!document.duplicate_of.empty(), commit->created),
                         .document_id = document.job->info.id,
                         .duplicate_of = document.duplicate_of,
                         .revision = commit->revision,
                         .passages = document.passages,
                         .commit = commit->commit,
                         .note = ""};
    }
  }
  if (!result.ok()) document.job->file->whole = false;
  return Conclude(*document.job, result);
}

// Before the first of a file's documents is committed, its record names them all, without a hash:
// a run that dies in between is gone over again, and nothing that it stored is lost sight of.
Status StoreStage::Announce(FileTrail* file) {
  if (file->record.origin.empty() || std::exchange(file->announced, true)) return OkStatus();
  SourceRecord record = file->record;
  record.hash.clear();
  if (file->before) {
    for (const MadeDocument& made : file->before->documents) {
      if (made.digest != 0) record.documents.push_back(made);
    }
  }
  return ledger_.Put(record);
}

Status StoreStage::Conclude(const Job& job, const Result<PutResult>& result) {
  done_(job, result);
  FileTrail& file = *job.file;
  const bool remember = job.ends_file && !file.record.origin.empty() && file.whole;
  if (!remember || (file.before == file.record && !file.announced)) return OkStatus();
  return ledger_.Put(file.record);
}

}  // namespace vade
