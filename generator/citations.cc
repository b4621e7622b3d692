#include "generator/citations.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/strings.h"
#include "generator/sentences.h"

namespace vade {
namespace {

// Chosen on xquad with the right passage among four
// (tests/generator/citation_quality_slow_test.cc).
constexpr double kEnough = 0.55;  // covered share of a sentence's weight
constexpr double kEnoughWithHint = 0.4;
constexpr double kRelevanceWeight = 0.5;  // what speaks of the question is preferred
constexpr double kHintBonus = 0.15;
constexpr double kRankWeight = 0.05;
constexpr double kSecondGain = 0.2;  // what a neighbour must add to be quoted with it
constexpr double kSeamWeight = 0.5;
constexpr double kAffirmRelevance = 0.5;  // "Yes." is supported by what the question says

// What of a text can be looked for in a passage. Between languages only numbers (by value), names
// and foreign words can: ideographs do not occur in an English passage.
std::set<std::string> UnitsOf(const TermSet& terms, Script script, Script passage) {
  std::set<std::string> units;
  auto add = [&](const std::set<std::string>& more) { units.insert(more.begin(), more.end()); };
  if (script == passage) {
    add(terms.words);
    add(terms.bigrams);
  } else {
    add(terms.numbers);
    add(script == Script::kLatin ? terms.names : terms.words);
  }
  return units;
}

TermSet Union(const TermSet& a, const TermSet& b) {
  TermSet both = a;
  both.words.insert(b.words.begin(), b.words.end());
  both.bigrams.insert(b.bigrams.begin(), b.bigrams.end());
  both.numbers.insert(b.numbers.begin(), b.numbers.end());
  return both;
}

// "Yes" and its kin hold no words to look for.
bool IsAffirmation(const std::string& skeleton) {
  static constexpr std::array<std::string_view, 12> kWords = {"yes",     "no",   "true", "false",
                                                              "correct", "是",   "不是", "是的",
                                                              "对",      "不对", "可以", "不可以"};
  return std::find(kWords.begin(), kWords.end(), skeleton) != kWords.end();
}

// The range that the store wrote must be the range of this text.
bool RangeAgrees(const Passage& passage) {
  return passage.end >= passage.begin && passage.end - passage.begin == passage.text.size();
}

}  // namespace

struct Citer::Claim {
  TermSet terms;
  std::string skeleton;
  Script script = Script::kOther;
  std::vector<size_t> hinted;  // hits
  bool Hints(size_t hit) const {
    return std::find(hinted.begin(), hinted.end(), hit) != hinted.end();
  }
};

Citer::Citer(std::string_view question, std::vector<const Hit*> hits)
    : question_(question), question_terms_(TermsOf(question)), hits_(std::move(hits)) {
  for (size_t i = 0; i < hits_.size(); ++i) AddCandidates(i);
  WeighTerms();
  RateRelevance();
}

void Citer::AddCandidates(size_t hit) {
  const Passage& passage = hits_[hit]->passage;
  passage_terms_.emplace_back();
  scripts_.push_back(Script::kOther);
  if (!RangeAgrees(passage) || !IsValidUtf8(passage.text)) return;
  const std::string_view text = passage.text;
  passage_terms_.back() =
      TermsOf(StrCat(hits_[hit]->title, "\n", passage.heading_path, "\n", text));
  scripts_.back() = DominantScript(text);
  for (const TextSpan& sentence : ReaderSentences(text)) {
    const TextSpan span = Trimmed(text, sentence);
    const std::string_view words = text.substr(span.begin, span.end - span.begin);
    if (!HasContent(words)) continue;
    candidates_.push_back({hit, span, TermsOf(words), Skeleton(words)});
  }
}

// log(1 + (N - n + 1/2) / (n + 1/2)) over the sentences of all passages.
void Citer::WeighTerms() {
  std::map<std::string, size_t> frequency;
  for (const Candidate& candidate : candidates_) {
    for (const std::string& word : candidate.terms.words) ++frequency[word];
    for (const std::string& bigram : candidate.terms.bigrams) ++frequency[bigram];
  }
  const double total = static_cast<double>(candidates_.size());
  auto rarity = [&](double n) { return std::log(1 + (total - n + 0.5) / (n + 0.5)); };
  for (const auto& [term, n] : frequency)
    rarity_[term] = TermWeight(term) * rarity(static_cast<double>(n));
  unseen_rarity_ = rarity(0);
}

double Citer::Rarity(const std::string& term) const {
  const auto found = rarity_.find(term);
  if (found != rarity_.end()) return found->second;
  return unseen_rarity_ * TermWeight(term) * (IsBigram(term) ? kSeamWeight : 1);
}

void Citer::RateRelevance() {
  const Script script = DominantScript(question_);
  for (Candidate& candidate : candidates_) {
    const std::set<std::string> units = UnitsOf(question_terms_, script, scripts_[candidate.hit]);
    candidate.relevance = 0.7 * Coverage(units, candidate.terms) +
                          0.3 * Coverage(units, passage_terms_[candidate.hit]);
  }
}

// The share of the units' weight that `terms` hold.
double Citer::Coverage(const std::set<std::string>& units, const TermSet& terms) const {
  double covered = 0, total = 0;
  for (const std::string& unit : units) {
    const double rarity = Rarity(unit);
    total += rarity;
    if (terms.words.contains(unit) || terms.bigrams.contains(unit) ||
        terms.numbers.contains(unit)) {
      covered += rarity;
    }
  }
  return total > 0 ? covered / total : 0;
}

// Numbers must stand in the quoted words, names in the passage; what the question says need not.
bool Citer::Agrees(const Claim& claim, const Candidate& first, const Candidate& last) const {
  for (const std::string& number : claim.terms.digits) {
    if (!first.terms.numbers.contains(number) && !last.terms.numbers.contains(number) &&
        !question_terms_.numbers.contains(number)) {
      return false;
    }
  }
  const TermSet& passage = passage_terms_[first.hit];
  return std::all_of(claim.terms.names.begin(), claim.terms.names.end(),
                     [&](const std::string& name) {
                       return passage.words.contains(name) || question_terms_.words.contains(name);
                     });
}

Citer::Support Citer::Rate(const Claim& claim, const Candidate& first,
                           const Candidate& last) const {
  Support result{&first, &last};
  const bool verbatim = ContainsWhole(first.skeleton, claim.skeleton);
  if (verbatim) {
    result.support = 1;
  } else if (Agrees(claim, first, last)) {
    const auto units = UnitsOf(claim.terms, claim.script, scripts_[first.hit]);
    result.support =
        Coverage(units, &first == &last ? first.terms : Union(first.terms, last.terms));
  }
  const double rank = 1 - static_cast<double>(first.hit) / static_cast<double>(hits_.size());
  result.total = result.support + kRelevanceWeight * std::max(first.relevance, last.relevance) +
                 kHintBonus * claim.Hints(first.hit) + kRankWeight * rank;
  return result;
}

// The best one or two sentences; `without` excludes the passage of a support that has been found.
Citer::Support Citer::Best(const Claim& claim, const Candidate* without) const {
  Support best;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    const Candidate& candidate = candidates_[i];
    if (without != nullptr && candidate.hit == without->hit) continue;
    Support one = Rate(claim, candidate, candidate);
    if (one.support < 1 && i + 1 < candidates_.size() && candidates_[i + 1].hit == candidate.hit) {
      const Support two = Rate(claim, candidate, candidates_[i + 1]);
      const double second = Rate(claim, candidates_[i + 1], candidates_[i + 1]).support;
      if (two.support >= std::max(one.support, second) + kSecondGain) one = two;
    }
    const double enough = claim.Hints(candidate.hit) ? kEnoughWithHint : kEnough;
    if (one.support >= enough && (best.first == nullptr || one.total > best.total)) best = one;
  }
  return best;
}

