#include "generator/answer_text.h"

#include <algorithm>

#include "base/unicode.h"

namespace vade {
namespace {

constexpr size_t kMaxMarkBytes = 24;  // "[1, 2, 3, 4]" and no more
constexpr int kMaxLabel = 999;

bool OpensMark(char32_t c) { return c == U'[' || c == U'【'; }
bool ClosesMark(char32_t c) { return c == U']' || c == U'】'; }
bool InsideMark(char32_t c) {
  return (c >= U'0' && c <= U'9') || c == U',' || c == U' ' || c == U'，' || c == U'、';
}

// The numbers in "[1, 2"; empty when there is none or one is no label.
std::vector<int> LabelsOf(std::string_view mark) {
  std::vector<int> labels;
  bool inside = false;
  for (char c : mark) {
    const bool digit = c >= '0' && c <= '9';
    if (digit && !inside) labels.push_back(0);
    if (digit) labels.back() = std::min(labels.back() * 10 + (c - '0'), kMaxLabel + 1);
    inside = digit;
  }
  const bool valid =
      std::all_of(labels.begin(), labels.end(), [](int l) { return l >= 1 && l <= kMaxLabel; });
  return valid ? labels : std::vector<int>();
}

// The greatest offset <= end that has no white space before it.
size_t BeforeSpace(std::string_view text, size_t end) {
  while (end > 0) {
    const size_t last = FloorToCodePoint(text, end - 1);
    size_t pos = last;
    if (!IsWhitespace(NextCodePoint(text, &pos))) break;
    end = last;
  }
  return end;
}

}  // namespace

std::string AnswerText::Append(std::string_view bytes) {
  if (stopped_) return "";
  partial_.append(bytes);
  const size_t whole = CompletePrefix(partial_);
  const std::string ready = partial_.substr(0, whole);
  partial_.erase(0, whole);
  for (size_t pos = 0; pos < ready.size() && !stopped_;) Read(NextCodePoint(ready, &pos));
  if (stopped_) return Give(text_.size());
  // White space that is not decided yet may be the beginning of a stop string, too.
  const size_t held = std::max(
      {HeldSuffix(text_), HeldSuffix(text_ + space_before_mark_), HeldSuffix(text_ + space_)});
  // Nor is it known whether the white space before a held part will stand at the end.
  return Give(held == 0 ? text_.size()
                        : BeforeSpace(text_, text_.size() - std::min(held, text_.size())));
}

std::string AnswerText::Finish() {
  if (stopped_) return "";
  partial_.clear();
  FlushMark();
  return Give(text_.size());
}

void AnswerText::Read(char32_t c) {
  if (!mark_.empty() && ReadMark(c)) return;
  if (c == U'`') in_code_ = !in_code_;
  if (OpensMark(c) && !in_code_ && !marks_are_text_) {
    AppendCodePoint(&mark_, c);
  } else {
    Write(c);
  }
}

// True when the code point was used up.
bool AnswerText::ReadMark(char32_t c) {
  if (InsideMark(c) && mark_.size() < kMaxMarkBytes) {
    AppendCodePoint(&mark_, c);
    return true;
  }
  const std::vector<int> labels = ClosesMark(c) ? LabelsOf(mark_) : std::vector<int>();
  if (labels.empty()) {
    FlushMark();
    return false;
  }
  for (int label : labels) marks_.push_back({text_.size(), label});
  mark_.clear();
  space_before_mark_ += space_;
  space_.clear();
  return true;
}

void AnswerText::FlushMark() {
  const std::string mark = std::move(mark_);
  mark_.clear();
  for (size_t pos = 0; pos < mark.size();) Write(NextCodePoint(mark, &pos));
}

void AnswerText::Write(char32_t c) {
  if (c == 0 || stopped_) return;
  if (IsWhitespace(c)) {
    if (!text_.empty()) AppendCodePoint(&space_, c);
    return;
  }
  // "word [1]." loses the blank with the mark; "word [1]word" and "line\n[1] line" do not.
  const bool word = IsLetter(c) || IsDigit(c);
  if ((space_.empty() && word) || space_before_mark_.find('\n') != std::string::npos) {
    space_ = space_before_mark_.empty() ? space_ : space_before_mark_;
  }
  const size_t before = text_.size();
  text_ += space_;
  space_.clear();
  space_before_mark_.clear();
  AppendCodePoint(&text_, c);
  CutAtStop(before);
}

// Ends the text at the earliest stop string that ends behind `from`. Looked for in what is certain
// only: a mark may yet take the white space before it away. And after each code point, so that the
// first stop string to be complete ends the answer, however the bytes were cut.
void AnswerText::CutAtStop(size_t from) {
  size_t cut = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t first = from - std::min(from, stop.size());
    cut = std::min(cut, text_.find(stop, first));
  }
  if (cut == std::string::npos) return;
  stopped_ = true;
  text_.resize(BeforeSpace(text_, FloorToCodePoint(text_, std::min(cut, text_.size()))));
}

// Length of the part of text_ in the longest suffix of `text` that begins a stop string.
size_t AnswerText::HeldSuffix(std::string_view text) const {
  size_t held = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, text.size()); n > 0; --n) {
      if (text.substr(text.size() - n) == std::string_view(stop).substr(0, n)) {
        const size_t behind = text.size() - text_.size();  // not of text_
        held = std::max(held, n > behind ? n - behind : 0);
        break;
      }
    }
  }
  return held;
}

std::string AnswerText::Give(size_t end) {
  end = std::max(given_, FloorToCodePoint(text_, end));
  std::string out = text_.substr(given_, end - given_);
  given_ = end;
  return out;
}

}  // namespace vade
