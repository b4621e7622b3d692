#include "ingest/run.h"

#include <utility>

#include "base/strings.h"
#include "ingest/file_exchange.h"
#include "ingest/formats/ocr_data.h"
#include "ingest/near_documents.h"
#include "ingest/progress.h"

namespace vade {
namespace {

std::string GapsOf(const Job& job) {
  const auto gaps = job.info.metadata.find("pages_without_text");
  if (gaps == job.info.metadata.end()) return "";
  const auto* pages = std::get_if<std::string>(&gaps->second);
  if (pages == nullptr) return "";
  return StrCat("has no text layer on page(s) ", *pages,
                OcrAtStart().languages.empty()
                    ? ", which were left out; install tesseract-ocr, or run OCR over it first"
                    : ", which were left out: Tesseract sees no text either");
}

// As it would be now. Which of the two it was does not matter: a file without such pages would have
// none again.
bool WasReadSo(const SourceRecord& record, const DocumentInfo& given,
               const IngestOptions& options) {
  return record.setup == SetupOf(options.groups, given, OcrPart::kNone) ||
         record.setup == SetupOf(options.groups, given, OcrPart::kPages);
}

// A password may open now what was refused without it.
bool WorthAnotherTry(const SourceRecord& record, const IngestOptions& options) {
  if (options.password.empty()) return false;
  for (const MadeDocument& made : record.documents) {
    if (!made.failure.empty()) return true;
  }
  return false;
}

}  // namespace

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

IngestRun::IngestRun(const PipelineParts& parts, const IngestOptions& options, FileExchange* files,
                     const Context& ctx)
    : parts_(parts),
      options_(options),
      files_(files),
      ctx_(ctx),
      ledger_(parts.store, options.collection),
      pruner_(parts.store, options.collection) {}

Status IngestRun::Begin() {
  return EnsureCollection(parts_.store, *parts_.embedder, options_.collection);
}

Status IngestRun::Recall(IncomingFile* file) const {
  if (file->origin.empty()) return OkStatus();
  ASSIGN_OR_RETURN(file->before, ledger_.Find(file->origin, file->request.info.id));
  if (!file->before || file->before->hash.empty() || file->before->hash != file->hash ||
      !WasReadSo(*file->before, file->request.info, options_) ||
      WorthAnotherTry(*file->before, options_)) {
    return OkStatus();
  }
  ASSIGN_OR_RETURN(file->unchanged, ledger_.StillHolds(*file->before, &file->documents));
  return OkStatus();
}

Status IngestRun::Feed() {
  Pipeline* running = nullptr;
  PipelineHooks hooks;
  hooks.done = [&](const Job& job, const Result<PutResult>& result) { Conclude(job, result); };
  hooks.stored = [&](const Job& job) { files_->Stored(job, running->bytes_under_way()); };
  hooks.put_off = [&](const IncomingFile& file) { files_->PutOff(file); };
  hooks.failed = [&] { files_->Failed(); };
  Pipeline pipeline(parts_, options_, std::move(hooks), ctx_);
  running = &pipeline;
  return pipeline.Run([&] { return files_->Next(*this); });
}

void IngestRun::Conclude(const Job& job, const Result<PutResult>& result) {
  Result<PutResult> counted = result;
  if (!result.ok()) {
    report_.errors.push_back({job.source, result.status().message()});
  } else {
    const bool renamed =
        result->outcome == IngestOutcome::kDuplicate && pruner_.Goes(result->duplicate_of);
    if (renamed) counted->outcome = IngestOutcome::kRenamed;
    counted->note = NoteOn(job, *counted);
    if (!counted->note.empty()) report_.notes.push_back({job.source, counted->note});
  }
  CountOutcome(counted, &report_);
  const FileTrail& file = *job.file;
  if (job.ends_file && file.whole && !file.record.origin.empty()) pruner_.FileIsThere(file.record);
  files_->Done(job, counted);
}

std::string IngestRun::NoteOn(const Job& job, const PutResult& result) const {
  if (job.unchanged) return "";
  std::string note = GapsOf(job);
  const bool own =
      result.outcome == IngestOutcome::kCreated || result.outcome == IngestOutcome::kUpdated;
  if (!own) return note;
  const auto near = NearDocuments(parts_.store, options_.collection).Nearest(result.document_id);
  // It only informs: the store's failures show in what matters.
  if (!near.ok() || !*near || pruner_.Goes((*near)->id)) return note;
  if (!note.empty()) note += "; ";
  return note + StrCat("is nearly the same as '", (*near)->id, "' (",
                       static_cast<int>(100 * (*near)->likeness), "%)");
}

Status IngestRun::Prune() {
  if (!options_.prune) return OkStatus();
  ASSIGN_OR_RETURN(report_.deleted, pruner_.Run(ctx_));
  return OkStatus();
}

}  // namespace vade
