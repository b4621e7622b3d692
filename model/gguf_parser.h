// The structure of a GGUF file, found and checked without copying: private to model/gguf*.cc.
//
// ParseGguf() walks every key, every string of every array and every tensor entry once. What it
// returns holds views into `bytes`, which must outlive it; every view, count and offset has been
// checked.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "model/gguf.h"

namespace vade {

// Value types of GGUF metadata, numbered as in the file.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// Bytes of one value of a fixed-size type; 0 for strings, arrays and unknown numbers.
size_t GgufTypeBytes(GgufType type);
std::string_view GgufTypeName(GgufType type);

struct GgufEntry {
  std::string_view key;
  GgufType type = GgufType::kU8;  // of the value, or of the elements when is_array
  bool is_array = false;
  uint64_t count = 1;                // elements
  std::span<const uint8_t> payload;  // the elements; a string is a u64 length and its bytes
};

struct GgufLayout {
  uint32_t version = 0;
  std::vector<GgufEntry> entries;  // in the order of the file
  std::unordered_map<std::string_view, size_t> entry_by_key;
  std::vector<GgufTensor> tensors;
  size_t data_begin = 0;  // where the header ends and tensor data begins
};

// `name` is the file's name in messages.
Result<GgufLayout> ParseGguf(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace vade
