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
// foretold wrongly is taken back from the sequence. An answer that is searched for
// (Sampling::beams, generator/beam_search.h) is several sequences and comes out at its end.
//
// The prefix of a job is read once: a few prefix sequences are kept, least recently used first out,
// and forked. So are passage blocks (generator/kept_blocks.h): Read() asks each of several passages
// alone, and an answer goes on from one of them. What two of them need is read by one, the other
// waits for it. When the decoder's key/value pages run out, kept turns go first, then blocks, then
// prefixes, then the newest active answer is set aside and goes on (from its beginning, with the
// same tokens) once another has ended; one that does not fit alone fails.
//
// Start(), Read() and TokenStream may be used from any thread, one thread a stream. The destructor
// ends waiting and active answers with UNAVAILABLE and joins the thread; streams may outlive the
// engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "generator/constraint.h"
#include "generator/counts.h"
#include "generator/kept_blocks.h"
#include "generator/prompt.h"
#include "generator/sampler.h"
#include "generator/sampling.h"
#include "model/decoder.h"

namespace vade {

struct EngineOptions {
  int max_active = 8;  // requests in one batch
  int max_waiting = 32;
  int prefill_tokens = 256;  // of all prompts together, a step
  int kept_prefixes = 4;
  int guessed_tokens = 0;   // read at most at a time for an answer beyond its last token; 0: off
  uint64_t kept_bytes = 0;  // of passage blocks in memory; 0: none are kept
  BlockFiles* block_files = nullptr;  // not owned; null: kept in memory only
  // What was read for a question, within kept_bytes, for so long after its last use; 0: none.
  std::chrono::milliseconds turns_kept_for{600'000};
};

// Whose what is read is, where that may be kept for the next question of a conversation.
struct TurnOrigin {
  BlockKey block;        // behind which it stands; collection 0: nothing is kept
  size_t block_end = 0;  // the block is tokens [prefix, block_end); 0: none or several
  Asker asker;
};

// A passage block behind a prefix.
struct BlockToRead {
  BlockKey key;
  Tokens tokens;
  // Its keys and values, from a file (KeptBlocks::Load); null: kept in memory, or to be read.
  std::shared_ptr<const std::string> saved = nullptr;
};

// Several passages, each asked alone: `prefix | block | suffix` for every block, in one batch.
struct ReadJob {
  Tokens prefix;
  std::shared_ptr<const std::string> saved_prefix = nullptr;  // as BlockToRead::saved
  std::vector<BlockToRead> blocks;
  Tokens suffix;   // at least one token
  Tokens watched;  // their summed probability as the next token is reported
  // Of the suffix's tokens [scored_begin, scored_end), from 1 on: their summed log probability is
  // reported.
  size_t scored_begin = 0, scored_end = 0;
  Asker asker;
  bool ahead = false;  // of any question: counted apart
  Context ctx;         // its trace is not touched by the engine
};

// One passage that was read up to the first token of an answer. Holds pages: let go of it soon.
struct ReadBlock {
  double watched_probability = 0;
  double scored_log_probability = 0;  // natural, summed
  uint64_t prompt_tokens = 0, cached_tokens = 0;
  double prefill_ms = 0;  // from admission until all of the job's blocks were read

  Tokens tokens;  // prefix, block and suffix
  size_t prefix_tokens = 0;
  std::vector<float> logits;  // of the next token
  std::unique_ptr<Sequence> sequence;
  TurnOrigin origin;
  std::shared_ptr<int> held;  // the engine counts what is held

  void Ban(const Tokens& banned);  // none of them is sampled next
};

struct EngineJob {
  Tokens prefix, rest;  // the prompt; the prefix is shared between jobs
  Sampling sampling;
  Tokens watched;  // their summed probability at the first token is reported
  std::unique_ptr<TokenConstraint> constraint;  // of what may be sampled; null: none
  Context ctx = {};                             // its trace is not touched by the engine
  TurnOrigin origin = {};                       // of a prompt; a reading has its own
  std::unique_ptr<ReadBlock> from = nullptr;    // goes on from here; prefix and rest are not used
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
  Result<std::optional<SampledToken>> Next();
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
  // retry. Precondition: sampling.answers is 1.
  Result<std::unique_ptr<TokenStream>> Start(EngineJob job);

  // sampling.answers of them to one prompt, which is read once. Each is what Start() gives for the
  // seed that is higher by its index. Each counts as one under way. Whoever leaves the first stream
  // before its first token leaves them all.
  Result<std::vector<std::unique_ptr<TokenStream>>> StartSeveral(EngineJob job);

  // Reads the blocks and waits for them; the results are in the order of the blocks. Errors as
  // those of Start() and of TokenStream::Next().
  Result<std::vector<std::unique_ptr<ReadBlock>>> Read(ReadJob job);

  KeptBlocks& kept_blocks();
  EngineCounts counts() const;  // of what has ended and what is under way

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vade
