// A filter expression read by recursive descent; the grammar stands in filter.h.
#include <array>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "index/filter.h"
#include "index/filter_lexer.h"
#include "index/index.h"

namespace vade {
namespace {

using Kind = FilterNode::Kind;
using TokenKind = FilterToken::Kind;

constexpr std::array<std::pair<std::string_view, FilterField>, 10> kFields = {{
    {"id", FilterField::kId},
    {"document_id", FilterField::kId},
    {"title", FilterField::kTitle},
    {"source", FilterField::kSource},
    {"mime_type", FilterField::kMimeType},
    {"supersedes", FilterField::kSupersedes},
    {"created", FilterField::kCreated},
    {"updated", FilterField::kUpdated},
    {"valid_from", FilterField::kValidFrom},
    {"groups", FilterField::kGroups},
}};
constexpr std::string_view kMetadataPrefix = "meta.";

bool IsTime(FilterField field) {
  return field == FilterField::kCreated || field == FilterField::kUpdated ||
         field == FilterField::kValidFrom;
}

bool IsKeyword(const FilterToken& token, std::string_view keyword) {
  return token.kind == TokenKind::kName && AsciiLower(token.text) == keyword;
}
bool IsPunctuation(const FilterToken& token, char c) {
  return token.kind == TokenKind::kPunctuation && token.text[0] == c;
}

FilterNode Not(FilterNode part) {
  FilterNode node{.kind = Kind::kNot};
  node.parts.push_back(std::move(part));
  return node;
}

class FilterParser {
 public:
  explicit FilterParser(std::string_view text) : lexer_(text) {}

  Result<FilterNode> Parse() {
    RETURN_IF_ERROR(Advance());
    ASSIGN_OR_RETURN(FilterNode root, Chain(Kind::kOr, 0));
    if (token_.kind != TokenKind::kEnd) return Expected("and, or, or the end");
    return root;
  }

 private:
  Status Advance() {
    ASSIGN_OR_RETURN(token_, lexer_.Next());
    return OkStatus();
  }
  Status Expected(std::string_view what) const {
    const std::string found = token_.kind == TokenKind::kEnd      ? "the end"
                              : token_.kind == TokenKind::kString ? "a quoted text"
                                                                  : StrCat("'", token_.text, "'");
    return lexer_.Error(token_.at, StrCat("expected ", what, ", found ", found));
  }

  // Parts joined by "or", or, one level down, by "and".
  Result<FilterNode> Chain(Kind kind, int nesting) {
    const bool is_or = kind == Kind::kOr;
    FilterNode chain{.kind = kind};
    for (;;) {
      ASSIGN_OR_RETURN(FilterNode part, is_or ? Chain(Kind::kAnd, nesting) : One(nesting));
      chain.parts.push_back(std::move(part));
      if (!IsKeyword(token_, is_or ? "or" : "and")) break;
      RETURN_IF_ERROR(Advance());
    }
    if (chain.parts.size() > 1) return chain;
    FilterNode only = std::move(chain.parts[0]);
    return only;
  }

  Result<FilterNode> One(int nesting) {
    if (nesting >= kMaxFilterNesting) {
      return lexer_.Error(token_.at, StrCat("nested more than ", kMaxFilterNesting, " deep"));
    }
    if (IsKeyword(token_, "not")) {
      RETURN_IF_ERROR(Advance());
      ASSIGN_OR_RETURN(FilterNode part, One(nesting + 1));
      return Not(std::move(part));
    }
    if (IsPunctuation(token_, '(')) {
      RETURN_IF_ERROR(Advance());
      ASSIGN_OR_RETURN(FilterNode inner, Chain(Kind::kOr, nesting + 1));
      RETURN_IF_ERROR(Take(')', "and, or, or )"));
      return inner;
    }
    return Condition();
  }

  Status Take(char c, std::string_view expected) {
    if (!IsPunctuation(token_, c)) return Expected(expected);
    return Advance();
  }

  Result<FilterNode> Condition() {
    FilterNode node;
    const bool exists = IsKeyword(token_, "exists");
    if (exists) RETURN_IF_ERROR(Advance());
    RETURN_IF_ERROR(Field(&node));
    if (exists) {
      node.kind = Kind::kExists;
      return node;
    }
    if (token_.kind == TokenKind::kOperator) return Comparison(std::move(node));
    const bool negated = IsKeyword(token_, "not");
    if (negated) RETURN_IF_ERROR(Advance());
    RETURN_IF_ERROR(InOrContains(&node, negated));
    return negated ? Not(std::move(node)) : std::move(node);
  }

