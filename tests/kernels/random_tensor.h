// Random matrices in GGUF block formats for tests of kernels: every code occurs, scales are small
// and finite, so that every product is too.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "kernels/matrix.h"
#include "kernels/tensor_type.h"

namespace vade::kernels {

inline constexpr TensorType kAllTypes[] = {
    TensorType::kF32,  TensorType::kF16,  TensorType::kBf16, TensorType::kQ4_0, TensorType::kQ4_1,
    TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0, TensorType::kQ2_K, TensorType::kQ3_K,
    TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

inline void PutValue(TensorType type, float value, uint8_t* out) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const auto half =
      type == TensorType::kF16 ? FloatToHalf(value) : static_cast<uint16_t>(bits >> 16);
  if (type == TensorType::kF32) {
    std::memcpy(out, &value, 4);
  } else {
    std::memcpy(out, &half, 2);
  }
}

inline std::vector<uint8_t> RandomTensor(TensorType type, size_t rows, size_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const TensorTypeInfo& info = InfoOf(type);
  const size_t blocks = rows * cols / info.block_elements;
  std::vector<uint8_t> bytes(blocks * info.block_bytes);
  for (size_t block = 0; block < blocks; ++block) {
    uint8_t* out = bytes.data() + block * info.block_bytes;
    if (info.block_elements == 1) {
      PutValue(type, normal(random), out);
      continue;
    }
    for (size_t i = 0; i < info.block_bytes; ++i) out[i] = static_cast<uint8_t>(random());
    for (int offset : {info.scale_at, info.minimum_at}) {
      if (offset < 0) continue;
      const uint16_t half = FloatToHalf(0.05f * normal(random));
      std::memcpy(out + offset, &half, 2);
    }
  }
  return bytes;
}

inline std::vector<float> RandomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// The same, its scales chosen so that the values' root mean square is about `size`: weights that a
// network can be made of.
inline std::vector<uint8_t> RandomWeights(TensorType type, size_t rows, size_t cols, uint32_t seed,
                                          float size) {
  auto tensor = RandomTensor(type, rows, cols, seed);
  std::vector<float> values(rows * cols);
  Dequantize(type, tensor.data(), values.size(), values.data());
  double squares = 0;
  for (float value : values) squares += static_cast<double>(value) * value;
  const float factor = size / static_cast<float>(std::sqrt(squares / values.size()));
  const TensorTypeInfo& info = InfoOf(type);
  if (info.block_elements == 1) {
    for (size_t i = 0; i < values.size(); ++i) {
      PutValue(type, values[i] * factor, tensor.data() + i * info.block_bytes);
    }
    return tensor;
  }
  for (size_t block = 0; block < tensor.size(); block += info.block_bytes) {
    for (int offset : {info.scale_at, info.minimum_at}) {
      if (offset < 0) continue;
      uint8_t* at = tensor.data() + block + offset;
      uint16_t half;
      std::memcpy(&half, at, 2);
      half = FloatToHalf(HalfToFloat(half) * factor);
      std::memcpy(at, &half, 2);
    }
  }
  return tensor;
}

// A packed matrix that owns its bytes, 64-byte aligned.
class OwnedMatrix {
 public:
  OwnedMatrix(TensorType type, const std::vector<uint8_t>& tensor, size_t rows, size_t cols)
      : bytes_(PackedBytes(PackedFormat(type), rows, cols) + 64) {
    uint8_t* data = bytes_.data() + (64 - reinterpret_cast<uintptr_t>(bytes_.data()) % 64) % 64;
    matrix_ = {PackedFormat(type), rows, cols, data};
    PackTiles(type, tensor.data(), rows, cols, 0, matrix_.TileCount(), data);
  }
  const PackedMatrix& get() const { return matrix_; }

 private:
  std::vector<uint8_t> bytes_;
  PackedMatrix matrix_;
};

inline std::vector<float> DequantizeAll(TensorType type, const std::vector<uint8_t>& tensor,
                                        size_t elements) {
  std::vector<float> values(elements);
  Dequantize(type, tensor.data(), elements, values.data());
  return values;
}

inline std::vector<uint8_t> PrepareAll(const MatmulKernels& kernels, Format format,
                                       const std::vector<float>& x, size_t cols) {
  const size_t row_bytes = PreparedBytes(format, cols);
  const size_t tokens = x.size() / cols;
  std::vector<uint8_t> prepared(tokens * row_bytes);
  for (size_t t = 0; t < tokens; ++t) {
    kernels.prepare(format, x.data() + t * cols, cols, prepared.data() + t * row_bytes);
  }
  return prepared;
}

}  // namespace vade::kernels
