#include "generator/reading.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vade {
namespace {

constexpr double kMaxLogit = 12;

double Logit(double p) {
  const double odds = std::log(std::max(p, 1e-9)) - std::log(std::max(1 - p, 1e-9));
  return std::clamp(odds, -kMaxLogit, kMaxLogit);
}

}  // namespace

ReadingCalibration CalibrationOf(const DecoderInfo&, PromptLanguage) { return {}; }

ReadingChoice ChooseReading(std::span<const Reading> readings,
                            const ReadingCalibration& calibration) {
  ReadingChoice choice;
  double best_score = 0;
  for (const Reading& reading : readings) best_score = std::max(best_score, reading.score);
  for (const Reading& reading : readings) {
    const double z = calibration.bias + calibration.declines * Logit(reading.declines) +
                     calibration.gap * (best_score - reading.score);
    choice.answers.push_back(1 / (1 + std::exp(-z)));
  }
  choice.order.resize(readings.size());
  std::iota(choice.order.begin(), choice.order.end(), size_t{0});
  std::stable_sort(choice.order.begin(), choice.order.end(),
                   [&](size_t a, size_t b) { return choice.answers[a] > choice.answers[b]; });
  choice.abstains =
      choice.order.empty() || choice.answers[choice.order[0]] < calibration.least_answered;
  return choice;
}

}  // namespace vade