  Status Field(FilterNode* node) {
    static constexpr std::array<std::string_view, 8> kKeywords = {
        "and", "or", "not", "in", "contains", "exists", "true", "false"};
    if (token_.kind != TokenKind::kName) return Expected("a field");
    for (std::string_view keyword : kKeywords) {
      if (IsKeyword(token_, keyword)) return Expected("a field");
    }
    node->field = FilterField::kMetadata;
    node->key = token_.text;
    for (const auto& [name, field] : kFields) {
      if (token_.text != name) continue;
      node->field = field;
      node->key.clear();
    }
    if (node->key.starts_with(kMetadataPrefix)) node->key.erase(0, kMetadataPrefix.size());
    return Advance();
  }

  Result<FilterNode> Comparison(FilterNode node) {
    static constexpr std::array<std::pair<std::string_view, Kind>, 6> kOperators = {{
        {"=", Kind::kEqual},
        {"!=", Kind::kEqual},
        {"<", Kind::kLess},
        {"<=", Kind::kLessOrEqual},
        {">", Kind::kGreater},
        {">=", Kind::kGreaterOrEqual},
    }};
    if (node.field == FilterField::kGroups) {
      return lexer_.Error(token_.at, "groups is a list; use contains, in or exists");
    }
    const FilterToken op = token_;
    for (const auto& [text, kind] : kOperators) {
      if (text == op.text) node.kind = kind;
    }
    RETURN_IF_ERROR(Advance());
    if (node.kind != Kind::kEqual && (IsKeyword(token_, "true") || IsKeyword(token_, "false"))) {
      return lexer_.Error(op.at, "true and false have no order; use = or !=");
    }
    RETURN_IF_ERROR(Value(&node));
    return op.text == "!=" ? Not(std::move(node)) : std::move(node);
  }

  Status InOrContains(FilterNode* node, bool negated) {
    if (IsKeyword(token_, "contains")) {
      if (IsTime(node->field)) return lexer_.Error(token_.at, "a time does not contain anything");
      node->kind = Kind::kContains;
      RETURN_IF_ERROR(Advance());
      if (token_.kind != TokenKind::kString) return Expected("a text in quotes");
      return Value(node);
    }
    if (!IsKeyword(token_, "in")) {
      return Expected(negated ? "in or contains" : "an operator (= != < <= > >=), in or contains");
    }
    node->kind = Kind::kIn;
    RETURN_IF_ERROR(Advance());
    RETURN_IF_ERROR(Take('(', "("));
    for (;;) {
      RETURN_IF_ERROR(Value(node));
      if (!IsPunctuation(token_, ',')) break;
      RETURN_IF_ERROR(Advance());
    }
    return Take(')', "a comma or )");
  }

  // The next value, which must be of the field's type.
  Status Value(FilterNode* node) {
    const bool truth = IsKeyword(token_, "true");
    if (IsTime(node->field)) return TimeValue(node);
    if (token_.kind == TokenKind::kString) {
      node->values.emplace_back(token_.text);
    } else if (node->field != FilterField::kMetadata) {
      return Expected("a text in quotes");
    } else if (token_.kind == TokenKind::kNumber) {
      node->values.emplace_back(token_.number);
    } else if (truth || IsKeyword(token_, "false")) {
      node->values.emplace_back(truth);
    } else {
      return Expected("a text in quotes, a number, true or false");
    }
    return Advance();
  }

  Status TimeValue(FilterNode* node) {
    if (token_.kind != TokenKind::kString) return Expected("a time in quotes, \"2026-11-22\"");
    const auto time = ParseRfc3339(token_.text);
    if (!time.ok()) return lexer_.Error(token_.at, time.status().message());
    node->values.emplace_back(FilterTime{*time});
    return Advance();
  }

  FilterLexer lexer_;
  FilterToken token_;
};

}  // namespace

Result<Filter> Filter::Parse(std::string_view text) {
  if (text.size() > kMaxFilterBytes) {
    return InvalidArgument(
        StrCat("the filter has ", text.size(), " bytes; at most ", kMaxFilterBytes, " are read"));
  }
  if (!IsValidUtf8(text)) return InvalidArgument("the filter is not valid UTF-8");
  ASSIGN_OR_RETURN(FilterNode root, FilterParser(text).Parse());
  return Filter(std::move(root));
}

Status CheckFilter(std::string_view filter) { return Filter::Parse(filter).status(); }

}  // namespace vade
