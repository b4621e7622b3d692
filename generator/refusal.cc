// Also RefusalText(), which generator.h declares: what takes the place of such a reply.
#include "generator/refusal.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/unicode.h"
#include "generator/generator.h"

namespace vade {
namespace {

// A sentence that opens like a refusal is held back until it ends, or to this length.
constexpr size_t kMaxHeldBytes = 240;

// Replies that refuse only when nothing else is in the sentence: "None" does, "None of the crew"
// does not.
constexpr std::array<std::string_view, 14> kWholeReplies = {
    "none",         "n/a",           "not available", "no answer", "unknown",
    "unanswerable", "not mentioned", "not specified", "无",        "没有答案",
    "无答案",       "未知",          "未提及",        "不知道"};

// Openings that no answer has.
constexpr std::array<std::string_view, 24> kRefusals = {"i don't know",
                                                        "i do not know",
                                                        "i'm sorry",
                                                        "i am sorry",
                                                        "sorry,",
                                                        "none,",
                                                        "无,",
                                                        "i cannot answer",
                                                        "i can't answer",
                                                        "not mentioned in",
                                                        "not specified in",
                                                        "not provided in",
                                                        "no information",
                                                        "there is no information",
                                                        "the answer is not",
                                                        "no answer is",
                                                        "抱歉",
                                                        "对不起",
                                                        "我不知道",
                                                        "无法回答",
                                                        "无法确定",
                                                        "未提供",
                                                        "没有提到",
                                                        "没有提及"};

// Openings of a sentence about the documents themselves; it refuses if it also denies.
constexpr std::array<std::string_view, 19> kAboutDocuments = {"the document",
                                                              "the passage",
                                                              "the text",
                                                              "the context",
                                                              "these document",
                                                              "this document",
                                                              "this passage",
                                                              "none of the document",
                                                              "none of the passage",
                                                              "there is no mention",
                                                              "文档",
                                                              "文中",
                                                              "文章",
                                                              "资料",
                                                              "段落",
                                                              "该文",
                                                              "提供的",
                                                              "给定的",
                                                              "上述"};

// Openings of a frame that any answer may have ("According to the lease, ..."). The sentence is
// about the documents only if the frame names them.
constexpr std::array<std::string_view, 5> kFrames = {"the provided", "the given", "based on the",
                                                     "according to the", "根据"};
constexpr std::array<std::string_view, 5> kDocumentNouns = {"document", "passage", "text",
                                                            "context", "information"};
constexpr std::array<std::string_view, 6> kDocumentNounsHan = {"文档", "文章", "文中",
                                                               "资料", "段落", "信息"};

constexpr std::array<std::string_view, 37> kDenials = {"do not say",
                                                       "does not say",
                                                       "do not mention",
                                                       "does not mention",
                                                       "don't mention",
                                                       "doesn't mention",
                                                       "do not contain",
                                                       "does not contain",
                                                       "don't contain",
                                                       "doesn't contain",
                                                       "do not provide",
                                                       "does not provide",
                                                       "doesn't provide",
                                                       "do not specify",
                                                       "does not specify",
                                                       "doesn't specify",
                                                       "do not state",
                                                       "does not state",
                                                       "do not include",
                                                       "does not include",
                                                       "do not give",
                                                       "does not give",
                                                       "is not mentioned",
                                                       "not mentioned in",
                                                       "no mention",
                                                       "no information",
                                                       "not specified",
                                                       "documents say nothing",
                                                       "没有提",
                                                       "没有说",
                                                       "没有包含",
                                                       "没有答案",
                                                       "未提",
                                                       "不包含",
                                                       "没有相关",
                                                       "中没有",
                                                       "没有关于"};

// Of a text and what it may begin with, while the text may still grow.
enum class Match { kNo, kMaybe, kYes };

bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What follows a word that ends in a letter: nothing yet, more of a longer word, or its end. One
// plural s belongs to the word.
Match EndsWord(std::string_view rest) {
  if (rest.starts_with('s')) rest.remove_prefix(1);
  if (rest.empty()) return Match::kMaybe;
  size_t pos = 0;
  const char32_t next = NextCodePoint(rest, &pos);
  return IsLetter(next) && !IsHan(next) ? Match::kNo : Match::kYes;
}

// "the text" opens "The texts say" and not "The textile mill".
Match Opens(std::string_view text, std::string_view opening) {
  if (!text.starts_with(opening)) return opening.starts_with(text) ? Match::kMaybe : Match::kNo;
  return IsAsciiLetter(opening.back()) ? EndsWord(text.substr(opening.size())) : Match::kYes;
}

Match OpensAny(std::string_view text, const auto& openings) {
  Match best = Match::kNo;
  for (std::string_view opening : openings) best = std::max(best, Opens(text, opening));
  return best;
}

// The same for a text that is whole: where it ends, its last word ends.
bool WholeOpensAny(std::string_view text, const auto& openings) {
  return std::any_of(openings.begin(), openings.end(), [&](std::string_view opening) {
    return text.starts_with(opening) && Opens(text, opening) != Match::kNo;
  });
}

// The place of the first of these, or npos.
size_t FindAny(std::string_view text, const auto& parts) {
  size_t first = text.npos;
  for (std::string_view part : parts) first = std::min(first, text.find(part));
  return first;
}

bool HasWord(std::string_view text, std::string_view word) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !IsAsciiLetter(text[at - 1]);
    if (begins && EndsWord(text.substr(at + word.size())) != Match::kNo) return true;
  }
  return false;
}

