#include "kernels/tensor_type.h"

#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "kernels/blocks.h"

namespace vade {
namespace {

constexpr TensorTypeInfo kTypes[] = {
    {TensorType::kF32, "F32", 1, 4},
    {TensorType::kF16, "F16", 1, 2},
    {TensorType::kQ4_0, "Q4_0", 32, 18, 0},
    {TensorType::kQ4_1, "Q4_1", 32, 20, 0, 2},
    {TensorType::kQ5_0, "Q5_0", 32, 22, 0},
    {TensorType::kQ5_1, "Q5_1", 32, 24, 0, 2},
    {TensorType::kQ8_0, "Q8_0", 32, 34, 0},
    {TensorType::kQ2_K, "Q2_K", 256, 84, 80, 82},
    {TensorType::kQ3_K, "Q3_K", 256, 110, 108},
    {TensorType::kQ4_K, "Q4_K", 256, 144, 0, 2},
    {TensorType::kQ5_K, "Q5_K", 256, 176, 0, 2},
    {TensorType::kQ6_K, "Q6_K", 256, 210, 208},
    {TensorType::kBf16, "BF16", 1, 2},
};

template <typename T>
T Load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

// 16 bytes hold 32 codes: the low halves are codes 0..15, the high halves 16..31.
void ReadNibbles(const uint8_t* bytes, int16_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = bytes[i] & 15;
    codes[i + 16] = bytes[i] >> 4;
  }
}

void AddFifthBits(uint32_t bits, int16_t* codes) {
  for (int i = 0; i < 32; ++i) codes[i] = static_cast<int16_t>(codes[i] | (bits >> i & 1) << 4);
}

// The 12 bytes of Q4_K and Q5_K hold 8 scales and 8 minima of 6 bits each. Bytes 0-3: scales 0-3
// below, top bits of scales 4-7 above; bytes 4-7: likewise for minima; bytes 8-11: low halves of
// both for 4-7.
void ReadSixBitPairs(const uint8_t* p, SuperBlock* out) {
  for (int i = 0; i < 8; ++i) {
    int scale = p[i % 4] & 63;
    int minimum = p[4 + i % 4] & 63;
    if (i >= 4) {
      scale = (p[i + 4] & 15) | (p[i - 4] >> 6) << 4;
      minimum = p[i + 4] >> 4 | (p[i] >> 6) << 4;
    }
    out->scales[2 * i] = out->scales[2 * i + 1] = static_cast<int16_t>(scale);
    out->minima[2 * i] = out->minima[2 * i + 1] = static_cast<uint8_t>(minimum);
  }
}

// Codes of 2 bits: each half of 128 codes lies in 32 bytes, codes 32j..32j+31 at bits 2j.
void ReadTwoBits(const uint8_t* bytes, uint8_t* codes) {
  for (int i = 0; i < 256; ++i) {
    codes[i] = bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
  }
}

// Codes of 4 bits: each group of 64 lies in 32 bytes, low halves first.
void ReadFourBits(const uint8_t* bytes, uint8_t* codes) {
  for (int group = 0; group < 4; ++group, bytes += 32, codes += 64) {
    for (int i = 0; i < 32; ++i) {
      codes[i] = bytes[i] & 15;
      codes[i + 32] = bytes[i] >> 4;
    }
  }
}

// uint8 scales[16] (low half: scale, high half: minimum), uint8 codes[64], half scale, half minimum
void ReadQ2K(const uint8_t* p, SuperBlock* out) {
  for (int i = 0; i < 16; ++i) {
    out->scales[i] = p[i] & 15;
    out->minima[i] = p[i] >> 4;
  }
  ReadTwoBits(p + 16, out->codes);
  out->scale = Load<uint16_t>(p + 80);
  out->minimum = Load<uint16_t>(p + 82);
}

// uint8 high_bits[32], uint8 low_bits[64], uint8 scales[12], half scale
void ReadQ3K(const uint8_t* p, SuperBlock* out) {
  ReadTwoBits(p + 32, out->codes);
  for (int i = 0; i < 256; ++i)
    out->codes[i] |= static_cast<uint8_t>((p[i % 32] >> i / 32 & 1) << 2);
  const uint8_t* packed = p + 96;
  for (int i = 0; i < 16; ++i) {
    const int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
    const int high = packed[8 + i % 4] >> (i / 4 * 2) & 3;
    out->scales[i] = static_cast<int16_t>((low | high << 4) - 32);
    out->minima[i] = 0;
  }
  out->zero = 4;
  out->scale = Load<uint16_t>(p + 108);
}

// half scale, half minimum, uint8 scales[12], (Q5_K: uint8 high_bits[32],) uint8 codes[128]
void ReadQ4KorQ5K(bool five, const uint8_t* p, SuperBlock* out) {
  out->scale = Load<uint16_t>(p);
  out->minimum = Load<uint16_t>(p + 2);
  ReadSixBitPairs(p + 4, out);
  ReadFourBits(p + (five ? 48 : 16), out->codes);
  if (!five) return;
  for (int group = 0; group < 8; ++group) {
    for (int i = 0; i < 32; ++i) {
      out->codes[32 * group + i] |= static_cast<uint8_t>((p[16 + i] >> group & 1) << 4);
    }
  }
}

// uint8 low_bits[128], uint8 high_bits[64], int8 scales[16], half scale
void ReadQ6K(const uint8_t* p, SuperBlock* out) {
  for (int quarter = 0; quarter < 8; ++quarter) {  // of a half of 128 codes
    const uint8_t* low = p + quarter / 4 * 64 + quarter % 2 * 32;
    const uint8_t* high = p + 128 + quarter / 4 * 32;
    const int low_shift = quarter % 4 / 2 * 4, high_shift = quarter % 4 * 2;
    for (int i = 0; i < 32; ++i) {
      const int upper = high[i] >> high_shift & 3;
      out->codes[32 * quarter + i] = static_cast<uint8_t>((low[i] >> low_shift & 15) | upper << 4);
    }
  }
  for (int i = 0; i < 16; ++i) {
    out->scales[i] = static_cast<int8_t>(p[192 + i]);
    out->minima[i] = 0;
  }
  out->zero = 32;
  out->scale = Load<uint16_t>(p + 208);
}

void DecodeBlock32(const Block32& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  const float minimum = HalfToFloat(block.minimum);
  for (int i = 0; i < 32; ++i) {
    out[i] = scale * static_cast<float>(block.codes[i] - block.zero) + minimum;
  }
}

void DecodeSuperBlock(const SuperBlock& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  const float minimum = HalfToFloat(block.minimum);
  for (int i = 0; i < 256; ++i) {
    const float step = scale * static_cast<float>(block.scales[i / 16]);
    out[i] = step * static_cast<float>(block.codes[i] - block.zero) -
             minimum * static_cast<float>(block.minima[i / 16]);
  }
}

void DecodeFloats(TensorType type, const uint8_t* bytes, size_t elements, float* out) {
  for (size_t i = 0; i < elements; ++i) {
    switch (type) {
      case TensorType::kF32: out[i] = Load<float>(bytes + 4 * i); break;
      case TensorType::kF16: out[i] = HalfToFloat(Load<uint16_t>(bytes + 2 * i)); break;
      default:
        out[i] = std::bit_cast<float>(static_cast<uint32_t>(Load<uint16_t>(bytes + 2 * i)) << 16);
    }
  }
}

}  // namespace

