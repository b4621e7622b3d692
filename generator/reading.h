// Which of the passages that were each read alone answers a question, and whether any does.
//
//   const ReadingCalibration& calibration = CalibrationOf(decoder.info(), language);
//   const Choice choice = ChooseReading(readings, calibration);
//   if (choice.abstains) ...  else the answer goes on from readings[choice.order[0]]
//
// A passage has a utility: a weighted sum of what its first token said, of how much likelier the
// question became behind it, and of the scores of the search that found it. To say that the
// documents hold no answer has the utility 0. The probabilities are those of a multinomial logit
// over the passages and that (McFadden 1974): they say which passage is best, how likely it
// answers, and how likely any does, and a weak model leans on search by its weights alone. Where
// the weights come from: docs/performance.md.
//
// Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "generator/prompt.h"

namespace vade {

// One passage, read alone.
struct Reading {
  // Of PromptWriter::DeclineTokens together, at the first token behind prefix | block | question.
  double decline_probability = 0;
  // Of a token of the question, in the mean: log probability behind the block minus that behind
  // the prefix alone, in nats. 0 when it was not taken.
  double question_gain = 0;
  double score = 0, dense_score = 0, term_score = 0;  // of the Hit
};

// Weights of the utility; by model and language.
struct ReadingCalibration {
  double constant = 0;
  double answered = 0;       // times logit(1 - decline_probability)
  double question_gain = 0;  // times question_gain
  double score = 0;          // times score
  double dense_score = 0;    // times dense_score
  double min_answerable = 0;  // abstains below this probability that any passage answers
};

// For a decoder by its name ("Qwen2.5-Coder-1.5B-Instruct") and the language of the question; one
// that is not known gets weights that lean on search.
const ReadingCalibration& CalibrationOf(std::string_view decoder_name, PromptLanguage language);

// That this passage answers, were it the only one.
double AnswersProbability(const Reading& reading, const ReadingCalibration& calibration);

struct Choice {
  std::vector<size_t> order;          // indices of the readings, the likeliest to answer first
  std::vector<double> probabilities;  // by reading: that it is the one that answers
  double answerable = 0;              // that any does: their sum
  bool abstains = true;               // `answerable` is below the threshold, or nothing was read
};
Choice ChooseReading(std::span<const Reading> readings, const ReadingCalibration& calibration);

// At least this probable, were it the only one: a passage is cited beside the one that the answer
// goes on from.
inline constexpr double kAnswers = 0.5;

}  // namespace vade