// Does the frame of this sentence, up to its first comma or the denial, name the documents?
bool FramesDocuments(std::string_view sentence) {
  const std::string_view frame =
      sentence.substr(0, std::min(sentence.find(','), FindAny(sentence, kDenials)));
  return FindAny(frame, kDocumentNounsHan) != frame.npos ||
         std::any_of(kDocumentNouns.begin(), kDocumentNouns.end(),
                     [&](std::string_view noun) { return HasWord(frame, noun); });
}

// A whole sentence about the documents that denies.
bool Denies(std::string_view sentence) {
  const bool about = WholeOpensAny(sentence, kAboutDocuments) ||
                     (WholeOpensAny(sentence, kFrames) && FramesDocuments(sentence));
  return about && FindAny(sentence, kDenials) != sentence.npos;
}

// Folded, without the quotes, brackets and white space in front; typographic apostrophes made
// plain.
std::string Folded(std::string_view text) {
  const std::string folded = NfkcCaseFold(text);
  std::string out;
  bool leading = true;
  for (size_t pos = 0; pos < folded.size();) {
    const char32_t c = NextCodePoint(folded, &pos);
    if (leading && (IsWhitespace(c) || IsPunctuation(c))) continue;
    leading = false;
    AppendCodePoint(&out, c == U'\u2019' ? U'\'' : c);
  }
  return out;
}

bool EndsSentence(char32_t c) {
  return c == U'.' || c == U'!' || c == U'?' || c == U'。' || c == U'\n' || c == U';' || c == U':';
}

// The bytes before the first sentence end, or npos.
size_t SentenceEnd(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const size_t at = pos;
    if (EndsSentence(NextCodePoint(text, &pos))) return at;
  }
  return text.npos;
}

// `sentence` without the punctuation and white space behind it.
std::string_view Bare(std::string_view sentence) {
  size_t end = 0;
  for (size_t pos = 0; pos < sentence.size();) {
    const char32_t c = NextCodePoint(sentence, &pos);
    if (!IsWhitespace(c) && !IsPunctuation(c)) end = pos;
  }
  return sentence.substr(0, end);
}

// Could `text` still grow into one of these?
bool MayBecomeAny(std::string_view text, const auto& replies) {
  return std::any_of(replies.begin(), replies.end(),
                     [&](std::string_view reply) { return reply.starts_with(text); });
}

bool IsWhole(std::string_view sentence) {
  const std::string_view bare = Bare(sentence);
  return std::find(kWholeReplies.begin(), kWholeReplies.end(), bare) != kWholeReplies.end();
}

}  // namespace

RefusalVerdict JudgeReply(std::string_view text, bool complete) {
  const std::string folded = Folded(text);
  if (folded.empty()) return complete ? RefusalVerdict::kRefusal : RefusalVerdict::kUndecided;
  const Match refuses = OpensAny(folded, kRefusals);
  if (refuses == Match::kYes || (complete && WholeOpensAny(folded, kRefusals))) {
    return RefusalVerdict::kRefusal;
  }

  const size_t end = SentenceEnd(folded);
  const bool ended = complete || end != folded.npos || folded.size() > kMaxHeldBytes;
  const std::string_view sentence = std::string_view(folded).substr(0, end);
  if (ended) {
    return IsWhole(sentence) || Denies(sentence) ? RefusalVerdict::kRefusal
                                                 : RefusalVerdict::kAnswer;
  }
  const bool may = refuses == Match::kMaybe || OpensAny(folded, kAboutDocuments) != Match::kNo ||
                   OpensAny(folded, kFrames) != Match::kNo ||
                   MayBecomeAny(Bare(folded), kWholeReplies);
  return may ? RefusalVerdict::kUndecided : RefusalVerdict::kAnswer;
}

std::string RefusalText(std::string_view question) {
  if (DominantScript(question) == Script::kHan) return "文档中没有这个问题的答案。";
  return "The documents do not contain the answer to this question.";
}

}  // namespace vade
