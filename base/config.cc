#include "base/config.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/files.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr uint64_t kMaxConfigBytes = 1 << 20;

// Levenshtein's distance: insertions, deletions and replacements that turn `a` into `b`.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j - 1] + 1, row[j] + 1, replaced});
    }
  }
  return row.back();
}

std::string NearestKey(std::string_view key, const std::vector<std::string>& known_keys) {
  key = key.substr(0, 128);  // the cost is bounded whatever stands in the file
  const auto nearest = std::min_element(
      known_keys.begin(), known_keys.end(),
      [&](const auto& a, const auto& b) { return EditDistance(key, a) < EditDistance(key, b); });
  return nearest == known_keys.end() ? std::string() : *nearest;
}

// The value after '=': a quoted string with \" \\ \n \t, or the bare text up to a comment.
Result<std::string> ParseValue(std::string_view text) {
  text = StripAsciiWhitespace(text);
  if (text.empty() || text.front() != '"') {
    // '#' begins a comment after a space only, so that an address or a colour may hold one.
    size_t comment = text.empty() || text.front() != '#' ? text.find(" #") : 0;
    comment = std::min(comment, text.find("\t#"));
    return std::string(StripAsciiWhitespace(text.substr(0, comment)));
  }
  std::string value;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      const std::string_view rest = StripAsciiWhitespace(text.substr(i + 1));
      if (rest.empty() || rest.front() == '#') return value;
      return InvalidArgument("there is text after the closing quote; remove it");
    }
    if (text[i] != '\\') {
      value.push_back(text[i]);
      continue;
    }
    static constexpr std::string_view kEscapes = "\"\\nt", kMeanings = "\"\\\n\t";
    const size_t which = ++i < text.size() ? kEscapes.find(text[i]) : std::string_view::npos;
    if (which == std::string_view::npos) {
      return InvalidArgument("an unknown escape; only \\\" \\\\ \\n \\t may follow a backslash");
    }
    value.push_back(kMeanings[which]);
  }
  return InvalidArgument("the closing quote is missing; add \" at the end of the line");
}

Status BadValue(std::string_view key, std::string_view value, std::string_view expected) {
  return InvalidArgument(
      StrCat("config key '", key, "': '", value.substr(0, 64), "' is not ", expected));
}

std::optional<int> UnitShift(char unit) {
  switch (unit) {
    case 'k':
    case 'K': return 10;
    case 'm':
    case 'M': return 20;
    case 'g':
    case 'G': return 30;
    case 't':
    case 'T': return 40;
    default: return std::nullopt;
  }
}

}  // namespace

Result<Config> Config::Parse(std::string_view text, const std::vector<std::string>& known_keys) {
  Config config;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // some editors write a mark
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = StripAsciiWhitespace(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const std::string where = StrCat("config line ", number);
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      return InvalidArgument(
          StrCat(where, ": '", line.substr(0, 64), "' has no '='; ", "write it as key = value"));
    }
    const std::string_view key = StripAsciiWhitespace(line.substr(0, equals));
    if (std::find(known_keys.begin(), known_keys.end(), key) == known_keys.end()) {
      return InvalidArgument(StrCat(where, ": unknown key '", key.substr(0, 64),
                                    "'; the nearest known key is '", NearestKey(key, known_keys),
                                    "'"));
    }
    auto value = ParseValue(line.substr(equals + 1));
    if (!value.ok()) return value.status().WithContext(StrCat(where, ", key '", key, "'"));
    if (!config.values_.emplace(key, std::move(*value)).second) {
      return InvalidArgument(
          StrCat(where, ": key '", key, "' is set twice; keep one of the lines"));
    }
  }
  return config;
}

Result<Config> Config::Load(const std::string& path, const std::vector<std::string>& known_keys) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  auto config = Parse(text, known_keys);
  if (!config.ok()) return config.status().WithContext(path);
  return config;
}

bool Config::Has(std::string_view key) const { return values_.find(key) != values_.end(); }

std::string Config::GetString(std::string_view key, std::string_view fallback) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::string(fallback) : found->second;
}

Result<int64_t> Config::GetInt(std::string_view key, int64_t fallback) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return fallback;
  if (const auto value = ParseInt(found->second)) return *value;
  return BadValue(key, found->second, "a whole number; write it as 42");
}

Result<bool> Config::GetBool(std::string_view key, bool fallback) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return fallback;
  const std::string value = AsciiLower(found->second);
  if (value == "true" || value == "yes" || value == "on" || value == "1") return true;
  if (value == "false" || value == "no" || value == "off" || value == "0") return false;
  return BadValue(key, found->second, "a yes or no; write true or false");
}

Result<uint64_t> Config::GetBytes(std::string_view key, uint64_t fallback) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return fallback;
  std::string_view digits = found->second;
  const auto shift = digits.empty() ? std::nullopt : UnitShift(digits.back());
  if (shift) digits = StripAsciiWhitespace(digits.substr(0, digits.size() - 1));
  const auto value = ParseUint(digits);
  if (!value || (shift && *value > std::numeric_limits<uint64_t>::max() >> *shift)) {
    return BadValue(key, found->second, "a size; write it as 512, 64K, 2M or 4G");
  }
  return *value << shift.value_or(0);
}

}  // namespace vade
