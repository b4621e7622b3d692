// Text <-> token ids, by the vocabulary inside a weight file. Immutable, safe to share between
// threads.
//
// Text that comes from documents and users is encoded with Special::kText: a passage that contains
// "<|im_end|>" stays text. Only our own templates use Special::kParse.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/gguf.h"

namespace vade {

enum class Special {
  kText,   // control tokens are never produced from the text
  kParse,  // "<|im_start|>" becomes its control token
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // By tokenizer.ggml.model and tokenizer.ggml.pre: "gpt2" with "qwen2" or "smollm";
  // "t5"/"bert"-less Unigram as written by `vade models convert`. UNIMPLEMENTED names a kind that
  // is not known.
  static Result<std::unique_ptr<Tokenizer>> FromGguf(const GgufFile& file);

  virtual int32_t vocab_size() const = 0;

  // Nothing is added in front or behind. Invalid UTF-8 is read as U+FFFD.
  virtual std::vector<int32_t> Encode(std::string_view text, Special special) const = 0;

  // The number of ids that Encode(text, kText) gives.
  virtual size_t Count(std::string_view text) const = 0;

  // The bytes of one token; control tokens give "" . A code point may be spread over several
  // tokens.
  virtual std::string_view Piece(int32_t id) const = 0;
  std::string Decode(std::span<const int32_t> ids) const;

  virtual bool IsControl(int32_t id) const = 0;
  virtual bool IsEnd(int32_t id) const = 0;  // ends a generation (eos, end of turn, ...)
  virtual int32_t bos() const = 0;           // -1 when there is none
  virtual int32_t eos() const = 0;
  virtual int32_t FindControl(std::string_view text) const = 0;  // id of a control token, or -1
};

}  // namespace vade
