// The form that an answer must have: the sentences of a grammar, or the JSON of a schema.
//
//   ASSIGN_OR_RETURN(auto grammar, Grammar::FromJsonSchema(R"({"type":"object", ...})"));
//   ASSIGN_OR_RETURN(auto constraint, Constrain(std::move(grammar), &decoder.tokenizer()));
//
// A grammar is immutable and safe to share between threads and requests; sharing one is worth it,
// since what was worked out for one answer is kept for the next. A constraint (constraint.h)
// belongs to one answer and one thread.
//
// Grammars as text: generator/grammar_text.h tells the syntax; the rule "root" is the whole.
//
// JSON. No white space but one blank or none behind ':' and ','. Properties come in the order of
// the schema. Numbers have at most 18 digits before the point and 18 behind it. Every text of the
// grammar meets the schema. Supported are:
//   any type   type (also a list), enum, const, anyOf, allOf, $ref to #/..., also recursive; oneOf
//              where types, or values of a required property, keep its schemas apart
//   objects    properties, required, additionalProperties. Others than the described properties
//              come only if additionalProperties is given, or none is described
//   arrays     items, prefixItems, minItems, maxItems
//   strings    minLength, maxLength (of code points), pattern (json_pattern.h tells what of regular
//              expressions), format: date, time, date-time, uuid, ipv4, hostname, email, uri; not
//              more than one of lengths, pattern and format
//   numbers    minimum, maximum, exclusiveMinimum, exclusiveMaximum; then without an exponent
// Annotations (title, description, default, ...) are read over; any other keyword is refused by
// name, with its place. A schema without type means the types that its keywords speak about. A
// maximum beyond 20,000 counts as that.
//
// Texts, schemas and grammars may come from anybody: size, nesting, counts and ambiguity have
// limits, and beyond them there is an error.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "generator/constraint.h"
#include "model/tokenizer.h"

namespace vade {

class Grammar {
 public:
  // INVALID_ARGUMENT: "grammar LINE:COLUMN: ...", or a rule that is left-recursive or endless;
  // RESOURCE_EXHAUSTED: too large.
  static Result<std::shared_ptr<const Grammar>> FromText(std::string_view text);

  // UNIMPLEMENTED: a keyword that is not supported; INVALID_ARGUMENT: no schema, or one that no
  // value meets; RESOURCE_EXHAUSTED: too large. Each names the place as a JSON pointer.
  static Result<std::shared_ptr<const Grammar>> FromJsonSchema(std::string_view schema);

  // Any JSON; any JSON object ("json_object" of the OpenAI API).
  static Result<std::shared_ptr<const Grammar>> AnyJson();
  static Result<std::shared_ptr<const Grammar>> AnyJsonObject();

  ~Grammar();
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  // Whether the whole of `text` has the form.
  bool Matches(std::string_view text) const;

 private:
  struct Impl;
  explicit Grammar(std::unique_ptr<Impl> impl);
  friend Result<std::unique_ptr<TokenConstraint>> Constrain(std::shared_ptr<const Grammar> grammar,
                                                            const Tokenizer* tokenizer);
  std::unique_ptr<Impl> impl_;
};

// At the beginning of an answer. Allowed are the tokens with which the text can still come to have
// the form, and where it has it, the tokens that end an answer; no other control token, and no
// token without bytes. Where a form needs bytes that no token of the vocabulary has, or nests
// deeper than 1024 rules, nothing can come: there the tokens that end an answer are allowed too, so
// that it ends instead of hanging (its text then lacks the form; Matches() tells). After such a
// token only these are allowed.
//
// The tokenizer is read now and not kept. FAILED_PRECONDITION: it has no token that ends an answer.
Result<std::unique_ptr<TokenConstraint>> Constrain(std::shared_ptr<const Grammar> grammar,
                                                   const Tokenizer* tokenizer);

}  // namespace vade
