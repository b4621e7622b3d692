// The greatest logits of a row by sorting all of it: what a device finds in parts.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

#include "model/best_logits.h"

namespace vade::testing {

// `apart`: ascending tokens.
inline BestLogits BestOf(std::span<const float> logits, size_t count, double temperature,
                         std::span<const int32_t> apart = {}) {
  BestLogits best;
  best.vocab_size = static_cast<int>(logits.size());
  best.finite = std::ranges::all_of(logits, [](float x) { return std::isfinite(x); });
  for (size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<int32_t>(i);
    (std::ranges::binary_search(apart, token) ? best.apart : best.best)
        .emplace_back(token, logits[i]);
  }
  std::ranges::stable_sort(best.best, [](auto& a, auto& b) { return a.second > b.second; });
  const double greatest = best.greatest();
  for (const float logit : logits) {
    const double x = static_cast<double>(logit) - greatest;
    if (x > -20) best.sum += std::exp(x);
  }
  for (const auto& [token, logit] : best.best) {
    best.tempered_sum += std::exp((static_cast<double>(logit) - best.best[0].second) / temperature);
  }
  best.best.resize(std::min(count, best.best.size()));
  return best;
}

// BestLogits::weights of a row that `best` is of.
inline void AddWeights(std::span<const float> logits, double temperature, int part_tokens,
                       BestLogits* best) {
  best->part_tokens = part_tokens;
  best->weights.assign((logits.size() + part_tokens - 1) / part_tokens, 0.0);
  for (size_t i = 0; i < logits.size() && !best->best.empty(); ++i) {
    const auto token = static_cast<int32_t>(i);
    const double x = (static_cast<double>(logits[i]) - best->best[0].second) / temperature;
    const bool apart = std::ranges::any_of(best->apart, [&](auto& a) { return a.first == token; });
    if (x > -32 && !apart) best->weights[i / part_tokens] += std::exp(x);
  }
}

}  // namespace vade::testing
