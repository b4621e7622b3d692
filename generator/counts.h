// What a generator has done since it was made, for whoever meters a service. All of it only grows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vade {

// What the engine has read and written. A passage that was set aside and begun again counts once,
// its tokens as often as they were read.
struct EngineCounts {
  // Passages that were asked alone, by where their keys and values came from.
  uint64_t passages_from_memory = 0;
  uint64_t passages_from_file = 0;
  uint64_t passages_read = 0;        // anew: they were kept nowhere
  uint64_t passages_read_ahead = 0;  // by Generator::Warm(); no question had asked for them
  // Prompts that went on from what was read for an earlier question, and the tokens of that.
  uint64_t turns_found = 0;
  uint64_t turn_tokens_kept = 0;  // also among prompt_tokens_kept
  // Tokens of prompts: taken from what is kept (prefixes, passages, turns), and read by the
  // decoder.
  uint64_t prompt_tokens_kept = 0;
  uint64_t prompt_tokens_read = 0;
  uint64_t answer_tokens = 0;  // that were sampled, those of answers that were withheld too
  uint64_t guessed_tokens = 0;
  uint64_t held_tokens = 0;  // of the guessed ones
};

// How an answer ended; the abstentions are named as Answer::reason.
enum class AnswerEnd {
  kAnswered,
  kNoPassages,
  kIrrelevant,
  kModelDeclined,
  kUncertain,
  kUnsupported,
  kFailed,  // an error: cancelled, late, refused for want of room, or a fault
};
inline constexpr std::array<std::string_view, 7> kAnswerEndNames = {
    "answered",  "no_passages", "irrelevant", "model_declined",
    "uncertain", "unsupported", "failed"};

struct GeneratorCounts {
  EngineCounts engine;
  std::array<uint64_t, kAnswerEndNames.size()> ends{};  // by AnswerEnd
  uint64_t asked_alone = 0;     // answers whose passages were each asked alone
  uint64_t asked_together = 0;  // and all in one prompt
  uint64_t joined = 0;          // of those asked alone: then answered by several in one prompt
  uint64_t rounds = 0;          // of reading passages alone
  uint64_t readings = 0;        // passages that were asked alone

  // Of what is kept in memory now.
  uint64_t kept_blocks = 0;
  uint64_t kept_bytes = 0;
  uint64_t kept_turns = 0;  // prompts with their answers, to go on from
  uint64_t kept_turn_bytes = 0;
  uint64_t kept_budget_bytes = 0;  // of both together
};

}  // namespace vade
