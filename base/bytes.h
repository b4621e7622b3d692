// Bytes as numbers: a reader that never runs past its end, a writer, checksums, hashes.
// Everything is little-endian. Files and requests are hostile: each Read says whether it could.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace vade {

// Reads fixed-size numbers, variable-length numbers and length-prefixed strings from a span.
// After a failed read (false) the position is unspecified and further use is the caller's mistake.
class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  explicit ByteReader(std::string_view bytes)
      : bytes_(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  template <typename T>
  [[nodiscard]] bool Read(T* value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (remaining() < sizeof(T)) return false;
    std::memcpy(value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return true;
  }
  // LEB128, at most 10 bytes; nearly all numbers are one.
  [[nodiscard]] bool ReadVarint(uint64_t* value) {
    if (position_ == bytes_.size() || bytes_[position_] >= 0x80) return ReadLongVarint(value);
    *value = bytes_[position_++];
    return true;
  }
  [[nodiscard]] bool ReadBytes(size_t size, std::string_view* out);  // a view into the input
  [[nodiscard]] bool ReadString(std::string_view* out);              // varint length, then bytes
  [[nodiscard]] bool Skip(size_t size);

 private:
  bool ReadLongVarint(uint64_t* value);

  std::span<const uint8_t> bytes_;
  size_t position_ = 0;
};

// Appends to a string what ByteReader reads.
template <typename T>
void AppendFixed(std::string* out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}
void AppendVarint(std::string* out, uint64_t value);
void AppendString(std::string* out, std::string_view text);  // varint length, then bytes

// Big-endian, so that byte order is number order: for RocksDB keys.
void AppendKey64(std::string* out, uint64_t value);
uint64_t ParseKey64(std::string_view eight_bytes);

// XXH3, 64 bits: against accidents (torn writes, bad disks), not against an adversary.
uint64_t Checksum64(std::string_view bytes);
uint64_t Checksum64(std::span<const uint8_t> bytes);

// SHA-256: identity of contents that outsiders choose.
using Sha256Digest = std::array<uint8_t, 32>;
Sha256Digest Sha256(std::string_view bytes);
std::string Sha256Hex(std::string_view bytes);

// The bytes behind a base64 text; what is no digit is passed over.
std::string DecodeBase64(std::string_view text);

// IEEE 754 half precision.
uint16_t FloatToHalf(float value);  // round to nearest even
float HalfToFloat(uint16_t half);

}  // namespace vade
