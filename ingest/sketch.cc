#include "ingest/sketch.h"

#include <algorithm>
#include <limits>

#include "base/bytes.h"
#include "base/unicode.h"

namespace vade {
namespace {

constexpr size_t kRun = 5;
constexpr size_t kLeastRuns = 20;
constexpr size_t kRowsInBand = kSketchSize / kSketchBands;

// SplitMix64's mixing of bits: every bit of the input moves every bit of the output.
uint64_t Mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// One of kSketchSize functions that put numbers into an order of its own: an odd factor each.
struct Orders {
  std::array<uint64_t, kSketchSize> factor{}, summand{};
  Orders() {
    for (size_t i = 0; i < kSketchSize; ++i) {
      factor[i] = Mix(2 * i + 1) | 1;
      summand[i] = Mix(2 * i + 2);
    }
  }
};

// Hashes of words, one after the other.
class WordHashes {
 public:
  explicit WordHashes(std::string_view text) : text_(text) {}
  // 0 at the end.
  uint64_t Next() {
    uint64_t hash = 0;
    while (at_ < text_.size()) {
      const unsigned char c = static_cast<unsigned char>(text_[at_]);
      const bool letter =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (letter) {
        hash = Mix(hash + (c >= 'A' && c <= 'Z' ? c | 0x20u : c));
        ++at_;
        continue;
      }
      if (hash != 0) return hash;
      if (c < 0x80) {
        ++at_;
        continue;
      }
      const uint32_t point = NextCodePoint(text_, &at_);
      if (!IsWhitespace(point)) return Mix(point);
    }
    return hash;
  }

 private:
  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::optional<Sketch> SketchOf(std::string_view text) {
  static const Orders orders;
  Sketch least;
  least.fill(std::numeric_limits<uint32_t>::max());
  std::array<uint64_t, kRun> run{};
  size_t words = 0;
  WordHashes next(text);
  for (uint64_t word = next.Next(); word != 0; word = next.Next()) {
    run[words++ % kRun] = word;
    if (words < kRun) continue;
    uint64_t hash = 0;
    for (size_t i = 0; i < kRun; ++i) hash = Mix(hash + run[(words + i) % kRun]);
    for (size_t i = 0; i < kSketchSize; ++i) {
      const auto rank = static_cast<uint32_t>((hash * orders.factor[i] + orders.summand[i]) >> 32);
      least[i] = std::min(least[i], rank);
    }
  }
  if (words < kLeastRuns + kRun - 1) return std::nullopt;
  return least;
}

double Likeness(const Sketch& a, const Sketch& b) {
  size_t same = 0;
  for (size_t i = 0; i < kSketchSize; ++i) same += a[i] == b[i];
  return static_cast<double>(same) / kSketchSize;
}

std::array<uint64_t, kSketchBands> BandsOf(const Sketch& sketch) {
  std::array<uint64_t, kSketchBands> bands{};
  for (size_t i = 0; i < kSketchBands; ++i) {
    bands[i] =
        Checksum64(std::string_view(reinterpret_cast<const char*>(sketch.data() + i * kRowsInBand),
                                    kRowsInBand * sizeof(uint32_t)));
  }
  return bands;
}

}  // namespace vade
