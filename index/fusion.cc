#include "index/fusion.h"

#include <algorithm>
#include <unordered_map>

namespace vade {
namespace {

// kUnknownLanguage when no candidate is in the question's language: then none has an advantage of
// words. A question is nearest to passages of its own language, which settles what a few words
// leave open.
LanguageCode LanguageOf(std::string_view question, const std::vector<Candidate>& candidates) {
  const auto nearest =
      std::max_element(candidates.begin(), candidates.end(),
                       [](const Candidate& a, const Candidate& b) { return a.cosine < b.cosine; });
  const LanguageCode language = DetectLanguage(question, nearest->language);
  const bool shared = std::any_of(candidates.begin(), candidates.end(),
                                  [&](const Candidate& c) { return c.language == language; });
  return shared ? language : kUnknownLanguage;
}

bool IsForeign(const Candidate& candidate, LanguageCode question) {
  return candidate.language != kUnknownLanguage && question != kUnknownLanguage &&
         candidate.language != question;
}

// Of both parts of each candidate, in order.
struct Parts {
  double dense = 0, words = 0;
};

std::vector<Parts> ScaledParts(const std::vector<Candidate>& candidates) {
  double low = candidates.front().dense, high = low, best_terms = 0;
  bool any_near = false;
  for (const Candidate& c : candidates) {
    high = std::max(high, c.dense);
    best_terms = std::max(best_terms, c.terms);
    if (!c.near) continue;
    low = any_near ? std::min(low, c.dense) : c.dense;
    any_near = true;
  }
  const double span = std::max(high - low, kLeastDenseSpan);
  std::vector<Parts> parts;
  for (const Candidate& c : candidates) {
    const double dense = std::max(0.0, 1 - (high - c.dense) / span);
    parts.push_back({dense, best_terms > 0 ? c.terms / best_terms : 0});
  }
  return parts;
}

// Scaled so that the first rank gives 1; 0 for what `value` says is not in the list.
template <typename Value>
std::vector<double> ByRank(const std::vector<Candidate>& candidates, Value value) {
  std::vector<size_t> order;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (value(candidates[i]) > 0) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const double left = value(candidates[a]), right = value(candidates[b]);
    return left != right ? left > right : candidates[a].id < candidates[b].id;
  });
  std::vector<double> shares(candidates.size(), 0.0);
  for (size_t rank = 0; rank < order.size(); ++rank) {
    shares[order[rank]] =
        (kReciprocalRankOffset + 1) / (kReciprocalRankOffset + 1 + static_cast<double>(rank));
  }
  return shares;
}

std::vector<Parts> RankedParts(const std::vector<Candidate>& candidates) {
  const auto dense = ByRank(candidates, [](const Candidate& c) { return 2 + c.dense; });
  const auto words = ByRank(candidates, [](const Candidate& c) { return c.terms; });
  std::vector<Parts> parts;
  for (size_t i = 0; i < candidates.size(); ++i) parts.push_back({dense[i], words[i]});
  return parts;
}

void FuseBoth(std::string_view question, const RankingOptions& ranking,
              std::vector<Candidate>* candidates) {
  const bool any_words = std::any_of(candidates->begin(), candidates->end(),
                                     [](const Candidate& c) { return c.terms > 0; });
  const LanguageCode language =
      any_words ? LanguageOf(question, *candidates) : LanguageCode{kUnknownLanguage};
  const std::vector<Parts> parts = ranking.fusion == RankingOptions::Fusion::kConvex
                                       ? ScaledParts(*candidates)
                                       : RankedParts(*candidates);
  for (size_t i = 0; i < candidates->size(); ++i) {
    Candidate& c = (*candidates)[i];
    const double words =
        IsForeign(c, language) ? std::max(parts[i].words, parts[i].dense) : parts[i].words;
    c.score = (1 - ranking.term_weight) * parts[i].dense + ranking.term_weight * words;
  }
}

bool ComesFirst(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

}  // namespace

void Fuse(std::string_view question, const RankingOptions& ranking,
          std::vector<Candidate>* candidates) {
  using Source = RankingOptions::Source;
  if (candidates->empty()) return;
  if (ranking.source == Source::kBoth) FuseBoth(question, ranking, candidates);
  for (Candidate& c : *candidates) {
    if (ranking.source == Source::kVectors) c.score = c.dense;
    if (ranking.source == Source::kTerms) c.score = c.terms;
  }
  std::sort(candidates->begin(), candidates->end(), ComesFirst);
}

std::vector<Candidate> MergeWordings(std::span<const std::vector<Candidate>> lists,
                                     std::span<const double> weights) {
  double total = 0, least = 0;
  for (size_t i = 0; i < lists.size(); ++i) {
    total += weights[i];
    if (!lists[i].empty()) least += weights[i] * lists[i].back().score;
  }
  std::vector<Candidate> merged;
  std::unordered_map<PassageId, size_t> places;
  for (size_t i = 0; i < lists.size(); ++i) {
    for (const Candidate& c : lists[i]) {
      const auto [at, added] = places.try_emplace(c.id, merged.size());
      if (added) merged.emplace_back(c).score = least / total;
      merged[at->second].score += weights[i] * (c.score - lists[i].back().score) / total;
    }
  }
  std::sort(merged.begin(), merged.end(), ComesFirst);
  return merged;
}

}  // namespace vade
