// One order out of two: how near a passage's vector is to the question's, and how well its words
// match.
//
// Vectors find the subject, words find the one passage with that name, number or part code. A
// passage in another language than the question cannot have its words: what vectors say of it
// counts for its words too, unless it has more of them (names, numbers). Pure function, any thread.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/language.h"
#include "index/passage.h"

namespace vade {

struct Candidate {
  PassageId id = 0;
  double cosine = 0;  // of question and passage
  double dense = 0;   // cosine, with what the language took off it given back
  double terms = 0;   // BM25
  LanguageCode language = kUnknownLanguage;
  bool near = false;                       // among those that vectors proposed
  double score = 0;                        // set by Fuse()
  double likeness = 0;                     // set by Diversify(): cosine with one ahead of it
  uint32_t dense_rank = 0, term_rank = 0;  // in the list of its source, from 1; 0: not in it
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

// What 50 candidates of multilingual-e5-small span: .08 to .12.
inline constexpr double kLeastDenseSpan = 0.08;
// Ranks this far down the list count half of what the first one does.
inline constexpr double kReciprocalRankOffset = 60;

// Sets the score of each candidate and sorts by it, best first, equal ones by ascending id.
//
// Convex: each part is at most 1 over the list. Words are scaled by the best score that is reached,
// so that a list without any match is ordered by its vectors alone; vectors between the least and
// the best of those that they proposed (what lies farther off has 0), taken to lie at least
// kLeastDenseSpan apart, so that in a short list near equals stay near. Reciprocal ranks: 1 for the
// first of both lists.
void Fuse(std::string_view question, const RankingOptions& ranking,
          std::vector<Candidate>* candidates);

// One order out of those of a question in several wordings, each as Fuse() leaves it, best first:
// the score of a candidate becomes the weighted mean over the lists, of the last score of a list
// that lacks it. What else is known of it is of the first list that has it. weights[lists], above
// 0.
std::vector<Candidate> MergeWordings(std::span<const std::vector<Candidate>> lists,
                                     std::span<const double> weights);

}  // namespace vade
