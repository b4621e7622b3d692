// Cuts text into the words that byte-pair merges never cross. Each kind is what its model was
// trained with, written by hand over code points: published as a regular expression, which
// pretokenizer.cc quotes beside the code. Text must be valid UTF-8.
//
//   WordSplitter splitter(PreTokenizer::kQwen2, text);
//   for (std::string_view word; splitter.Next(&word);) ...
#pragma once

#include <optional>
#include <string_view>

namespace vade {

enum class PreTokenizer { kQwen2, kSmolLm };

// By the name under tokenizer.ggml.pre.
std::optional<PreTokenizer> ParsePreTokenizer(std::string_view name);

// The words follow one another without gaps. Takes time linear in the text.
class WordSplitter {
 public:
  WordSplitter(PreTokenizer kind, std::string_view text) : kind_(kind), text_(text) {}
  bool Next(std::string_view* word);

 private:
  const PreTokenizer kind_;
  const std::string_view text_;
  size_t position_ = 0;
};

}  // namespace vade
