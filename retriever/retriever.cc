#include "retriever/retriever.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/strings.h"
#include "base/trace.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr int kMaxHits = 1000;  // of one search, as Store says

Status CheckQuery(const Query& query) {
  if (query.question.size() > kMaxQuestionBytes) {
    return InvalidArgument(StrCat("the question has ", query.question.size(),
                                  " bytes; shorten it to ", kMaxQuestionBytes, " or fewer"));
  }
  if (!IsValidUtf8(query.question)) {
    return InvalidArgument("the question is not valid UTF-8; send it in that encoding");
  }
  if (!std::all_of(query.earlier.begin(), query.earlier.end(), IsValidUtf8))
    return InvalidArgument("an earlier question is not valid UTF-8; send it in that encoding");
  if (query.k < 1 || query.k > kMaxHits) {
    return InvalidArgument(StrCat("k is ", query.k, "; give a number from 1 to ", kMaxHits));
  }
  return OkStatus();
}

// Composed, without white space around it: what typed and pasted forms of one question have in
// common. "" where nothing else is there.
std::string Normal(std::string_view question) {
  const std::string composed = Nfc(question);
  size_t begin = composed.size(), end = 0;
  for (size_t pos = 0; pos < composed.size();) {
    const size_t at = pos;
    if (IsWhitespace(NextCodePoint(composed, &pos))) continue;
    begin = std::min(begin, at);
    end = pos;
  }
  return begin < end ? composed.substr(begin, end - begin) : "";
}

// The question followed by the latest earlier one, and by the latest few, the newest first: behind
// it, so that an embedder that cuts long texts does not cut the question. (docs/performance.md,
// "Follow-up questions", has what else was tried.)
std::vector<std::string> WithEarlier(const std::string& question,
                                     std::span<const std::string> earlier) {
  constexpr size_t kMostBytes = 256;  // of each: enough to say what it is about
  std::vector<std::string> texts;
  std::string text = question;
  for (size_t i = 0; i < std::min(earlier.size(), kMaxEarlierQuestions); ++i) {
    const std::string_view one = earlier[earlier.size() - 1 - i];
    const size_t bytes = FloorToCodePoint(one, std::min(one.size(), kMostBytes));
    const std::string normal = Normal(one.substr(0, bytes));
    if (normal.empty()) continue;
    text += " " + normal;
    if (texts.size() < 2) texts.push_back(text);
    texts.back() = text;
  }
  return texts;
}

// What is to be embedded: the question, then WithEarlier().
Status AddVectors(Embedder* embedder, const Query& query, SearchRequest* request,
                  const Context& ctx) {
  TraceSpan span(ctx, "embed");
  std::vector<std::string> texts = WithEarlier(request->question, query.earlier);
  std::vector<std::string_view> all(texts.begin(), texts.end());
  all.insert(all.begin(), request->question);
  ASSIGN_OR_RETURN(const std::vector<float> vectors, embedder->Embed(all, EmbedRole::kQuery, ctx));
  const auto vector = [&](size_t i) {
    const auto begin = vectors.begin() + static_cast<ptrdiff_t>(i) * embedder->dimension();
    return std::vector<float>(begin, begin + embedder->dimension());
  };
  request->vector = vector(0);
  // Together they weigh as much as the question.
  for (size_t i = 0; i < texts.size(); ++i) {
    request->wordings.push_back({.vector = vector(i + 1),
                                 .question = std::move(texts[i]),
                                 .weight = 1.0 / static_cast<double>(texts.size())});
  }
  return OkStatus();
}

Status CheckEmbedder(const CollectionInfo& collection, const Embedder& embedder) {
  if (collection.embedder_id == embedder.id() && collection.dimension == embedder.dimension()) {
    return OkStatus();
  }
  return FailedPrecondition(
      StrCat("collection '", collection.name, "' was made with embedder '", collection.embedder_id,
             "' (", collection.dimension, " dimensions), and this is '", embedder.id(), "' (",
             embedder.dimension(), "); use that embedder or another collection"));
}

// Says of a candidate why it is no hit.
void MarkCut(PassageId id, const char* why, std::vector<Explained>* candidates) {
  for (Explained& candidate : *candidates) {
    if (candidate.passage_id == id) candidate.cut = why;
  }
}

