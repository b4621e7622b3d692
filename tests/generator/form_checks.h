// For tests of constrained answers: texts fed through a constraint token by token, random answers
// that a constraint allows, and a plain check of JSON values against a schema, written without
// regard to how the grammar is made.
#pragma once

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/unicode.h"
#include "generator/constraint.h"
#include "model/tokenizer.h"

namespace vade::testing {

inline bool IsAllowed(TokenConstraint& constraint, int32_t id) {
  return constraint.Allowed()[id / 64] >> (id % 64) & 1;
}

// "" when the tokenizer's tokens of `text` and then an end may be taken; else what was refused.
inline std::string WhyRefused(std::unique_ptr<TokenConstraint> constraint,
                              const Tokenizer& tokenizer, std::string_view text) {
  std::string taken;
  for (const int32_t id : tokenizer.Encode(text, Special::kText)) {
    const std::string piece(tokenizer.Piece(id));
    const bool allowed = IsAllowed(*constraint, id);
    const Status status = constraint->Accept(id);
    if (allowed != status.ok()) return "Allowed() and Accept() disagree about " + piece;
    if (!allowed) return "'" + piece + "' after '" + taken + "'";
    taken += piece;
  }
  return IsAllowed(*constraint, tokenizer.eos()) ? "" : "the end after '" + taken + "'";
}

// Takes random allowed tokens until the end; more and more it prefers those that close something.
// What it wrote when max_tokens did not suffice is returned with `*ended` false.
inline std::string RandomAnswer(TokenConstraint& constraint, const Tokenizer& tokenizer,
                                std::mt19937& random, bool* ended, int max_tokens = 600) {
  std::string text;
  for (int step = 0; step < max_tokens; ++step) {
    std::vector<int32_t> allowed, closing;
    for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
      if (!IsAllowed(constraint, id)) continue;
      allowed.push_back(id);
      const std::string_view piece = tokenizer.Piece(id);
      const bool closes =
          !piece.empty() && piece.find_first_not_of("\"}]0,:") == std::string_view::npos;
      if (tokenizer.IsEnd(id) || closes) closing.push_back(id);
    }
    const bool close = !closing.empty() && static_cast<int>(random() % 100) < step;
    const auto& choice = close ? closing : allowed;
    if (choice.empty()) return text + "<nothing is allowed>";
    const int32_t id = choice[random() % choice.size()];
    if (!constraint.Accept(id).ok()) return text + "<refused>";
    if (tokenizer.IsEnd(id)) {
      *ended = true;
      return text;
    }
    text += tokenizer.Piece(id);
  }
  *ended = false;
  return text;
}

using Json = nlohmann::json;

inline bool HasType(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  return value.is_number() && std::floor(value.get<double>()) == value.get<double>();
}

// Of the keywords that the tests use; others are ignored.
inline bool MeetsSchema(const Json& root, const Json& schema, const Json& value) {
  if (schema.is_boolean()) return schema.get<bool>();
  const auto meets = [&](const Json& other, const Json& part) {
    return MeetsSchema(root, other, part);
  };
  const auto count = [&](const char* key) {
    int number = 0;
    for (const Json& branch : schema[key]) number += meets(branch, value);
    return number;
  };
  for (const auto& [key, asked] : schema.items()) {
    if (key == "$ref") {
      const Json::json_pointer pointer(asked.get<std::string>().substr(1));
      if (!meets(root.at(pointer), value)) return false;
    }
    if (key == "type") {
      const auto types = asked.is_array() ? asked.get<std::vector<std::string>>()
                                          : std::vector<std::string>{asked.get<std::string>()};
      bool any = false;
      for (const auto& type : types) any |= HasType(value, type);
      if (!any) return false;
    }
    if (key == "const" && value != asked) return false;
    if (key == "enum" && std::find(asked.begin(), asked.end(), value) == asked.end()) return false;
    if (key == "allOf" && count("allOf") != static_cast<int>(asked.size())) return false;
    if (key == "anyOf" && count("anyOf") == 0) return false;
    if (key == "oneOf" && count("oneOf") != 1) return false;
    if (value.is_number()) {
      if (key == "minimum" && value < asked) return false;
      if (key == "maximum" && value > asked) return false;
      if (key == "exclusiveMinimum" && value <= asked) return false;
      if (key == "exclusiveMaximum" && value >= asked) return false;
    }
    if (value.is_string()) {
      const auto& text = value.get_ref<const std::string&>();
      if (key == "minLength" && CodePointCount(text) < asked) return false;
      if (key == "maxLength" && CodePointCount(text) > asked) return false;
      if (key == "pattern" && !std::regex_search(text, std::regex(asked.get<std::string>()))) {
        return false;
      }
    }
    if (value.is_array()) {
      if (key == "minItems" && value.size() < asked) return false;
      if (key == "maxItems" && value.size() > asked) return false;
      const size_t prefix = schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
      for (size_t i = 0; i < value.size(); ++i) {
        if (key == "prefixItems" && i < prefix && !meets(asked[i], value[i])) return false;
        if (key == "items" && i >= prefix && !meets(asked, value[i])) return false;
      }
    }
    if (value.is_object()) {
      if (key == "required") {
        for (const Json& name : asked) {
          if (!value.contains(name.get<std::string>())) return false;
        }
      }
      for (const auto& [name, member] : value.items()) {
        const bool described = schema.contains("properties") && schema["properties"].contains(name);
        if (key == "properties" && described && !meets(asked[name], member)) return false;
        if (key == "additionalProperties" && !described && !meets(asked, member)) return false;
      }
    }
  }
  return true;
}

}  // namespace vade::testing
