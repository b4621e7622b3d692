// Wordings of the prompt read from a file, for tools that compare them. Links its own Wording() in
// place of generator/wording.cc. Not thread-safe.
//
// The file holds one wording a paragraph, lines "key=value" (name, system, opening, before, after,
// decline: replies parted by "|", verify, yes, no; "\n" is a line break), blank lines between.
#pragma once

#include <string>
#include <vector>

#include "generator/prompt.h"

namespace vade {

struct NamedWording {
  std::string name;
  PromptWording wording;
  std::string verify = {};  // asks in a next turn whether the answer is right; "": is not asked
  std::vector<std::string> yes = {}, no = {};  // replies to that
};

// Empty when the file does not exist.
std::vector<NamedWording> ReadWordings(const std::string& path);

// What Wording() gives from now on, for both languages.
void UseWording(const PromptWording& wording);

}  // namespace vade
