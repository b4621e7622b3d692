#include "generator/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/strings.h"
#include "generator/cuts.h"

namespace vade {
namespace {

// The distribution at temperature 1 is only reported, so a coarser cut saves most of the
// exponentials.
constexpr double kReportExponent = -20;

constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 256;
constexpr size_t kMaxLogitBiases = 1024;
constexpr double kBanningBias = -100;  // at or below: the token is banned, whatever its logit

Result<size_t> CheckedArgmax(std::span<const float> logits) {
  if (logits.empty()) return Internal("the decoder returned no logits");
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) {
      return Internal(StrCat("the decoder returned a logit that is not finite (token ", i,
                             "); the weights file may be damaged, fetch it again"));
    }
    if (logits[i] > logits[best]) best = i;
  }
  return best;
}

double ReportSum(std::span<const float> logits, float max) {
  double sum = 0;
  for (float logit : logits) {
    const double x = static_cast<double>(logit) - max;
    if (x > kReportExponent) sum += DeterministicExp(x);
  }
  return sum;
}

constexpr int kTaylorTerms = 13;
constexpr double kInverse[kTaylorTerms + 1] = {0,        1.0,      1.0 / 2,  1.0 / 3, 1.0 / 4,
                                               1.0 / 5,  1.0 / 6,  1.0 / 7,  1.0 / 8, 1.0 / 9,
                                               1.0 / 10, 1.0 / 11, 1.0 / 12, 1.0 / 13};

// What is not banned stays a finite number, however far it was moved.
float ToLogit(double x) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(x, -kMost, kMost));
}

// The `count` greatest with the logarithms of their probabilities. A walk with a short sorted list:
// nearly every logit is below the last of it and costs one comparison.
std::vector<std::pair<int32_t, double>> MostProbable(std::span<const float> logits, size_t count,
                                                     float max, double sum) {
  std::vector<std::pair<int32_t, double>> best;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double x = static_cast<double>(logits[i]) - max;
    if (best.size() == count) {
      if (x <= best.back().second) continue;
      best.pop_back();
    }
    auto place =
        std::find_if(best.begin(), best.end(), [&](const auto& b) { return x > b.second; });
    best.emplace(place, static_cast<int32_t>(i), x);
  }
  const double log_sum = DeterministicLog(sum);
  for (auto& [id, x] : best) x -= log_sum;
  return best;
}

// Also refuses what is no number.
Status CheckLies(std::string_view field, double value, double least, double most) {
  if (value >= least && value <= most) return OkStatus();
  return InvalidArgument(StrCat(field, " is ", value, ", it must lie in ", least, "..", most));
}

// For shares of a mass: none is no set at all.
Status CheckMass(std::string_view field, double value) {
  if (value > 0 && value <= 1) return OkStatus();
  return InvalidArgument(StrCat(field, " is ", value, ", it must lie in (0, 1]; 1 is off"));
}

Status CheckStops(const std::vector<std::string>& stops) {
  if (stops.size() > kMaxStops) {
    return InvalidArgument(
        StrCat("at most ", kMaxStops, " stop strings are allowed, got ", stops.size()));
  }
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return InvalidArgument(
          StrCat("a stop string must have 1 to ", kMaxStopBytes, " bytes, got ", stop.size()));
    }
  }
  return OkStatus();
}

Status CheckLogitBias(const std::vector<std::pair<int32_t, double>>& logit_bias) {
  if (logit_bias.size() > kMaxLogitBiases) {
    return InvalidArgument(StrCat("logit_bias has ", logit_bias.size(), " entries, at most ",
                                  kMaxLogitBiases, " are allowed"));
  }
  std::vector<int32_t> ids;
  for (const auto& [id, bias] : logit_bias) {
    if (id < 0) {
      return InvalidArgument(StrCat("logit_bias names token ", id, "; ids begin at 0"));
    }
    RETURN_IF_ERROR(CheckLies(StrCat("logit_bias of token ", id), bias, kBanningBias, 100));
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice == ids.end()) return OkStatus();
  return InvalidArgument(StrCat("logit_bias names token ", *twice, " twice; name it once"));
}

}  // namespace

double DeterministicExp(double x) {
  if (!(x > -700)) return 0;
  // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts so that n * kLn2High is exact.
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2High = 0.693147180369123816490;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  const int n = static_cast<int>(x * kLog2E - 0.5);  // to the nearest, since x <= 0
  const double r = (x - n * kLn2High) - n * kLn2Low;
  // Taylor, by Horner. Without divisions: most of the time of a greedy token goes here.
  double sum = 1;
  for (int i = kTaylorTerms; i >= 1; --i) sum = 1 + sum * (r * kInverse[i]);
  return sum * std::bit_cast<double>(static_cast<uint64_t>(1023 + n) << 52);  // 2^n, normal
}

