#include "bench/quality/wordings.h"

#include <fstream>

#include "base/strings.h"

namespace vade {

static PromptWording current_wording;
const PromptWording& Wording(PromptLanguage) { return current_wording; }
void UseWording(const PromptWording& wording) { current_wording = wording; }

namespace {

std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool line = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n';
    out += line ? '\n' : text[i];
    i += line;
  }
  return out;
}

}  // namespace

std::vector<NamedWording> ReadWordings(const std::string& path) {
  std::vector<NamedWording> all(1);
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) {
      if (!all.back().name.empty()) all.emplace_back();
      continue;
    }
    const size_t equals = line.find('=');
    const std::string key = line.substr(0, equals), value = Unescape(line.substr(equals + 1));
    PromptWording& wording = all.back().wording;
    if (key == "name") all.back().name = value;
    if (key == "verify") all.back().verify = value;
    if (key == "yes") all.back().yes = Split(value, '|');
    if (key == "no") all.back().no = Split(value, '|');
    if (key == "system") wording.system = value;
    if (key == "opening") wording.opening = value;
    if (key == "before") wording.before_question = value;
    if (key == "after") wording.after_question = value;
    if (key == "decline") wording.decline = Split(value, '|');
  }
  if (all.back().name.empty()) all.pop_back();
  return all;
}

}  // namespace vade
