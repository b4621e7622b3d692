// What one file may cost (docs/ingestion.md has the table and the reasons).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace vade {

inline constexpr uint64_t kMaxTextBytes = 256ull << 20;  // of all documents of a file together
inline constexpr int kMaxContainerDepth = 4;
inline constexpr size_t kMaxContainerFiles = 10'000;
inline constexpr uint64_t kMaxUnpackedBytes = 1ull << 30;
inline constexpr uint64_t kMaxUnpackedRatio = 200;             // to the packed bytes, beyond
inline constexpr uint64_t kUnpackedBytesAtEase = 64ull << 20;  // which are never too many
inline constexpr uint64_t kMaxParserMemoryBytes = 2ull << 30;

// For a file of that many bytes; of the clock and of the processor.
inline std::chrono::seconds ParseTimeLimit(uint64_t bytes) {
  return std::chrono::seconds(30 + 2 * (bytes >> 20));
}

// Pages that are read by OCR take longer: each may take this long, beside the above.
inline constexpr std::chrono::seconds kOcrPageTime{60};
inline constexpr int kMaxOcrPages = 1000;  // of one file; the others count as pages without text

}  // namespace vade
