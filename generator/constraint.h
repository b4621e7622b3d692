// What may come next in an answer that must have a form: JSON of a schema, or the sentences of a
// grammar. The sampler asks before each token and tells what was taken.
//
//   ASSIGN_OR_RETURN(auto grammar, Grammar::FromJsonSchema(schema));
//   ASSIGN_OR_RETURN(auto constraint, Constrain(std::move(grammar), &decoder.tokenizer()));
//   job.constraint = std::move(constraint);
//
// A constraint belongs to one answer and one thread; a grammar is immutable and shared.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"

namespace vade {

class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // Bit i % 64 of word i / 64 says whether token i may come next; (vocab_size + 63) / 64 words. At
  // least one is set: where the text may end, or nothing else can come, the tokens that end an
  // answer are. Valid until Accept().
  virtual std::span<const uint64_t> Allowed() = 0;
  // INTERNAL for a token that was not allowed; nothing has changed then.
  virtual Status Accept(int32_t id) = 0;
  // The same state, to go on by itself.
  virtual std::unique_ptr<TokenConstraint> Clone() const = 0;
};

}  // namespace vade
