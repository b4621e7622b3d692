// A search on one view: which groups may be seen, the nearest vectors, and the hits with their
// text.
#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "base/trace.h"
#include "index/core.h"
#include "index/vector_search.h"

namespace vade {
namespace {

constexpr int kMaxHits = 1000;

Status Validate(const SearchRequest& request, const CollectionInfo& info) {
  if (request.k < 1 || request.k > kMaxHits) {
    return InvalidArgument(StrCat("k is ", request.k, "; it must be 1 to ", kMaxHits));
  }
  // Never ignored: a filter that is not applied would show what it is to hide.
  if (!request.filter.empty()) {
    return Unimplemented("filter is not supported by this version; leave it empty");
  }
  if (!request.as_of.empty()) {
    return Unimplemented("as_of is not supported by this version; leave it empty");
  }
  if (request.vector.size() != static_cast<size_t>(info.dimension)) {
    return InvalidArgument(StrCat("the question's vector has dimension ", request.vector.size(),
                                  ", collection '", info.name, "' has ", info.dimension,
                                  "; use its embedder, ", info.embedder_id));
  }
  double squares = 0;
  for (float x : request.vector) squares += static_cast<double>(x) * x;
  if (!std::isfinite(squares) || squares == 0) {
    return InvalidArgument("the question's vector is zero or not finite; check the embedder");
  }
  return OkStatus();
}

bool MaySee(const std::vector<std::string>& document_groups,
            const std::vector<std::string>& caller) {
  if (document_groups.empty()) return true;
  return std::any_of(caller.begin(), caller.end(), [&](const std::string& group) {
    return std::find(document_groups.begin(), document_groups.end(), group) !=
           document_groups.end();
  });
}

// For each set of groups, whether the caller may see it. Set 0 is everyone's.
std::vector<uint8_t> AllowedSets(const GroupSets& sets, const std::vector<std::string>& caller) {
  std::vector<uint8_t> allowed(sets.size(), 0);
  allowed[0] = 1;
  for (size_t i = 1; i < sets.size(); ++i) allowed[i] = !sets[i].empty() && MaySee(sets[i], caller);
  return allowed;
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

  Result<Hit> Read(const VectorHit& found, const std::vector<std::string>& caller) const {
    ASSIGN_OR_RETURN(const auto bytes,
                     kv_.Get(Family::kPassages, PassageKey(collection_, found.id), snapshot_));
    if (!bytes) return Inconsistent(found.id);
    ASSIGN_OR_RETURN(const PassageRecord record, DecodePassage(*bytes));
    ASSIGN_OR_RETURN(const DocumentRecord document, DocumentOf(record, found.id));
    // The slots' sets decided already; this is the truth, should a derived file ever disagree with
    // it.
    if (!MaySee(document.info.groups, caller)) return Inconsistent(found.id);
    TextReader text(kv_, snapshot_, collection_, record.revision_key);
    ASSIGN_OR_RETURN(std::string words, text.Read(record.begin, record.length));
    return Hit{.passage = {.id = found.id,
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
               .term_score = 0};
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

}  // namespace

Result<SearchResult> SearchView(const StoreCore& core, const View& view,
                                const SearchRequest& request, const Context& ctx) {
  RETURN_IF_ERROR(ctx.Check());
  ASSIGN_OR_RETURN(const auto state, FindCollection(view, request.collection));
  RETURN_IF_ERROR(Validate(request, state->info));
  TraceSpan span(ctx, "search");
  const VectorSearchOptions options{.k = static_cast<size_t>(request.k),
                                    .ef = static_cast<size_t>(core.options.hnsw_ef_search),
                                    .flat_below = core.options.flat_below};
  ASSIGN_OR_RETURN(const auto nearest,
                   SearchVectors(*state, request.vector,
                                 AllowedSets(*state->group_sets, request.groups), options, ctx));
  SearchResult result;
  result.commit = view.commit;
  result.collection = state->id;
  const HitReader reader(*core.kv, view.snapshot, state->id);
  for (const VectorHit& found : nearest) {
    ASSIGN_OR_RETURN(Hit hit, reader.Read(found, request.groups));
    result.hits.push_back(std::move(hit));
  }
  return result;
}

}  // namespace vade