// Keeps the first, that is the best, of hits with the same text.
void DropRepeats(SearchResult* found) {
  std::vector<Hit>* hits = &found->hits;
  std::unordered_set<std::string_view> seen;
  std::vector<Hit> kept;
  kept.reserve(hits->size());  // the views in `seen` point into strings that must not move
  for (Hit& hit : *hits) {
    if (seen.count(StripAsciiWhitespace(hit.passage.text)) > 0) {
      MarkCut(hit.passage.id, "repeat", &found->candidates);
      continue;
    }
    kept.push_back(std::move(hit));
    seen.insert(StripAsciiWhitespace(kept.back().passage.text));
  }
  *hits = std::move(kept);
}

// Of a hit that is not among those asked for. The `by_score` best by score alone were moved down;
// 0: none was.
void MarkBeyond(PassageId id, int by_score, std::vector<Explained>* candidates) {
  for (Explained& candidate : *candidates) {
    if (candidate.passage_id != id) continue;
    const bool moved = by_score > 0 && candidate.rank <= static_cast<uint32_t>(by_score);
    candidate.cut = moved ? "alike" : "rank";
  }
}

// Asks for more than k, since repeats are dropped; and again for more while that was not enough.
// All distinct hits are returned.
Result<SearchResult> SearchDistinct(Store* store, SearchRequest request, const Context& ctx) {
  const auto wanted = static_cast<size_t>(request.k);
  request.k = std::min(2 * request.k + 8, kMaxHits);
  for (;;) {
    RETURN_IF_ERROR(ctx.Check());
    ASSIGN_OR_RETURN(SearchResult found, store->Search(request, ctx));
    const bool exhausted =
        found.hits.size() < static_cast<size_t>(request.k) || request.k == kMaxHits;
    const size_t candidates = found.hits.size();
    DropRepeats(&found);
    if (found.hits.size() >= wanted || exhausted) {
      AddCount(ctx, "candidates", static_cast<int64_t>(candidates));
      AddCount(ctx, "repeated", static_cast<int64_t>(candidates - found.hits.size()));
      return found;
    }
    request.k = std::min(4 * request.k, kMaxHits);
  }
}

}  // namespace

Result<Retrieved> Retriever::Retrieve(const Query& query, const Context& ctx) const {
  RETURN_IF_ERROR(ctx.Check());
  RETURN_IF_ERROR(CheckQuery(query));
  const std::string question = Normal(query.question);
  if (question.empty()) return InvalidArgument("the question is empty; ask something");
  ASSIGN_OR_RETURN(CollectionInfo collection, store_->GetCollection(query.collection));
  RETURN_IF_ERROR(CheckEmbedder(collection, *embedder_));

  SearchRequest request{.collection = query.collection,
                        .vector = {},
                        .embedder_id = embedder_->id(),
                        .question = question,
                        .k = query.k,
                        .filter = query.filter,
                        .as_of = query.as_of,
                        .groups = query.groups,
                        .ranking = query.ranking,
                        .neighbours = query.neighbours.value_or(0),
                        .explain = query.explain};
  request.ranking.mmr = query.mmr.value_or(query.ranking.mmr);
  const bool diverse = request.ranking.mmr < 1;
  RETURN_IF_ERROR(AddVectors(embedder_, query, &request, ctx));
  SearchResult found;
  {
    TraceSpan span(ctx, "search");
    ASSIGN_OR_RETURN(found, SearchDistinct(store_, std::move(request), ctx));
  }
  for (size_t i = static_cast<size_t>(query.k); i < found.hits.size(); ++i) {
    MarkBeyond(found.hits[i].passage.id, diverse ? query.k : 0, &found.candidates);
  }
  if (found.hits.size() > static_cast<size_t>(query.k)) found.hits.resize(query.k);
  AddCount(ctx, "hits", static_cast<int64_t>(found.hits.size()));
  return Retrieved{.commit = found.commit,
                   .collection = found.collection,
                   .hits = std::move(found.hits),
                   .candidates = std::move(found.candidates)};
}

}  // namespace vade
