#include "base/bytes.h"

#include <sodium.h>
#include <xxhash.h>

#include <bit>

#include "base/strings.h"

namespace vade {

bool ByteReader::ReadLongVarint(uint64_t* value) {
  uint64_t result = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    uint8_t byte = 0;
    if (!Read(&byte)) return false;
    // The tenth byte holds bit 63 alone: anything above it would be lost.
    if (shift == 63 && byte > 1) return false;
    result |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  return false;
}

bool ByteReader::ReadBytes(size_t size, std::string_view* out) {
  if (remaining() < size) return false;
  *out = {reinterpret_cast<const char*>(bytes_.data()) + position_, size};
  position_ += size;
  return true;
}

bool ByteReader::ReadString(std::string_view* out) {
  uint64_t size = 0;
  return ReadVarint(&size) && size <= remaining() && ReadBytes(static_cast<size_t>(size), out);
}

bool ByteReader::Skip(size_t size) {
  if (remaining() < size) return false;
  position_ += size;
  return true;
}

void AppendVarint(std::string* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

void AppendString(std::string* out, std::string_view text) {
  AppendVarint(out, text.size());
  out->append(text);
}

void AppendKey64(std::string* out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

uint64_t ParseKey64(std::string_view eight_bytes) {
  VADE_CHECK(eight_bytes.size() == 8, "a 64-bit key has eight bytes");
  uint64_t value = 0;
  for (unsigned char byte : eight_bytes) value = value << 8 | byte;
  return value;
}

uint64_t Checksum64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

uint64_t Checksum64(std::span<const uint8_t> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Sha256Digest Sha256(std::string_view bytes) {
  static_assert(sizeof(Sha256Digest) == crypto_hash_sha256_BYTES);
  Sha256Digest digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                     bytes.size());
  return digest;
}

std::string Sha256Hex(std::string_view bytes) {
  const Sha256Digest digest = Sha256(bytes);
  return Hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

namespace {

// -1 for what is no digit; the digits of both alphabets.
int Base64Digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  return c == '/' || c == '_' ? 63 : -1;
}

}  // namespace

std::string DecodeBase64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int digit = Base64Digit(c);
    if (digit < 0) continue;
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    if (++count % 4 == 1) continue;
    const int left = 6 - 2 * ((count - 1) % 4);  // bits of this digit that begin the next byte
    out.push_back(static_cast<char>((bits >> left) & 0xFF));
  }
  return out;
}

// Half: 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits. Float: 1, 8 (bias 127), 23.

uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {  // NaN: stays one (the quiet bit is set), its top payload is kept
    return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x03ff));
  }
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // 65520 and above round to infinity
  if (magnitude < 0x38800000) {                       // below 2^-14: a subnormal half, or zero
    // Adding 0.5 puts the unit of the last place at 2^-24, so the addition itself rounds to even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
  }
  const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);  // to nearest, ties to even
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 0x1f;
  const uint32_t fraction = half & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent == 0) {  // zero and subnormals: fraction * 2^-24, exact in a float
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

}  // namespace vade
