// How a model wants its turns written. Recognised from the weight file's own template text, never
// by running it: a template that is not known is refused by name rather than guessed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/gguf.h"
#include "model/tokenizer.h"

namespace vade {

enum class Role { kSystem, kUser, kAssistant };

// ChatML: <|im_start|>role\ncontent<|im_end|>\n
class ChatTemplate {
 public:
  // UNIMPLEMENTED when the file has a template that is not ChatML; it quotes how the template
  // begins. A file without a template but with both ChatML tokens is taken as ChatML; else
  // UNIMPLEMENTED.
  static Result<ChatTemplate> FromGguf(const GgufFile& file, const Tokenizer& tokenizer);

  // Tokens that open a turn ("<|im_start|>user\n") and close it ("<|im_end|>\n").
  std::vector<int32_t> Open(Role role) const;
  std::vector<int32_t> Close() const;

  // What the model's own template puts in front when a conversation has no system turn; may be "".
  const std::string& default_system() const { return default_system_; }

  // A whole conversation; contents are encoded as text. Ends with an open assistant turn.
  struct Turn {
    Role role = Role::kUser;
    std::string content;
  };
  std::vector<int32_t> Render(const std::vector<Turn>& turns) const;

 private:
  const Tokenizer* tokenizer_ = nullptr;  // outlives this
  std::string default_system_;
  int32_t im_start_ = -1;
  int32_t im_end_ = -1;
};

}  // namespace vade
