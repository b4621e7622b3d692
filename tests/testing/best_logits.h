// The greatest logits of a row by sorting all of it: what a device finds in parts.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

#include "model/best_logits.h"

namespace vade::testing {

inline BestLogits BestOf(std::span<const float> logits, size_t count, double temperature) {
  BestLogits best;
  best.vocab_size = static_cast<int>(logits.size());
  best.finite = std::ranges::all_of(logits, [](float x) { return std::isfinite(x); });
  for (size_t i = 0; i < logits.size(); ++i)
    best.best.emplace_back(static_cast<int32_t>(i), logits[i]);
  std::ranges::stable_sort(best.best, [](auto& a, auto& b) { return a.second > b.second; });
  const double greatest = best.best[0].second;
  for (const float logit : logits) {
    const double x = static_cast<double>(logit) - greatest;
    if (x > -20) best.sum += std::exp(x);
    best.tempered_sum += std::exp(x / temperature);
  }
  best.best.resize(std::min(count, best.best.size()));
  return best;
}

}  // namespace vade::testing
