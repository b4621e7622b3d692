// For tests of JSON schemas: what the grammar of one takes, and why it is refused.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "generator/grammar.h"
#include "tests/generator/form_checks.h"
#include "tests/testing/scripted_decoder.h"

namespace vade::testing {

using Texts = std::vector<std::string>;

// Single bytes, and tokens that go over the borders of JSON's parts.
inline const ByteTokenizer& JsonTokens() {
  static const ByteTokenizer tokenizer({"{\"", "\": ", "\":", ", \"", "\"}", "},", "[[", "]]",
                                        "\",\"", "true", "null", "12", "\\u00", "日本"});
  return tokenizer;
}

// Of `texts` those that the schema's grammar takes, token by token.
inline Texts Taken(std::string_view schema, const Texts& texts) {
  auto grammar = Grammar::FromJsonSchema(schema);
  EXPECT_TRUE(grammar.ok()) << grammar.status().ToString() << " for " << schema;
  if (!grammar.ok()) return {};
  const ByteTokenizer& tokenizer = JsonTokens();
  Texts taken;
  for (const std::string& text : texts) {
    const std::string refused = WhyRefused(*Constrain(*grammar, &tokenizer), tokenizer, text);
    EXPECT_EQ(refused.empty(), (*grammar)->Matches(text)) << text << ": " << refused;
    if (!refused.empty()) continue;
    taken.push_back(text);
    EXPECT_TRUE(Json::accept(text)) << text;
  }
  return taken;
}

inline std::string SchemaError(std::string_view schema) {
  auto grammar = Grammar::FromJsonSchema(schema);
  return grammar.ok() ? "OK" : grammar.status().ToString();
}

}  // namespace vade::testing
