#include "ingest/robots.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/strings.h"

namespace vade {
namespace {

// More of a file than that is not looked at, as the RFC allows.
constexpr size_t kMaxBytes = 500 << 10;

struct Rule {
  bool allow = false;
  std::string_view path;
};

struct Line {
  std::string key;  // lower case
  std::string_view value;
};

Line ParseLine(std::string_view line) {
  line = line.substr(0, line.find('#'));
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  return {AsciiLower(StripAsciiWhitespace(line.substr(0, colon))),
          StripAsciiWhitespace(line.substr(colon + 1))};
}

// Goes over the pattern once for each '*': the leftmost place of a part leaves the most room for
// the next, so nothing is tried twice.
bool Matches(std::string_view pattern, std::string_view path) {
  const bool to_the_end = pattern.ends_with('$');
  if (to_the_end) pattern.remove_suffix(1);
  size_t at = 0;
  for (bool first = true;; first = false) {
    const size_t star = pattern.find('*');
    const std::string_view part = pattern.substr(0, star);
    const bool last = star == std::string_view::npos;
    if (first) {
      if (!path.starts_with(part)) return false;
      at = part.size();
    } else if (last && to_the_end) {
      return path.size() - at >= part.size() && path.ends_with(part);
    } else {
      const size_t found = path.find(part, at);
      if (found == std::string_view::npos) return false;
      at = found + part.size();
    }
    if (last) return !to_the_end || at == path.size();
    pattern.remove_prefix(star + 1);
  }
}

// Of the groups that name `agent`, taken together.
std::vector<Rule> RulesFor(std::string_view text, std::string_view agent, bool* named) {
  std::vector<Rule> rules;
  bool ours = false, in_names = false;
  *named = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    const Line line = ParseLine(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.key == "user-agent") {
      if (!in_names) ours = false;
      in_names = true;
      ours = ours || AsciiLower(line.value) == agent;
      *named = *named || ours;
    } else if (line.key == "allow" || line.key == "disallow") {
      in_names = false;
      if (ours && !line.value.empty()) rules.push_back({line.key == "allow", line.value});
    }
  }
  return rules;
}

}  // namespace

bool RobotsAllow(std::string_view robots_txt, std::string_view agent, std::string_view path) {
  if (path == "/robots.txt") return true;
  if (robots_txt.starts_with("\xEF\xBB\xBF")) robots_txt.remove_prefix(3);
  robots_txt = robots_txt.substr(0, kMaxBytes);
  bool named = false;
  std::vector<Rule> rules = RulesFor(robots_txt, agent, &named);
  if (!named) rules = RulesFor(robots_txt, "*", &named);
  const Rule* best = nullptr;
  for (const Rule& rule : rules) {
    if (!Matches(rule.path, path)) continue;
    const bool better = best == nullptr || rule.path.size() > best->path.size() ||
                        (rule.path.size() == best->path.size() && rule.allow);
    if (better) best = &rule;
  }
  return best == nullptr || best->allow;
}

}  // namespace vade
