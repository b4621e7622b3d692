#include "ingest/committer.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/trace.h"
#include "base/unicode.h"

namespace vade {
namespace {

// Passages a call of the embedder. More do not make it faster; fewer make cancellation quicker.
constexpr size_t kEmbedBatch = 32;
// Passages in wait, those with known vectors included.
constexpr size_t kMaxWaiting = 256;
// Texts held before their documents are committed; one document may be larger.
constexpr uint64_t kMaxOpenBytes = 32ull << 20;
constexpr size_t kTextSlice = 1 << 20;

// Whether an error of the store concerns one document only, so that others may still succeed.
bool IsAboutDocument(const Status& status) {
  return status.code() == StatusCode::kInvalidArgument ||
         status.code() == StatusCode::kOutOfRange || status.code() == StatusCode::kAborted;
}

Sha256Digest TextKey(const Passage& passage) {
  std::string both;
  AppendString(&both, passage.heading_path);
  AppendString(&both, passage.text);
  return Sha256(both);
}

IngestOutcome OutcomeOf(bool duplicate, bool created) {
  if (duplicate) return IngestOutcome::kDuplicate;
  return created ? IngestOutcome::kCreated : IngestOutcome::kUpdated;
}

}  // namespace

Committer::Committer(Store* store, Embedder* embedder, const IngestOptions& options, Done done)
    : store_(store),
      embedder_(embedder),
      options_(options),
      done_(std::move(done)),
      dimension_(static_cast<size_t>(embedder->dimension())) {}

Status Committer::Add(Batch batch, const Context& ctx) {
  if (batch.first) RETURN_IF_ERROR(Open(batch.job, ctx));
  OpenDocument* document = &open_.back();
  for (Passage& passage : batch.passages) {
    if (!document->failure.ok()) break;
    passage.text = batch.job->text.substr(passage.begin, passage.end - passage.begin);
    const float* known = FindVector(*document, passage);
    if (known == nullptr) ++to_embed_;
    waiting_.push_back({document, std::move(passage), known});
    if (to_embed_ >= kEmbedBatch || waiting_.size() >= kMaxWaiting) RETURN_IF_ERROR(Flush(ctx));
  }
  document->complete = batch.last;
  if (batch.last && open_bytes_ > kMaxOpenBytes) return Flush(ctx);
  return OkStatus();
}

Status Committer::Finish(const Context& ctx) { return Flush(ctx); }

double Committer::bytes_under_way() const {
  double sum = 0;
  for (const OpenDocument& document : open_) {
    const double share = static_cast<double>(document.stored_until) /
                         static_cast<double>(std::max<size_t>(document.job->text.size(), 1));
    sum += share * static_cast<double>(document.job->source_bytes);
  }
  return sum;
}

Status Committer::Open(const std::shared_ptr<Job>& job, const Context& ctx) {
  // A document with the same bytes that is still open must be in the store before it can lend its
  // vectors.
  const bool twin = std::any_of(open_.begin(), open_.end(), [&](const OpenDocument& other) {
    return other.job->info.content_hash == job->info.content_hash;
  });
  if (twin || open_.size() >= kMaxWaiting) RETURN_IF_ERROR(Flush(ctx));
  OpenDocument& document = open_.emplace_back();
  document.job = job;
  open_bytes_ += job->text.size();
  document.failure = Begin(&document);
  return IsAboutDocument(document.failure) ? OkStatus() : document.failure;
}

Status Committer::Begin(OpenDocument* document) {
  const Job& job = *document->job;
  RETURN_IF_ERROR(FindKnown(document));
  ASSIGN_OR_RETURN(document->writer, store_->BeginDocument(options_.collection, job.info));
  // The writer is bound to the vectors that the collection had then; should they be another
  // embedder's by now, or have been so in between, its commit is refused.
  ASSIGN_OR_RETURN(const CollectionInfo collection, store_->GetCollection(options_.collection));
  if (collection.embedder_id != embedder_->id()) {
    return FailedPrecondition(StrCat("the embedder of collection '", options_.collection, "' is '",
                                     collection.embedder_id, "' by now, no longer '",
                                     embedder_->id(), "'; ingest again"));
  }
  for (std::string_view rest = job.text; !rest.empty();) {
    const std::string_view slice =
        rest.substr(0, FloorToCodePoint(rest, std::min(rest.size(), kTextSlice)));
    RETURN_IF_ERROR(document->writer->AddText(slice));
    rest.remove_prefix(slice.size());
  }
  return OkStatus();
}

Status Committer::FindKnown(OpenDocument* document) {
  const Job& job = *document->job;
  auto twin = store_->FindByHash(options_.collection, job.info.content_hash);
  if (!twin.ok()) return EmbedAnew(*document, twin.status());
  const bool duplicate = *twin && (*twin)->id != job.info.id;
  if (duplicate) document->duplicate_of = (*twin)->id;
  if (duplicate) return LoadKnown(**twin, document);
  return job.previous ? LoadKnown(*job.previous, document) : OkStatus();
}

// Known vectors only save work: what is damaged or was deleted in the meantime must not end the
// run, and a new revision in place of a damaged one mends it.
Status Committer::EmbedAnew(const OpenDocument& document, const Status& why) const {
  if (why.code() == StatusCode::kNotFound) return OkStatus();
  if (why.code() != StatusCode::kDataLoss) return why;
  LogWarning(StrCat("document '", document.job->info.id, "' is embedded anew: ", why.ToString()));
  return OkStatus();
}

Status Committer::LoadKnown(const DocumentInfo& stored, OpenDocument* document) {
  const size_t limit = SplitOptionsOf(options_, *embedder_).passage_tokens;
  if (EmbeddedTitle(stored.title, limit, CounterOf(*embedder_)) != document->job->embedded_title) {
    return OkStatus();  // the title is part of what was embedded
  }
  KnownVectors known;
  const auto passages = store_->GetPassages(options_.collection, stored.id, &known.vectors);
  if (!passages.ok()) return EmbedAnew(*document, passages.status());
  if (known.vectors.size() != passages->size() * dimension_) {
    return EmbedAnew(*document, DataLoss(StrCat("document '", stored.id, "' has ", passages->size(),
                                                " passages and ", known.vectors.size(),
                                                " numbers in their vectors; run `vade verify`")));
  }
  for (size_t i = 0; i < passages->size(); ++i) {
    known.by_text.emplace(TextKey((*passages)[i]),
                          KnownPassage{.row = i, .first = (*passages)[i].ordinal == 0});
  }
  document->known = std::move(known);
  return OkStatus();
}

const float* Committer::FindVector(const OpenDocument& document, const Passage& passage) const {
  const KnownVectors& known = document.known;
  if (known.by_text.empty()) return nullptr;
  const auto at = known.by_text.find(TextKey(passage));
  if (at == known.by_text.end()) return nullptr;
  // The first passage is embedded without the title, which stands in for missing headings.
  if (passage.heading_path.empty() && at->second.first != (passage.ordinal == 0)) return nullptr;
  return known.vectors.data() + at->second.row * dimension_;
}

Status Committer::Flush(const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  if (!waiting_.empty()) {
    ASSIGN_OR_RETURN(const std::vector<float> vectors, VectorsOfWaiting(ctx));
    RETURN_IF_ERROR(StoreWaiting(vectors));
  }
  return CommitComplete(ctx);
}

// [waiting_, dimension], in the order of waiting_.
Result<std::vector<float>> Committer::VectorsOfWaiting(const Context& ctx) {
  TraceSpan span(ctx, "embed");
  std::vector<std::string> texts;
  texts.reserve(to_embed_);
  for (const Waiting& one : waiting_) {
    if (one.known != nullptr) continue;
    texts.push_back(EmbeddingText(one.document->job->embedded_title, one.passage));
  }
  std::vector<float> fresh;
  if (!texts.empty()) {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    ASSIGN_OR_RETURN(fresh, embedder_->Embed(views, EmbedRole::kPassage, ctx));
    if (fresh.size() != views.size() * dimension_)
      return Internal("the embedder returned too few numbers");
  }
  std::vector<float> all;
  all.reserve(waiting_.size() * dimension_);
  const float* next = fresh.data();
  for (const Waiting& one : waiting_) {
    const float* vector = one.known;
    if (vector == nullptr) {
      vector = next;
      next += dimension_;
    }
    all.insert(all.end(), vector, vector + dimension_);
  }
  AddCount(ctx, "embedded", static_cast<int64_t>(texts.size()));
  return all;
}

Status Committer::StoreWaiting(const std::vector<float>& vectors) {
  for (size_t begin = 0, end = 0; begin < waiting_.size(); begin = end) {
    OpenDocument* document = waiting_[begin].document;
    std::vector<Passage> passages;
    for (end = begin; end < waiting_.size() && waiting_[end].document == document; ++end) {
      passages.push_back(std::move(waiting_[end].passage));
    }
    if (!document->failure.ok()) continue;
    const std::span<const float> rows(vectors.data() + begin * dimension_,
                                      (end - begin) * dimension_);
    document->failure = document->writer->AddPassages(passages, rows);
    if (!document->failure.ok() && !IsAboutDocument(document->failure)) return document->failure;
    document->passages += passages.size();
    document->stored_until = passages.back().end;
  }
  waiting_.clear();
  to_embed_ = 0;
  return OkStatus();
}

Status Committer::CommitComplete(const Context& ctx) {
  TraceSpan span(ctx, "commit");
  std::vector<DocumentWriter*> writers;
  for (const OpenDocument& document : open_) {
    if (!document.complete) break;
    if (document.failure.ok()) writers.push_back(document.writer.get());
  }
  auto commits = store_->CommitTogether(writers, ctx);
  auto commit = commits.begin();
  while (!open_.empty() && open_.front().complete) {
    OpenDocument& document = open_.front();
    Result<PutResult> result(document.failure.ok() ? Internal("not committed") : document.failure);
    if (document.failure.ok()) {
      if (!commit->ok() && !IsAboutDocument(commit->status())) return commit->status();
      result = ResultOf(document, *commit++);
    }
    done_(*document.job, result);
    open_bytes_ -= document.job->text.size();
    open_.pop_front();
  }
  return OkStatus();
}

Result<PutResult> Committer::ResultOf(const OpenDocument& document,
                                      const Result<CommitResult>& commit) {
  if (!commit.ok()) return commit.status();
  return PutResult{.outcome = OutcomeOf(!document.duplicate_of.empty(), commit->created),
                   .document_id = document.job->info.id,
                   .duplicate_of = document.duplicate_of,
                   .revision = commit->revision,
                   .passages = document.passages,
                   .commit = commit->commit};
}

}  // namespace vade
