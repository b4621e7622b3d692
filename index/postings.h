// Blocks of postings as bytes, and back (docs/terms.md, "Keys and bytes"): which passages have a
// term, how often, and how long they are. Pure functions; what does not parse is DATA_LOSS.
#pragma once

#include <array>
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

// A question may read tens of thousands of them, so that nothing in one is allocated.
struct PostingBlock {
  PassageId first = 0, last = 0;
  uint32_t count = 0;
  uint32_t maxima_count = 0;
  std::array<PostingMaximum, kMaxBlockMaxima> all_maxima;
  std::string_view entries;  // of the bytes that it was read from
  std::span<const PostingMaximum> maxima() const { return {all_maxima.data(), maxima_count}; }
};

// Of 1 to kMaxBlockPostings postings, ids ascending, counts and lengths at least 1. The first id is
// in the block's key.
std::string EncodePostings(std::span<const Posting> postings);
Result<PostingBlock> DecodePostingBlock(PassageId first, std::string_view bytes);
// All of its postings, checked against what the block says of them.
Result<std::vector<Posting>> DecodePostings(const PostingBlock& block);
// The same into a vector that is used again, but for the comparison with the maxima, which takes a
// third of the time: for searches.
Status ReadPostings(const PostingBlock& block, std::vector<Posting>* postings);

}  // namespace vade
