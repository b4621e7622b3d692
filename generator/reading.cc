#include "generator/reading.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vade {
namespace {

// Beyond these a reading is as sure as it gets: one odd figure does not outweigh all others.
constexpr double kLeastProbability = 1e-6;
constexpr double kMostGain = 8;      // nats a token
constexpr double kMostUtility = 50;

double Logit(double p) {
  p = std::clamp(p, kLeastProbability, 1 - kLeastProbability);
  return std::log(p / (1 - p));
}

double Utility(const Reading& reading, const ReadingCalibration& weights) {
  const double utility =
      weights.constant + weights.answered * Logit(1 - reading.decline_probability) +
      weights.question_gain * std::clamp(reading.question_gain, -kMostGain, kMostGain) +
      weights.score * reading.score + weights.dense_score * reading.dense_score;
  return std::isnan(utility) ? -kMostUtility : std::clamp(utility, -kMostUtility, kMostUtility);
}

}  // namespace

const ReadingCalibration& CalibrationOf(std::string_view, PromptLanguage) {
  static const ReadingCalibration unknown = {
      .constant = 0, .answered = 1, .question_gain = 2, .score = 4, .min_answerable = 0.5};
  return unknown;
}

double AnswersProbability(const Reading& reading, const ReadingCalibration& calibration) {
  return 1 / (1 + std::exp(-Utility(reading, calibration)));
}

Choice ChooseReading(std::span<const Reading> readings, const ReadingCalibration& calibration) {
  Choice choice;
  double sum = 1;  // of saying nothing, with utility 0
  for (const Reading& reading : readings) {
    choice.probabilities.push_back(std::exp(Utility(reading, calibration)));
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
  choice.abstains = readings.empty() || choice.answerable < calibration.min_answerable;
  return choice;
}

}  // namespace vade
