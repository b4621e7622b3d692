// The terms of a text: what is indexed of a passage and looked up for a question
// (docs/terms.md, "What a term is"). libstemmer stays in the .cc file.
//
//   TermCollector collector(languages);
//   collector.Add(heading_path);
//   collector.Add(text);
//   const TermList list = collector.Take();
//
// Equal texts give equal terms on every machine. One thread a collector.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/language.h"

namespace vade {

inline constexpr size_t kMaxTermBytes = 48;

struct TermCount {
  std::string term;  // 1..kMaxTermBytes bytes, none of them 0x00
  uint32_t count = 0;
  friend bool operator==(const TermCount&, const TermCount&) = default;
};

struct TermList {
  std::vector<TermCount> terms;  // by bytes, ascending; each once
  uint32_t length = 0;           // words and pairs of characters, whatever was added to them
  friend bool operator==(const TermList&, const TermList&) = default;
};

class TermCollector {
 public:
  // Words are also stemmed as words of each of these, as far as there are stemmers for them.
  explicit TermCollector(std::vector<LanguageCode> languages) : languages_(std::move(languages)) {}
  void Add(std::string_view utf8);
  TermList Take();

 private:
  void AddRun(std::string_view run);
  void AddWord(std::string_view word);
  void AddPairs(std::string_view run);
  void AddTerm(std::string_view term);

  const std::vector<LanguageCode> languages_;
  std::vector<std::string> found_;
  uint32_t length_ = 0;
};

}  // namespace vade
