// The name under which the keys and values of a passage block are kept (docs/reading.md).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>

#include "index/passage.h"

namespace vade {

struct BlockKey {
  uint32_t collection = 0;  // its number, never reused
  std::string document_id;
  PassageId passage_id = 0;
  // XXH3 of the tokens of the prefix and of the block: another wording, tokenizer or text is
  // another key.
  std::array<uint64_t, 2> content{};

  auto operator<=>(const BlockKey&) const = default;
};

std::array<uint64_t, 2> BlockContent(std::span<const int32_t> prefix,
                                     std::span<const int32_t> block);

}  // namespace vade
