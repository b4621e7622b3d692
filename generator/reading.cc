#include "generator/reading.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace vade {
namespace {

// Beyond these a reading is as sure as it gets: one odd figure does not outweigh all others.
constexpr double kLeastProbability = 1e-6;
constexpr double kMostGain = 8;  // nats a token
constexpr double kMostUtility = 50;

double Logit(double p) {
  p = std::clamp(p, kLeastProbability, 1 - kLeastProbability);
  return std::log(p / (1 - p));
}

double Utility(const Reading& reading, double best_score, const ReadingCalibration& weights) {
  const double utility =
      weights.constant + weights.answered * Logit(1 - reading.decline_probability) +
      weights.question_gain * std::clamp(reading.question_gain, -kMostGain, kMostGain) +
      weights.score_gap * (reading.score - best_score) + weights.lead * reading.lead;
  return std::isnan(utility) ? -kMostUtility : std::clamp(utility, -kMostUtility, kMostUtility);
}

double BestScore(std::span<const Reading> readings) {
  if (readings.empty()) return 0;
  double best = -std::numeric_limits<double>::infinity();
  for (const Reading& reading : readings) best = std::max(best, reading.score);
  return best;
}

}  // namespace

// Fitted on readings of the service itself (docs/performance.md, "Reading each passage alone").
const ReadingCalibration& CalibrationOf(std::string_view decoder_name) {
  static const ReadingCalibration qwen_1_5b = {.constant = -6.1,
                                               .answered = 0.89,
                                               .question_gain = 1.2,
                                               .score_gap = 0.8,
                                               .lead = 5.4,
                                               .min_answerable = 0.25};
  static const ReadingCalibration qwen_0_5b = {.constant = -4.05,
                                               .answered = 0.39,
                                               .question_gain = 1.2,
                                               .score_gap = 4.7,
                                               .lead = 5.4,
                                               .min_answerable = 0.33};
  // Not fitted: of a first token whose worth nobody measured half, and more of search
  static const ReadingCalibration unknown = {.constant = -3.5,
                                             .answered = 0.15,
                                             .question_gain = 1.5,
                                             .score_gap = 10,
                                             .lead = 2,
                                             .min_answerable = 0.15};
  const bool qwen = decoder_name.starts_with("Qwen2.5");
  if (qwen && decoder_name.find("1.5B") != decoder_name.npos) return qwen_1_5b;
  if (qwen && decoder_name.find("0.5B") != decoder_name.npos) return qwen_0_5b;
  return unknown;
}

double AnswersProbability(const Reading& reading, double best_score,
                          const ReadingCalibration& calibration) {
  return 1 / (1 + std::exp(-Utility(reading, best_score, calibration)));
}

bool Abstains(double answerable, const ReadingCalibration& calibration) {
  return answerable < calibration.min_answerable;
}

Choice ChooseReading(std::span<const Reading> readings, const ReadingCalibration& calibration) {
  Choice choice;
  choice.best_score = BestScore(readings);
  double sum = 1;  // of saying nothing, with utility 0
  for (const Reading& reading : readings) {
    choice.probabilities.push_back(std::exp(Utility(reading, choice.best_score, calibration)));
    sum += choice.probabilities.back();
  }
  for (double& p : choice.probabilities) {
    p /= sum;
    choice.answerable += p;
  }
  choice.order.resize(readings.size());
  std::iota(choice.order.begin(), choice.order.end(), size_t{0});
  std::stable_sort(choice.order.begin(), choice.order.end(), [&](size_t a, size_t b) {
    return choice.probabilities[a] > choice.probabilities[b];
  });
  return choice;
}

}  // namespace vade
