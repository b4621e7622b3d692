// Which passage supports a sentence of an answer, and with which words.
//
//   Citer citer(question, hits);
//   for (Citation& c : citer.Cite("It is 14 days.", hints)) ...
//
// Every sentence of the passages is a candidate; it supports the answer's sentence when it holds it
// verbatim, or enough of its terms weighted by their rarity, and does not disagree in a number or a
// name. Among those that do, the ones that speak of the question win. The model's own marks are
// hints; a label that does not exist is ignored. No support, no citation: nothing is ever cited for
// the look of it.
//
// The quote is taken from the passage's own bytes and its place is passage.begin + offset, so it is
// verbatim by construction; a passage whose range does not agree with its text is never cited.
// Immutable after construction; the hits are not owned and outlive it.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unicode.h"
#include "generator/answer.h"
#include "generator/terms.h"

namespace vade {

class Citer {
 public:
  // `hits` are the passages of the prompt in the order of their labels.
  Citer(std::string_view question, std::vector<const Hit*> hits);

  // The citations of one sentence, best first; answer_begin and answer_end are left 0. `hints` are
  // the labels that the model wrote behind it.
  std::vector<Citation> Cite(std::string_view sentence, std::span<const int> hints) const;

 private:
  struct Candidate {  // a sentence of a passage
    size_t hit;
    TextSpan span;  // in the passage's text, trimmed
    TermSet terms;
    std::string skeleton;
    double relevance = 0;  // to the question, 0..1
  };
  struct Claim;  // a sentence of the answer, prepared
  struct Support {
    const Candidate* first = nullptr;
    const Candidate* last = nullptr;  // the same, or the one behind it
    double support = 0, total = 0;
  };

  void AddCandidates(size_t hit);
  void WeighTerms();
  void RateRelevance();
  double Rarity(const std::string& term) const;
  double Coverage(const std::set<std::string>& units, const TermSet& terms) const;
  bool Agrees(const Claim& claim, const Candidate& first, const Candidate& last) const;
  Support Rate(const Claim& claim, const Candidate& first, const Candidate& last) const;
  Support Best(const Claim& claim, const Candidate* without) const;
  Support ByHint(const Claim& claim) const;
  std::vector<Support> Supports(const Claim& claim) const;
  Citation Quote(const Support& support) const;

  std::string question_;
  TermSet question_terms_;
  std::vector<const Hit*> hits_;
  std::vector<TermSet> passage_terms_;  // title, heading and text of each hit
  std::vector<Script> scripts_;
  std::vector<Candidate> candidates_;
  std::map<std::string, double> rarity_;
  double unseen_rarity_ = 1;
};

}  // namespace vade
