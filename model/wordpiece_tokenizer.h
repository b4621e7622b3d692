// BERT's tokenizer: the text is cleaned, lowered and freed of accents, cut at spaces and around
// punctuation and ideographs; each word is then taken apart greedily, the longest piece first. A
// word that does not come out even is one unknown token.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer.h"
#include "model/vocabulary.h"

namespace vade {

struct WordPieceOptions {
  bool clean_text = true;     // controls are dropped, every white space is a space
  bool split_ideographs = true;
  bool strip_accents = true;
  bool lowercase = true;
  size_t max_word_characters = 100;  // a longer word is unknown
  std::string continuing_prefix = "##";
};

class WordPieceTokenizer final : public Tokenizer {
 public:
  // The vocabulary has an unknown token.
  static Result<std::unique_ptr<Tokenizer>> FromParts(Vocabulary vocabulary,
                                                      const WordPieceOptions& options);

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
  // Pieces that may stand at one place of a word, without the prefix, and their ids.
  struct Pieces {
    TokenTable table;
    std::vector<int32_t> ids;
    size_t longest = 0;  // bytes
    Status Build(const std::vector<std::string_view>& texts);
  };

  WordPieceTokenizer(Vocabulary vocabulary, const WordPieceOptions& options)
      : vocabulary_(std::move(vocabulary)), options_(options) {}

  Status IndexPieces();
  // Words parted by single spaces.
  std::string Normalize(std::string_view text) const;
  void AppendNormalized(char32_t c, std::string* out) const;
  void EncodeText(std::string_view text, std::vector<int32_t>* out) const;
  void EncodeWord(std::string_view word, std::vector<int32_t>* out) const;

  Vocabulary vocabulary_;
  WordPieceOptions options_;
  Pieces first_, continuing_;
  std::string pieces_;  // of all tokens as Piece() gives them
  std::vector<uint32_t> piece_ends_;
};

}  // namespace vade
