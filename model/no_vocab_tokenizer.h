// The tokenizer of a weight file that says it has no vocabulary (tokenizer.ggml.model is
// "no_vocab"): such a decoder is driven by token ids alone.
#pragma once

#include <memory>

#include "model/tokenizer.h"

namespace vade {

class NoVocabTokenizer final : public Tokenizer {
 public:
  explicit NoVocabTokenizer(int32_t vocab_size) : vocab_size_(vocab_size) {}

  int32_t vocab_size() const override { return vocab_size_; }
  std::vector<int32_t> Encode(std::string_view, Special) const override { return {}; }
  size_t Count(std::string_view) const override { return 0; }
  std::string_view Piece(int32_t) const override { return ""; }
  bool IsControl(int32_t) const override { return false; }
  bool IsEnd(int32_t) const override { return false; }
  int32_t bos() const override { return -1; }
  int32_t eos() const override { return -1; }
  int32_t FindControl(std::string_view) const override { return -1; }

 private:
  const int32_t vocab_size_;
};

}  // namespace vade
