// Which of the passages that were each read alone answers a question, and whether any does.
//
//   const ReadingCalibration& calibration = CalibrationOf(decoder.info().name);
//   const Choice choice = ChooseReading(readings, calibration);
//   if (Abstains(choice.answerable, calibration)) ...
//   else the answer goes on from readings[choice.order[0]]
//
// A passage has a utility: a weighted sum of what its first token said, of how much likelier the
// question became behind it, and of where the search that found it placed it. To say that the
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

namespace vade {

// One passage, read alone.
struct Reading {
  // Of PromptWriter::DeclineTokens together, at the first token behind prefix | block | question.
  double decline_probability = 0;
  // Of a token of the question, in the mean: log probability behind the block minus that behind
  // the prefix alone, in nats. 0 when it was not taken.
  double question_gain = 0;
  double score = 0;  // of the Hit
  // Of the first hit: how far its score stands above the second's, read or not. 0 for the others,
  // and where there is no second.
  double lead = 0;
};

// Weights of the utility; by model.
struct ReadingCalibration {
  double constant = 0;
  double answered = 0;       // times logit(1 - decline_probability)
  double question_gain = 0;  // times question_gain
  // Times how far the score is below the best of the readings: the best of a list has nearly the
  // same score whether it answers or not, so only the distance tells.
  double score_gap = 0;
  // Times the lead: where search found one passage that stands out, it mostly answers; where none
  // does, the best of the list lies close to the next.
  double lead = 0;
  double min_answerable = 0;  // abstains below this probability that any passage answers
};

// For a decoder by its name ("Qwen2.5 Coder 1.5B Instruct GGUF"), the same in every language; one
// that is not known gets weights that lean on search.
const ReadingCalibration& CalibrationOf(std::string_view decoder_name);

// That this passage answers, were it the only one; `best_score` is that of the list it is from.
double AnswersProbability(const Reading& reading, double best_score,
                          const ReadingCalibration& calibration);

struct Choice {
  std::vector<size_t> order;          // indices of the readings, the likeliest to answer first
  std::vector<double> probabilities;  // by reading: that it is the one that answers
  double answerable = 0;              // that any does: their sum
  double best_score = 0;              // of the readings
};
// Whether it is to be said that nothing answers, where anything does with this probability.
bool Abstains(double answerable, const ReadingCalibration& calibration);

Choice ChooseReading(std::span<const Reading> readings, const ReadingCalibration& calibration);

// At least this probable, were it the only one: a passage is cited beside the one that the answer
// goes on from.
inline constexpr double kAnswers = 0.5;

}  // namespace vade
