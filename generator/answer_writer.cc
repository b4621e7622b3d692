#include "generator/answer_writer.h"

#include <algorithm>

#include "generator/refusal.h"
#include "generator/sentences.h"

namespace vade {
namespace {

// Without one of these no sentence can have ended, and the borders need not be looked for.
bool MayEndSentence(std::string_view text) {
  return text.find_first_of(".!?\n") != text.npos ||
         std::any_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; });
}

}  // namespace

AnswerWriter::AnswerWriter(const Citer* citer, const GenerateSink* sink, Delivery delivery,
                           std::function<void()> on_first)
    : citer_(citer), sink_(sink), delivery_(delivery), on_first_(std::move(on_first)) {}

bool AnswerWriter::Append(std::string_view text, const std::vector<AnswerText::Mark>& marks) {
  if (text.empty() || refused_) return true;
  marks_ = marks;
  text_ += text;
  const bool opened = !judged_;
  if (!Judge(false)) return true;
  border_seen_ = border_seen_ || MayEndSentence(opened ? std::string_view(text_) : text);
  if (border_seen_ && !SettleSentences(false)) return false;
  return delivery_ == Delivery::kStrict || SendUpTo(text_.size());
}

bool AnswerWriter::Finish(const std::vector<AnswerText::Mark>& marks) {
  if (refused_) return true;
  marks_ = marks;
  if (!Judge(true)) return true;
  if (!SettleSentences(true)) return false;
  return delivery_ == Delivery::kStrict || SendUpTo(text_.size());
}

bool AnswerWriter::Refuse(std::string_view sentence) { return Send(sentence); }

// True once it is known to be an answer.
bool AnswerWriter::Judge(bool complete) {
  if (judged_) return true;
  const RefusalVerdict verdict = JudgeReply(text_, complete);
  refused_ = verdict == RefusalVerdict::kRefusal;
  judged_ = verdict == RefusalVerdict::kAnswer;
  return judged_;
}

bool AnswerWriter::Send(std::string_view text) {
  if (text.empty()) return true;
  if (sent_.empty() && on_first_) on_first_();
  sent_ += text;
  if (!*sink_) return true;
  GenerateEvent event;
  event.text = text;
  return (*sink_)(event);
}

// Streaming: what was sent is always a beginning of the text.
bool AnswerWriter::SendUpTo(size_t end) {
  if (end <= sent_.size()) return true;
  return Send(std::string_view(text_).substr(sent_.size(), end - sent_.size()));
}

// A sentence has ended for certain once a letter of the next one is there: until then "3." may go
// on as "3. million".
bool AnswerWriter::SettleSentences(bool complete) {
  const std::string_view open = std::string_view(text_).substr(settled_);
  const std::vector<TextSpan> spans = ReaderSentences(open);
  const size_t base = settled_;
  for (size_t i = 0; i < spans.size(); ++i) {
    if (!complete) {
      const bool next =
          i + 1 < spans.size() &&
          HasLetter(open.substr(spans[i + 1].begin, spans[i + 1].end - spans[i + 1].begin));
      if (!next) return true;
    }
    const TextSpan whole{base + spans[i].begin, base + spans[i].end};
    settled_ = whole.end;
    const TextSpan sentence = Trimmed(text_, whole);
    if (sentence.begin == sentence.end) continue;
    const std::string_view words(text_.data() + sentence.begin, sentence.end - sentence.begin);
    std::vector<Citation> found = citer_->Cite(words, HintsFor(whole.begin, whole.end));
    if (!Settle(sentence, whole.begin, std::move(found))) return false;
  }
  border_seen_ = false;
  return true;
}

bool AnswerWriter::Settle(TextSpan sentence, size_t begin, std::vector<Citation> citations) {
  if (delivery_ == Delivery::kStreaming) {
    if (citations.empty()) return true;
    return SendUpTo(sentence.end) && SendCitations(sentence, std::move(citations));
  }
  if (citations.empty()) {
    ++dropped_;
    return true;
  }
  // The white space between sentences stands behind the earlier one.
  std::string gap;
  if (!sent_.empty()) {
    size_t from = begin;
    while (from > 0 && std::string_view(" \n\t").find(text_[from - 1]) != std::string_view::npos)
      --from;
    gap = text_.substr(from, sentence.begin - from);
  }
  const uint64_t at = sent_.size() + gap.size();
  if (!Send(gap + text_.substr(sentence.begin, sentence.end - sentence.begin))) return false;
  return SendCitations({at, at + (sentence.end - sentence.begin)}, std::move(citations));
}

bool AnswerWriter::SendCitations(TextSpan sentence, std::vector<Citation> citations) {
  for (Citation& citation : citations) {
    citation.answer_begin = sentence.begin;
    citation.answer_end = sentence.end;
    citations_.push_back(citation);
    GenerateEvent event;
    event.kind = GenerateEvent::Kind::kCitation;
    event.citation = std::move(citation);
    if (*sink_ && !(*sink_)(event)) return false;
  }
  return true;
}

// The labels behind the sentence; those before all text belong to the first.
std::vector<int> AnswerWriter::HintsFor(size_t begin, size_t end) const {
  std::vector<int> labels;
  for (const AnswerText::Mark& mark : marks_) {
    const bool inside = mark.position > begin && mark.position <= end;
    if (inside || (mark.position == 0 && begin == 0)) labels.push_back(mark.label);
  }
  return labels;
}

}  // namespace vade
