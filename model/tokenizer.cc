#include "model/tokenizer.h"

#include "base/strings.h"
#include "base/unicode.h"
#include "model/bpe_tokenizer.h"
#include "model/unigram_tokenizer.h"

namespace vade {

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromGguf(const GgufFile& file) {
  ASSIGN_OR_RETURN(const std::string_view kind, file.RequireString("tokenizer.ggml.model"));
  if (kind == "gpt2") return BpeTokenizer::FromGguf(file);
  if (kind == "t5") return UnigramTokenizer::FromGguf(file);
  return Unimplemented(StrCat("weights file ", file.path(), ": tokenizer '",
                              ReplaceInvalidUtf8(kind.substr(0, 64)),
                              "' is not supported (gpt2 and t5 are)"));
}

std::string Tokenizer::Decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += Piece(id);
  return text;
}

}  // namespace vade
