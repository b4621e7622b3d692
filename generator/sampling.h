// What a request may say of the tokens of its answer: how they are chosen, and what form they must
// have. Values; part of generator.h, and apart from it for those of its parts that need no more.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace vade {

inline constexpr int kMaxAnswers = 8, kMaxBeams = 8;

// How the next token is chosen; sampler.h says in which order. The penalties count the tokens of
// the answer only: the prompt holds the passages, and an answer that must not repeat them could not
// cite them.
struct Sampling {
  double temperature = 0;         // 0..100; 0: greedy
  double top_p = 1;               // 1: off
  int top_k = 0;                  // 0: off
  double min_p = 0;               // 0..1, of the most probable token's probability; 0: off
  double typical_p = 1;           // above 0; 1: off
  double repetition_penalty = 1;  // 0.1..10; 1: off
  double presence_penalty = 0;    // -2..2; 0: off
  double frequency_penalty = 0;   // -2..2, times the occurrences; 0: off
  // (token id, what is added to its logit), -100..100; -100 bans the token. At most 1024.
  std::vector<std::pair<int32_t, double>> logit_bias = {};
  int top_logprobs = 0;  // 0..20 alternatives reported with each token; 0: none
  uint64_t seed = 0;     // same seed, same request: same bytes
  // 1..8 answers to one prompt, drawn with the seeds from `seed` on; needs a temperature. Beyond
  // the first they are Answer::alternatives.
  int answers = 1;
  int beams = 1;         // 1..8 continuations that are followed at a time (beam search); 1: off
  int max_tokens = 256;  // of the answer, 1..8192; less where the decoder's context ends first
  std::vector<std::string> stop = {};  // the answer ends before the first of these
};

// What form the answer must have; no token is sampled that does not fit. A model that would rather
// decline refuses as always, in words. An answer that max_tokens cuts off is incomplete.
struct AnswerForm {
  enum class Kind { kFree, kJson, kJsonSchema, kGrammar } kind = Kind::kFree;
  std::string definition = {};  // the schema (JSON) or the grammar (generator/grammar.h)
};

}  // namespace vade
