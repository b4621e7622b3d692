#include "generator/beam_search.h"

#include <algorithm>

namespace vade {

BeamSearch::BeamSearch(size_t width, size_t max_tokens)
    : width_(width), max_tokens_(max_tokens), beams_(1) {}

std::vector<BeamStep> BeamSearch::Advance(const std::vector<BeamRow>& rows) {
  struct Continuation {
    size_t parent, place;  // in rows[parent].tokens
    double score;
  };
  std::vector<Continuation> all;
  for (size_t parent = 0; parent < rows.size(); ++parent) {
    for (size_t place = 0; place < rows[parent].tokens.size(); ++place)
      all.push_back({parent, place, beams_[parent].score + rows[parent].tokens[place].score});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Continuation& a, const Continuation& b) { return a.score > b.score; });
  std::vector<Beam> next;
  std::vector<BeamStep> steps;
  for (size_t rank = 0; rank < all.size() && next.size() < width_; ++rank) {
    const auto [parent, place, score] = all[rank];
    const Beam& from = beams_[parent];
    if (rows[parent].ends[place]) {
      // An end that is not among the best `width` continuations would not have run on either.
      if (rank < width_) End(from, score / static_cast<double>(from.tokens.size() + 1), false);
      continue;
    }
    const SampledToken& token = rows[parent].tokens[place].token;
    steps.push_back({parent, token.id});
    next.push_back({from.tokens, score});
    next.back().tokens.push_back(token);
  }
  beams_ = std::move(next);
  const bool cut = !beams_.empty() && beams_[0].tokens.size() >= max_tokens_;
  if (cut) {
    for (const Beam& beam : beams_)
      End(beam, beam.score / static_cast<double>(beam.tokens.size()), true);
  }
  done_ = cut || beams_.empty() || NoneCanWin();
  if (!done_) return steps;
  if (ended_.empty()) ended_.emplace_back();  // no token could be chosen at all
  beams_.clear();
  return {};
}

const BeamSearch::Ended& BeamSearch::best() const { return ended_.front(); }

void BeamSearch::End(const Beam& beam, double score, bool cut) {
  const auto place = std::find_if(ended_.begin(), ended_.end(),
                                  [&](const Ended& other) { return score > other.score; });
  ended_.insert(place, {beam.tokens, score, cut});
  if (ended_.size() > width_) ended_.pop_back();
}

bool BeamSearch::NoneCanWin() const {
  if (ended_.size() < width_) return false;
  const double running = beams_[0].score / static_cast<double>(beams_[0].tokens.size());
  return running <= ended_.back().score;
}

}  // namespace vade
