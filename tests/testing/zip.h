// A zip archive of files given as (name, bytes), uncompressed: what tests make documents of.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace vade::testing {

inline uint32_t Crc32(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const unsigned char byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

inline std::string Zip(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out, directory;
  for (const auto& [name, bytes] : files) {
    std::string common;  // of both headers: version, flags (UTF-8), method, time, date, crc, sizes
    AppendFixed<uint16_t>(&common, 20);
    AppendFixed<uint16_t>(&common, 0x0800);
    AppendFixed<uint16_t>(&common, 0);
    AppendFixed<uint32_t>(&common, 0x00210000);
    AppendFixed<uint32_t>(&common, Crc32(bytes));
    AppendFixed<uint32_t>(&common, static_cast<uint32_t>(bytes.size()));
    AppendFixed<uint32_t>(&common, static_cast<uint32_t>(bytes.size()));
    AppendFixed<uint16_t>(&common, static_cast<uint16_t>(name.size()));
    AppendFixed<uint16_t>(&common, 0);
    directory += std::string("PK\x01\x02\x14\x00", 6) + common + std::string(10, '\0');
    AppendFixed<uint32_t>(&directory, static_cast<uint32_t>(out.size()));
    directory += name;
    out += "PK\x03\x04" + common + name + bytes;
  }
  const auto count = static_cast<uint16_t>(files.size());
  const auto begin = static_cast<uint32_t>(out.size());
  out += directory + std::string("PK\x05\x06\0\0\0\0", 8);
  AppendFixed<uint16_t>(&out, count);
  AppendFixed<uint16_t>(&out, count);
  AppendFixed<uint32_t>(&out, static_cast<uint32_t>(directory.size()));
  AppendFixed<uint32_t>(&out, begin);
  AppendFixed<uint16_t>(&out, 0);
  return out;
}

}  // namespace vade::testing
