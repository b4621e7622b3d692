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

// How often guesses held, by the length of the match.
class GuessRecord {
 public:
  void Observe(int matched, int guessed, int held);
  // Of one guessed token, after those before it held; `before` counts as much as a few guesses.
  double Rate(int matched, const GuessRecord* before) const;

 private:
  static constexpr int kLengths = 4;  // 1, 2, 3, more
  struct Counts {
    double tried = 0, held = 0;
  };
  static size_t Of(int matched);
  std::array<Counts, kLengths> counts_;
};

// What a longer guess costs and brings. One an engine; not thread-safe.
class GuessPolicy {
 public:
  // A step took `milliseconds` that read one token for each of `answers` and `guessed` ones more.
  void ObserveStep(int answers, int guessed, double milliseconds);
  void ObserveGuess(int matched, int guessed, int held) { all_.Observe(matched, guessed, held); }
  // The length in 0..longest that brings the most tokens in a given time; 0: guessing does not pay.
  int BestLength(int matched, const GuessRecord& answer, int answers, int longest) const;
  // What one more token costs, as a share of a step without guesses.
  double ExtraCost(int answers) const;

 private:
  GuessRecord all_;
  std::map<int, double> plain_ms_;  // of steps without guesses, by the number of answers
  double extra_ms_ = -1;            // a guessed token, running mean; negative: not measured yet
};

}  // namespace vade
