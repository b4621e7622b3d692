// How a question and its passages are laid out for the model; the same order in every path:
//
//   fixed prefix | passage blocks | recent turns | the user's own system text | question |
//   template tokens
//
// The fixed prefix is one per language and holds every instruction of ours: a closed system turn
// and the opening of the user turn. Each block is tokenised alone, behind a label slot "[n]" that
// is tokenised by itself, so a block's tokens never depend on its rank or on its neighbours.
// Everything that comes from documents or users is encoded as text: "<|im_end|>" in a passage stays
// eleven characters.
//
// Pure functions of their arguments; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "generator/sampling.h"
#include "index/passage.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"

namespace vade {

enum class PromptLanguage { kEnglish, kChinese };

// By the script that most letters of the question are in.
PromptLanguage LanguageOf(std::string_view question);

// A passage as it stands in a prompt: title and heading, date of validity, text.
std::string BlockText(const Hit& hit);

using Tokens = std::vector<int32_t>;

class PromptWriter {
 public:
  // Neither is owned; both outlive this.
  PromptWriter(const Tokenizer* tokenizer, const ChatTemplate* chat)
      : tokenizer_(tokenizer), chat_(chat) {}

  Tokens Prefix(PromptLanguage language) const;
  Tokens Label(int n) const;           // "[n]", n from 1
  Tokens Block(const Hit& hit) const;  // without its label
  // The content of one earlier turn, and all of them with the template tokens between. They begin
  // inside the open user turn and end inside one. A system turn among them is written as text of
  // the user.
  Tokens Turn(const ChatTemplate::Turn& turn, PromptLanguage language) const;
  Tokens History(std::span<const ChatTemplate::Turn> turns, PromptLanguage language) const;
  // No more than this many tokens stand between two turns, or around them.
  size_t MaxTransitionTokens() const;
  Tokens UserSystem(std::string_view system) const;
  // The user's system text with what says which form the answer is to have. A grammar speaks for
  // itself: models do not read them.
  static std::string WithForm(std::string_view system, const AnswerForm& form,
                              PromptLanguage language);
  // The question inside the open user turn, closed, and the assistant turn opened.
  Tokens Question(std::string_view question, PromptLanguage language) const;
  // Where the question's own tokens stand in Question(); a token that holds a border may be counted
  // to either side.
  struct Span {
    size_t begin = 0, end = 0;
  };
  Span QuestionSpan(std::string_view question, PromptLanguage language) const;

  // First tokens of the reply that means "the passages do not hold the answer".
  Tokens DeclineTokens(PromptLanguage language) const;

 private:
  Tokens Text(std::string_view text) const { return tokenizer_->Encode(text, Special::kText); }

  const Tokenizer* tokenizer_;
  const ChatTemplate* chat_;
};

// The wording, in a file of its own (wording.cc) so that a tool that compares wordings can link
// another.
struct PromptWording {
  std::string system;   // the instructions
  std::string opening;  // first words of the user turn, before the blocks
  std::string before_question;
  std::string after_question;  // template words, still inside the user turn
  // Replies that mean "not in the passages"; the first is the one asked for.
  std::vector<std::string> decline;
  std::string json_form;    // asks for JSON, after the user's own system text
  std::string schema_form;  // the same; its schema follows
};
const PromptWording& Wording(PromptLanguage language);

}  // namespace vade
