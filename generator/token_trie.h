// The pieces of a vocabulary as trees of bytes, so that all tokens are tried against a form of text
// in a single walk: what begins with a byte that cannot come is left out together.
//
// Most tokens are short runs of ordinary characters, and most steps of an answer are within text
// where any of those may come: there only the odd tokens need a walk. Immutable, shared between
// threads; the tokenizer is not kept.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "generator/code_points.h"
#include "model/tokenizer.h"

namespace vade {

// Nodes stand in depth-first order in parallel arrays: a walk reads them from front to back and
// jumps over what it leaves out.
class PieceTree {
 public:
  PieceTree() = default;
  // Sorted; the views need not outlive the call.
  explicit PieceTree(std::span<const std::pair<std::string_view, int32_t>> pieces);

  size_t size() const { return bytes_.size(); }
  uint8_t byte(size_t node) const { return bytes_[node]; }
  size_t depth(size_t node) const { return depths_[node]; }  // bytes before this one
  size_t max_depth() const { return max_depth_; }            // bytes of the longest piece
  size_t after(size_t node) const { return after_[node]; }   // the next node not below this one
  // The tokens that end with this node's byte.
  std::span<const int32_t> tokens(size_t node) const {
    return std::span(tokens_).subspan(token_begins_[node],
                                      token_begins_[node + 1] - token_begins_[node]);
  }

 private:
  void LinkNodes();

  size_t max_depth_ = 0;
  std::vector<uint8_t> bytes_;
  std::vector<uint16_t> depths_;
  std::vector<uint32_t> after_;
  std::vector<uint32_t> token_begins_;  // one more than there are nodes
  std::vector<int32_t> tokens_;
};

class TokenTrie {
 public:
  using Mask = std::vector<uint64_t>;  // bit i % 64 of word i / 64 is token i

  // Longer pieces are left out, and so never allowed.
  static constexpr size_t kMaxPieceBytes = 1024;
  // A run of more ordinary characters than this is odd.
  static constexpr int kOrdinaryRun = 16;

  explicit TokenTrie(const Tokenizer& tokenizer);

  // The one of this vocabulary: made at the first call (some 0.1 s for 150,000 tokens), shared for
  // as long as somebody holds it, and the last one is always held.
  static std::shared_ptr<const TokenTrie> Shared(const Tokenizer& tokenizer);

  // What JSON strings hold without an escape: all but controls, quotes and backslashes.
  static CodePointSet OrdinaryCodePoints();

  int32_t vocab_size() const { return static_cast<int32_t>(piece_begins_.size()) - 1; }
  std::string_view piece(int32_t id) const {
    return std::string_view(pieces_).substr(piece_begins_[id],
                                            piece_begins_[id + 1] - piece_begins_[id]);
  }
  const Mask& ends() const { return ends_; }  // tokens that end an answer
  bool IsEnd(int32_t id) const { return ends_[id / 64] >> (id % 64) & 1; }
  const Mask& ordinary() const { return ordinary_; }  // 1 to kOrdinaryRun ordinary code points
  const PieceTree& odd() const { return odd_; }       // all others with bytes
  const PieceTree& all() const { return all_; }       // both

 private:
  std::string pieces_;
  std::vector<size_t> piece_begins_;  // one more than there are ids
  Mask ends_, ordinary_;
  PieceTree odd_, all_;
};

}  // namespace vade
