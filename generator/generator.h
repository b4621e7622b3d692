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
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "generator/answer.h"
#include "generator/counts.h"
#include "generator/sampling.h"
#include "index/passage.h"
#include "model/decoder.h"

namespace vade {

class BlockFiles;

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
  BlockFiles* block_files = nullptr;     // not owned; null: none are written
  Joining joining = Joining::kDetected;  // for requests that do not say
  int history_tokens = 2048;             // budget for earlier turns
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
  int guessed_tokens = 7;
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
