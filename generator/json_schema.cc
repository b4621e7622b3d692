#include "generator/json_schema.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "generator/json_forms.h"
#include "generator/json_numbers.h"
#include "generator/json_pattern.h"
#include "generator/json_value.h"
#include "generator/schema_reader.h"

namespace vade {
namespace {

using Kind = JsonValue::Kind;

constexpr int kMaxDepth = 64;  // of schemas within schemas
constexpr int kMaxVisits = 10'000;
constexpr size_t kMaxOptional = 256;  // each is a position after a comma
constexpr size_t kMaxPrefixItems = 64;

class SchemaCompiler {
 public:
  SchemaCompiler(const JsonValue& document, GrammarBuilder* builder)
      : document_(document), reader_(document), builder_(*builder) {}

  Result<ExprId> Run() {
    SchemaNode root;
    RETURN_IF_ERROR(reader_.Collect(document_, "", &root));
    ASSIGN_OR_RETURN(const ExprId expr, Compile(std::move(root)));
    if (expr == kNothing) return SchemaError("", "nothing can meet it");
    // What a $ref leads to is compiled from here, not inside of what refers to it: recursion of
    // the schema is none of ours, and a long chain of references no deep stack.
    for (size_t i = 0; i < pending_.size(); ++i) {
      const RuleId rule = pending_[i].first;
      const SchemaNode node = std::move(pending_[i].second);
      ASSIGN_OR_RETURN(const ExprId body, CompileBody(node));
      builder_.Define(rule, body);
      RETURN_IF_ERROR(builder_.status());
    }
    return expr;
  }

 private:
  ExprId Rule(std::string_view name) { return builder_.Ref(builder_.Declare(name)); }

  Result<ExprId> Compile(SchemaNode node) {
    if (node.never) return kNothing;
    if (node.reached_by.empty()) return CompileBody(node);
    std::vector<std::pair<const JsonValue*, bool>> key;
    for (const SchemaPart& part : node.parts) key.emplace_back(part.schema, part.branched);
    std::sort(key.begin(), key.end());
    const auto [known, is_new] = rules_.try_emplace(std::move(key), -1);
    if (is_new) {
      known->second = builder_.Declare(StrCat(node.reached_by, " (", rules_.size(), ")"));
      pending_.emplace_back(known->second, std::move(node));
    }
    return builder_.Ref(known->second);
  }

  Result<ExprId> CompileBody(const SchemaNode& node) {
    if (++visits_ > kMaxVisits) {
      return ResourceExhausted("JSON schema: it is too large once its references are followed");
    }
    if (++depth_ > kMaxDepth) {
      return SchemaError(node.place, StrCat("schemas are nested more than ", kMaxDepth, " deep"));
    }
    auto expr = CompileKind(node);
    --depth_;
    return expr;
  }

  Result<ExprId> CompileKind(const SchemaNode& node) {
    ASSIGN_OR_RETURN(auto branches, reader_.Branches(node));
    if (branches) return CompileBranches(*std::move(branches));
    ASSIGN_OR_RETURN(const auto values, reader_.FiniteValues(node));
    if (values) return CompileValues(node, *values);
    ASSIGN_OR_RETURN(unsigned types, reader_.DeclaredTypes(node));
    if (types == 0) return SchemaError(node.place, "no type meets all that is asked");
    // To take the types that are meant is to promise less than the schema allows, never more.
    if (types == json_type::kAll) types = reader_.MeantTypes(node);
    if (types == json_type::kAll && reader_.FirstOfOneType(node).place.empty()) {
      return Rule(kJsonValue);
    }
    return CompileTypes(node, types);
  }

  Result<ExprId> CompileBranches(std::vector<SchemaNode> branches) {
    std::vector<ExprId> ways;
    for (SchemaNode& branch : branches) {
      ASSIGN_OR_RETURN(const ExprId way, Compile(std::move(branch)));
      ways.push_back(way);
    }
    return builder_.Alternatives(std::move(ways));
  }

  Result<ExprId> CompileValues(const SchemaNode& node,
                               const std::vector<const JsonValue*>& values) {
    const SchemaValue other = reader_.FirstOfOneType(node);
    if (!other.place.empty()) {
      return SchemaUnsupported(other.place, "this keyword beside enum or const; leave it out");
    }
    if (values.empty()) return SchemaError(node.place, "enum, const and type leave no value");
    std::vector<ExprId> ways;
    for (const JsonValue* value : values) ways.push_back(ValueForm(*value));
    return builder_.Alternatives(std::move(ways));
  }

