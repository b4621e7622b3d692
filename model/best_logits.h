// The greatest logits of a row, where not all of them are needed.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace vade {

struct BestLogits {
  // False: some logit of the row is not a number that can be compared; the rest is void then.
  bool finite = false;
  int vocab_size = 0;
  // (token, logit), greatest first, the lower token first among equals. All others come behind.
  std::vector<std::pair<int32_t, float>> best;
  // Of e^(logit - greatest) over all tokens, above e^-20, as the probabilities that are reported
  // want it. Both sums are right to within kBestSumError of themselves.
  double sum = 0;
  double tempered_sum = 0;  // of e^((logit - greatest) / temperature)
};
inline constexpr double kBestSumError = 1e-4;

}  // namespace vade
