#include "generator/token_trie.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/bytes.h"
#include "base/unicode.h"

namespace vade {
namespace {

// Everything that a trie depends on.
uint64_t Fingerprint(const Tokenizer& tokenizer) {
  std::string all;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view piece = tokenizer.Piece(id);
    const auto size = static_cast<uint32_t>(piece.size());
    all += static_cast<char>((tokenizer.IsControl(id) ? 1 : 0) + (tokenizer.IsEnd(id) ? 2 : 0));
    all.append(reinterpret_cast<const char*>(&size), sizeof(size));
    all += piece;
  }
  return Checksum64(all);
}

// Tries by what they are made of, not by the tokenizer's address, which another may have later. A
// process-wide table because whoever asks for a form has a tokenizer in hand and nothing that
// outlives the request; it changes how long a call takes, never what it gives.
struct SharedTries {
  std::mutex mutex;
  std::map<uint64_t, std::weak_ptr<const TokenTrie>> by_fingerprint;
  std::shared_ptr<const TokenTrie> last;
};

SharedTries& Tries() {
  static SharedTries tries;
  return tries;
}

void Set(int32_t id, TokenTrie::Mask* mask) { (*mask)[id / 64] |= uint64_t{1} << (id % 64); }

bool IsOrdinary(std::string_view piece, const CodePointSet& ordinary) {
  if (!IsValidUtf8(piece)) return false;
  int count = 0;
  for (size_t pos = 0; pos < piece.size();) {
    if (++count > TokenTrie::kOrdinaryRun) return false;
    if (!ordinary.Contains(NextCodePoint(piece, &pos))) return false;
  }
  return true;
}

}  // namespace

PieceTree::PieceTree(std::span<const std::pair<std::string_view, int32_t>> pieces) {
  std::string_view before;
  for (const auto& [piece, id] : pieces) {
    // Nodes for the bytes that it does not share with the one before it.
    const auto differ = std::mismatch(piece.begin(), piece.end(), before.begin(), before.end());
    for (auto at = differ.first; at != piece.end(); ++at) {
      bytes_.push_back(static_cast<uint8_t>(*at));
      depths_.push_back(static_cast<uint16_t>(at - piece.begin()));
      token_begins_.push_back(static_cast<uint32_t>(tokens_.size()));
    }
    tokens_.push_back(id);
    max_depth_ = std::max(max_depth_, piece.size());
    before = piece;
  }
  token_begins_.push_back(static_cast<uint32_t>(tokens_.size()));
  LinkNodes();
}

// A node is over where the next one comes that is not deeper.
void PieceTree::LinkNodes() {
  after_.resize(bytes_.size());
  std::vector<size_t> open;  // by depth
  const auto close = [&](size_t depth, size_t next) {
    for (; open.size() > depth; open.pop_back()) after_[open.back()] = static_cast<uint32_t>(next);
  };
  for (size_t node = 0; node < bytes_.size(); ++node) {
    close(depths_[node], node);
    open.push_back(node);
  }
  close(0, bytes_.size());
}

std::shared_ptr<const TokenTrie> TokenTrie::Shared(const Tokenizer& tokenizer) {
  const uint64_t fingerprint = Fingerprint(tokenizer);
  SharedTries& tries = Tries();
  std::lock_guard lock(tries.mutex);
  std::erase_if(tries.by_fingerprint, [](const auto& entry) { return entry.second.expired(); });
  auto& known = tries.by_fingerprint[fingerprint];
  tries.last = known.lock();
  if (tries.last == nullptr) {
    tries.last = std::make_shared<const TokenTrie>(tokenizer);
    known = tries.last;
  }
  return tries.last;
}

CodePointSet TokenTrie::OrdinaryCodePoints() {
  return CodePointSet({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}).Negated();
}

TokenTrie::TokenTrie(const Tokenizer& tokenizer) {
  const int32_t size = tokenizer.vocab_size();
  ends_.resize((size + 63) / 64);
  ordinary_.resize(ends_.size());
  std::vector<std::pair<std::string_view, int32_t>> odd, all;
  const CodePointSet ordinary_set = OrdinaryCodePoints();
  for (int32_t id = 0; id < size; ++id) {
    const std::string_view piece = tokenizer.Piece(id);
    piece_begins_.push_back(pieces_.size());
    pieces_ += piece;
    if (tokenizer.IsEnd(id)) {
      Set(id, &ends_);
    } else if (!tokenizer.IsControl(id) && !piece.empty() && piece.size() <= kMaxPieceBytes) {
      all.emplace_back(piece, id);
      if (IsOrdinary(piece, ordinary_set)) {
        Set(id, &ordinary_);
      } else {
        odd.emplace_back(piece, id);
      }
    }
  }
  piece_begins_.push_back(pieces_.size());
  std::sort(all.begin(), all.end());
  std::sort(odd.begin(), odd.end());
  all_ = PieceTree(all);
  odd_ = PieceTree(odd);
}

}  // namespace vade
