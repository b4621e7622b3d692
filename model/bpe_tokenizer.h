// Byte-level byte-pair encoding (tokenizer.ggml.model "gpt2"): text is cut into words, each word's
// bytes are merged pair by pair in the order in which the pairs were learnt.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/pretokenizer.h"
#include "model/tokenizer.h"
#include "model/vocabulary.h"

namespace vade {

class BpeTokenizer final : public Tokenizer {
 public:
  // UNIMPLEMENTED names a pre-tokenizer that is not known.
  static Result<std::unique_ptr<Tokenizer>> FromGguf(const GgufFile& file);

  int32_t vocab_size() const override { return vocabulary_.size(); }
  std::vector<int32_t> Encode(std::string_view text, Special special) const override;
  size_t Count(std::string_view text) const override;
  std::string_view Piece(int32_t id) const override;
  bool IsControl(int32_t id) const override { return vocabulary_.IsControl(id); }
  bool IsEnd(int32_t id) const override { return vocabulary_.IsEnd(id); }
  int32_t bos() const override { return vocabulary_.bos(); }
  int32_t eos() const override { return vocabulary_.eos(); }
  int32_t FindControl(std::string_view text) const override {
    return vocabulary_.FindControl(text);
  }

 private:
  BpeTokenizer(Vocabulary vocabulary, PreTokenizer pre)
      : vocabulary_(std::move(vocabulary)), pre_(pre) {}

  struct Merge {
    uint64_t pair = kNoPair;  // left id << 32 | right id
    uint32_t rank = 0;        // the lower, the earlier
    int32_t result = -1;
  };
  static constexpr uint64_t kNoPair = ~uint64_t{0};

  Status ReadMerges(const GgufFile& file);
  Status BuildPieces(const GgufFile& file);
  void InsertMerge(const Merge& merge);
  const Merge* FindMerge(int32_t left, int32_t right) const;  // null when the pair does not merge

  void EncodeText(std::string_view text, std::vector<int32_t>* out) const;
  void EncodeWord(std::string_view word, std::vector<int32_t>* out) const;
  void MergeShort(std::string_view word, std::vector<int32_t>* out) const;
  void MergeLong(std::string_view word, std::vector<int32_t>* out) const;

  Vocabulary vocabulary_;
  PreTokenizer pre_;
  std::vector<Merge> merges_;  // open addressing
  uint64_t merge_mask_ = 0;
  int32_t byte_ids_[256];    // the token of each single byte; -1 when the vocabulary lacks it
  std::string piece_bytes_;  // of all tokens, one after the other
  std::vector<uint32_t> piece_ends_;
};

}  // namespace vade
