// Logits -> one token. Greedy at temperature 0 (the lowest id wins a tie), otherwise a draw.
//
// In this order, each step on what the one before it left:
//   1. constraint         what the form of the answer does not allow cannot be chosen
//   2. logit_bias         added; -100 bans
//   3. repetition_penalty, frequency_penalty, presence_penalty, for tokens of this answer
//   4. temperature        0 ends here: the greatest logit that is left
//   5. top_k              the k most probable
//   6. typical_p          those whose surprise is nearest to the expected one, up to that mass
//   7. top_p              the most probable up to that mass
//   8. min_p              those at least that share of the most probable
//   9. the draw
// What changes logits comes before what cuts, so that a cut sees the distribution that is drawn
// from, and no cut can leave only banned tokens. The cheap cut to a number comes first and the ones
// by mass work on its remainder; min_p is last since it is the one that asks nothing of the mass.
// Every cut leaves at least one token.
//
// The probabilities that are reported are the model's own: temperature 1, before all of this.
//
// Same seed, same logits: same tokens on every machine. Nothing here depends on the C++ library's
// distributions or on libm: the generator is a keyed counter, exponential and logarithm are plain
// IEEE arithmetic, sums run in one order. One Sampler per answer; not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "generator/constraint.h"
#include "generator/sampling.h"
#include "model/best_logits.h"

namespace vade {

// e^x for x <= 0 to about 1 ulp, by basic arithmetic only; 0 below -700.
double DeterministicExp(double x);

// The natural logarithm to about 2 ulp, by basic arithmetic only. Precondition: x is finite and
// above 0.
double DeterministicLog(double x);

// The index-th number of the stream that `seed` names, uniform in [0, 1).
double UniformAt(uint64_t seed, uint64_t index);

// INVALID_ARGUMENT names the field that is out of its range, its value and the range.
Status CheckSampling(const Sampling& sampling);

struct SampledToken {
  int32_t id = -1;
  double probability = 0;  // in the model's own distribution (temperature 1, nothing cut)
  // The top_logprobs most probable tokens of the model's own distribution and the logarithms of
  // their probabilities, most probable first; the lower id wins a tie. Need not hold `id`.
  std::vector<std::pair<int32_t, double>> alternatives = {};

  // Always finite: a probability that is too small for a double counts as the smallest.
  double log_probability() const;
};

// What a search over several answers chooses from.
struct RankedToken {
  SampledToken token;
  double score = 0;  // natural logarithm
};

// What a row is chosen from where not all of its logits are at hand.
struct WantedBest {
  int count = 0;                    // of the greatest logits; 0: all logits are wanted
  bool weights = false;             // BestLogits::weights too
  std::vector<int32_t> apart = {};  // tokens to be set apart, ascending
};

class Sampler {
 public:
  // Preconditions: CheckSampling(sampling) is OK; the constraint is at its beginning, or where the
  // answer stands.
  explicit Sampler(const Sampling& sampling, std::unique_ptr<TokenConstraint> constraint = nullptr);
  Sampler(Sampler&&) = default;
  Sampler& operator=(Sampler&&) = default;
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  // INTERNAL when the logits are empty, one of them is not finite, or the constraint fails.
  // INVALID_ARGUMENT when logit_bias names a token that the model does not have or bans all that
  // may come. The constraint is told of every token that is returned, of one that ends the answer
  // too; the penalties count it.
  Result<SampledToken> Next(std::span<const float> logits);

  // What NextOf() can do with, of at most `limit` of the greatest logits, even after tokens of
  // `next` have been accepted. Forms, and cuts that so few do not tell, want all logits.
  WantedBest Wanted(int limit, std::span<const int32_t> next = {}) const;
  // For BestLogits::tempered_sum and weights: 1 where nothing is drawn.
  double temperature() const { return sampling_.temperature > 0 ? sampling_.temperature : 1; }
  // Logits [begin, begin + count) of the row.
  using RowPart = std::function<Result<std::vector<float>>(int32_t begin, int32_t count)>;
  // As Next() over the row that these are the best of: the same token, or nothing, where only the
  // whole row tells. Nothing has happened then. A probability is right to within kBestSumError of
  // itself. `part` is asked once at most, where weights are wanted; its errors are returned.
  // Preconditions: Wanted() said what; sums and weights are for the sampling's temperature.
  Result<std::optional<SampledToken>> NextOf(const BestLogits& best, const RowPart& part);

  // The `count` likeliest tokens of what Next() could choose at temperature 0, likeliest first (the
  // lower id wins a tie), for a search over several at once: one of them goes on with Accept().
  // Scores are the model's own log probabilities and what penalties and logit_bias add to the
  // logit; what is banned is not among them. Errors: those of Next().
  Result<std::vector<RankedToken>> Rank(std::span<const float> logits, size_t count);
  // The token was chosen elsewhere: the constraint and the penalties are told, as by Next().
  Status Accept(int32_t id);

  // The same state, to go on by itself with the numbers of another seed.
  Sampler Fork(uint64_t seed) const;

 private:
  bool changes_logits() const { return constraint_ != nullptr || biased() || penalized(); }
  bool biased() const { return !sampling_.logit_bias.empty(); }
  bool penalized() const;

  Status ChangeLogits(std::span<const float> logits);  // -> changed_
  SampledToken Report(std::span<const float> logits, int32_t id, float max, double sum) const;
  void Ban(std::span<const uint64_t> allowed);
  Status AddBias();
  static float Biased(float logit, double bias);
  void Penalize();
  float Penalized(float logit, int count) const;
  int32_t Draw(std::span<const float> logits, float max);
  int32_t Take();

  // sampler_best.cc; logits by token
  using Apart = std::vector<std::pair<int32_t, float>>;
  bool cuts_nothing() const;
  std::vector<int32_t> ChangedTokens(std::span<const int32_t> next) const;
  std::optional<Apart> ChangeApart(const BestLogits& best) const;
  std::optional<std::pair<int32_t, float>> ChooseOf(const BestLogits& best, const Apart& apart);
  std::optional<int32_t> DrawOf(const BestLogits& best);
  Result<std::optional<std::pair<int32_t, float>>> DrawByWeights(const BestLogits& best,
                                                                 const Apart& apart,
                                                                 const RowPart& part);
  SampledToken ReportOf(const BestLogits& best, const std::pair<int32_t, float>& chosen) const;

  Sampling sampling_;
  std::unique_ptr<TokenConstraint> constraint_;
  uint64_t drawn_ = 0;
  std::unordered_map<int32_t, int> occurrences_;        // of the answer's tokens, while penalized()
  std::vector<float> changed_;                          // scratch; -inf: cannot be chosen
  std::vector<std::pair<double, int32_t>> candidates_;  // scratch; (weight, id)
};

// The summed probability of `ids` in the model's own distribution; ids outside are ignored.
double ProbabilityOf(std::span<const float> logits, std::span<const int32_t> ids);

}  // namespace vade
