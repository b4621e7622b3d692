#include "generator/draft.h"

#include <algorithm>

namespace vade {
namespace {

// Longer matches tell no more.
constexpr size_t kLongestMatch = 16;
// Before anything has been measured: what AVX2 machines show for a few tokens more.
constexpr double kFirstExtraCost = 0.15;
constexpr std::array<double, 4> kFirstRates = {0.35, 0.55, 0.7, 0.8};
constexpr double kFirstWeight = 4;
// Old observations fade, so that the rates follow what is being asked.
constexpr double kMostObservations = 200;
constexpr double kSmoothing = 0.125;
constexpr double kLeastRate = 0.02;  // never so sure that a guess is wrong that none is tried again

void Smooth(double* mean, double value) { *mean += kSmoothing * (value - *mean); }

}  // namespace

Guess GuessNext(std::span<const int32_t> text, size_t begin, int longest) {
  if (longest <= 0 || begin >= text.size()) return {};
  const size_t end = text.size();
  size_t best = 0, after = 0;
  for (size_t i = begin; i + 1 < end; ++i) {  // text[i] against the last token
    size_t matched = 0;
    while (matched < kLongestMatch && matched <= i - begin &&
           text[i - matched] == text[end - 1 - matched]) {
      ++matched;
    }
    if (matched > best) {
      best = matched;
      after = i + 1;
    }
  }
  if (best == 0) return {};
  return {text.subspan(after, std::min(end - after, static_cast<size_t>(longest))),
          static_cast<int>(best)};
}

size_t GuessRecord::Of(int matched) {
  return static_cast<size_t>(std::clamp(matched, 1, kLengths) - 1);
}

void GuessRecord::Observe(int matched, int guessed, int held) {
  Counts& counts = counts_[Of(matched)];
  counts.tried += std::min(held + 1, guessed);  // those behind the first wrong one were not judged
  counts.held += held;
  if (counts.tried > kMostObservations) {
    counts.held *= kMostObservations / counts.tried;
    counts.tried = kMostObservations;
  }
}

double GuessRecord::Rate(int matched, const GuessRecord* before) const {
  const size_t i = Of(matched);
  const double prior = before ? before->Rate(matched, nullptr) : kFirstRates[i];
  return (counts_[i].held + kFirstWeight * prior) / (counts_[i].tried + kFirstWeight);
}

void GuessPolicy::ObserveStep(int answers, int guessed, double milliseconds) {
  if (guessed == 0) {
    const auto [it, fresh] = plain_ms_.try_emplace(answers, milliseconds);
    if (!fresh) Smooth(&it->second, milliseconds);
    return;
  }
  const auto plain = plain_ms_.find(answers);
  if (plain == plain_ms_.end()) return;
  const double extra = std::max(0.0, milliseconds - plain->second) / guessed;
  if (extra_ms_ < 0) extra_ms_ = extra;
  Smooth(&extra_ms_, extra);
}

double GuessPolicy::ExtraCost(int answers) const {
  const auto plain = plain_ms_.find(answers);
  if (extra_ms_ < 0 || plain == plain_ms_.end() || plain->second <= 0) return kFirstExtraCost;
  return extra_ms_ / plain->second;
}

int GuessPolicy::BestLength(int matched, const GuessRecord& answer, int answers,
                            int longest) const {
  const double rate = std::max(kLeastRate, answer.Rate(matched, &all_));
  const double cost = ExtraCost(answers);
  double best = 1;  // tokens in the time of a step without guesses
  double tokens = 1, power = 1;
  int length = 0;
  for (int n = 1; n <= longest; ++n) {
    power *= rate;
    tokens += power;
    const double speed = tokens / (1 + cost * n);
    if (speed > best) {
      best = speed;
      length = n;
    }
  }
  return length;
}

}  // namespace vade
