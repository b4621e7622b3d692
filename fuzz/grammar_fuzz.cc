// Any bytes as a grammar or a JSON schema, then as the choices of a model: what is read must be
// walked without harm, and what was allowed to the end must have the form.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "generator/grammar.h"
#include "tests/testing/scripted_decoder.h"

namespace {

using vade::testing::ByteTokenizer;

void Require(bool holds) {
  if (!holds) std::abort();
}

const ByteTokenizer& Tokens() {
  static const ByteTokenizer tokenizer(
      {"{\"", "\": ", ", \"", "\"}", "]}", "ab", "aaaa", "é", "\xE6\x97"});
  return tokenizer;
}

// The next allowed token from `wanted` on, around the vocabulary.
int32_t Choose(vade::TokenConstraint& constraint, int32_t wanted) {
  const auto allowed = constraint.Allowed();
  const int32_t size = Tokens().vocab_size();
  for (int32_t step = 0; step < size; ++step) {
    const int32_t id = (wanted + step) % size;
    if (allowed[id / 64] >> (id % 64) & 1) return id;
  }
  return -1;
}

// The text that the choices lead to; false when they did not suffice.
bool Walk(const std::shared_ptr<const vade::Grammar>& grammar, std::string_view choices,
          std::string* text) {
  auto constraint = vade::Constrain(grammar, &Tokens()).value();
  for (const char choice : choices) {
    const int32_t id = Choose(*constraint, 2 * static_cast<uint8_t>(choice));
    Require(id >= 0 && constraint->Accept(id).ok());
    if (Tokens().IsEnd(id)) return true;
    *text += Tokens().Piece(id);
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const bool is_schema = data[0] % 2 == 1;
  const size_t end = std::min(input.find('\0', 1), input.size());
  const std::string_view form = input.substr(1, end - 1);
  auto grammar = is_schema ? vade::Grammar::FromJsonSchema(form) : vade::Grammar::FromText(form);
  if (!grammar.ok()) {
    Require(!grammar.status().message().empty());
    return 0;
  }
  std::string text;
  // The vocabulary has all bytes: nothing is cut short but by the depth of the stacks, which so few
  // choices do not reach.
  if (!Walk(*grammar, input.substr(end), &text)) return 0;
  Require((*grammar)->Matches(text));
  if (is_schema) Require(nlohmann::json::accept(text));
  return 0;
}
