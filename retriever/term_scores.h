// How well the words of candidates match the words of a question: BM25 over the candidates
// themselves.
//
// Vectors find passages of the right subject; among those, the one that has the question's rare
// words (names, numbers, part codes) is usually the one that answers. The statistics are those of
// the candidate list, so a word that all candidates share weighs nothing. Pure function, any
// thread.
#pragma once

#include <string_view>
#include <vector>

#include "index/passage.h"

namespace vade {

// BM25 (k1 1.2, b 0.75; idf = ln(1 + (n - df + 0.5) / (df + 0.5)), n and df counted over
// `candidates`) of title, heading path and text, for each candidate in order. Terms: words after
// NFKC and case folding, with English stems, numbers whole; pairs of neighbouring characters in
// Han, kana, Hangul and Thai.
std::vector<double> TermScores(std::string_view question, const std::vector<Hit>& candidates);

// Sets term_score and score of each hit and sorts by score, best first. score is the convex
// combination (1 - weight) * dense + weight * terms, each scaled to at most 1 over the list: terms
// by the best score that is reached, so that a list without any match is ordered by its vectors
// alone; the scores that the search gave, between the least and the best of the list, taken to lie
// at least kLeastDenseSpan apart, so that in a short list near equals stay near. A passage in
// another language than the question cannot have its words: what vectors say of it counts for its
// words too, unless it has more of them (names, numbers).
// What 50 candidates of multilingual-e5-small span: .08 to .12
inline constexpr double kLeastDenseSpan = 0.08;
void FuseTermScores(std::string_view question, double weight, std::vector<Hit>* hits);

}  // namespace vade
