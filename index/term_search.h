// The best passages for some terms by BM25, without looking at those that cannot be among them.
//
// Blocks are gone through in order of passages, window by window: within a window every term has at
// most one block, so the maxima of these blocks bound the score of all that lies in it. A window
// whose bound does not beat the k-th best score so far is skipped undecoded; in the others, only
// passages that have a term without which none could beat it are scored.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/postings.h"

namespace vade {

inline constexpr double kTermSaturation = 1.2;  // k1
// b: less than the usual .75, since passages are cut to much the same length.
inline constexpr double kLengthShare = 0.4;

// What all passages of a collection have in common.
struct TermStatistics {
  uint64_t passages = 0;
  double mean_length = 1;
};

// ln(1 + (n - df + 0.5) / (df + 0.5)): never negative.
double TermWeight(const TermStatistics& statistics, uint64_t passages_with_term);
// Of one term in one passage, at weight 1: count (k1 + 1) / (count + k1 (1 - b + b length / mean)),
// which is 0 to k1 + 1.
class TermScore {
 public:
  explicit TermScore(const TermStatistics& statistics);
  double operator()(uint32_t count, uint32_t length) const {
    return count * (kTermSaturation + 1) / (count + least_norm_ + norm_of_word_ * length);
  }

 private:
  double least_norm_, norm_of_word_;
};

// One term of a question: its blocks, ascending and apart.
struct QueryTerm {
  double weight = 0;
  std::vector<PostingBlock> blocks;
};

struct TermHit {
  PassageId id = 0;
  double score = 0;
  friend bool operator==(const TermHit&, const TermHit&) = default;
};

struct TermSearchCounts {
  size_t decoded = 0;  // blocks
};

// Best first, equal scores by ascending id; only passages that `keeps` says yes to. DATA_LOSS when
// a block does not parse.
Result<std::vector<TermHit>> BestByTerms(std::span<const QueryTerm> terms,
                                         const TermStatistics& statistics, size_t k,
                                         const std::function<bool(PassageId)>& keeps,
                                         const Context& ctx, TermSearchCounts* counts);

}  // namespace vade
