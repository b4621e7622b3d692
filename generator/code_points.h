// Sets of code points, and the bytes that spell them: what a character class of a grammar stands
// for. A set never holds a surrogate, so whatever is spelled from it is valid UTF-8.
#pragma once

#include <cstdint>
#include <vector>

namespace vade {

struct CodePointRange {
  char32_t first = 0, last = 0;  // both belong to it
  friend bool operator==(const CodePointRange&, const CodePointRange&) = default;
};

class CodePointSet {
 public:
  CodePointSet() = default;
  // In any order; they may overlap, and what lies beyond U+10FFFF or is a surrogate falls away.
  explicit CodePointSet(std::vector<CodePointRange> ranges);

  static CodePointSet All();

  CodePointSet Negated() const;
  CodePointSet Minus(const CodePointSet& other) const;
  CodePointSet Plus(const CodePointSet& other) const;
  bool Contains(char32_t c) const;
  bool empty() const { return ranges_.empty(); }
  // Sorted, apart from each other by at least one code point.
  const std::vector<CodePointRange>& ranges() const { return ranges_; }

 private:
  std::vector<CodePointRange> ranges_;
};

struct ByteRange {
  uint8_t first = 0, last = 0;
};

// The UTF-8 of the set as sequences of byte ranges, each of which stands for all its combinations.
std::vector<std::vector<ByteRange>> Utf8Sequences(const CodePointSet& set);

}  // namespace vade
