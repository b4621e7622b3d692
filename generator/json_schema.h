// Reads a JSON schema (draft 2020-12, with draft 7's "definitions") as a grammar of texts that meet
// it. See grammar.h for what is supported. Every text of the grammar meets the schema; the grammar
// may leave out texts that the schema allows (other white space, another order, other spellings).
#pragma once

#include <string_view>

#include "base/status.h"
#include "generator/grammar_builder.h"

namespace vade {

// The expression of the whole. UNIMPLEMENTED names a keyword that is not supported,
// INVALID_ARGUMENT what is malformed or cannot be met, each with its place as a JSON pointer.
Result<ExprId> AddJsonSchema(std::string_view schema, GrammarBuilder* builder);

}  // namespace vade
