// Tokens -> text -> writer, until the model, a stop string, a refusal, doubt or the sink ends it.
//
//   Pump pump(tokenizer, stream, &text, &writer, min_confidence, formed);
//   RETURN_IF_ERROR(pump.Run());
//   if (pump.doubtful()) ...
//
// Owns nothing; used by one thread.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "generator/answer.h"
#include "generator/answer_text.h"
#include "generator/answer_writer.h"
#include "generator/engine.h"
#include "model/tokenizer.h"

namespace vade {

Status SinkIsGone();  // CANCELLED

// How sure the model was: the probability that it did not decline at its first token, times the
// geometric mean of the probabilities of the tokens that it chose. 0 for an answer that says that
// there is none.
class ConfidenceMeter {
 public:
  void Add(double probability);
  uint64_t tokens() const { return tokens_; }
  double Confidence(double declined) const;

 private:
  double log_sum_ = 0;
  uint64_t tokens_ = 0;
};

class Pump {
 public:
  // What begins below `min_confidence` is withheld; 0: nothing is. A formed answer is made under a
  // constraint.
  Pump(const Tokenizer& tokenizer, TokenStream* stream, AnswerText* text, AnswerWriter* writer,
       double min_confidence, bool formed);

  // Errors: those of the stream; SinkIsGone().
  Status Run();

  // Of a formed answer: that the model did not want to decline. Its tokens were not its own choice.
  double confidence() const;
  uint64_t tokens() const { return meter_.tokens(); }
  bool doubtful() const { return doubtful_; }  // withheld: the model was not sure enough
  const std::string& withheld() const { return held_; }
  // One for each token that came with alternatives.
  const std::vector<TokenChoice>& choices() const { return choices_; }

 private:
  bool Pass(bool complete);
  void Note(const SampledToken& token);

  const Tokenizer& tokenizer_;
  TokenStream* const stream_;
  AnswerText* const text_;
  AnswerWriter* const writer_;
  const double min_confidence_;
  const bool formed_;
  ConfidenceMeter meter_;
  std::string held_;
  std::vector<TokenChoice> choices_;
  bool open_;
  bool doubtful_ = false;
};

}  // namespace vade
