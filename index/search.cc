// A search on one view: what is admitted, the candidates of vectors and of words in one
// order, and the hits with their text.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/strings.h"
#include "base/trace.h"
#include "index/admission.h"
#include "index/core.h"
#include "index/diversity.h"
#include "index/fusion.h"
#include "index/neighbours.h"
#include "index/question_terms.h"
#include "index/vector_search.h"
#include "kernels/kernels.h"

namespace vade {
namespace {

constexpr int kMaxHits = 1000;
// Vectors and words propose at least this many each, however few are asked for: what one of them
// puts first the other may put further down.
constexpr size_t kMinCandidates = 50;
// Of several wordings each has a say about at least so many.
constexpr size_t kMinWordingCandidates = 20;

Status CheckVector(std::span<const float> vector, const CollectionInfo& info) {
  if (vector.size() != static_cast<size_t>(info.dimension)) {
    return InvalidArgument(StrCat("the question's vector has dimension ", vector.size(),
                                  ", collection '", info.name, "' has ", info.dimension,
                                  "; use its embedder, ", info.embedder_id));
  }
  double squares = 0;
  for (float x : vector) squares += static_cast<double>(x) * x;
  if (!std::isfinite(squares) || squares == 0) {
    return InvalidArgument("the question's vector is zero or not finite; check the embedder");
  }
  return OkStatus();
}

Status Validate(const SearchRequest& request, const CollectionInfo& info) {
  if (!request.embedder_id.empty() && request.embedder_id != info.embedder_id) {
    return Aborted(StrCat("the embedder of collection '", info.name, "' is ", info.embedder_id,
                          " by now, and the question's vector is of ", request.embedder_id,
                          "; ask again"));
  }
  if (request.k < 1 || request.k > kMaxHits) {
    return InvalidArgument(StrCat("k is ", request.k, "; it must be 1 to ", kMaxHits));
  }
  RETURN_IF_ERROR(CheckVector(request.vector, info));
  for (const Wording& wording : request.wordings) {
    RETURN_IF_ERROR(CheckVector(wording.vector, info));
    if (!(wording.weight > 0 && std::isfinite(wording.weight)))
      return InvalidArgument(StrCat("a wording weighs ", wording.weight, "; it must be above 0"));
  }
  const double weight = request.ranking.term_weight;
  if (!(weight >= 0 && weight <= 1)) {
    return InvalidArgument(StrCat("the share of the words is ", weight, "; it must be 0 to 1"));
  }
  if (!(request.ranking.mmr >= 0 && request.ranking.mmr <= 1)) {
    return InvalidArgument(
        StrCat("mmr, the share of the score, is ", request.ranking.mmr, "; it must be 0 to 1"));
  }
  if (request.neighbours < 0 || request.neighbours > kMaxNeighbours) {
    return InvalidArgument(
        StrCat(request.neighbours, " neighbours; it must be 0 to ", kMaxNeighbours));
  }
  return OkStatus();
}

Result<int64_t> TimeAskedAbout(const StoreCore& core, const SearchRequest& request) {
  if (request.as_of.empty()) return core.clock->UnixMicros();
  const auto time = ParseRfc3339(request.as_of);
  if (!time.ok()) return time.status().WithContext("as_of");
  return *time;
}

Result<std::shared_ptr<const PassageSet>> HiddenAt(const Kv& kv, const View& view,
                                                   const CollectionState& state,
                                                   int64_t unix_micros) {
  return state.versions->Hidden(
      unix_micros, [&](std::string_view id) -> Result<std::vector<PassageRange>> {
        ASSIGN_OR_RETURN(const auto document, ReadDocument(kv, view.snapshot, state.id, id));
        return document ? document->ranges : std::vector<PassageRange>();
      });
}

Result<Admission> AdmissionOf(StoreCore* core, const View& view, const CollectionState& state,
                              const SearchRequest& request, const Context& ctx) {
  Admission admission{.group_sets = AllowedSets(*state.group_sets, request.groups)};
  if (!request.filter.empty()) {
    TraceSpan span(ctx, "filter");
    ASSIGN_OR_RETURN(admission.kept,
                     core->filters.Find(*core->kv, view, state, request.filter, ctx));
    AddCount(ctx, "filter_keeps", static_cast<int64_t>(admission.kept->count()));
  }
  ASSIGN_OR_RETURN(const int64_t time, TimeAskedAbout(*core, request));
  if (state.versions) {
    ASSIGN_OR_RETURN(admission.hidden, HiddenAt(*core->kv, view, state, time));
  }
  return admission;
}

Status Inconsistent(PassageId id) {
  return DataLoss(
      StrCat("passage ", id, " has no text or document in the database; run vade verify"));
}

// Fills hits from the database, at the view's snapshot.
class HitReader {
 public:
  HitReader(const Kv& kv, KvSnapshot snapshot, CollectionId c)
      : kv_(kv), snapshot_(std::move(snapshot)), collection_(c) {}