const TensorTypeInfo* FindTensorType(uint32_t id) {
  for (const TensorTypeInfo& info : kTypes) {
    if (static_cast<uint32_t>(info.type) == id) return &info;
  }
  return nullptr;
}

const TensorTypeInfo& InfoOf(TensorType type) {
  const TensorTypeInfo* info = FindTensorType(static_cast<uint32_t>(type));
  VADE_CHECK(info != nullptr, "readers admit only ids that FindTensorType knows");
  return *info;
}

// half scale, (Q4_1, Q5_1: half minimum,) (Q5: uint32 fifth bits,) codes
void ReadBlock32(TensorType type, const uint8_t* bytes, Block32* out) {
  *out = Block32{};
  out->scale = Load<uint16_t>(bytes);
  bytes += 2;
  if (type == TensorType::kQ4_1 || type == TensorType::kQ5_1) {
    out->minimum = Load<uint16_t>(bytes);
    bytes += 2;
  }
  switch (type) {
    case TensorType::kQ4_0: out->zero = 8; [[fallthrough]];
    case TensorType::kQ4_1: return ReadNibbles(bytes, out->codes);
    case TensorType::kQ5_0: out->zero = 16; [[fallthrough]];
    case TensorType::kQ5_1:
      ReadNibbles(bytes + 4, out->codes);
      return AddFifthBits(Load<uint32_t>(bytes), out->codes);
    default:  // Q8_0
      for (int i = 0; i < 32; ++i) out->codes[i] = static_cast<int8_t>(bytes[i]);
  }
}

void ReadSuperBlock(TensorType type, const uint8_t* bytes, SuperBlock* out) {
  out->zero = 0;
  out->minimum = 0;
  switch (type) {
    case TensorType::kQ2_K: return ReadQ2K(bytes, out);
    case TensorType::kQ3_K: return ReadQ3K(bytes, out);
    case TensorType::kQ4_K: return ReadQ4KorQ5K(false, bytes, out);
    case TensorType::kQ5_K: return ReadQ4KorQ5K(true, bytes, out);
    default: return ReadQ6K(bytes, out);
  }
}

void Dequantize(TensorType type, const uint8_t* blocks, size_t elements, float* out) {
  const TensorTypeInfo& info = InfoOf(type);
  if (info.block_elements == 1) return DecodeFloats(type, blocks, elements, out);
  for (size_t i = 0; i < elements; i += info.block_elements, blocks += info.block_bytes) {
    if (info.block_elements == 32) {
      Block32 block;
      ReadBlock32(type, blocks, &block);
      DecodeBlock32(block, out + i);
    } else {
      SuperBlock block;
      ReadSuperBlock(type, blocks, &block);
      DecodeSuperBlock(block, out + i);
    }
  }
}

}  // namespace vade
