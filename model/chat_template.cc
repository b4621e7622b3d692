#include "model/chat_template.h"

#include <algorithm>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr std::string_view kStart = "<|im_start|>";
constexpr std::string_view kEnd = "<|im_end|>";
constexpr size_t kMaxDefaultSystemBytes = 2000;
constexpr size_t kQuotedBytes = 60;

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kSystem: return "system";
    case Role::kUser: return "user";
    case Role::kAssistant: return "assistant";
  }
  return "user";
}

// How the template begins, on one line, for a message.
std::string Beginning(std::string_view text) {
  std::string out = ReplaceInvalidUtf8(text.substr(
      0, text.size() > kQuotedBytes ? FloorToCodePoint(text, kQuotedBytes) : text.size()));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text.size() > kQuotedBytes ? out + "..." : out;
}

// A string literal of a template from `pos` up to `stop`: "" unless it goes there without a break
// (a quote that closes the literal, or an expression).
std::string LiteralUntil(std::string_view text, size_t pos, std::string_view stop) {
  std::string out;
  while (pos < text.size() && out.size() <= kMaxDefaultSystemBytes) {
    if (text.substr(pos, stop.size()) == stop) return out;
    const char c = text[pos++];
    if (c == '\'' || c == '"' || c == '{' || c == '}') return "";
    if (c != '\\') {
      out.push_back(c);
    } else if (pos < text.size()) {
      const char escaped = text[pos++];
      out.push_back(escaped == 'n' ? '\n' : escaped == 't' ? '\t' : escaped);
    }
  }
  return "";
}

// The system turn that the template writes out in full, for conversations without one: it stands
// between
// "<|im_start|>system\n" and "<|im_end|>" inside one literal, its newline written as such or as \n.
std::string DefaultSystem(std::string_view text) {
  static const std::string opening = StrCat(kStart, RoleName(Role::kSystem));
  for (size_t at = text.find(opening); at != std::string_view::npos;
       at = text.find(opening, at + 1)) {
    size_t pos = at + opening.size();
    if (text.substr(pos, 2) == "\\n") {
      pos += 2;
    } else if (text.substr(pos, 1) == "\n") {
      pos += 1;
    } else {
      continue;
    }
    std::string found = LiteralUntil(text, pos, kEnd);
    if (!found.empty()) return found;
  }
  return "";
}

// ChatML wraps every turn in the two tokens; "<|im_sep|>" belongs to a relative of it.
bool IsChatMl(std::string_view text) {
  return text.find(kStart) != std::string_view::npos && text.find(kEnd) != std::string_view::npos &&
         text.find("<|im_sep|>") == std::string_view::npos;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::FromGguf(const GgufFile& file, const Tokenizer& tokenizer) {
  ChatTemplate result;
  result.tokenizer_ = &tokenizer;
  result.im_start_ = tokenizer.FindControl(kStart);
  result.im_end_ = tokenizer.FindControl(kEnd);
  const auto text = file.GetString("tokenizer.chat_template");
  if (text && !IsChatMl(*text)) {
    return Unimplemented(StrCat("weights file ", file.path(),
                                ": its chat template is not ChatML, the one ",
                                "that is supported; it begins \"", Beginning(*text), "\""));
  }
  if (result.im_start_ < 0 || result.im_end_ < 0) {
    return Unimplemented(StrCat("weights file ", file.path(), " has no tokens ", kStart, " and ",
                                kEnd, text ? "" : " and no chat template",
                                "; use an instruct model that speaks ChatML"));
  }
  if (text) result.default_system_ = DefaultSystem(*text);
  return result;
}

std::vector<int32_t> ChatTemplate::Open(Role role) const {
  std::vector<int32_t> ids = {im_start_};
  const auto header = tokenizer_->Encode(StrCat(RoleName(role), "\n"), Special::kText);
  ids.insert(ids.end(), header.begin(), header.end());
  return ids;
}

std::vector<int32_t> ChatTemplate::Close() const {
  std::vector<int32_t> ids = {im_end_};
  const auto newline = tokenizer_->Encode("\n", Special::kText);
  ids.insert(ids.end(), newline.begin(), newline.end());
  return ids;
}

std::vector<int32_t> ChatTemplate::Render(const std::vector<Turn>& turns) const {
  std::vector<int32_t> ids;
  const std::vector<int32_t> close = Close();
  const auto append = [&](Role role, std::string_view content) {
    ids.push_back(im_start_);
    // Encoded together: a content that begins with a newline merges with the one behind the role.
    const auto body = tokenizer_->Encode(StrCat(RoleName(role), "\n", content), Special::kText);
    ids.insert(ids.end(), body.begin(), body.end());
    ids.insert(ids.end(), close.begin(), close.end());
  };
  const bool has_system = !turns.empty() && turns.front().role == Role::kSystem;
  if (!has_system && !default_system_.empty()) append(Role::kSystem, default_system_);
  for (const Turn& turn : turns) append(turn.role, turn.content);
  const std::vector<int32_t> open = Open(Role::kAssistant);
  ids.insert(ids.end(), open.begin(), open.end());
  return ids;
}

}  // namespace vade
