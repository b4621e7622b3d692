// JPEG: FF D8, then segments FF kind, length (2 bytes, big-endian, itself included), payload. The
// segment E1 "Exif\0\0" holds a TIFF header ("II" or "MM", 42, place of the first directory) and a
// directory: a count, then entries of 12 bytes (tag, type, count, value). Tag 0x112 is the
// orientation (Exif 2.32, section 4.6.4).
#include "ingest/formats/jpeg_turn.h"

#include <cstddef>
#include <cstdint>

namespace vade {
namespace {

constexpr std::string_view kExifMark("Exif\0\0", 6);
constexpr uint32_t kOrientation = 0x112;
constexpr size_t kEntryBytes = 12;

// Numbers in the order of bytes that the file has; 0 behind its end.
class Numbers {
 public:
  Numbers(std::string_view bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}
  uint32_t At(size_t at, size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t place = big_endian_ ? at + i : at + size - 1 - i;
      value = value << 8 | static_cast<unsigned char>(bytes_[place]);
    }
    return value;
  }

 private:
  const std::string_view bytes_;
  const bool big_endian_;
};

int TurnOfOrientation(uint32_t orientation) {
  switch (orientation) {
    case 3: return 2;
    case 6: return 1;
    case 8: return 3;
    default: return 0;
  }
}

int TurnInTiff(std::string_view tiff) {
  const Numbers numbers(tiff, tiff.starts_with("MM"));
  if (numbers.At(2, 2) != 42) return 0;
  const size_t directory = numbers.At(4, 4);
  const size_t count = numbers.At(directory, 2);
  for (size_t i = 0; i < count; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (entry + kEntryBytes > tiff.size()) return 0;
    if (numbers.At(entry, 2) == kOrientation) return TurnOfOrientation(numbers.At(entry + 8, 2));
  }
  return 0;
}

}  // namespace

int QuarterTurnsOf(std::string_view jpeg) {
  const Numbers numbers(jpeg, /*big_endian=*/true);
  for (size_t at = 2; numbers.At(at, 1) == 0xFF;) {
    const uint32_t kind = numbers.At(at + 1, 1);
    const size_t length = numbers.At(at + 2, 2);
    // The picture itself begins; or the file is damaged.
    if (kind == 0xDA || length < 2 || length > jpeg.size() - at - 2) return 0;
    const std::string_view payload = jpeg.substr(at + 4, length - 2);
    if (kind == 0xE1 && payload.starts_with(kExifMark)) {
      return TurnInTiff(payload.substr(kExifMark.size()));
    }
    at += 2 + length;
  }
  return 0;
}

}  // namespace vade
