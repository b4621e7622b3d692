// What every tokenizer shares: the tokens of a weight file with their kinds, a fast way from text
// to id, and the search for special tokens in text. Private to model/*tokenizer.cc.
//
// Owns its bytes: the weight file may be closed. Immutable, safe to share between threads.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/gguf.h"
#include "model/tokenizer.h"

namespace vade {

// Numbers of tokenizer.ggml.token_type.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // found in text only with Special::kParse
  kUserDefined = 4,  // found in text always
  kUnused = 5,
  kByte = 6,
};

// Strings numbered from 0, found by their bytes. The hash is built byte by byte, so that a caller
// who walks over a text can look up every prefix without hashing it anew.
class TokenTable {
 public:
  static constexpr uint64_t kHashSeed = 0xcbf29ce484222325ull;
  static uint64_t HashStep(uint64_t hash, char byte) {
    return (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3ull;
  }
  static uint64_t HashFinish(uint64_t hash) {
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15ull;
    return hash ^ (hash >> 29);
  }

  // INVALID_ARGUMENT beyond 4 GiB of text.
  Status Build(const std::vector<std::string_view>& tokens);
  int32_t size() const { return static_cast<int32_t>(ends_.size()); }
  std::string_view operator[](int32_t id) const {
    const uint32_t begin = id == 0 ? 0 : ends_[id - 1];
    return std::string_view(bytes_).substr(begin, ends_[id] - begin);
  }
  // -1 when absent; of equal strings the first.
  int32_t Find(std::string_view text) const;
  int32_t Find(std::string_view text, uint64_t finished_hash) const;

 private:
  std::string bytes_;
  std::vector<uint32_t> ends_;
  std::vector<int32_t> slots_;  // open addressing, id + 1, 0 is empty
  uint64_t mask_ = 0;
};

// A vocabulary that was read from a file of another kind.
struct VocabularyParts {
  std::vector<std::string> tokens;
  std::vector<TokenType> types;              // as many
  int32_t bos = -1, eos = -1, unknown = -1;  // -1: none
};

class Vocabulary {
 public:
  static Result<Vocabulary> FromGguf(const GgufFile& file);
  // INVALID_ARGUMENT when ids and counts do not agree.
  static Result<Vocabulary> FromParts(const VocabularyParts& parts);

  int32_t size() const { return tokens_.size(); }
  std::string_view text(int32_t id) const { return tokens_[id]; }
  TokenType type(int32_t id) const { return types_[id]; }
  const TokenTable& table() const { return tokens_; }
  bool Contains(int32_t id) const { return id >= 0 && id < size(); }

  bool IsControl(int32_t id) const { return Contains(id) && types_[id] == TokenType::kControl; }
  bool IsEnd(int32_t id) const { return Contains(id) && ends_generation_[id]; }
  int32_t FindControl(std::string_view text) const;
  int32_t bos() const { return bos_; }
  int32_t eos() const { return eos_; }
  int32_t unknown() const { return unknown_; }

  // The special token that begins first at or behind `from`, the longest where several begin there.
  // With kText only user-defined tokens count. id is -1 and begin == end == text.size() when there
  // is none.
  struct Match {
    size_t begin = 0;
    size_t end = 0;
    int32_t id = -1;
  };
  Match NextSpecial(std::string_view text, size_t from, Special special) const;

  // The ids of a text, of which what is not UTF-8 was replaced: special tokens as they stand, what
  // is between them by `encode`, which appends the ids of a text without any.
  using TextEncoder = std::function<void(std::string_view text, std::vector<int32_t>* out)>;
  std::vector<int32_t> Encode(std::string_view text, Special special,
                              const TextEncoder& encode) const;

 private:
  Status ReadTypes(const GgufFile& file);
  Status ReadIds(const GgufFile& file);
  void MarkEnds(int32_t eot);
  void IndexSpecials();

  TokenTable tokens_;
  std::vector<TokenType> types_;
  std::vector<bool> ends_generation_;
  int32_t bos_ = -1, eos_ = -1, unknown_ = -1;
  // For each first byte: the lengths of the special tokens that begin with it, longest first.
  std::array<std::vector<uint32_t>, 256> special_lengths_;
};

}  // namespace vade
