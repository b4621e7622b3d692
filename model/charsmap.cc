// The table of a SentencePiece normalizer: u32 length of the trie in bytes, the trie, then the
// replacements as texts that end with a NUL. The trie is a double array of u32 units:
//
//   bit 31 set    a leaf: bits 0..30 are its value, the offset of a replacement
//   else          bits 0..7 are the byte that leads here, bit 8 says that a leaf hangs off it,
//                 bits 10.. (shifted by 8 more when bit 9 is set) lead on to its children
#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "model/tokenizer_json.h"
#include "model/unigram_tokenizer.h"

namespace vade {
namespace {

constexpr size_t kMaxUnits = 1 << 22;

class Trie {
 public:
  explicit Trie(std::vector<uint32_t> units) : units_(std::move(units)) {}

  // The value of a key; -1 when there is none.
  int64_t Find(std::string_view key) const {
    uint64_t at = Children(0, units_[0]);
    bool has_leaf = false;
    for (const char c : key) {
      const auto byte = static_cast<uint8_t>(c);
      at ^= byte;
      if (at >= units_.size()) return -1;
      const uint32_t unit = units_[at];
      if ((unit & 0x800000ff) != byte) return -1;
      has_leaf = (unit >> 8 & 1) != 0;
      at = Children(at, unit);
    }
    if (!has_leaf || at >= units_.size()) return -1;
    return units_[at] & 0x7fffffff;
  }

 private:
  static uint64_t Children(uint64_t at, uint32_t unit) {
    return at ^ (uint64_t{unit >> 10} << ((unit & 0x200) >> 6));
  }
  std::vector<uint32_t> units_;
};

}  // namespace

Result<CodePointMap> ReadPrecompiledCharsmap(std::string_view bytes) {
  ByteReader reader(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
  uint32_t trie_bytes = 0;
  if (!reader.Read(&trie_bytes) || trie_bytes % 4 != 0 || trie_bytes == 0 ||
      trie_bytes > bytes.size() - 4 || trie_bytes / 4 > kMaxUnits) {
    return DataLoss("the precompiled_charsmap has no trie");
  }
  std::vector<uint32_t> units(trie_bytes / 4);
  for (uint32_t& unit : units) {
    if (!reader.Read(&unit)) return DataLoss("the precompiled_charsmap ends inside of its trie");
  }
  const std::string_view texts = bytes.substr(4 + trie_bytes);
  const Trie trie(std::move(units));
  CodePointMap map;
  for (char32_t c = 1; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string key;
    AppendCodePoint(&key, c);
    const int64_t offset = trie.Find(key);
    if (offset < 0) continue;
    if (static_cast<uint64_t>(offset) >= texts.size()) {
      return DataLoss(StrCat("the precompiled_charsmap replaces U+", Hex(key),
                             " by what lies behind its end"));
    }
    const std::string_view rest = texts.substr(static_cast<size_t>(offset));
    const std::string_view text = rest.substr(0, std::min(rest.find('\0'), rest.size()));
    if (text.size() > 64 || !IsValidUtf8(text)) {
      return DataLoss("the precompiled_charsmap has a replacement that is no short text");
    }
    map.from.push_back(c);
    for (size_t pos = 0; pos < text.size();) map.to.push_back(NextCodePoint(text, &pos));
    map.end.push_back(static_cast<uint32_t>(map.to.size()));
  }
  return map;
}

}  // namespace vade
