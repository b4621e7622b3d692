// From the text of an answer, as it grows, to what the caller gets: tokens, citations, or a
// refusal.
//
// Nothing is sent until it is clear that the reply is no refusal. Then: not strict, text is sent as
// it comes, and a sentence's citations once its end is certain, before anything of the next
// sentence that came with that certainty; strict, a sentence is sent when it has support and
// dropped when it has not. What has been sent, joined, is answer().text at every moment. Used by
// one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "generator/answer_text.h"
#include "generator/citations.h"
#include "generator/generator.h"

namespace vade {

class AnswerWriter {
 public:
  enum class Delivery { kStreaming, kStrict };

  // `citer` and `sink` are not owned and outlive this; the sink may be empty. `on_first` is called
  // before the first character is handed over.
  AnswerWriter(const Citer* citer, const GenerateSink* sink, Delivery delivery,
               std::function<void()> on_first);

  // More text, and the marks of the model up to now. False when the sink wants no more.
  bool Append(std::string_view text, const std::vector<AnswerText::Mark>& marks);
  // Nothing follows: sends what is held.
  bool Finish(const std::vector<AnswerText::Mark>& marks);
  // The answer is this sentence instead, without citations. Precondition: nothing was sent yet.
  bool Refuse(std::string_view sentence);

  bool refused() const { return refused_; }  // the reply said that the passages do not hold it
  bool empty_reply() const { return text_.empty(); }
  bool dropped_all() const { return dropped_ > 0 && sent_.empty(); }
  const std::string& text() const { return sent_; }
  const std::vector<Citation>& citations() const { return citations_; }

 private:
  bool Judge(bool complete);
  bool Send(std::string_view text);
  bool SendUpTo(size_t end);
  bool SettleSentences(bool complete);
  bool Settle(TextSpan sentence, size_t begin, std::vector<Citation> citations);
  bool SendCitations(TextSpan sentence, std::vector<Citation> citations);
  std::vector<int> HintsFor(size_t begin, size_t end) const;

  const Citer* citer_;
  const GenerateSink* sink_;
  const Delivery delivery_;
  std::function<void()> on_first_;
  std::string text_;  // the model's, sent or not
  std::string sent_;
  size_t settled_ = 0;  // sentences of text_ before this are done with
  bool judged_ = false, refused_ = false, border_seen_ = false;
  size_t dropped_ = 0;
  std::vector<AnswerText::Mark> marks_;
  std::vector<Citation> citations_;
};

}  // namespace vade
