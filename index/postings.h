// Blocks of postings as bytes, and back (docs/terms.md, "Keys and bytes"): which passages have a
// term, how often, and how long they are. Pure functions; what does not parse is DATA_LOSS.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "index/passage.h"

namespace vade {

inline constexpr size_t kMaxBlockPostings = 128;
inline constexpr size_t kMaxBlockMaxima = 4;

struct Posting {
  PassageId id = 0;
  uint32_t count = 0;   // of the term in the passage
  uint32_t length = 0;  // of the passage
  friend bool operator==(const Posting&, const Posting&) = default;
};

// No posting of the block has at once a greater count and a smaller length than one of its maxima.
struct PostingMaximum {
  uint32_t count = 0;
  uint32_t length = 0;
  friend bool operator==(const PostingMaximum&, const PostingMaximum&) = default;
};

struct PostingBlock {
  PassageId first = 0, last = 0;
  uint32_t count = 0;
  std::vector<PostingMaximum> maxima;
  std::string_view entries;  // of the bytes that it was read from
};

// Of 1 to kMaxBlockPostings postings, ids ascending, counts and lengths at least 1. The first id is
// in the block's key.
std::string EncodePostings(std::span<const Posting> postings);
Result<PostingBlock> DecodePostingBlock(PassageId first, std::string_view bytes);
// All of its postings, checked against what the block says of them.
Result<std::vector<Posting>> DecodePostings(const PostingBlock& block);

}  // namespace vade
