// The engine: one thread that runs the decoder for every answer that is being made.
//
//   Engine engine(&decoder, {.max_active = 8, .max_waiting = 32});
//   ASSIGN_OR_RETURN(auto stream, engine.Start(std::move(job)));
//   for (;;) { ASSIGN_OR_RETURN(auto token, stream->Next()); if (!token) break; ... }
//
// Each step is one Decoder::Forward over all active answers: at most prefill_tokens of prompts (the
// oldest first) and one token for each answer that is running, so a long prompt delays the others
// by one piece. Answers come out the same whatever else is in the batch, and whether or not tokens
// are guessed (generator/draft.h): the sampler is asked for each row in turn, and what a guess
// foretold wrongly is taken back from the sequence.
//
// The prefix of a job is read once: a few prefix sequences are kept, least recently used first out,
// and forked. When the decoder's key/value pages run out, the newest active answer is set aside and
// goes on (from its beginning, with the same tokens) once another has ended; one that does not fit
// alone fails.
//
// Start() and TokenStream may be used from any thread, one thread a stream. The destructor ends
// waiting and active answers with UNAVAILABLE and joins the thread; streams may outlive the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/context.h"
#include "base/status.h"
#include "generator/constraint.h"
#include "generator/generator.h"
#include "generator/prompt.h"

namespace vade {

struct EngineOptions {
  int max_active = 8;
  int max_waiting = 32;
  int prefill_tokens = 256;  // of all prompts together, a step
  int kept_prefixes = 4;
  int guessed_tokens = 0;  // read at most at a time for an answer beyond its last token; 0: off
};

struct EngineJob {
  Tokens prefix, rest;  // the prompt; the prefix is shared between jobs
  Sampling sampling;
  Tokens watched;  // their summed probability at the first token is reported
  std::unique_ptr<TokenConstraint> constraint;  // of what may be sampled; null: none
  Context ctx;                                  // its trace is not touched by the engine
};

struct StreamToken {
  int32_t id = -1;
  double probability = 0;  // in the model's own distribution
};

enum class StopCause { kEnd, kMaxTokens };

struct StreamFacts {           // known once the first token, or the end, has been received
  uint64_t cached_tokens = 0;  // of the prompt, that were not read again
  uint64_t guessed_tokens = 0, held_tokens = 0;  // so far: guesses that were read, that held
  double watched_probability = 0;
  double prefill_ms = 0;              // from admission to the first token
  StopCause cause = StopCause::kEnd;  // known after the end
};

class TokenStream {
 public:
  // Gives up the answer if it is still being made: the engine drops it before its next step.
  ~TokenStream();
  TokenStream(const TokenStream&) = delete;
  TokenStream& operator=(const TokenStream&) = delete;

  // Waits for the next token; nothing at the end. CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE
  // (shutting down), RESOURCE_EXHAUSTED (does not fit into the pages even alone), or the decoder's
  // error.
  Result<std::optional<StreamToken>> Next();
  StreamFacts facts() const;

 private:
  friend class Engine;
  struct Channel;
  explicit TokenStream(std::shared_ptr<Channel> channel);
  std::shared_ptr<Channel> channel_;
};

class Engine {
 public:
  Engine(Decoder* decoder, const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // RESOURCE_EXHAUSTED when max_active + max_waiting answers are under way, with a hint when to
  // retry.
  Result<std::unique_ptr<TokenStream>> Start(EngineJob job);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vade
