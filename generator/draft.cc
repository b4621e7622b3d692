#include "generator/draft.h"

#include <algorithm>
#include <iterator>

namespace vade {
namespace {

// Longer matches tell no more.
constexpr size_t kLongestMatch = 16;
// Before anything has been measured: a guessed token, as a share of a step, and how often one
// holds.
constexpr double kFirstExtraCost = 0.1;
constexpr std::array<double, 4> kFirstRates = {0.5, 0.75, 0.85, 0.9};
constexpr double kFirstWeight = 4;
// Old observations fade, so that the rates follow what is being asked.
constexpr double kMostObservations = 200;
constexpr int kMostSteps = 8;
// A step that took longer than so many times the expected was held up by something else.
constexpr double kMostDelay = 2;
constexpr double kLeastRate = 0.02;  // never so sure that a guess is wrong that none is tried again

// Widths that are told apart: each up to a dozen, then a few together.
int WidthOf(int guessed) { return guessed <= 12 ? guessed : (guessed + 3) / 4 * 4; }

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
  const int judged = std::min(held + 1, guessed);  // those behind the first wrong one were not
  for (int i = 0; i < judged; ++i) {
    Counts& counts = counts_[Of(matched + i)];
    counts.tried += 1;
    if (i < held) counts.held += 1;
    if (counts.tried <= kMostObservations) continue;
    counts.held *= kMostObservations / counts.tried;
    counts.tried = kMostObservations;
  }
}

double GuessRecord::Rate(int matched, const GuessRecord* before) const {
  const size_t i = Of(matched);
  const double prior = before ? before->Rate(matched, nullptr) : kFirstRates[i];
  return (counts_[i].held + kFirstWeight * prior) / (counts_[i].tried + kFirstWeight);
}

void StepTimes::Observe(int guessed, double milliseconds) {
  const int width = WidthOf(guessed);
  if (by_width_.count(0) > 0)
    milliseconds = std::min(milliseconds, kMostDelay * Cost(width) * by_width_.at(0).milliseconds);
  Mean& mean = by_width_[width];
  mean.seen = std::min(mean.seen + 1, kMostSteps);
  mean.milliseconds += (milliseconds - mean.milliseconds) / mean.seen;
}

double StepTimes::Cost(int guessed) const {
  const double unseen = 1 + kFirstExtraCost * guessed;
  const auto plain = by_width_.find(0);
  if (plain == by_width_.end() || plain->second.milliseconds <= 0) return unseen;
  const auto cost = [&](auto at) {
    return std::max(1.0, at->second.milliseconds / plain->second.milliseconds);
  };
  const auto above = by_width_.lower_bound(guessed);
  if (above != by_width_.end() && above->first == guessed) return cost(above);
  const auto below = std::prev(above);  // the plain one, if no other
  if (above == by_width_.end()) {
    if (below == plain) return unseen;
    return 1 + (cost(below) - 1) * guessed / below->first;
  }
  const double part = static_cast<double>(guessed - below->first) / (above->first - below->first);
  return cost(below) + part * (cost(above) - cost(below));
}

void GuessPolicy::ObserveStep(int answers, int guessed, double milliseconds) {
  times_[answers].Observe(guessed, milliseconds);
}

double GuessPolicy::Cost(int answers, int guessed) const {
  const auto times = times_.find(answers);
  return times == times_.end() ? StepTimes().Cost(guessed) : times->second.Cost(guessed);
}

int GuessPolicy::BestLength(int matched, const GuessRecord& answer, int answers,
                            int longest) const {
  double best = 1;  // tokens in the time of a step without guesses
  double tokens = 1, power = 1;
  int length = 0;
  for (int n = 1; n <= longest; ++n) {
    power *= std::max(kLeastRate, answer.Rate(matched + n - 1, &all_));
    tokens += power;
    const double speed = tokens / Cost(answers, answers * n);
    if (speed > best) {
      best = speed;
      length = n;
    }
  }
  return length;
}

}  // namespace vade
