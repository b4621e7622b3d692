// Question + passages -> a cited answer, streamed.
//
//   ASSIGN_OR_RETURN(auto generator, Generator::Create(&decoder, {}));
//   ASSIGN_OR_RETURN(Answer answer, generator->Generate(request, on_event, ctx));
//
// Knows nothing of retrieval: it is handed hits. Thread-safe: requests of several threads are
// batched by the engine, which runs the decoder on a thread of its own. The decoder is not owned.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "generator/counts.h"
#include "index/passage.h"
#include "model/decoder.h"

namespace vade {

class BlockFiles;

// Where a part of the answer stands in a document. Byte offsets are half-open UTF-8.
struct Citation {
  uint64_t answer_begin = 0, answer_end = 0;  // the supported sentence in the answer
  PassageId passage_id = 0;
  std::string document_id;
  uint64_t source_begin = 0, source_end = 0;  // in the document's text; at most two sentences
  uint32_t page = 0;
  std::string quote;  // exactly those bytes of the document, checked
  int label = 0;      // the [n] of the block, from 1
};

// A passage that the answer does not rest on, and why.
struct Omission {
  PassageId passage_id = 0;
  std::string document_id;
  // "budget", "irrelevant", "weaker" (not read), "declined" (read: it does not answer)
  std::string reason;
};

// What reading one passage alone said.
struct ReadingFact {
  PassageId passage_id = 0;
  std::string document_id;
  double answers = 0;  // 0..1, that the passage holds the answer
  bool kept = false;   // its keys and values were at hand
  // What `answers` was made of, as generator/reading.h has it.
  double decline_probability = 0, question_gain = 0, score_gap = 0, lead = 0;
};

// What another passage says that very likely answers too.
struct OtherAnswer {
  PassageId passage_id = 0;
  std::string document_id;
  std::string text;
  std::string valid_from;  // of its document, as in Hit
  bool agrees = false;     // false: a conflict, which the reader should see
};

// Of passages that are read alone, prompt and cached tokens are summed over all of them and the
// question read once without any. prompt_tokens - cached_tokens is what the decoder had to read.
struct Usage {
  uint64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0, draft_accepted = 0;
};

// Another answer to the same prompt.
struct Alternative {
  std::string text;    // "" where it declines
  std::string reason;  // as Answer::reason
  double confidence = 0;
  std::vector<Citation> citations;
};

// A token of the answer as the model saw it; nothing of sampling is in these figures.
struct TokenChoice {
  struct Ranked {
    int32_t id = -1;
    std::string bytes;           // of its text; may be part of a code point
    double log_probability = 0;  // natural
  };
  Ranked chosen;
  std::vector<Ranked> likeliest;  // Sampling::top_logprobs of them, likeliest first
};

struct Answer {
  std::string text;        // without citation marks
  bool abstained = false;  // the passages do not hold the answer
  std::string reason;      // why it abstained, or why it stopped: "", "no_passages", "irrelevant",
                           // "model_declined", "uncertain", "max_tokens", "unsupported"
  double confidence = 0;   // 0..1
  std::vector<Citation> citations;  // in the order of the answer
  std::vector<Omission> omitted;
  // The likeliest to answer first; none where all were read together.
  std::vector<ReadingFact> readings;
  int rounds = 0;                         // in which they were read
  std::vector<OtherAnswer> others;        // of passages read alone
  std::vector<Alternative> alternatives;  // Sampling::answers - 1 of them; none when it abstained
  // Where Sampling::top_logprobs asks for them: the tokens of `text` with its marks, as they came.
  std::vector<TokenChoice> tokens;
  size_t joined = 0;  // passages that were read in one prompt after each was asked alone; 0: none
  size_t considered = 0;  // of the hits, from the first: that were read, or omitted with a reason
  Usage usage;
};

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

// Whether passages that were each asked alone are also read in one prompt, for an answer that none
// of them has by itself: not; where the question and the readings say so; wherever two or more of
// them speak of what is asked.
enum class Joining { kNever, kDetected, kAlways };

enum class AnswerMode { kDirect, kCot, kVote, kDecompose };

struct GenerateRequest {
  std::string question;
  std::vector<Hit> hits;  // best first
  // So many of the hits are read first; the others only where those do not answer. 0: all at once.
  size_t first_hits = 0;
  std::function<bool()> on_further = nullptr;  // before the others are read; false asks to stop
  uint32_t collection = 0;  // of the hits, its number; 0: not known, and no passage is kept
  uint64_t commit = 0;      // of the view in which they were found
  std::vector<std::string> groups = {};     // of the asker, who goes on from no other group's turns
  std::vector<ChatTemplate::Turn> history;  // earlier turns, oldest first; bounded by tokens
  std::string system;  // the user's own instructions, after the passages; "" = none
  AnswerMode mode = AnswerMode::kDirect;          // others: UNIMPLEMENTED
  std::optional<Joining> joining = std::nullopt;  // of passages; nothing: as GeneratorOptions say
  bool strict = false;                            // true: sentences are sent once they are checked
  AnswerForm form = {};                           // not together with strict
  Sampling sampling;
};

// What happens while an answer is made; exactly one field of text/citation is set.
struct GenerateEvent {
  enum class Kind { kToken, kCitation } kind = Kind::kToken;
  std::string text;   // kToken: whole code points, to be appended to the answer
  Citation citation;  // kCitation: comes when the sentence that it supports is complete
};
// False asks to stop (the client has gone away).
using GenerateSink = std::function<bool(const GenerateEvent&)>;

// Alone: each passage is asked by itself and the answer goes on from the best one. Together: all of
// them in one prompt.
enum class ReadingMode { kAlone, kTogether };

struct GeneratorOptions {
  ReadingMode reading = ReadingMode::kAlone;
  uint64_t kept_bytes = 0;  // of keys and values of passages in memory, within the decoder's pages
  // Within them: what was read for a question, for so long after its last use; 0: none.
  std::chrono::seconds turns_kept_for{600};
  BlockFiles* block_files = nullptr;  // not owned; null: none are written
  Joining joining = Joining::kNever;  // for requests that do not say
  int history_tokens = 2048;          // budget for earlier turns
  int max_prompt_tokens =
      4096;  // prefix, passages, history and question; capped by the decoder's context
  double min_dense_score =
      0;                      // the best hit must reach this, else it abstains "irrelevant"; 0: off
  double min_confidence = 0;  // an answer that begins below it is withheld: "uncertain"; 0: off
  double passage_gap =
      0;  // hits this far below the best score stay out of the prompt: "weaker"; 0: off
  // Of a question's hits beyond those that were asked for: read where those do not answer, before
  // it is said that nothing does (reading alone only); 0: off. Who searches adds them.
  int further_passages = 0;
  // Read at most at a time beyond an answer's last token (generator/draft.h); 0: off. Changes
  // nothing but the time an answer takes.
  int guessed_tokens = 8;
  int max_active = 8;    // answers in one batch
  int max_waiting = 32;  // beyond: RESOURCE_EXHAUSTED
};

// Passages to be read ahead of the questions about them.
struct WarmRequest {
  std::vector<Hit> hits;  // passage, title and valid_from, as a search gives them
  uint32_t collection = 0;
  uint64_t commit = 0;
};

class Generator {
 public:
  // UNIMPLEMENTED when the model's chat template is not known.
  static Result<std::unique_ptr<Generator>> Create(Decoder* decoder,
                                                   const GeneratorOptions& options);
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // Reads passages and keeps their keys and values, behind the prefix of the language that each is
  // written in: a question in another one reads its passages anew. What is kept already is passed
  // over; returns how many were read. Waits until they are in files, where there are any.
  Result<uint64_t> Warm(const WarmRequest& request, const Context& ctx);

  // Nothing is kept any longer of a document ("": of the whole collection) that was replaced or
  // deleted; what its files hold is up to BlockFiles::Forget().
  void Forget(uint32_t collection, const std::string& document_id);
  void ForgetAll();

  // Stages: prefill, first_token (instant), decode. INVALID_ARGUMENT: a question that alone exceeds
  // the budget. Stops within one decoder step of cancellation, deadline, or a sink that returns
  // false.
  Result<Answer> Generate(const GenerateRequest& request, const GenerateSink& sink,
                          const Context& ctx);

  GeneratorCounts counts() const;

 private:
  struct Impl;
  explicit Generator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The sentence that says that the documents do not hold the answer, in the language of the
// question.
std::string RefusalText(std::string_view question);

}  // namespace vade
