// Logits -> one token. Greedy at temperature 0 (the lowest id wins a tie); otherwise a draw from
// the softmax at that temperature, cut to the top_k most probable and then to the smallest set
// whose mass reaches top_p.
//
// Same seed, same logits: same tokens on every machine. Nothing here depends on the C++ library's
// distributions or on libm: the generator is a keyed counter, the exponential is plain IEEE
// arithmetic, sums run in one order. One Sampler per answer; not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"
#include "generator/generator.h"

namespace vade {

// e^x for x <= 0 to about 1 ulp, by basic arithmetic only; 0 below -700.
double DeterministicExp(double x);

// The index-th number of the stream that `seed` names, uniform in [0, 1).
double UniformAt(uint64_t seed, uint64_t index);

// INVALID_ARGUMENT names the field that is out of its range.
Status CheckSampling(const Sampling& sampling);

struct SampledToken {
  int32_t id = -1;
  double probability = 0;  // in the model's own distribution (temperature 1, nothing cut)
};

class Sampler {
 public:
  // Precondition: CheckSampling(sampling) is OK.
  explicit Sampler(const Sampling& sampling) : sampling_(sampling) {}

  // INTERNAL when the logits are empty or one of them is not finite.
  Result<SampledToken> Next(std::span<const float> logits);

 private:
  int32_t Draw(std::span<const float> logits, float max);

  Sampling sampling_;
  uint64_t drawn_ = 0;
  std::vector<std::pair<double, int32_t>> candidates_;  // (weight, id)
};

// The summed probability of `ids` in the model's own distribution; ids outside are ignored.
double ProbabilityOf(std::span<const float> logits, std::span<const int32_t> ids);

}  // namespace vade
