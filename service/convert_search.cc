// What only SearchService has: the request, and how candidates were ranked.
#include <algorithm>

#include "service/convert_proto.h"
#include "service/limits.h"
#include "vade/v1/search.pb.h"

namespace vade {

void ToProto(const Query& query, v1::SearchRequest* out) {
  out->set_question(query.question);
  out->set_collection(query.collection);
  out->set_k(static_cast<uint32_t>(query.k));
  out->set_filter(query.filter);
  out->set_as_of(query.as_of);
  out->mutable_groups()->Add(query.groups.begin(), query.groups.end());
  out->set_explain(query.explain);
  out->mutable_earlier()->Add(query.earlier.begin(), query.earlier.end());
  if (query.mmr) out->set_mmr(*query.mmr);
  if (query.neighbours) out->set_neighbours(static_cast<uint32_t>(std::max(*query.neighbours, 0)));
}

void ToProto(const Explained& candidate, v1::Candidate* out) {
  out->set_passage_id(candidate.passage_id);
  out->set_document_id(Utf8(candidate.document_id));
  out->set_dense_rank(candidate.dense_rank);
  out->set_term_rank(candidate.term_rank);
  out->set_dense_score(candidate.dense_score);
  out->set_term_score(candidate.term_score);
  out->set_score(candidate.score);
  out->set_rank(candidate.rank);
  out->set_likeness(candidate.likeness);
  out->set_cut(candidate.cut);
}

Explained FromProto(const v1::Candidate& in) {
  return {.passage_id = in.passage_id(),
          .document_id = in.document_id(),
          .dense_rank = in.dense_rank(),
          .term_rank = in.term_rank(),
          .dense_score = in.dense_score(),
          .term_score = in.term_score(),
          .score = in.score(),
          .rank = in.rank(),
          .likeness = in.likeness(),
          .cut = in.cut()};
}

Result<Query> FromProto(const v1::SearchRequest& in) {
  Query query;
  query.question = in.question();
  query.collection = CollectionOrDefault(in.collection());
  query.k = OrDefault(in.k(), kDefaultHits);
  query.filter = in.filter();
  query.as_of = in.as_of();
  query.groups.assign(in.groups().begin(), in.groups().end());
  query.explain = in.explain();
  query.earlier.assign(in.earlier().begin(), in.earlier().end());
  if (in.has_mmr()) query.mmr = in.mmr();
  constexpr uint32_t kBeyond = kMaxNeighbours + 1;  // refused by the limits
  if (in.has_neighbours()) query.neighbours = static_cast<int>(std::min(in.neighbours(), kBeyond));
  return query;
}

}  // namespace vade