  ExprId ValueForm(const JsonValue& value) {
    if (value.items.empty()) return builder_.Literal(CanonicalJson(value));
    if (value.is(Kind::kArray)) {
      JsonItems items{.min = static_cast<int>(value.items.size())};
      for (const JsonValue& item : value.items) items.prefix.push_back(ValueForm(item));
      return JsonArray(items, &builder_);
    }
    std::vector<JsonProperty> properties;
    for (size_t i = 0; i < value.keys.size(); ++i) {
      properties.push_back({QuotedJson(value.keys[i]), ValueForm(value.items[i]), true});
    }
    return JsonObject(properties, kNothing, &builder_);
  }

  Result<ExprId> CompileTypes(const SchemaNode& node, unsigned types) {
    std::vector<ExprId> ways;
    const auto add = [&](Result<ExprId> way) {
      if (!way.ok()) return way.status();
      ways.push_back(*way);
      return OkStatus();
    };
    if (types & json_type::kObject) RETURN_IF_ERROR(add(CompileObject(node)));
    if (types & json_type::kArray) RETURN_IF_ERROR(add(CompileArray(node)));
    if (types & json_type::kString) RETURN_IF_ERROR(add(CompileString(node)));
    if (types & json_type::kNumber) RETURN_IF_ERROR(add(CompileNumber(node, types)));
    if (types & json_type::kBoolean) {
      ways.push_back(builder_.Literal("true"));
      ways.push_back(builder_.Literal("false"));
    }
    if (types & json_type::kNull) ways.push_back(builder_.Literal("null"));
    return builder_.Alternatives(std::move(ways));
  }

  Result<ExprId> CompileObject(const SchemaNode& node) {
    const bool describes = !reader_.All(node, "properties").empty();
    const bool says_more = !reader_.All(node, "additionalProperties").empty();
    ASSIGN_OR_RETURN(std::vector<SchemaProperty> properties, reader_.Properties(node));
    if (properties.empty() && !describes && !says_more) return Rule(kJsonObject);
    std::vector<JsonProperty> forms;
    std::vector<std::string> names;
    size_t optional = 0;
    for (SchemaProperty& property : properties) {
      const std::string place = property.node.place;
      ASSIGN_OR_RETURN(const ExprId value, Compile(std::move(property.node)));
      if (value == kNothing && property.required) {
        return SchemaError(place, "it is required, but nothing can meet it");
      }
      if (value != kNothing) {
        forms.push_back({QuotedJson(property.name), value, property.required});
      }
      optional += property.required ? 0 : 1;
      names.push_back(std::move(property.name));
    }
    if (optional > kMaxOptional) {
      return SchemaError(node.place, StrCat("more than ", kMaxOptional,
                                            " properties are optional; require some of them"));
    }
    // Other properties come only where the schema asks for them in words, or describes none.
    ExprId more = kNothing;
    if (says_more || !describes) {
      ASSIGN_OR_RETURN(more, CompileAdditional(node, std::move(names)));
    }
    return JsonObject(forms, more, &builder_);
  }

  Result<ExprId> CompileAdditional(const SchemaNode& node, std::vector<std::string> names) {
    ASSIGN_OR_RETURN(SchemaNode additional, reader_.Additional(node));
    ASSIGN_OR_RETURN(const ExprId value, Compile(std::move(additional)));
    if (value == kNothing) return kNothing;
    for (const std::string& name : names) {
      if (name.size() <= kMaxKeyBytes) continue;
      return SchemaError(node.place, StrCat("beside additionalProperties a name has at most ",
                                            kMaxKeyBytes, " bytes"));
    }
    const ExprId key =
        names.empty() ? Rule(kJsonString) : JsonKeyExcept(std::move(names), &builder_);
    return builder_.Sequence({key, JsonColon(&builder_), value});
  }

