// Guessing how an answer goes on: answers from passages copy from them, so the tokens that followed
// the same words in the prompt, or earlier in the answer, often follow again. The engine has the
// decoder read a guess together with the token before it, in one pass, and keeps what the sampler
// would have chosen anyway. A wrong guess costs time and changes nothing.
//
// A batch of a few tokens costs little more than one token where reading the weights is what takes
// time; how much more, and how often guesses hold, is measured while the engine runs.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>

namespace vade {

struct Guess {
  std::span<const int32_t> tokens;  // into the text that was searched; empty: nothing matches
  int matched = 0;                  // tokens before the guess that stand at the text's end too
};

// At most `longest` tokens that followed the longest match of the end of text[begin..]; of equally
// long matches the first one counts, since the best passage stands first.
Guess GuessNext(std::span<const int32_t> text, size_t begin, int longest);

// How often guessed tokens held, by the length of the match: each that holds makes it longer.
class GuessRecord {
 public:
  // The first `held` of `guessed` tokens behind a match of that length were right.
  void Observe(int matched, int guessed, int held);
  // Of the next token behind a match of that length; `before` counts as much as a few guesses.
  double Rate(int matched, const GuessRecord* before) const;

 private:
  static constexpr int kLengths = 4;  // 1, 2, 3, more
  struct Counts {
    double tried = 0, held = 0;
  };
  static size_t Of(int matched);
  std::array<Counts, kLengths> counts_;
};

// How long a step takes by the number of guessed tokens in it. Not linear: the first few may cost
// nothing, and one more than a pass over the weights serves may cost as much as all before it.
class StepTimes {
 public:
  void Observe(int guessed, double milliseconds);
  // As a multiple of a step without guesses; between widths that were seen, on the line.
  double Cost(int guessed) const;

 private:
  struct Mean {
    double milliseconds = 0;
    int seen = 0;
  };
  std::map<int, Mean> by_width_;
};

// What a longer guess costs and brings. One an engine; not thread-safe.
class GuessPolicy {
 public:
  // A step took `milliseconds` that read one token for each of `answers` and `guessed` ones more.
  void ObserveStep(int answers, int guessed, double milliseconds);
  void ObserveGuess(int matched, int guessed, int held) { all_.Observe(matched, guessed, held); }
  // The length in 0..longest that brings the most tokens in a given time, if all answers guess
  // alike; 0: guessing does not pay.
  int BestLength(int matched, const GuessRecord& answer, int answers, int longest) const;
  // Of a step with so many guessed tokens, as a multiple of one without.
  double Cost(int answers, int guessed) const;

 private:
  GuessRecord all_;
  std::map<int, StepTimes> times_;  // by the number of answers
};

}  // namespace vade
