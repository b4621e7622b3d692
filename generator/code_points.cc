#include "generator/code_points.h"

#include <algorithm>
#include <iterator>

namespace vade {
namespace {

constexpr char32_t kLast = 0x10FFFF;
// All that is not in these is a surrogate.
constexpr char32_t kLowLast = 0xD7FF, kHighFirst = 0xE000;

void AddWithoutSurrogates(CodePointRange range, std::vector<CodePointRange>* out) {
  range.last = std::min(range.last, kLast);
  const auto add = [&](char32_t first, char32_t last) {
    if (first <= last) out->push_back({first, last});
  };
  add(range.first, std::min(range.last, kLowLast));
  add(std::max(range.first, kHighFirst), range.last);
}

std::vector<CodePointRange> Merged(std::vector<CodePointRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const CodePointRange& a, const CodePointRange& b) {
    return a.first != b.first ? a.first < b.first : a.last < b.last;
  });
  std::vector<CodePointRange> merged;
  for (const CodePointRange& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

int Utf8Length(char32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

std::vector<uint8_t> Utf8(char32_t c) {
  const int length = Utf8Length(c);
  if (length == 1) return {static_cast<uint8_t>(c)};
  std::vector<uint8_t> bytes(length);
  for (int i = length - 1; i > 0; --i, c >>= 6) bytes[i] = 0x80 | (c & 0x3F);
  bytes[0] = static_cast<uint8_t>((0xF00 >> length) | c);
  return bytes;
}

// A range whose ends agree in length is one sequence when, from the first byte in which they
// differ, the lower end is all zeros behind it and the upper all ones; else it is cut there.
void AppendSequences(char32_t first, char32_t last, std::vector<std::vector<ByteRange>>* out) {
  for (const char32_t longest : {char32_t{0x7F}, char32_t{0x7FF}, char32_t{0xFFFF}}) {
    if (first <= longest && last > longest) {
      AppendSequences(first, longest, out);
      AppendSequences(longest + 1, last, out);
      return;
    }
  }
  const int length = Utf8Length(first);
  for (int bits = 6; bits < 6 * length; bits += 6) {
    const char32_t mask = (char32_t{1} << bits) - 1;
    if ((first & ~mask) == (last & ~mask)) break;
    const bool low_is_whole = (first & mask) == 0;
    if (low_is_whole && (last & mask) == mask) continue;
    const char32_t cut = low_is_whole ? (last & ~mask) : (first | mask) + 1;
    AppendSequences(first, cut - 1, out);
    AppendSequences(cut, last, out);
    return;
  }
  const auto low = Utf8(first), high = Utf8(last);
  auto& sequence = out->emplace_back(length);
  for (int i = 0; i < length; ++i) sequence[i] = {low[i], high[i]};
}

}  // namespace

CodePointSet::CodePointSet(std::vector<CodePointRange> ranges) {
  std::vector<CodePointRange> clean;
  for (const CodePointRange& range : ranges) AddWithoutSurrogates(range, &clean);
  ranges_ = Merged(std::move(clean));
}

CodePointSet CodePointSet::All() { return CodePointSet({{0, kLast}}); }

CodePointSet CodePointSet::Negated() const {
  std::vector<CodePointRange> gaps;
  char32_t next = 0;
  for (const CodePointRange& range : ranges_) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) gaps.push_back({next, kLast});
  return CodePointSet(std::move(gaps));
}

CodePointSet CodePointSet::Plus(const CodePointSet& other) const {
  std::vector<CodePointRange> both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return CodePointSet(std::move(both));
}

CodePointSet CodePointSet::Minus(const CodePointSet& other) const {
  return Negated().Plus(other).Negated();
}

bool CodePointSet::Contains(char32_t c) const {
  const auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), c,
      [](char32_t value, const CodePointRange& range) { return value < range.first; });
  return after != ranges_.begin() && c <= std::prev(after)->last;
}

std::vector<std::vector<ByteRange>> Utf8Sequences(const CodePointSet& set) {
  std::vector<std::vector<ByteRange>> sequences;
  for (const CodePointRange& range : set.ranges()) {
    AppendSequences(range.first, range.last, &sequences);
  }
  return sequences;
}

}  // namespace vade