  Result<ExprId> CompileArray(const SchemaNode& node) {
    ASSIGN_OR_RETURN(const auto counts, reader_.ReadCounts(node, "minItems", "maxItems"));
    const auto items = reader_.All(node, "items"), prefix = reader_.All(node, "prefixItems");
    RETURN_IF_ERROR(CheckOneSource(node));
    JsonItems form{.min = counts.min, .max = counts.max};
    if (!prefix.empty()) RETURN_IF_ERROR(CompilePrefix(prefix[0], &form.prefix));
    if (!items.empty()) {
      const auto& [value, place] = items[0];
      if (value->is(Kind::kArray)) {
        return SchemaUnsupported(place, "a list of schemas is named prefixItems");
      }
      SchemaNode rest;
      RETURN_IF_ERROR(reader_.Collect(*value, place, &rest));
      ASSIGN_OR_RETURN(form.rest, Compile(std::move(rest)));
    } else if (prefix.empty() || counts.min > static_cast<int>(form.prefix.size())) {
      form.rest = Rule(kJsonValue);
    }
    const ExprId array = JsonArray(form, &builder_);
    if (array == kNothing) return SchemaError(node.place, "no array meets it");
    return array;
  }

  // "items" speaks about what lies behind the prefixItems beside it: two schema objects with such
  // keywords would have to be met position by position.
  Status CheckOneSource(const SchemaNode& node) const {
    size_t sources = 0;
    for (const SchemaPart& part : node.parts) {
      const bool speaks = part.schema->Find("items") || part.schema->Find("prefixItems");
      if (speaks && ++sources > 1) {
        return SchemaUnsupported(part.place, "items or prefixItems of two schemas for one value");
      }
    }
    return OkStatus();
  }

  Status CompilePrefix(const SchemaValue& prefix, std::vector<ExprId>* out) {
    const auto& schemas = prefix.value->items;
    if (!prefix.value->is(Kind::kArray) || schemas.empty() || schemas.size() > kMaxPrefixItems) {
      return SchemaError(prefix.place, StrCat("expected 1 to ", kMaxPrefixItems, " schemas"));
    }
    for (size_t i = 0; i < schemas.size(); ++i) {
      SchemaNode item;
      RETURN_IF_ERROR(reader_.Collect(schemas[i], PlaceOf(prefix.place, StrCat(i)), &item));
      ASSIGN_OR_RETURN(const ExprId value, Compile(std::move(item)));
      out->push_back(value);
    }
    return OkStatus();
  }

  Result<ExprId> CompileString(const SchemaNode& node) {
    ASSIGN_OR_RETURN(const auto counts, reader_.ReadCounts(node, "minLength", "maxLength"));
    const auto patterns = reader_.All(node, "pattern"), formats = reader_.All(node, "format");
    if (patterns.empty() && formats.empty()) {
      return JsonString(counts.min, counts.max, &builder_);
    }
    const SchemaValue& form = patterns.empty() ? formats[0] : patterns[0];
    const bool counted = counts.min > 0 || counts.max != kUnbounded;
    if (patterns.size() + formats.size() > 1 || counted) {
      return SchemaUnsupported(form.place, "with another pattern, format, minLength or maxLength");
    }
    if (!form.value->is(Kind::kString)) return SchemaError(form.place, "expected a string");
    if (!patterns.empty()) {
      auto pattern = JsonPattern(form.value->text, &builder_);
      if (pattern.ok()) return pattern;
      return pattern.status().WithContext(StrCat("JSON schema: ", form.place));
    }
    const ExprId format = JsonFormat(form.value->text, &builder_);
    if (format != kNothing) return format;
    return SchemaUnsupported(
        form.place, StrCat("the format '", form.value->text, "'; known are ", kJsonFormats));
  }

  Result<ExprId> CompileNumber(const SchemaNode& node, unsigned types) {
    ASSIGN_OR_RETURN(const NumberBounds bounds, reader_.ReadBounds(node));
    const bool whole = (types & json_type::kFraction) == 0;
    if (!bounds.any()) return Rule(whole ? kJsonInteger : kJsonNumber);
    const ExprId numbers =
        whole ? IntegersWithin(bounds, &builder_) : NumbersWithin(bounds, &builder_);
    if (numbers == kNothing) return SchemaError(node.place, "no number lies within the bounds");
    return numbers;
  }

  const JsonValue& document_;
  const SchemaReader reader_;
  GrammarBuilder& builder_;
  std::map<std::vector<std::pair<const JsonValue*, bool>>, RuleId> rules_;  // by what must be met
  std::vector<std::pair<RuleId, SchemaNode>> pending_;  // rules without a body so far
  int visits_ = 0, depth_ = 0;
};

}  // namespace

Result<ExprId> AddJsonSchema(std::string_view schema, GrammarBuilder* builder) {
  RETURN_IF_ERROR(AddJsonRules(builder));
  auto document = ParseJson(schema, {});
  if (!document.ok()) return SchemaError("", document.status().message());
  return SchemaCompiler(*document, builder).Run();
}

}  // namespace vade
