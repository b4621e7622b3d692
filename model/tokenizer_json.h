// The tokenizer of a Hugging Face folder: tokenizer.json, as the tokenizers library writes it.
// WordPiece with BERT's normalizer and pre-tokenizer, and Unigram as XLM-RoBERTa has it; everything
// else is refused by name. The file is hostile until proven sane.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/tokenizer.h"

namespace vade {

// The largest such file that is read: those of vocabularies of 250,000 pieces have 17 MB.
inline constexpr uint64_t kMaxTokenizerBytes = 256 << 20;

// INVALID_ARGUMENT (no such text, a vocabulary with gaps or twice the same id), UNIMPLEMENTED (a
// model, normalizer or pre-tokenizer that is not known, by name). `name` stands for the path in
// messages.
Result<std::unique_ptr<Tokenizer>> TokenizerFromJson(std::string_view text,
                                                     const std::string& name);

// The code points that a normalizer of SentencePiece (the bytes of "precompiled_charsmap") replaces,
// and by what: its rules for sequences of several are left out, since the text is composed first.
// DATA_LOSS when the table is damaged. Declared here for its test.
struct CodePointMap;
Result<CodePointMap> ReadPrecompiledCharsmap(std::string_view bytes);

}  // namespace vade
