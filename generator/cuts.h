// The cuts of a distribution to some of its tokens (steps 5 to 8 of generator/sampler.h). Sums run
// in the order of the candidates: by id, until a cut sorts what it keeps.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace vade {

// Weights below this share of the greatest one cannot be told from 0 in what follows.
inline constexpr double kNegligibleExponent = -32;

// The logit of what cannot be chosen.
inline constexpr float kBannedLogit = -std::numeric_limits<float>::infinity();

using Candidate = std::pair<double, int32_t>;  // (weight, id)

// More probable first; the lower id wins a tie.
inline bool Heavier(const Candidate& a, const Candidate& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

inline double TotalWeight(const std::vector<Candidate>& candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.first;
  return total;
}

inline void CutToNumber(std::vector<Candidate>* candidates, size_t top_k) {
  if (top_k >= candidates->size()) return;
  std::nth_element(candidates->begin(), candidates->begin() + (top_k - 1), candidates->end(),
                   Heavier);
  candidates->resize(top_k);
  std::sort(candidates->begin(), candidates->end(), Heavier);  // one order, whatever the library
}

// Keeps the first, in the strict total order `before`, whose mass reaches `share` of the whole.
// Sorts no more than it needs.
template <typename Before>
void CutToMass(std::vector<Candidate>* candidates, double share, const Before& before) {
  const double wanted = TotalWeight(*candidates) * share;
  size_t sorted = 0;
  double mass = 0;
  for (size_t keep = 0; keep < candidates->size(); ++keep) {
    if (keep == sorted) {
      sorted = std::min(candidates->size(), std::max<size_t>(64, sorted * 4));
      const auto begin = candidates->begin() + keep, end = candidates->begin() + sorted;
      std::nth_element(begin, end - 1, candidates->end(), before);
      std::sort(begin, end, before);
    }
    mass += (*candidates)[keep].first;
    if (mass >= wanted) {
      candidates->resize(keep + 1);
      return;
    }
  }
}

// Locally typical sampling (Meister et al. 2022). The surprise of a token is -log p, the expected
// one is the entropy; both hold the same log of the total weight, so their difference is that of
// the token's logit and the mean logit, over the temperature, and needs no logarithm.
template <typename LogitOf>
void CutToTypical(std::vector<Candidate>* candidates, double share, const LogitOf& logit_of,
                  float max) {
  double mean = 0;  // relative to max, which keeps the digits
  for (const auto& [weight, id] : *candidates) {
    mean += weight * (static_cast<double>(logit_of(id)) - max);
  }
  mean /= TotalWeight(*candidates);
  auto distance = [&](int32_t id) {
    return std::abs(static_cast<double>(logit_of(id)) - max - mean);
  };
  CutToMass(candidates, share, [&](const Candidate& a, const Candidate& b) {
    const double da = distance(a.second), db = distance(b.second);
    return da != db ? da < db : Heavier(a, b);
  });
}

inline void CutToShareOfGreatest(std::vector<Candidate>* candidates, double share) {
  double greatest = 0;
  for (const Candidate& candidate : *candidates) greatest = std::max(greatest, candidate.first);
  std::erase_if(*candidates,
                [&](const Candidate& candidate) { return candidate.first < share * greatest; });
}

}  // namespace vade
