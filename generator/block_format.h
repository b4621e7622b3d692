// The bytes and the name of a file that holds the keys and values of a passage block
// (docs/formats.md, kv/). Pure functions; private to the generator.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "generator/block_key.h"

namespace vade {

inline constexpr std::string_view kBlockFileSuffix = ".kv";
// Beside the models' folders: up to which commit deletes have been applied here.
inline constexpr std::string_view kAppliedFile = "applied";

// Below the directory: MODEL/COLLECTION/DOCUMENT/, and that with PASSAGE-CONTENT.kv.
std::string BlockDocumentPath(std::string_view model, uint32_t collection,
                              std::string_view document);
std::string BlockPath(std::string_view model, const BlockKey& key);

// What stands before the payload, without its checksums.
std::string DescribeBlock(std::string_view model, const BlockKey& key, int tokens,
                          uint64_t payload_bytes);
// All that stands before the payload.
std::string BlockHeader(std::string_view description, uint64_t payload_sum);

struct BlockFileFacts {
  BlockKey key;
  std::string model;
};
// Of a whole file, whatever its bytes are. DATA_LOSS says what is wrong with it: truncated,
// damaged, of another version.
Result<BlockFileFacts> ReadBlockFile(std::string_view bytes);

}  // namespace vade
