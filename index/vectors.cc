#include "index/vectors.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/kernels.h"

namespace vade {

float QuantizeRow(const float* x, size_t n, int8_t* codes) {
  float greatest = 0;
  for (size_t i = 0; i < n; ++i) greatest = std::max(greatest, std::fabs(x[i]));
  if (greatest == 0) {
    std::memset(codes, 0, n);
    return 0;
  }
  const float inverse = 127.0f / greatest;
  for (size_t i = 0; i < n; ++i) {
    const float code = std::nearbyint(x[i] * inverse);
    codes[i] = static_cast<int8_t>(std::clamp(code, -127.0f, 127.0f));
  }
  return greatest / 127.0f;
}

void PackNibbles(const int8_t* codes, size_t dimension, uint8_t* nibbles) {
  std::memset(nibbles, 0, NibbleBytes(dimension));
  for (size_t i = 0; i < dimension; ++i) {
    const size_t in_piece = i % kNibblePiece;
    const int nibble = (codes[i] + 128) >> 4;
    uint8_t& byte = nibbles[i / kNibblePiece * (kNibblePiece / 2) + in_piece % 64];
    byte = static_cast<uint8_t>(byte | nibble << (in_piece < 64 ? 0 : 4));
  }
}

void VectorBuffer::Resize(size_t count) {
  ids_.resize(count);
  group_sets_.resize(count);
  languages_.resize(count);
  scales_.resize(count);
  codes_.resize(count * stride_);
  halves_.resize(count * dimension_);
}

void VectorBuffer::Append(const RowFacts& facts, const float* vector) {
  std::vector<uint16_t> halves(dimension_);
  kernels::Active().vector.to_kv(kernels::KvType::kF16, vector, dimension_, halves.data());
  AppendHalves(facts, halves.data());
}

void VectorBuffer::AppendHalves(const RowFacts& facts, const uint16_t* halves) {
  const size_t at = size();
  Resize(at + 1);
  ids_[at] = facts.id;
  group_sets_[at] = facts.group_set;
  languages_[at] = facts.language;
  std::memcpy(halves_.data() + at * dimension_, halves, dimension_ * sizeof(uint16_t));
  std::vector<float> rounded(dimension_);
  kernels::Active().vector.from_kv(kernels::KvType::kF16, halves, dimension_, rounded.data());
  scales_[at] = QuantizeRow(rounded.data(), dimension_, codes_.data() + at * stride_);
}

void VectorBuffer::AppendRow(const VectorRows& rows, size_t slot) {
  Resize(size() + 1);
  SetRow(size() - 1, rows, slot);
}

void VectorBuffer::SetRow(size_t at, const VectorRows& rows, size_t slot) {
  ids_[at] = rows.ids[slot];
  group_sets_[at] = rows.group_sets[slot];
  languages_[at] = rows.languages[slot];
  scales_[at] = rows.scales[slot];
  std::memcpy(codes_.data() + at * stride_, rows.codes + slot * rows.stride, stride_);
  std::memcpy(halves_.data() + at * dimension_, rows.halves + slot * dimension_,
              dimension_ * sizeof(uint16_t));
}

void VectorBuffer::SetGroupSet(uint32_t group_set) {
  std::fill(group_sets_.begin(), group_sets_.end(), group_set);
}

VectorRows VectorBuffer::rows() const {
  return {.count = size(),
          .dimension = dimension_,
          .stride = stride_,
          .ids = ids_.data(),
          .group_sets = group_sets_.data(),
          .languages = languages_.data(),
          .scales = scales_.data(),
          .codes = codes_.data(),
          .halves = halves_.data()};
}

}  // namespace vade
