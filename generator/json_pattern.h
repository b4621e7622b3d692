// The regular expression of a JSON schema's "pattern" as a form of a string.
//
// Read are: characters, . \d \w \s and their negations, classes, groups (also (?:...) and named),
// |, * + ? {m,n} (and their lazy forms, which mean the same), ^ at the beginning and $ at the end
// of the whole or of an alternative of the whole. Without ^ or $ anything may stand before or
// behind. Not supported, since they are no regular expressions or seldom needed: look-around,
// back references, \b, \p, \c.
#pragma once

#include <string_view>

#include "base/status.h"
#include "generator/grammar_builder.h"

namespace vade {

// A string (quotes included) that the pattern is found in. UNIMPLEMENTED, INVALID_ARGUMENT: what is
// wrong and at which character. Needs AddJsonRules().
Result<ExprId> JsonPattern(std::string_view pattern, GrammarBuilder* builder);

}  // namespace vade
