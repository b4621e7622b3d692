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

// Replies that refuse only when nothing else is in the sentence: "None" does, "None of the crew" does not.
constexpr std::array<std::string_view, 14> kWholeReplies = {
    "none", "n/a", "not available", "no answer", "unknown", "unanswerable", "not mentioned", "not specified",
    "无", "没有答案", "无答案", "未知", "未提及", "不知道"};

// Openings that no answer has.
constexpr std::array<std::string_view, 24> kRefusals = {
    "i don't know", "i do not know", "i'm sorry", "i am sorry", "sorry,", "none,", "无,", "i cannot answer", "i can't answer",
    "not mentioned in", "not specified in", "not provided in", "no information", "there is no information",
    "the answer is not", "no answer is", "抱歉", "对不起", "我不知道", "无法回答", "无法确定", "未提供", "没有提到",
    "没有提及"};

// Openings of a sentence about the documents themselves; it refuses if it also denies.
constexpr std::array<std::string_view, 24> kAboutDocuments = {
    "the document", "the passage", "the text", "the context", "the provided", "the given", "these document",
    "this document", "this passage", "none of the document", "none of the passage", "based on the",
    "according to the", "there is no mention", "文档", "文中", "文章", "资料", "段落", "根据", "该文", "提供的",
    "给定的", "上述"};

constexpr std::array<std::string_view, 37> kDenials = {
    "do not say", "does not say", "do not mention", "does not mention", "don't mention", "doesn't mention",
    "do not contain", "does not contain", "don't contain", "doesn't contain", "do not provide",
    "does not provide", "doesn't provide", "do not specify", "does not specify", "doesn't specify",
    "do not state", "does not state", "do not include", "does not include", "do not give", "does not give",
    "is not mentioned", "not mentioned in", "no mention", "no information", "not specified",
    "documents say nothing", "没有提", "没有说", "没有包含", "没有答案", "未提", "不包含", "没有相关", "中没有", "没有关于"};

bool StartsWithAny(std::string_view text, const auto& openings) {
  return std::any_of(openings.begin(), openings.end(),
                     [&](std::string_view opening) { return text.starts_with(opening); });
}

// Could `text` still grow into one of these?
bool MayBecomeAny(std::string_view text, const auto& openings) {
  return std::any_of(openings.begin(), openings.end(),
                     [&](std::string_view opening) { return opening.starts_with(text); });
}

bool ContainsAny(std::string_view text, const auto& parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](std::string_view part) { return text.find(part) != text.npos; });
}

// Folded, without the quotes, brackets and white space in front; typographic apostrophes made plain.
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

bool IsWhole(std::string_view sentence) {
  const std::string_view bare = Bare(sentence);
  return std::find(kWholeReplies.begin(), kWholeReplies.end(), bare) != kWholeReplies.end();
}

}  // namespace

RefusalVerdict JudgeReply(std::string_view text, bool complete) {
  const std::string folded = Folded(text);
  if (folded.empty()) return complete ? RefusalVerdict::kRefusal : RefusalVerdict::kUndecided;
  if (StartsWithAny(folded, kRefusals)) return RefusalVerdict::kRefusal;

  const size_t end = SentenceEnd(folded);
  const bool ended = complete || end != folded.npos || folded.size() > kMaxHeldBytes;
  const std::string_view sentence = std::string_view(folded).substr(0, end);
  if (ended) {
    const bool denies = StartsWithAny(sentence, kAboutDocuments) && ContainsAny(sentence, kDenials);
    return IsWhole(sentence) || denies ? RefusalVerdict::kRefusal : RefusalVerdict::kAnswer;
  }
  const bool may = MayBecomeAny(folded, kRefusals) || MayBecomeAny(folded, kAboutDocuments) ||
                   MayBecomeAny(Bare(folded), kWholeReplies) || StartsWithAny(folded, kAboutDocuments);
  return may ? RefusalVerdict::kUndecided : RefusalVerdict::kAnswer;
}

std::string RefusalText(std::string_view question) {
  if (DominantScript(question) == Script::kHan) return "文档中没有这个问题的答案。";
  return "The documents do not contain the answer to this question.";
}

}  // namespace vade
