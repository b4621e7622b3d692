#include "ingest/embed_stage.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/strings.h"
#include "base/trace.h"

namespace vade {
namespace {

// Passages a call of the embedder. More do not make it faster; fewer make cancellation quicker.
constexpr size_t kEmbedBatch = 32;
// Passages in wait, those with known vectors included, and batches without any.
constexpr size_t kMaxWaiting = 256;
// Content hashes that are remembered before the store is asked to settle.
constexpr size_t kMaxUnderWay = 4096;

Sha256Digest TextKey(const Passage& passage) {
  std::string both;
  AppendString(&both, passage.heading_path);
  AppendString(&both, passage.text);
  return Sha256(both);
}

}  // namespace

EmbedStage::EmbedStage(Store* store, Embedder* embedder, const IngestOptions& options, Sink sink)
    : store_(store),
      embedder_(embedder),
      options_(options),
      sink_(std::move(sink)),
      near_(store, options.collection),
      dimension_(static_cast<size_t>(embedder->dimension())) {}

Status EmbedStage::Add(Batch batch, const Context& ctx) {
  const Job& job = *batch.job;
  const bool stored = batch.failure.ok() && !job.unchanged;
  if (batch.first && stored) RETURN_IF_ERROR(Open(job, ctx));
  Waiting one{stored ? current_ : nullptr, std::move(batch), {}};
  for (Passage& passage : one.batch.passages) {
    passage.text = job.text.substr(passage.begin, passage.end - passage.begin);
    const float* known = FindVector(current_->known, passage);
    if (known == nullptr) ++to_embed_;
    one.known.push_back(known);
  }
  in_wait_ += one.known.size();
  waiting_.push_back(std::move(one));
  const bool enough =
      to_embed_ >= kEmbedBatch || in_wait_ >= kMaxWaiting || waiting_.size() >= kMaxWaiting;
  return enough || to_embed_ == 0 ? Flush(ctx) : OkStatus();
}

Status EmbedStage::Open(const Job& job, const Context& ctx) {
  // A document with the same bytes must be in the store before it can lend its vectors.
  if (under_way_.count(job.info.content_hash) > 0 || under_way_.size() >= kMaxUnderWay) {
    RETURN_IF_ERROR(Flush(ctx));
    RETURN_IF_ERROR(sink_.settle());
    under_way_.clear();
  }
  under_way_.insert(job.info.content_hash);
  current_ = std::make_shared<OpenDocument>();
  return FindKnown(job);
}

Status EmbedStage::FindKnown(const Job& job) {
  auto twin = store_->FindByHash(options_.collection, job.info.content_hash);
  if (!twin.ok()) return EmbedAnew(job, twin.status());
  const bool duplicate = *twin && (*twin)->id != job.info.id;
  if (duplicate) current_->duplicate_of = (*twin)->id;
  if (duplicate) return LoadKnown(**twin, job);
  if (job.previous) return LoadKnown(*job.previous, job);
  // A file that was renamed and edited, or a new version beside the old one: most passages are in
  // the document that is nearest.
  if (!job.sketch) return OkStatus();
  const auto near = near_.NearestTo(*job.sketch, job.info.content_hash, job.info.id);
  if (!near.ok()) return EmbedAnew(job, near.status());
  if (!*near) return OkStatus();
  const auto info = store_->FindDocument(options_.collection, (*near)->id);
  if (!info.ok()) return EmbedAnew(job, info.status());
  return *info ? LoadKnown(**info, job) : OkStatus();
}

// Known vectors only save work: what is damaged or was deleted in the meantime must not end the
// run, and a new revision in place of a damaged one mends it.
Status EmbedStage::EmbedAnew(const Job& job, const Status& why) {
  if (why.code() == StatusCode::kNotFound) return OkStatus();
  if (why.code() != StatusCode::kDataLoss) return why;
  LogWarning(StrCat("document '", job.info.id, "' is embedded anew: ", why.ToString()));
  return OkStatus();
}

Status EmbedStage::LoadKnown(const DocumentInfo& stored, const Job& job) {
  const size_t limit = SplitOptionsOf(options_, *embedder_).passage_tokens;
  if (EmbeddedTitle(stored.title, limit, CounterOf(*embedder_)) != job.embedded_title) {
    return OkStatus();  // the title is part of what was embedded
  }
  KnownVectors known;
  const auto passages = store_->GetPassages(options_.collection, stored.id, &known.vectors);
  if (!passages.ok()) return EmbedAnew(job, passages.status());
  if (known.vectors.size() != passages->size() * dimension_) {
    return EmbedAnew(job, DataLoss(StrCat("document '", stored.id, "' has ", passages->size(),
                                          " passages and ", known.vectors.size(),
                                          " numbers in their vectors; run `vade verify`")));
  }
  for (size_t i = 0; i < passages->size(); ++i) {
    known.by_text.emplace(TextKey((*passages)[i]),
                          KnownPassage{.row = i, .first = (*passages)[i].ordinal == 0});
  }
  current_->known = std::move(known);
  return OkStatus();
}

const float* EmbedStage::FindVector(const KnownVectors& known, const Passage& passage) const {
  if (known.by_text.empty()) return nullptr;
  const auto at = known.by_text.find(TextKey(passage));
  if (at == known.by_text.end()) return nullptr;
  // The first passage is embedded without the title, which stands in for missing headings.
  if (passage.heading_path.empty() && at->second.first != (passage.ordinal == 0)) return nullptr;
  return known.vectors.data() + at->second.row * dimension_;
}

// [to_embed_, dimension], in the order of waiting_.
Result<std::vector<float>> EmbedStage::EmbedWaiting(const Context& ctx) {
  TraceSpan span(ctx, "embed");
  std::vector<std::string> texts;
  texts.reserve(to_embed_);
  for (const Waiting& one : waiting_) {
    for (size_t i = 0; i < one.known.size(); ++i) {
      if (one.known[i] != nullptr) continue;
      texts.push_back(EmbeddingText(one.batch.job->embedded_title, one.batch.passages[i]));
    }
  }
  if (texts.empty()) return std::vector<float>();
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  ASSIGN_OR_RETURN(std::vector<float> fresh, embedder_->Embed(views, EmbedRole::kPassage, ctx));
  if (fresh.size() != views.size() * dimension_)
    return Internal("the embedder returned too few numbers");
  AddCount(ctx, "embedded", static_cast<int64_t>(texts.size()));
  return fresh;
}

Status EmbedStage::Flush(const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  ASSIGN_OR_RETURN(const std::vector<float> fresh, EmbedWaiting(ctx));
  const float* next = fresh.data();
  std::deque<Waiting> waiting = std::exchange(waiting_, {});
  to_embed_ = in_wait_ = 0;
  for (size_t i = 0; i < waiting.size();) {
    Waiting& first = waiting[i];
    EmbeddedBatch out{
        std::move(first.batch), {}, first.document ? first.document->duplicate_of : ""};
    const std::shared_ptr<Job> job = out.batch.job;
    AppendVectors(first.known, &next, &out.vectors);
    for (++i; i < waiting.size() && waiting[i].batch.job == job; ++i) {
      Batch& more = waiting[i].batch;
      std::move(more.passages.begin(), more.passages.end(), std::back_inserter(out.batch.passages));
      out.batch.last = more.last;
      AppendVectors(waiting[i].known, &next, &out.vectors);
    }
    RETURN_IF_ERROR(sink_.take(std::move(out)));
  }
  return OkStatus();
}

// Those that are known, and for the others the following fresh ones.
void EmbedStage::AppendVectors(const std::vector<const float*>& known, const float** fresh,
                               std::vector<float>* out) const {
  for (const float* vector : known) {
    if (vector == nullptr) {
      vector = *fresh;
      *fresh += dimension_;
    }
    out->insert(out->end(), vector, vector + dimension_);
  }
}

}  // namespace vade
