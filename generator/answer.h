// What a generator gives back: the answer, what it rests on, and what was made of each passage.
// Values; part of generator.h, and apart from it for those of its parts that need no more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "index/passage.h"

namespace vade {

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

}  // namespace vade