double DeterministicLog(double x) {
  // x = 2^n m with m in [sqrt 1/2, sqrt 2), so that n ln 2 and log m cannot cancel.
  constexpr double kLn2High = 0.693147180369123816490;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kSqrtHalf = 0.70710678118654752440;
  int n = 0;
  double m = std::frexp(x, &n);  // exact
  if (m < kSqrtHalf) {
    m *= 2;
    --n;
  }
  // log m = 2 atanh f = 2 (f + f^3/3 + f^5/5 + ...); |f| < 0.172, so what follows f^23 is below
  // 1e-18 of the sum.
  const double f = (m - 1) / (m + 1), square = f * f;
  double sum = 0;
  for (int i = 23; i >= 3; i -= 2) sum = (sum + 1.0 / i) * square;
  return n * kLn2High + (2 * (f + f * sum) + n * kLn2Low);
}

double UniformAt(uint64_t seed, uint64_t index) {
  // Two rounds of a 64-bit mixing permutation over key and counter.
  auto mix = [](uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  };
  const uint64_t bits = mix(mix(seed + 0x9e3779b97f4a7c15u) ^ (index * 0x9e3779b97f4a7c15u + 1));
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

Status CheckSampling(const Sampling& s) {
  RETURN_IF_ERROR(CheckLies("temperature", s.temperature, 0, 100));
  RETURN_IF_ERROR(CheckMass("top_p", s.top_p));
  if (s.top_k < 0) {
    return InvalidArgument(StrCat("top_k is ", s.top_k, ", it must not be negative; 0 is off"));
  }
  RETURN_IF_ERROR(CheckLies("min_p", s.min_p, 0, 1));
  RETURN_IF_ERROR(CheckMass("typical_p", s.typical_p));
  RETURN_IF_ERROR(CheckLies("repetition_penalty", s.repetition_penalty, 0.1, 10));
  RETURN_IF_ERROR(CheckLies("presence_penalty", s.presence_penalty, -2, 2));
  RETURN_IF_ERROR(CheckLies("frequency_penalty", s.frequency_penalty, -2, 2));
  RETURN_IF_ERROR(CheckLogitBias(s.logit_bias));
  RETURN_IF_ERROR(CheckLies("top_logprobs", s.top_logprobs, 0, 20));
  RETURN_IF_ERROR(CheckLies("max_tokens", s.max_tokens, 1, 8192));
  RETURN_IF_ERROR(CheckLies("answers", s.answers, 1, kMaxAnswers));
  RETURN_IF_ERROR(CheckLies("beams", s.beams, 1, kMaxBeams));
  if (s.answers > 1 && s.temperature == 0)
    return InvalidArgument("several answers at temperature 0 would be the same; give a higher one");
  if (s.beams > 1 && (s.temperature > 0 || s.answers > 1))
    return InvalidArgument("beams look for the likeliest answer: temperature 0, one answer");
  return CheckStops(s.stop);
}

double SampledToken::log_probability() const {
  return DeterministicLog(std::max(probability, std::numeric_limits<double>::min()));
}

Sampler::Sampler(const Sampling& sampling, std::unique_ptr<TokenConstraint> constraint)
    : sampling_(sampling), constraint_(std::move(constraint)) {}

bool Sampler::penalized() const {
  return sampling_.repetition_penalty != 1 || sampling_.presence_penalty != 0 ||
         sampling_.frequency_penalty != 0;
}

Result<SampledToken> Sampler::Next(std::span<const float> logits) {
  ASSIGN_OR_RETURN(const size_t best, CheckedArgmax(logits));
  std::span<const float> chosen_from = logits;
  size_t greatest = best;
  if (changes_logits()) {
    RETURN_IF_ERROR(ChangeLogits(logits));
    chosen_from = changed_;
    greatest = std::max_element(changed_.begin(), changed_.end()) - changed_.begin();
  }
  const int32_t id = sampling_.temperature > 0 ? Draw(chosen_from, chosen_from[greatest])
                                               : static_cast<int32_t>(greatest);
  const float max = logits[best];
  RETURN_IF_ERROR(Accept(id));
  return Report(logits, id, max, ReportSum(logits, max));
}

SampledToken Sampler::Report(std::span<const float> logits, int32_t id, float max,
                             double sum) const {
  SampledToken token{id, DeterministicExp(static_cast<double>(logits[id]) - max) / sum};
  if (sampling_.top_logprobs > 0) {
    token.alternatives =
        MostProbable(logits, static_cast<size_t>(sampling_.top_logprobs), max, sum);
  }
  return token;
}

Result<std::vector<RankedToken>> Sampler::Rank(std::span<const float> logits, size_t count) {
  ASSIGN_OR_RETURN(const size_t best, CheckedArgmax(logits));
  std::span<const float> ranked_from = logits;
  if (changes_logits()) {
    RETURN_IF_ERROR(ChangeLogits(logits));
    ranked_from = changed_;
  }
  const float max = logits[best];
  const double sum = ReportSum(logits, max);
  std::vector<RankedToken> ranked;
  for (const auto& [id, score] : MostProbable(ranked_from, count, max, sum)) {
    if (ranked_from[id] != kBannedLogit) ranked.push_back({Report(logits, id, max, sum), score});
  }
  return ranked;
}

Status Sampler::Accept(int32_t id) {
  if (constraint_) RETURN_IF_ERROR(constraint_->Accept(id));
  if (penalized()) ++occurrences_[id];
  return OkStatus();
}

Sampler Sampler::Fork(uint64_t seed) const {
  Sampler fork(sampling_, constraint_ ? constraint_->Clone() : nullptr);
  fork.sampling_.seed = seed;
  fork.drawn_ = drawn_;
  fork.occurrences_ = occurrences_;
  return fork;
}

Status Sampler::ChangeLogits(std::span<const float> logits) {
  changed_.assign(logits.begin(), logits.end());
  if (constraint_) Ban(constraint_->Allowed());
  if (biased()) RETURN_IF_ERROR(AddBias());
  if (penalized()) Penalize();
  if (std::any_of(changed_.begin(), changed_.end(), [](float x) { return x != kBannedLogit; })) {
    return OkStatus();
  }
  if (!biased()) return Internal("the form of the answer allows no token of the model");
  return InvalidArgument(
      constraint_ ? "logit_bias bans every token that the form of the answer allows; ban fewer"
                  : "logit_bias bans every token; leave some");
}

// Tokens beyond the words are not allowed either: a model may have rows that no token uses.
void Sampler::Ban(std::span<const uint64_t> allowed) {
  for (size_t begin = 0; begin < changed_.size(); begin += 64) {
    const uint64_t bits = begin / 64 < allowed.size() ? allowed[begin / 64] : 0;
    if (bits == ~uint64_t{0}) continue;
    const size_t end = std::min(begin + 64, changed_.size());
    for (size_t i = begin; i < end; ++i) {
      if ((bits >> (i - begin) & 1) == 0) changed_[i] = kBannedLogit;
    }
  }
}

Status Sampler::AddBias() {
  for (const auto& [id, bias] : sampling_.logit_bias) {
    if (static_cast<size_t>(id) >= changed_.size()) {
      return InvalidArgument(StrCat("logit_bias names token ", id, "; the model has tokens 0 to ",
                                    changed_.size() - 1));
    }
    changed_[id] = Biased(changed_[id], bias);
  }
  return OkStatus();
}

float Sampler::Biased(float logit, double bias) {
  if (bias <= kBanningBias) return kBannedLogit;
  return logit == kBannedLogit ? logit : ToLogit(logit + bias);
}

void Sampler::Penalize() {
  for (const auto& [id, count] : occurrences_) {
    if (static_cast<size_t>(id) >= changed_.size()) continue;  // of rows that were longer
    changed_[id] = Penalized(changed_[id], count);
  }
}

// The penalty of CTRL (Keskar et al. 2019) divides; a negative logit is multiplied, for division
// would make its token more probable. Then the two that are subtracted.
float Sampler::Penalized(float logit, int count) const {
  if (logit == kBannedLogit) return logit;
  double x = logit;
  x = x > 0 ? x / sampling_.repetition_penalty : x * sampling_.repetition_penalty;
  x -= sampling_.frequency_penalty * count + sampling_.presence_penalty;
  return ToLogit(x);
}

int32_t Sampler::Draw(std::span<const float> logits, float max) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const double x = (static_cast<double>(logits[i]) - max) / sampling_.temperature;
    if (x > kNegligibleExponent) {
      candidates_.emplace_back(DeterministicExp(x), static_cast<int32_t>(i));
    }
  }
  if (sampling_.top_k > 0) CutToNumber(&candidates_, static_cast<size_t>(sampling_.top_k));
  const auto logit_of = [&](int32_t id) { return logits[static_cast<size_t>(id)]; };
  if (sampling_.typical_p < 1) CutToTypical(&candidates_, sampling_.typical_p, logit_of, max);
  if (sampling_.top_p < 1) CutToMass(&candidates_, sampling_.top_p, Heavier);
  if (sampling_.min_p > 0) CutToShareOfGreatest(&candidates_, sampling_.min_p);
  return Take();
}

int32_t Sampler::Take() {
  double left = UniformAt(sampling_.seed, drawn_++) * TotalWeight(candidates_);
  for (const auto& [weight, id] : candidates_) {
    left -= weight;
    if (left < 0) return id;
  }
  return candidates_.back().second;  // rounding left a trifle over
}

double ProbabilityOf(std::span<const float> logits, std::span<const int32_t> ids) {
  if (logits.empty() || ids.empty()) return 0;
  const float max = *std::max_element(logits.begin(), logits.end());
  double wanted = 0;
  for (int32_t id : ids) {
    if (id >= 0 && static_cast<size_t>(id) < logits.size()) {
      wanted += DeterministicExp(static_cast<double>(logits[id]) - max);
    }
  }
  const double sum = ReportSum(logits, max);
  return sum > 0 ? std::min(1.0, wanted / sum) : 0;
}

}  // namespace vade
