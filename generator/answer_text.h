// From the bytes of tokens to text that may be shown: whole code points, citation marks taken out,
// white space at both ends dropped, ended before the first stop string.
//
// What could still become part of a mark ("[1"), of a stop string, or be white space at the end is
// held back, so nothing that was given out is ever taken back. One object an answer; not
// thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vade {

class AnswerText {
 public:
  struct Mark {
    size_t position = 0;  // in the text given out so far plus what is held: the mark stood here
    int label = 0;
  };

  enum class Marks { kTakenOut, kText };  // kText: "[1]" is a list of JSON

  explicit AnswerText(std::vector<std::string> stops, Marks kept = Marks::kTakenOut)
      : stops_(std::move(stops)), marks_are_text_(kept == Marks::kText) {}

  // The text that became certain.
  std::string Append(std::string_view bytes);
  // What is left when nothing follows. A code point that never became whole is dropped.
  std::string Finish();

  bool stopped() const { return stopped_; }  // a stop string was met
  const std::vector<Mark>& marks() const { return marks_; }

 private:
  void Read(char32_t c);
  bool ReadMark(char32_t c);
  void Write(char32_t c);
  void FlushMark();
  void CutAtStop(size_t from);
  size_t HeldSuffix(std::string_view text) const;
  std::string Give(size_t end);

  const std::vector<std::string> stops_;
  const bool marks_are_text_;
  std::string partial_;  // bytes of a code point that is not whole yet
  std::string mark_;     // "[12" while a mark is forming
  std::string space_;    // white space behind the text, given out only if something follows
  std::string space_before_mark_;
  std::string text_;      // all text without marks
  size_t given_ = 0;      // of text_
  bool in_code_ = false;  // between backticks "[1]" is code, not a mark
  bool stopped_ = false;
  std::vector<Mark> marks_;
};

}  // namespace vade
