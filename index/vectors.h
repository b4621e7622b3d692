// Rows of quantised vectors, wherever they lie: a mapped segment, a block of the tail, a staged
// revision.
//
// A row is a passage's vector in two forms: int8 codes with a scale (component = code * scale),
// which are searched, and float16, the truth, which the head of a list is scored with. Codes are
// always made from the float16 form, so a rebuilt row equals the one that was lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/language.h"
#include "index/passage.h"

namespace vade {

// Bytes of a row of codes: rows begin at multiples of this many bytes.
inline size_t CodeStride(size_t dimension) { return (dimension + 63) / 64 * 64; }

// A row of codes in half as many bits: 4 of each code's 8, code = 16 * nibble - 120.5 give or take
// 7.5, laid out as kernels::DistanceKernels::dot_u4_rows reads them. A scan looks at these first.
constexpr float kNibbleStep = 16, kNibbleOffset = 120.5f;
constexpr size_t kNibblePiece = 128;  // dimensions in a piece of 64 bytes
inline size_t NibblePieces(size_t dimension) {
  return (dimension + kNibblePiece - 1) / kNibblePiece;
}
inline size_t NibbleBytes(size_t dimension) { return NibblePieces(dimension) * kNibblePiece / 2; }
// codes[dimension] to nibbles[NibbleBytes(dimension)].
void PackNibbles(const int8_t* codes, size_t dimension, uint8_t* nibbles);

// What a row says of its passage besides the vector.
struct RowFacts {
  PassageId id = 0;
  uint32_t group_set = 0;
  LanguageCode language = kUnknownLanguage;
};

// Borrowed rows. Plain pointers, because two owners of different kinds lend them.
struct VectorRows {
  size_t count = 0;
  size_t dimension = 0;
  size_t stride = 0;                        // of codes, in bytes
  const PassageId* ids = nullptr;           // [count]
  const uint32_t* group_sets = nullptr;     // [count]
  const LanguageCode* languages = nullptr;  // [count]
  const float* scales = nullptr;            // [count]
  const int8_t* codes = nullptr;            // [count, stride]
  const uint16_t* halves = nullptr;         // [count, dimension]
  const uint8_t* nibbles = nullptr;         // [count, NibbleBytes(dimension)], or none
};

// Rounds x[n] to codes in -127..127 and returns the scale; 0 for a zero vector.
float QuantizeRow(const float* x, size_t n, int8_t* codes);

// Rows that it owns.
class VectorBuffer {
 public:
  explicit VectorBuffer(size_t dimension) : dimension_(dimension), stride_(CodeStride(dimension)) {}

  void Resize(size_t count);
  void Append(const RowFacts& facts, const float* vector);
  void AppendHalves(const RowFacts& facts, const uint16_t* halves);
  void AppendRow(const VectorRows& rows, size_t slot);
  // Row `at` (below the size) becomes a copy of row `slot` of `rows`.
  void SetRow(size_t at, const VectorRows& rows, size_t slot);
  void SetGroupSet(uint32_t group_set);  // of every row
  void Clear() { Resize(0); }

  size_t size() const { return ids_.size(); }
  std::span<const uint16_t> HalvesOf(size_t slot) const {
    return {halves_.data() + slot * dimension_, dimension_};
  }
  VectorRows rows() const;

 private:
  size_t dimension_, stride_;
  std::vector<PassageId> ids_;
  std::vector<uint32_t> group_sets_;
  std::vector<LanguageCode> languages_;
  std::vector<float> scales_;
  std::vector<int8_t> codes_;
  std::vector<uint16_t> halves_;
};

}  // namespace vade