  struct Found {
    Hit hit;
    DocumentRecord document;
  };
  Result<Found> Read(const Candidate& found, const std::vector<std::string>& caller) const {
    ASSIGN_OR_RETURN(const auto bytes,
                     kv_.Get(Family::kPassages, PassageKey(collection_, found.id), snapshot_));
    if (!bytes) return Inconsistent(found.id);
    ASSIGN_OR_RETURN(const PassageRecord record, DecodePassage(*bytes));
    ASSIGN_OR_RETURN(DocumentRecord document, DocumentOf(record, found.id));
    // The slots' sets decided already; this is the truth, should a derived file ever disagree with
    // it.
    if (!MaySee(document.info.groups, caller)) return Inconsistent(found.id);
    TextReader text(kv_, snapshot_, collection_, record.revision_key);
    ASSIGN_OR_RETURN(std::string words, text.Read(record.begin, record.length));
    Hit hit = {.passage = {.id = found.id,
                           .document_id = document.info.id,
                           .ordinal = record.ordinal,
                           .begin = record.begin,
                           .end = record.begin + record.length,
                           .page = record.page,
                           .heading_path = record.heading_path,
                           .language = LanguageName(record.language),
                           .text = std::move(words)},
               .title = document.info.title,
               .source = document.info.source,
               .valid_from = document.info.valid_from,
               .score = found.score,
               .dense_score = found.cosine,
               .term_score = found.terms};
    return Found{std::move(hit), std::move(document)};
  }

  Result<Explained> Explain(const Candidate& found) const {
    ASSIGN_OR_RETURN(const auto bytes,
                     kv_.Get(Family::kPassages, PassageKey(collection_, found.id), snapshot_));
    if (!bytes) return Inconsistent(found.id);
    ASSIGN_OR_RETURN(const PassageRecord record, DecodePassage(*bytes));
    ASSIGN_OR_RETURN(const DocumentRecord document, DocumentOf(record, found.id));
    return Explained{.passage_id = found.id,
                     .document_id = document.info.id,
                     .dense_rank = found.dense_rank,
                     .term_rank = found.term_rank,
                     .dense_score = found.cosine,
                     .term_score = found.terms,
                     .score = found.score,
                     .likeness = found.likeness,
                     .cut = ""};
  }

 private:
  Result<DocumentRecord> DocumentOf(const PassageRecord& record, PassageId id) const {
    ASSIGN_OR_RETURN(const auto bytes,
                     kv_.Get(Family::kDocuments,
                             RevisionRecordKey(collection_, record.revision_key), snapshot_));
    if (!bytes) return Inconsistent(id);
    ASSIGN_OR_RETURN(const RevisionRecord revision, DecodeRevision(*bytes));
    ASSIGN_OR_RETURN(auto document,
                     ReadDocument(kv_, snapshot_, collection_, revision.document_id));
    if (!document || document->revision_key != record.revision_key) return Inconsistent(id);
    return std::move(*document);
  }

  const Kv& kv_;
  const KvSnapshot snapshot_;
  const CollectionId collection_;
};

// The union of what vectors and words propose, each with both scores.
class CandidateFinder {
 public:
  CandidateFinder(const StoreCore& core, const View& view, const CollectionState& state,
                  const SearchRequest& request, const Admission& admission)
      : core_(core),
        view_(view),
        state_(state),
        request_(request),
        admission_(admission),
        count_(std::max(static_cast<size_t>(request.k), kMinCandidates)),
        lift_(state.sums, request.vector),
        terms_(*core.kv, view.snapshot, state) {}

  Result<std::vector<Candidate>> Find(const Context& ctx) {
    using Source = RankingOptions::Source;
    const Source source = request_.ranking.source;
    if (source != Source::kTerms) RETURN_IF_ERROR(FindNear(ctx));
    if (source != Source::kVectors) RETURN_IF_ERROR(FindByTerms(ctx));
    return std::move(candidates_);
  }

