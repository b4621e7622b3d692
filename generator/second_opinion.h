// What another passage answers, beside the answer that is being written.
//
//   auto opinion = SecondOpinion::Start(&engine, tokenizer, std::move(block), declines, ctx);
//   ... the answer is written; both are decoded in the same steps ...
//   ASSIGN_OR_RETURN(const std::string other, opinion->Text());
//   Compare(answer.text, other)
//
// Two passages that each very likely answer, and answer the same, are better than one; where they
// answer differently the reader has to see both.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/status.h"
#include "generator/engine.h"
#include "model/tokenizer.h"

namespace vade {

class SecondOpinion {
 public:
  // Goes on from `block`, greedily, without `banned`. Errors: those of Engine::Start().
  static Result<std::unique_ptr<SecondOpinion>> Start(Engine* engine, const Tokenizer* tokenizer,
                                                      std::unique_ptr<ReadBlock> block,
                                                      const Tokens& banned, const Context& ctx);

  // Waits for the end. "" when it declines, or is too long to be compared.
  Result<std::string> Text();

 private:
  SecondOpinion(const Tokenizer* tokenizer, std::unique_ptr<TokenStream> stream)
      : tokenizer_(tokenizer), stream_(std::move(stream)) {}

  const Tokenizer* const tokenizer_;
  const std::unique_ptr<TokenStream> stream_;
};

enum class Comparison {
  kSame,       // one holds the other, or they name the same numbers
  kDifferent,  // they cannot both be right
  kUnknown,    // long, empty, or in different scripts without a number
};
Comparison Compare(std::string_view answer, std::string_view other);

}  // namespace vade