// For an answer in another language, and for "Yes": the sentence of the hinted passage (or, for
// "Yes", of any) that speaks most of the question.
Citer::Support Citer::ByHint(const Claim& claim) const {
  const bool affirmation = IsAffirmation(claim.skeleton);
  Support best;
  for (const Candidate& candidate : candidates_) {
    const bool foreign = claim.script != scripts_[candidate.hit];
    const bool hinted = claim.Hints(candidate.hit) && (foreign || affirmation);
    if (!hinted && !(affirmation && candidate.relevance >= kAffirmRelevance)) continue;
    if (foreign && !Agrees(claim, candidate, candidate)) continue;
    if (best.first == nullptr || candidate.relevance > best.total) {
      best = {&candidate, &candidate, 0, candidate.relevance};
    }
  }
  return best;
}

// The best support, and a second passage where that one leaves out a number or name that this one
// holds.
std::vector<Citer::Support> Citer::Supports(const Claim& claim) const {
  Support best = Best(claim, nullptr);
  if (best.first == nullptr) best = ByHint(claim);
  if (best.first == nullptr) return {};
  std::vector<Support> supports = {best};
  const Support other = Best(claim, best.first);
  if (other.first != nullptr && claim.Hints(other.first->hit) && claim.Hints(best.first->hit)) {
    supports.push_back(other);
  }
  return supports;
}

Citation Citer::Quote(const Support& support) const {
  const Hit& hit = *hits_[support.first->hit];
  const size_t begin = support.first->span.begin, end = support.last->span.end;
  Citation citation;
  citation.passage_id = hit.passage.id;
  citation.document_id = hit.passage.document_id;
  citation.page = PageAt(hit.passage.text, hit.passage.page, begin);
  citation.label = static_cast<int>(support.first->hit) + 1;
  citation.source_begin = hit.passage.begin + begin;
  citation.source_end = hit.passage.begin + end;
  citation.quote = hit.passage.text.substr(begin, end - begin);
  return citation;
}

std::vector<Citation> Citer::Cite(std::string_view sentence, std::span<const int> hints) const {
  if (!HasContent(sentence)) return {};
  Claim claim;
  claim.terms = TermsOf(sentence);
  claim.skeleton = Skeleton(sentence);
  claim.script = DominantScript(sentence);
  for (int hint : hints) {
    if (hint >= 1 && static_cast<size_t>(hint) <= hits_.size()) claim.hinted.push_back(hint - 1);
  }
  std::vector<Citation> citations;
  for (const Support& support : Supports(claim)) citations.push_back(Quote(support));
  return citations;
}

}  // namespace vade