 private:
  Status FindNear(const Context& ctx) {
    TraceSpan span(ctx, "vectors");
    const VectorSearchOptions options{.k = count_,
                                      .ef = static_cast<size_t>(core_.options.hnsw_ef_search),
                                      .flat_below = core_.options.flat_below,
                                      .nibbles_from_bytes = core_.options.nibbles_from_bytes,
                                      .device = core_.device.get()};
    ASSIGN_OR_RETURN(const auto nearest,
                     SearchVectors(state_, request_.vector, admission_, options, ctx));
    for (const VectorHit& hit : nearest) {
      candidates_.push_back({.id = hit.id,
                             .cosine = hit.cosine,
                             .dense = hit.score,
                             .language = hit.language,
                             .near = true,
                             .dense_rank = static_cast<uint32_t>(candidates_.size() + 1)});
    }
    return OkStatus();
  }

  Status FindByTerms(const Context& ctx) {
    TraceSpan span(ctx, "terms");
    RETURN_IF_ERROR(terms_.Read(request_.question, ctx));
    ASSIGN_OR_RETURN(const auto best, terms_.Best(count_, admission_, ctx));
    std::map<PassageId, uint32_t> ranks;  // from 1
    for (const TermHit& hit : best) ranks[hit.id] = static_cast<uint32_t>(ranks.size() + 1);
    for (Candidate& near : candidates_) {
      if (const auto ranked = ranks.extract(near.id)) {
        near.term_rank = ranked.mapped();
        near.terms = best[near.term_rank - 1].score;
      } else {
        ASSIGN_OR_RETURN(near.terms, terms_.ScoreOf(near.id));
      }
    }
    for (const auto& [id, rank] : ranks) {
      ASSIGN_OR_RETURN(Candidate found, WithCosine(id));
      found.terms = best[rank - 1].score;
      found.term_rank = rank;
      candidates_.push_back(found);
    }
    return OkStatus();
  }

  Result<Candidate> WithCosine(PassageId id) const {
    ASSIGN_OR_RETURN(const auto vector,
                     core_.kv->Get(Family::kVectors, PassageKey(state_.space, id), view_.snapshot));
    ASSIGN_OR_RETURN(const auto bytes,
                     core_.kv->Get(Family::kPassages, PassageKey(state_.id, id), view_.snapshot));
    std::vector<uint16_t> halves(request_.vector.size());
    if (!vector || !bytes || vector->size() != halves.size() * sizeof(uint16_t)) {
      return Inconsistent(id);
    }
    std::memcpy(halves.data(), vector->data(), vector->size());
    ASSIGN_OR_RETURN(const PassageRecord record, DecodePassage(*bytes));
    const float cosine =
        kernels::Active().distance.dot_f16(request_.vector.data(), halves.data(), halves.size());
    return Candidate{.id = id,
                     .cosine = cosine,
                     .dense = cosine + lift_.Of(record.language),
                     .language = record.language};
  }

  const StoreCore& core_;
  const View& view_;
  const CollectionState& state_;
  const SearchRequest& request_;
  const Admission& admission_;
  const size_t count_;  // to be proposed by each
  const LanguageLift lift_;
  QuestionTerms terms_;
  std::vector<Candidate> candidates_;
};

// What is searched, and what of it the caller may find.
struct Scope {
  const StoreCore& core;
  const View& view;
  const CollectionState& state;
  const Admission& admission;
};

// Best first; of all wordings.
Result<std::vector<Candidate>> FindInOrder(const Scope& scope, const SearchRequest& request,
                                           const Context& ctx) {
  std::vector<std::vector<Candidate>> lists;
  std::vector<double> weights;
  // A wording that is near nothing in particular gives all its candidates much the same score; cut
  // short, its list says little about any of them (docs/performance.md, "Follow-up questions").
  const size_t most = request.wordings.empty()
                          ? SIZE_MAX
                          : std::max(static_cast<size_t>(request.k), kMinWordingCandidates);
  const auto add = [&](const SearchRequest& worded, double weight) -> Status {
    ASSIGN_OR_RETURN(
        auto candidates,
        CandidateFinder(scope.core, scope.view, scope.state, worded, scope.admission).Find(ctx));
    Fuse(worded.question, worded.ranking, &candidates);
    if (candidates.size() > most) candidates.resize(most);
    lists.push_back(std::move(candidates));
    weights.push_back(weight);
    return OkStatus();
  };
  RETURN_IF_ERROR(add(request, 1));
  if (request.wordings.empty()) return std::move(lists[0]);
  SearchRequest worded = request;
  for (const Wording& wording : request.wordings) {
    worded.vector = wording.vector;
    worded.question = wording.question;
    RETURN_IF_ERROR(add(worded, wording.weight));
  }
  return MergeWordings(lists, weights);
}

Result<std::vector<float>> VectorOfPassage(const Kv& kv, const View& view,
                                           const CollectionState& state, PassageId id) {
  std::vector<float> vector;
  ASSIGN_OR_RETURN(const bool found, AppendVectorOf(kv, view.snapshot, state, id, &vector));
  if (!found) return Inconsistent(id);
  return vector;
}

// The hits out of candidates in their order, and what became of each.
class HitGatherer {
 public:
  HitGatherer(const StoreCore& core, const View& view, const CollectionState& state,
              const SearchRequest& request)
      : request_(request),
        reader_(*core.kv, view.snapshot, state.id),
        joiner_(*core.kv, view.snapshot, state.id, request.neighbours) {}

