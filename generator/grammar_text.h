// Reads a grammar from text in the style of BNF:
//
//   # who said it, then a number
//   root   ::= name ": " number
//   name   ::= [A-Z] [a-z]{1,20} ("-" name)?
//   number ::= "0" | [1-9] [0-9]*
//
// A rule goes on to the next "name ::=" or the end. A name has ASCII letters, digits, "-" and "_".
// Parts: "literal", [class], [^class] (anything else), . (any code point), name, (group). Behind a
// part at most one of * + ? {3} {3,} {3,5}. Between alternatives |. # begins a comment. Escapes in
// literals and classes: \n \r \t \" \\ \[ \] \- \^ \x41 \u0041 \U0001F600, all of code points.
#pragma once

#include <string_view>

#include "base/status.h"
#include "generator/grammar_builder.h"

namespace vade {

constexpr size_t kMaxGrammarBytes = 256 << 10;

// Adds the rules of `text`. INVALID_ARGUMENT names the place as line:column. Rules of the builder
// that were there before may be used, and not be defined again.
Status AddGrammarText(std::string_view text, GrammarBuilder* builder);

}  // namespace vade
