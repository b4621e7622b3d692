// Unigram pieces with scores (tokenizer.ggml.model "t5", SentencePiece's default, as XLM-RoBERTa
// has it): the text is normalised, spaces become U+2581 with one in front, and the pieces with the
// best sum of scores are taken. Reads the normalisation from vade.normalizer.* (docs/formats.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/tokenizer.h"
#include "model/vocabulary.h"

namespace vade {

// What code points are replaced by before the text is cut: code point from[i] becomes to[end[i - 1]]
// up to to[end[i]]. Ascending, numbers checked by UnigramTokenizer.
struct CodePointMap {
  std::vector<uint32_t> from, end, to;
};

class UnigramTokenizer final : public Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> FromGguf(const GgufFile& file);
  // The same from parts; `source` stands for the file in messages.
  static Result<std::unique_ptr<Tokenizer>> FromParts(Vocabulary vocabulary,
                                                      std::vector<float> scores, CodePointMap map,
                                                      const std::string& source);

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
  explicit UnigramTokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}

  // The best way to reach a byte of the text.
  struct Step {
    double score;  // a sum over thousands of pieces
    int32_t id;
    uint32_t begin;  // of the piece that ends here
  };

  Status TakeScores(std::vector<float> scores, const std::string& source);
  Status TakeMap(CodePointMap map, const std::string& source);
  void IndexPieces();

  // Code points replaced, runs of spaces made one, spaces as U+2581 with one in front.
  std::string Normalize(std::string_view text) const;
  void EncodeText(std::string_view text, std::vector<int32_t>* out) const;
  // Best pieces of one stretch of normalised text; `steps` is scratch.
  void EncodeStretch(std::string_view text, std::vector<Step>* steps,
                     std::vector<int32_t>* out) const;
  void TryPieces(std::string_view text, size_t begin, std::vector<Step>* steps) const;

  // What is known about the pieces that have a given prefix, by the prefix's hash. False positives
  // occur.
  enum PrefixBits : uint8_t { kBegins = 1, kIsPiece = 2 };
  static constexpr uint64_t kPrefixes = uint64_t{1} << 22;
  uint8_t PrefixInfo(uint64_t hash) const {
    const uint64_t slot = hash & (kPrefixes - 1);
    return prefixes_[slot / 4] >> (slot % 4 * 2);
  }
  void MarkPrefix(uint64_t hash, uint8_t bits) {
    const uint64_t slot = hash & (kPrefixes - 1);
    prefixes_[slot / 4] |= static_cast<uint8_t>(bits << (slot % 4 * 2));
  }

  Vocabulary vocabulary_;
  std::vector<float> scores_;
  float unknown_score_ = 0;
  bool pieces_cross_words_ = false;  // some piece has U+2581 behind its first character
  std::vector<uint8_t> prefixes_;    // two bits a hash value

  std::vector<uint64_t> is_mapped_;  // one bit a code point
  CodePointMap map_;

  std::string piece_bytes_;  // of all tokens, one after the other
  std::vector<uint32_t> piece_ends_;
};

}  // namespace vade
