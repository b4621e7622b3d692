// What the first tokens of passages that were each asked alone say: which of them answers best, how
// likely one does, and whether the answer is that the documents do not say.
//
// Pure functions; the numbers come from bench/quality/readings (docs/performance.md).
#pragma once

#include <span>
#include <vector>

#include "generator/prompt.h"
#include "index/passage.h"
#include "model/decoder.h"

namespace vade {

struct Reading {
  double declines = 0;  // probability that the first token declines
  double score = 0;     // Hit::score
};

// A logistic model of "this passage answers".
struct ReadingCalibration {
  double bias = 0;
  double declines = -1;     // of the logit of `declines`, cut to +-kMaxLogit
  double gap = -4;          // of how far the score is below the best one of the question
  double least_answered = 0.5;  // below: abstain
};

struct ReadingChoice {
  std::vector<size_t> order;    // indices into the readings, best first
  std::vector<double> answers;  // by reading: probability that its passage answers
  bool abstains = false;
};

// At least this probable: the passage is cited beside the one that the answer goes on from.
inline constexpr double kAnswers = 0.5;

ReadingCalibration CalibrationOf(const DecoderInfo& model, PromptLanguage language);
ReadingChoice ChooseReading(std::span<const Reading> readings,
                            const ReadingCalibration& calibration);

}  // namespace vade
