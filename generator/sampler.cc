#include "generator/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace vade {
namespace {

// Weights below this share of the greatest one cannot be told from 0 in what follows.
constexpr double kNegligibleExponent = -32;
// The distribution at temperature 1 is only reported, so a coarser cut saves most of the
// exponentials.
constexpr double kReportExponent = -20;

constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 256;

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

// More probable first; the lower id wins a tie.
bool Heavier(const std::pair<double, int32_t>& a, const std::pair<double, int32_t>& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

double TotalWeight(const std::vector<std::pair<double, int32_t>>& candidates) {
  double total = 0;
  for (const auto& candidate : candidates) total += candidate.first;
  return total;
}

// Keeps the heaviest whose mass reaches top_p. Sorts no more than it needs.
void CutToMass(std::vector<std::pair<double, int32_t>>* candidates, double top_p) {
  const double wanted = TotalWeight(*candidates) * top_p;
  size_t sorted = 0;
  double mass = 0;
  for (size_t keep = 0; keep < candidates->size(); ++keep) {
    if (keep == sorted) {
      sorted = std::min(candidates->size(), std::max<size_t>(64, sorted * 4));
      std::partial_sort(candidates->begin() + keep, candidates->begin() + sorted, candidates->end(),
                        Heavier);
    }
    mass += (*candidates)[keep].first;
    if (mass >= wanted) {
      candidates->resize(keep + 1);
      return;
    }
  }
}

}  // namespace

double DeterministicExp(double x) {
  if (!(x > -700)) return 0;
  // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts so that n * kLn2High is exact.
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2High = 0.693147180369123816490;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  const double n = std::floor(x * kLog2E + 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1;
  for (int i = 13; i >= 1; --i) sum = 1 + sum * r / i;  // Taylor, by Horner
  return std::ldexp(sum, static_cast<int>(n));
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
  if (!(s.temperature >= 0 && s.temperature <= 100)) {
    return InvalidArgument("temperature must lie in 0..100; 0 is greedy");
  }
  if (!(s.top_p > 0 && s.top_p <= 1)) return InvalidArgument("top_p must lie in (0, 1]; 1 is off");
  if (s.top_k < 0) return InvalidArgument("top_k must not be negative; 0 is off");
  if (s.max_tokens < 1 || s.max_tokens > 8192) {
    return InvalidArgument(StrCat("max_tokens is ", s.max_tokens, ", it must lie in 1..8192"));
  }
  if (s.stop.size() > kMaxStops) {
    return InvalidArgument(
        StrCat("at most ", kMaxStops, " stop strings are allowed, got ", s.stop.size()));
  }
  for (const std::string& stop : s.stop) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return InvalidArgument(
          StrCat("a stop string must have 1 to ", kMaxStopBytes, " bytes, got ", stop.size()));
    }
  }
  return OkStatus();
}

Result<SampledToken> Sampler::Next(std::span<const float> logits) {
  ASSIGN_OR_RETURN(const size_t best, CheckedArgmax(logits));
  const float max = logits[best];
  SampledToken token;
  token.id = sampling_.temperature > 0 ? Draw(logits, max) : static_cast<int32_t>(best);
  const double x = static_cast<double>(logits[token.id]) - max;
  token.probability = DeterministicExp(x) / ReportSum(logits, max);
  return token;
}

int32_t Sampler::Draw(std::span<const float> logits, float max) {
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const double x = (static_cast<double>(logits[i]) - max) / sampling_.temperature;
    if (x > kNegligibleExponent) {
      candidates_.emplace_back(DeterministicExp(x), static_cast<int32_t>(i));
    }
  }
  const size_t top_k = static_cast<size_t>(sampling_.top_k);
  if (top_k > 0 && top_k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + (top_k - 1), candidates_.end(),
                     Heavier);
    candidates_.resize(top_k);
    std::sort(candidates_.begin(), candidates_.end(), Heavier);  // one order, whatever the library
  }
  if (sampling_.top_p < 1) CutToMass(&candidates_, sampling_.top_p);

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
