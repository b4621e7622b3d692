// Maximal marginal relevance: an order in which each passage is weighed by what it adds to those
// ahead of it, not only by how well it fits the question.
//
// Useful for questions that many passages answer in the same words (minutes of weekly meetings,
// versions of one form), and for a summary of several sides. Not useful for looking one fact up:
// the second-best passage may have it, and is the one that is moved down.
#pragma once

#include <functional>
#include <vector>

#include "base/status.h"
#include "index/fusion.h"

namespace vade {

// The unit vector of a candidate.
using VectorOf = std::function<Result<std::vector<float>>(const Candidate&)>;

// Orders the first `count` candidates one by one: next comes the one with the greatest
//   share * relevance - (1 - share) * likeness,
// relevance being its score between the least and the best of the list, likeness its greatest
// cosine with one that is ahead of it, between the least that any has with the first (embedders
// give unrelated passages cosines far above 0) and 1. The others follow by score. `candidates` are
// in the order of their scores. Sets Candidate::likeness, the cosine itself.
Status Diversify(double share, size_t count, const VectorOf& vector_of,
                 std::vector<Candidate>* candidates);

}  // namespace vade