  Status Gather(const std::vector<Candidate>& candidates, SearchResult* result) {
    cuts_.assign(candidates.size(), "rank");
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (result->hits.size() == static_cast<size_t>(request_.k)) break;
      ASSIGN_OR_RETURN(HitReader::Found found, reader_.Read(candidates[i], request_.groups));
      bool kept = true;
      if (request_.neighbours > 0) {
        ASSIGN_OR_RETURN(kept, joiner_.Join(found.document, &found.hit));
      }
      cuts_[i] = kept ? "" : "joined";
      if (kept) result->hits.push_back(std::move(found.hit));
    }
    return OkStatus();
  }

  // `ranks`: of each candidate's passage by its score alone, from 1.
  Status Explain(const std::vector<Candidate>& candidates,
                 const std::map<PassageId, uint32_t>& ranks, SearchResult* result) {
    for (size_t i = 0; i < candidates.size(); ++i) {
      ASSIGN_OR_RETURN(Explained explained, reader_.Explain(candidates[i]));
      explained.rank = ranks.at(candidates[i].id);
      explained.cut = cuts_[i];
      const bool enough = explained.rank <= static_cast<uint32_t>(request_.k);
      if (explained.cut == "rank" && enough && request_.ranking.mmr < 1) explained.cut = "alike";
      result->candidates.push_back(std::move(explained));
    }
    return OkStatus();
  }

 private:
  const SearchRequest& request_;
  const HitReader reader_;
  NeighbourJoiner joiner_;
  std::vector<std::string> cuts_;
};

}  // namespace

Result<SearchResult> SearchView(StoreCore* core, const View& view, const SearchRequest& request,
                                const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  ASSIGN_OR_RETURN(const auto state, FindCollection(view, request.collection));
  RETURN_IF_ERROR(Validate(request, state->info));
  ASSIGN_OR_RETURN(const Admission admission, AdmissionOf(core, view, *state, request, ctx));
  ASSIGN_OR_RETURN(auto candidates, FindInOrder({*core, view, *state, admission}, request, ctx));
  std::map<PassageId, uint32_t> ranks;
  if (request.explain) {
    for (const Candidate& c : candidates) ranks[c.id] = static_cast<uint32_t>(ranks.size() + 1);
  }
  if (request.ranking.mmr < 1) {
    TraceSpan span(ctx, "mmr");
    // With neighbours hits may fall into others: more are put in order than are asked for.
    const size_t count =
        request.neighbours > 0 ? candidates.size() : static_cast<size_t>(request.k);
    RETURN_IF_ERROR(Diversify(
        request.ranking.mmr, count,
        [&](const Candidate& c) { return VectorOfPassage(*core->kv, view, *state, c.id); },
        &candidates));
  }
  SearchResult result;
  result.commit = view.commit;
  result.collection = state->id;
  HitGatherer gatherer(*core, view, *state, request);
  RETURN_IF_ERROR(gatherer.Gather(candidates, &result));
  if (request.explain) RETURN_IF_ERROR(gatherer.Explain(candidates, ranks, &result));
  return result;
}

}  // namespace vade
