#include "generator/prompt.h"

#include <algorithm>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

// Of the line above a passage; the passage itself is never cut
constexpr size_t kMaxTitleBytes = 256;
constexpr size_t kDateBytes = 10;  // "2024-01-31" of an RFC 3339 time

// One line of at most kMaxTitleBytes, whatever a document calls itself.
std::string OneLine(std::string_view text) {
  std::string line(text.substr(0, FloorToCodePoint(text, std::min(text.size(), kMaxTitleBytes))));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return std::string(StripAsciiWhitespace(line));
}

std::string TitleLine(const Hit& hit) {
  const std::string title = OneLine(hit.title);
  const std::string heading = OneLine(hit.passage.heading_path);
  if (heading.empty() || heading == title) return title;
  if (title.empty() || heading.starts_with(title)) return heading;
  return StrCat(title, " > ", heading);
}

void Append(Tokens* to, const Tokens& from) { to->insert(to->end(), from.begin(), from.end()); }

// Where one turn ends and another begins.
Tokens Transition(const ChatTemplate& chat, Role to) {
  Tokens tokens = chat.Close();
  Append(&tokens, chat.Open(to));
  return tokens;
}

Role SpokenRole(Role role) { return role == Role::kAssistant ? Role::kAssistant : Role::kUser; }

}  // namespace

PromptLanguage LanguageOf(std::string_view question) {
  return DominantScript(question) == Script::kHan ? PromptLanguage::kChinese
                                                  : PromptLanguage::kEnglish;
}

std::string BlockText(const Hit& hit) {
  std::string text = " ";
  text += TitleLine(hit);
  if (!hit.valid_from.empty()) {
    text += StrCat(" (", OneLine(hit.valid_from.substr(0, kDateBytes)), ")");
  }
  return StrCat(text, "\n", hit.passage.text, "\n\n");
}

Tokens PromptWriter::Prefix(PromptLanguage language) const {
  const PromptWording& wording = Wording(language);
  Tokens tokens = chat_->Open(Role::kSystem);
  Append(&tokens, Text(wording.system));
  Append(&tokens, Transition(*chat_, Role::kUser));
  Append(&tokens, Text(wording.opening));
  return tokens;
}

Tokens PromptWriter::Label(int n) const { return Text(StrCat("[", n, "]")); }

Tokens PromptWriter::Block(const Hit& hit) const { return Text(BlockText(hit)); }

Tokens PromptWriter::Turn(const ChatTemplate::Turn& turn, PromptLanguage language) const {
  if (turn.role != Role::kUser) return Text(turn.content);
  return Text(StrCat(Wording(language).before_question, turn.content));
}

Tokens PromptWriter::History(std::span<const ChatTemplate::Turn> turns,
                             PromptLanguage language) const {
  Tokens tokens;
  for (size_t i = 0; i < turns.size(); ++i) {
    const Role role = SpokenRole(turns[i].role);
    if (i > 0 || role != Role::kUser) Append(&tokens, Transition(*chat_, role));
    Append(&tokens, Turn(turns[i], language));
  }
  if (!turns.empty()) Append(&tokens, Transition(*chat_, Role::kUser));
  return tokens;
}

size_t PromptWriter::MaxTransitionTokens() const {
  return std::max(Transition(*chat_, Role::kUser).size(),
                  Transition(*chat_, Role::kAssistant).size());
}

Tokens PromptWriter::UserSystem(std::string_view system) const {
  return system.empty() ? Tokens() : Text(StrCat(system, "\n\n"));
}

std::string PromptWriter::WithForm(std::string_view system, const AnswerForm& form,
                                   PromptLanguage language) {
  std::string text(system);
  const PromptWording& wording = Wording(language);
  if (form.kind == AnswerForm::Kind::kJson)
    text += StrCat(text.empty() ? "" : "\n", wording.json_form);
  if (form.kind == AnswerForm::Kind::kJsonSchema)
    text += StrCat(text.empty() ? "" : "\n", wording.schema_form, form.definition);
  return text;
}

Tokens PromptWriter::Question(std::string_view question, PromptLanguage language) const {
  const PromptWording& wording = Wording(language);
  Tokens tokens = Text(StrCat(wording.before_question, question, wording.after_question));
  Append(&tokens, Transition(*chat_, Role::kAssistant));
  return tokens;
}

PromptWriter::Span PromptWriter::QuestionSpan(std::string_view question,
                                              PromptLanguage language) const {
  const std::string& before = Wording(language).before_question;
  return {Text(before).size(), Text(StrCat(before, question)).size()};
}

Tokens PromptWriter::DeclineTokens(PromptLanguage language) const {
  Tokens first;
  for (const std::string& reply : Wording(language).decline) {
    const Tokens tokens = Text(reply);
    if (!tokens.empty() && std::find(first.begin(), first.end(), tokens[0]) == first.end()) {
      first.push_back(tokens[0]);
    }
  }
  return first;
}

}  // namespace vade
