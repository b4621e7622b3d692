// The greatest logits of a row, where not all of them are needed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace vade {

struct BestLogits {
  // False: some logit of the row is not a number that can be compared; the rest is void then.
  bool finite = false;
  int vocab_size = 0;
  // (token, logit), greatest first, the lower token first among equals. All others come behind, but
  // for those that were set apart.
  std::vector<std::pair<int32_t, float>> best = {};
  // The tokens whose logits were asked for by themselves, because they are about to be changed:
  // ascending, not among `best`.
  std::vector<std::pair<int32_t, float>> apart = {};
  // Of e^(logit - greatest) over all tokens, those that are set apart too, above e^-20, as the
  // probabilities that are reported want it. Both sums are right to within kBestSumError of
  // themselves.
  double sum = 0;
  double tempered_sum = 0;  // of e^((logit - best[0]) / temperature), without what is set apart
  // Where they were asked for: the same as doubles, for each `part_tokens` tokens from 0 on, above
  // e^-32. Right to within kBestWeightError of themselves.
  std::vector<double> weights = {};
  int part_tokens = 0;

  // Of all tokens, those that are set apart too. Precondition: there is one.
  float greatest() const {
    float most = best.empty() ? apart[0].second : best[0].second;
    for (const auto& [token, logit] : apart) most = std::max(most, logit);
    return most;
  }
};
inline constexpr double kBestSumError = 1e-4;
inline constexpr double kBestWeightError = 1e-12;

}  // namespace vade
