// Beam search over the tokens of one answer: which of the running beams go on, with which tokens,
// and which answer was the likeliest in the end.
//
//   BeamSearch search(4, max_tokens);
//   std::vector<BeamRow> rows = ...;              // of each running beam, its likeliest tokens
//   for (const BeamStep& step : search.Advance(rows)) ...   // the beams that run now
//   if (search.done()) search.best()
//
// A beam is the tokens of an unfinished answer; each step every beam offers its likeliest tokens
// and the `width` likeliest of all continuations run on (scores: summed log probabilities). An
// answer that ends is kept aside; answers of different lengths are compared by the mean a token, or
// the shortest would win. It is over when `width` answers have ended and no running one is better
// in the mean, or at max_tokens, where what runs counts as ended.
//
// Deterministic: ties go to the beam, then the token, that comes first. Knows nothing of a decoder.
#pragma once

#include <cstdint>
#include <vector>

#include "generator/sampler.h"

namespace vade {

// What a running beam offers: Rank() of its sampler, and which of those tokens end an answer.
struct BeamRow {
  std::vector<RankedToken> tokens;
  std::vector<bool> ends;  // [tokens]
};

// A beam that runs on: the one at `parent` among those before, with one more token.
struct BeamStep {
  size_t parent = 0;
  int32_t token = -1;
};

class BeamSearch {
 public:
  struct Ended {
    std::vector<SampledToken> tokens;  // without the one that ends it
    double score = 0;                  // mean log probability a token, of the ending one too
    bool cut = false;                  // by max_tokens
  };

  // Preconditions: width and max_tokens are positive. One beam without tokens runs at first.
  BeamSearch(size_t width, size_t max_tokens);

  // How many tokens a row has to offer: then enough are left where `width` of them end.
  size_t offered() const { return 2 * width_; }

  // Precondition: a row for each running beam, not done().
  std::vector<BeamStep> Advance(const std::vector<BeamRow>& rows);

  size_t width() const { return width_; }
  bool done() const { return done_; }
  size_t running() const { return beams_.size(); }
  // Precondition: done(). Without tokens where the likeliest is to say nothing.
  const Ended& best() const;

 private:
  struct Beam {
    std::vector<SampledToken> tokens;
    double score = 0;  // summed
  };
  void End(const Beam& beam, double score, bool cut);
  bool NoneCanWin() const;

  const size_t width_, max_tokens_;
  std::vector<Beam> beams_;
  std::vector<Ended> ended_;  // best first, at most width_
  bool done_ = false;
};

}  // namespace vade
