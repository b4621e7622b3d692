// One value out of a block of a GGUF tensor, in the file's own form (kernels/tensor_type.cc is the
// specification and describes the bits).
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/tensor_type.h"

namespace vade::kernels::cuda {

// Bytes of a block; `at` is where it begins.
struct BlockBytesView {
  Global<const uint8_t> bytes;
  size_t at;
  VADE_DEVICE uint32_t Byte(uint32_t i) const { return bytes[at + i]; }
  VADE_DEVICE float Half(uint32_t i) const {
    return HalfBitsToFloat(static_cast<uint16_t>(Byte(i) | Byte(i + 1) << 8));
  }
};

// Without a minimum; the specification adds one of 0, which makes -0 a 0.
VADE_DEVICE float ScaledCode32(const BlockBytesView& b, int code) {
  return __fadd_rn(__fmul_rn(b.Half(0), static_cast<float>(code)), 0.0f);
}

// Q4_0, Q4_1, Q5_0, Q5_1: nibbles, and fifth bits for the fives.
VADE_DEVICE float Value32(TensorType type, const BlockBytesView& b, uint32_t i) {
  const bool five = type == TensorType::kQ5_0 || type == TensorType::kQ5_1;
  const bool has_minimum = type == TensorType::kQ4_1 || type == TensorType::kQ5_1;
  const uint32_t bits_at = has_minimum ? 4 : 2, nibbles = bits_at + (five ? 4 : 0);
  int code = static_cast<int>(b.Byte(nibbles + i % 16) >> (i / 16 * 4) & 15);
  if (five) code |= static_cast<int>(b.Byte(bits_at + i / 8) >> (i % 8) & 1) << 4;
  if (has_minimum) return __fadd_rn(__fmul_rn(b.Half(0), static_cast<float>(code)), b.Half(2));
  return ScaledCode32(b, code - (five ? 16 : 8));
}

// code * scale * step - minimum * step, rounded as the specification rounds.
VADE_DEVICE float ScaledCode(float scale, int step, int code) {
  return __fmul_rn(__fmul_rn(scale, static_cast<float>(step)), static_cast<float>(code));
}

VADE_DEVICE float ValueQ2K(const BlockBytesView& b, uint32_t i) {
  const int code = static_cast<int>(b.Byte(16 + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3);
  const uint32_t both = b.Byte(i / 16);
  return __fadd_rn(ScaledCode(b.Half(80), static_cast<int>(both & 15), code),
                   -__fmul_rn(b.Half(82), static_cast<float>(both >> 4)));
}

VADE_DEVICE float ValueQ3K(const BlockBytesView& b, uint32_t i) {
  const int low = static_cast<int>(b.Byte(32 + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3);
  const int high = static_cast<int>(b.Byte(i % 32) >> (i / 32) & 1);
  const uint32_t s = i / 16;
  const uint32_t step_low = s < 8 ? b.Byte(96 + s) & 15 : b.Byte(96 + s - 8) >> 4;
  const uint32_t step_high = b.Byte(96 + 8 + s % 4) >> (s / 4 * 2) & 3;
  return ScaledCode(b.Half(108), static_cast<int>(step_low | step_high << 4) - 32,
                    (low | high << 2) - 4);
}

VADE_DEVICE float ValueQ45K(bool five, const BlockBytesView& b, uint32_t i) {
  const uint32_t group = i / 32;
  uint32_t scale, minimum;
  if (group < 4) {
    scale = b.Byte(4 + group) & 63;
    minimum = b.Byte(8 + group) & 63;
  } else {
    scale = (b.Byte(8 + group) & 15) | b.Byte(group) >> 6 << 4;
    minimum = b.Byte(8 + group) >> 4 | b.Byte(4 + group) >> 6 << 4;
  }
  const uint32_t codes = five ? 48 : 16;
  uint32_t code = b.Byte(codes + i / 64 * 32 + i % 32) >> (i % 64 / 32 * 4) & 15;
  if (five) code |= (b.Byte(16 + i % 32) >> group & 1) << 4;
  return __fadd_rn(ScaledCode(b.Half(0), static_cast<int>(scale), static_cast<int>(code)),
                   -__fmul_rn(b.Half(2), static_cast<float>(minimum)));
}

VADE_DEVICE float ValueQ6K(const BlockBytesView& b, uint32_t i) {
  const uint32_t eighth = i / 32;
  const uint32_t low = b.Byte(eighth / 4 * 64 + eighth % 2 * 32 + i % 32);
  const uint32_t high = b.Byte(128 + eighth / 4 * 32 + i % 32);
  const uint32_t code = (low >> (eighth % 4 / 2 * 4) & 15) | (high >> (eighth % 4 * 2) & 3) << 4;
  return ScaledCode(b.Half(208), static_cast<int8_t>(b.Byte(192 + i / 16)),
                    static_cast<int>(code) - 32);
}

// Value i of the tensor that begins at `bytes`.
VADE_DEVICE float DequantizedValue(TensorType type, const Global<const uint8_t>& bytes, size_t i) {
  switch (type) {
    case TensorType::kF32: return bytes.Load<float>(4 * i);
    case TensorType::kF16: return HalfBitsToFloat(bytes.Load<uint16_t>(2 * i));
    case TensorType::kBf16:
      return __uint_as_float(static_cast<uint32_t>(bytes.Load<uint16_t>(2 * i)) << 16);
    case TensorType::kQ4_0: return Value32(type, {bytes, i / 32 * 18}, i % 32);
    case TensorType::kQ4_1: return Value32(type, {bytes, i / 32 * 20}, i % 32);
    case TensorType::kQ5_0: return Value32(type, {bytes, i / 32 * 22}, i % 32);
    case TensorType::kQ5_1: return Value32(type, {bytes, i / 32 * 24}, i % 32);
    case TensorType::kQ8_0: {
      const BlockBytesView b = {bytes, i / 32 * 34};
      return ScaledCode32(b, static_cast<int8_t>(b.Byte(2 + i % 32)));
    }
    case TensorType::kQ2_K: return ValueQ2K({bytes, i / 256 * 84}, i % 256);
    case TensorType::kQ3_K: return ValueQ3K({bytes, i / 256 * 110}, i % 256);
    case TensorType::kQ4_K: return ValueQ45K(false, {bytes, i / 256 * 144}, i % 256);
    case TensorType::kQ5_K: return ValueQ45K(true, {bytes, i / 256 * 176}, i % 256);
    case TensorType::kQ6_K: return ValueQ6K({bytes, i / 256 * 210}, i % 256);
  }
  return 0;
}

}  // namespace vade::kernels::cuda
