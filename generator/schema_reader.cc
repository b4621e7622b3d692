#include "generator/schema_reader.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/strings.h"
#include "generator/grammar_builder.h"

namespace vade {
namespace {

using namespace json_type;  // NOLINT: bits with long names
using Kind = JsonValue::Kind;
using Values = std::vector<const JsonValue*>;

constexpr size_t kMaxParts = 64;  // schema objects that one value must meet
constexpr size_t kMaxBranches = 500;

struct TypeName {
  std::string_view name;
  unsigned bits;
};
constexpr TypeName kTypes[] = {{"object", kObject}, {"array", kArray},     {"string", kString},
                               {"number", kNumber}, {"integer", kInteger}, {"boolean", kBoolean},
                               {"null", kNull}};

// A keyword that asks for something, and of which values; 0: of all types.
struct Keyword {
  std::string_view name;
  unsigned types;
};
constexpr Keyword kAssertions[] = {
    {"type", 0},
    {"enum", 0},
    {"const", 0},
    {"anyOf", 0},
    {"oneOf", 0},
    {"properties", kObject},
    {"required", kObject},
    {"additionalProperties", kObject},
    {"items", kArray},
    {"prefixItems", kArray},
    {"minItems", kArray},
    {"maxItems", kArray},
    {"minLength", kString},
    {"maxLength", kString},
    {"pattern", kString},
    {"format", kString},
    {"minimum", kNumber},
    {"maximum", kNumber},
    {"exclusiveMinimum", kNumber},
    {"exclusiveMaximum", kNumber},
};
// They lead elsewhere, or say nothing about which texts are valid.
constexpr std::string_view kOthers[] = {
    "$ref",     "allOf",       "$defs",     "definitions", "$schema",         "$comment",
    "title",    "description", "default",   "examples",    "contentEncoding", "contentMediaType",
    "readOnly", "writeOnly",   "deprecated"};

const Keyword* FindAssertion(std::string_view name) {
  const auto found = std::find_if(std::begin(kAssertions), std::end(kAssertions),
                                  [&](const Keyword& keyword) { return keyword.name == name; });
  return found == std::end(kAssertions) ? nullptr : &*found;
}

bool IsKnown(std::string_view name) {
  return FindAssertion(name) != nullptr || name.starts_with("x-") ||
         std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
}

bool IsBranching(std::string_view key) { return key == "anyOf" || key == "oneOf"; }

bool Asks(const SchemaPart& part) {
  return std::any_of(part.schema->keys.begin(), part.schema->keys.end(), [&](const auto& key) {
    return FindAssertion(key) != nullptr && !(part.branched && IsBranching(key));
  });
}

void AddOnce(SchemaPart part, std::vector<SchemaPart>* parts) {
  const bool known = std::any_of(parts->begin(), parts->end(), [&](const SchemaPart& other) {
    return other.schema == part.schema && other.branched == part.branched;
  });
  if (!known && Asks(part)) parts->push_back(std::move(part));
}

unsigned TypeOf(const JsonValue& value) {
  switch (value.kind) {
    case Kind::kNull: return kNull;
    case Kind::kBool: return kBoolean;
    case Kind::kNumber: return value.whole ? kInteger : kFraction;
    case Kind::kString: return kString;
    case Kind::kArray: return kArray;
    case Kind::kObject: return kObject;
  }
  return 0;
}

std::set<std::string> CanonicalSet(const Values& values) {
  std::set<std::string> out;
  for (const JsonValue* value : values) out.insert(CanonicalJson(*value));
  return out;
}

// A step of a JSON pointer in a URI fragment, as the key that it means.
std::string KeyOfStep(std::string_view step) {
  std::string plain;
  for (size_t i = 0; i < step.size(); ++i) {
    uint8_t byte = 0;
    const char* hex = step.data() + i + 1;
    if (step[i] == '%' && i + 2 < step.size() &&
        std::from_chars(hex, hex + 2, byte, 16).ptr == hex + 2) {
      plain += static_cast<char>(byte);
      i += 2;
    } else {
      plain += step[i];
    }
  }
  std::string key;
  for (size_t i = 0; i < plain.size(); ++i) {
    const bool escape =
        plain[i] == '~' && i + 1 < plain.size() && (plain[i + 1] == '0' || plain[i + 1] == '1');
    key += !escape ? plain[i] : plain[++i] == '0' ? '~' : '/';
  }
  return key;
}

const JsonValue* Child(const JsonValue& value, const std::string& key) {
  if (!value.is(Kind::kArray)) return value.Find(key);
  const auto index = ParseUint(key);
  return index && *index < value.items.size() ? &value.items[*index] : nullptr;
}

Result<unsigned> ReadType(const JsonValue& value, const std::string& place) {
  unsigned bits = 0;
  const auto add = [&](const JsonValue& name) {
    for (const TypeName& type : kTypes) {
      if (!name.is(Kind::kString) || name.text != type.name) continue;
      bits |= type.bits;
      return true;
    }
    return false;
  };
  const bool is_list = value.is(Kind::kArray) && !value.items.empty();
  if (is_list ? std::all_of(value.items.begin(), value.items.end(), add) : add(value)) return bits;
  return SchemaError(place,
                     "expected object, array, string, number, integer, boolean or null, or a list "
                     "of them");
}

// kMaxRepeat + 1 for all that is more.
Result<int> ReadCount(const SchemaValue& count) {
  const JsonValue& value = *count.value;
  if (!value.is(Kind::kNumber) || !value.whole || value.number < 0) {
    return SchemaError(count.place, "expected a whole number from 0 on");
  }
  return value.number > kMaxRepeat ? kMaxRepeat + 1 : static_cast<int>(value.number);
}

Result<NumberBounds::Bound> ReadBound(const SchemaValue& bound) {
  if (!bound.value->is(Kind::kNumber)) return SchemaError(bound.place, "expected a number");
  std::string text = bound.value->text;
  if (text.find_first_of(".eE") != text.npos) {
    char buffer[400];
    const auto end = std::to_chars(buffer, buffer + sizeof(buffer), bound.value->number,
                                   std::chars_format::fixed);
    text.assign(buffer, end.ptr);
  }
  auto decimal = ParseDecimal(text);
  if (!decimal.ok()) return SchemaError(bound.place, decimal.status().message());
  return NumberBounds::Bound{*std::move(decimal), bound.place.find("/exclusive") != text.npos};
}

}  // namespace

std::string PlaceOf(std::string_view place, std::string_view key) {
  std::string out = StrCat(place, "/");
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

Status SchemaError(std::string_view place, std::string_view what) {
  return InvalidArgument(StrCat("JSON schema: ", place.empty() ? "the root" : place, ": ", what));
}

Status SchemaUnsupported(std::string_view place, std::string_view what) {
  return Unimplemented(StrCat("JSON schema: ", place.empty() ? "the root" : place, ": ", what));
}

Status SchemaReader::Collect(const JsonValue& schema, const std::string& place,
                             SchemaNode* node) const {
  if (node->seen.empty()) node->place = place;
  std::vector<const JsonValue*> open;
  return CollectAll(schema, place, node, &open);
}

Status SchemaReader::CollectAll(const JsonValue& schema, const std::string& place, SchemaNode* node,
                                std::vector<const JsonValue*>* open) const {
  if (schema.is(Kind::kBool)) {
    node->never |= schema.is_false();
    return OkStatus();
  }
  if (!schema.is(Kind::kObject)) return SchemaError(place, "expected an object, true or false");
  if (std::find(open->begin(), open->end(), &schema) != open->end()) {
    return SchemaError(place, "it refers to itself without end");
  }
  if (std::find(node->seen.begin(), node->seen.end(), &schema) != node->seen.end()) {
    return OkStatus();
  }
  if (node->seen.size() >= kMaxParts) return SchemaError(place, "too many schemas for one value");
  RETURN_IF_ERROR(CheckKeywords(schema, place));
  node->seen.push_back(&schema);
  open->push_back(&schema);
  SchemaPart part{&schema, place};
  if (Asks(part)) node->parts.push_back(std::move(part));
  if (const JsonValue* ref = schema.Find("$ref")) {
    ASSIGN_OR_RETURN(const SchemaValue target, Resolve(*ref, PlaceOf(place, "$ref")));
    node->reached_by = StrCat("#", target.place);
    RETURN_IF_ERROR(CollectAll(*target.value, target.place, node, open));
  }
  if (const JsonValue* all = schema.Find("allOf")) {
    const std::string all_place = PlaceOf(place, "allOf");
    if (!all->is(Kind::kArray) || all->items.empty()) {
      return SchemaError(all_place, "expected a list of schemas");
    }
    for (size_t i = 0; i < all->items.size(); ++i) {
      RETURN_IF_ERROR(CollectAll(all->items[i], PlaceOf(all_place, StrCat(i)), node, open));
    }
  }
  open->pop_back();
  return OkStatus();
}

Status SchemaReader::CheckKeywords(const JsonValue& schema, const std::string& place) const {
  for (size_t i = 0; i < schema.keys.size(); ++i) {
    const std::string& key = schema.keys[i];
    if (IsKnown(key) || (key == "$id" && &schema == &document_)) continue;
    if (key == "uniqueItems" && schema.items[i].is_false()) continue;
    return SchemaUnsupported(PlaceOf(place, key),
                             "this keyword is not supported; leave it out or say it with others");
  }
  return OkStatus();
}

Result<SchemaValue> SchemaReader::Resolve(const JsonValue& ref, const std::string& place) const {
  if (!ref.is(Kind::kString)) return SchemaError(place, "expected a string");
  if (ref.text != "#" && !ref.text.starts_with("#/")) {
    return SchemaUnsupported(place, "only references within the schema (#/...) are followed");
  }
  SchemaValue at{&document_, ""};
  const auto steps = Split(ref.text, '/');
  for (size_t i = 1; i < steps.size(); ++i) {
    const std::string key = KeyOfStep(steps[i]);
    const JsonValue* child = Child(*at.value, key);
    if (child == nullptr) return SchemaError(place, StrCat("nothing stands at '", ref.text, "'"));
    at = {child, PlaceOf(at.place, key)};
  }
  return at;
}

std::vector<SchemaValue> SchemaReader::All(const SchemaNode& node, std::string_view key) const {
  std::vector<SchemaValue> all;
  for (const SchemaPart& part : node.parts) {
    if (part.branched && IsBranching(key)) continue;
    if (const JsonValue* value = part.schema->Find(key)) {
      all.push_back({value, PlaceOf(part.place, key)});
    }
  }
  return all;
}

Result<unsigned> SchemaReader::DeclaredTypes(const SchemaNode& node) const {
  unsigned types = kAll;
  for (const SchemaValue& type : All(node, "type")) {
    ASSIGN_OR_RETURN(const unsigned bits, ReadType(*type.value, type.place));
    types &= bits;
  }
  return types;
}

unsigned SchemaReader::MeantTypes(const SchemaNode& node) const {
  unsigned types = 0;
  for (const SchemaPart& part : node.parts) {
    for (const std::string& key : part.schema->keys) {
      if (const Keyword* keyword = FindAssertion(key)) types |= keyword->types;
    }
  }
  return types == 0 ? unsigned{kAll} : types;
}

SchemaValue SchemaReader::FirstOfOneType(const SchemaNode& node) const {
  for (const SchemaPart& part : node.parts) {
    for (const std::string& key : part.schema->keys) {
      const Keyword* keyword = FindAssertion(key);
      if (keyword == nullptr || keyword->types == 0) continue;
      return {part.schema->Find(key), PlaceOf(part.place, key)};
    }
  }
  return {};
}

Result<std::optional<Values>> SchemaReader::FiniteValues(const SchemaNode& node) const {
  std::optional<Values> values;
  const auto keep = [&](Values allowed) {
    if (!values) {
      values = std::move(allowed);
      return;
    }
    const auto canonical = CanonicalSet(allowed);
    std::erase_if(*values, [&](const JsonValue* value) {
      return canonical.count(CanonicalJson(*value)) == 0;
    });
  };
  for (const SchemaValue& list : All(node, "enum")) {
    if (!list.value->is(Kind::kArray)) return SchemaError(list.place, "expected a list of values");
    Values allowed;
    for (const JsonValue& value : list.value->items) allowed.push_back(&value);
    keep(std::move(allowed));
  }
  for (const SchemaValue& one : All(node, "const")) keep({one.value});
  if (!values) return values;
  ASSIGN_OR_RETURN(const unsigned types, DeclaredTypes(node));
  std::erase_if(*values, [&](const JsonValue* value) { return (TypeOf(*value) & types) == 0; });
  return values;
}

Result<SchemaReader::Counts> SchemaReader::ReadCounts(const SchemaNode& node,
                                                      std::string_view min_key,
                                                      std::string_view max_key) const {
  Counts counts;
  for (const SchemaValue& min : All(node, min_key)) {
    ASSIGN_OR_RETURN(const int count, ReadCount(min));
    if (count > kMaxRepeat) {
      return SchemaError(min.place, StrCat("at most ", kMaxRepeat, " is possible"));
    }
    counts.min = std::max(counts.min, count);
  }
  for (const SchemaValue& max : All(node, max_key)) {
    ASSIGN_OR_RETURN(const int count, ReadCount(max));
    // No answer gets that far, so that the highest possible count will do for more.
    const int possible = std::min(count, kMaxRepeat);
    counts.max = counts.max == kUnbounded ? possible : std::min(counts.max, possible);
    if (counts.max < counts.min) return SchemaError(max.place, StrCat("less than ", min_key));
  }
  return counts;
}

Result<NumberBounds> SchemaReader::ReadBounds(const SchemaNode& node) const {
  NumberBounds bounds;
  for (const std::string_view key : {"minimum", "exclusiveMinimum"}) {
    for (const SchemaValue& value : All(node, key)) {
      ASSIGN_OR_RETURN(auto bound, ReadBound(value));
      bounds.AtLeast(std::move(bound));
    }
  }
  for (const std::string_view key : {"maximum", "exclusiveMaximum"}) {
    for (const SchemaValue& value : All(node, key)) {
      ASSIGN_OR_RETURN(auto bound, ReadBound(value));
      bounds.AtMost(std::move(bound));
    }
  }
  return bounds;
}

Result<std::vector<SchemaProperty>> SchemaReader::Properties(const SchemaNode& node) const {
  std::vector<SchemaProperty> properties;
  std::map<std::string, size_t> index;
  const auto property = [&](const std::string& name) -> SchemaProperty& {
    const auto [found, is_new] = index.try_emplace(name, properties.size());
    if (is_new) properties.push_back({name, {}, false});
    return properties[found->second];
  };
  for (const SchemaValue& all : All(node, "properties")) {
    if (!all.value->is(Kind::kObject)) return SchemaError(all.place, "expected an object");
    for (size_t i = 0; i < all.value->keys.size(); ++i) {
      const std::string& name = all.value->keys[i];
      RETURN_IF_ERROR(Collect(all.value->items[i], PlaceOf(all.place, name), &property(name).node));
    }
  }
  const size_t described = properties.size();
  RETURN_IF_ERROR(CheckAdditional(node, properties));
  for (const SchemaValue& required : All(node, "required")) {
    if (!required.value->is(Kind::kArray)) {
      return SchemaError(required.place, "expected a list of names");
    }
    for (const JsonValue& name : required.value->items) {
      if (!name.is(Kind::kString)) return SchemaError(required.place, "expected a list of names");
      property(name.text).required = true;
    }
  }
  for (size_t i = described; i < properties.size(); ++i) {
    ASSIGN_OR_RETURN(properties[i].node, Additional(node));
    if (properties[i].node.never) {
      return SchemaError(node.place, StrCat("'", properties[i].name,
                                            "' is required, but additionalProperties forbids it"));
    }
  }
  return properties;
}

Result<SchemaNode> SchemaReader::Additional(const SchemaNode& node) const {
  SchemaNode additional;
  additional.place = PlaceOf(node.place, "additionalProperties");
  for (const SchemaValue& schema : All(node, "additionalProperties")) {
    RETURN_IF_ERROR(Collect(*schema.value, schema.place, &additional));
  }
  return additional;
}

// additionalProperties knows only the properties beside it, not those of another schema object of
// the same value. Where that makes a difference it is refused.
Status SchemaReader::CheckAdditional(const SchemaNode& node,
                                     const std::vector<SchemaProperty>& properties) const {
  for (const SchemaPart& part : node.parts) {
    const JsonValue* additional = part.schema->Find("additionalProperties");
    if (additional == nullptr || (additional->is(Kind::kBool) && additional->boolean)) continue;
    const JsonValue* own = part.schema->Find("properties");
    for (const SchemaProperty& property : properties) {
      if (own != nullptr && own->Find(property.name) != nullptr) continue;
      return SchemaUnsupported(PlaceOf(part.place, "additionalProperties"),
                               StrCat("it also speaks about '", property.name,
                                      "', which another schema of the same value describes"));
    }
  }
  return OkStatus();
}

Result<std::optional<std::vector<SchemaNode>>> SchemaReader::Branches(
    const SchemaNode& node) const {
  auto lists = All(node, "anyOf");
  const bool may_overlap = !lists.empty();
  for (SchemaValue& list : All(node, "oneOf")) lists.push_back(std::move(list));
  if (lists.empty()) return std::optional<std::vector<SchemaNode>>();
  if (lists.size() > 1) {
    return SchemaUnsupported(lists[1].place, "only one anyOf or oneOf can apply to a value");
  }
  const auto& [list, place] = lists[0];
  if (!list->is(Kind::kArray) || list->items.empty() || list->items.size() > kMaxBranches) {
    return SchemaError(place, StrCat("expected 1 to ", kMaxBranches, " schemas"));
  }
  std::vector<SchemaNode> branches;
  for (size_t i = 0; i < list->items.size(); ++i) {
    SchemaNode branch;
    RETURN_IF_ERROR(Collect(list->items[i], PlaceOf(place, StrCat(i)), &branch));
    // What the node itself asks for comes first, so that its properties keep their order.
    std::vector<SchemaPart> parts;
    for (SchemaPart part : node.parts) {
      part.branched = true;
      AddOnce(std::move(part), &parts);
    }
    for (SchemaPart& part : branch.parts) AddOnce(std::move(part), &parts);
    if (parts.size() > kMaxParts) return SchemaError(place, "too many schemas for one value");
    branch.parts = std::move(parts);
    if (!branch.never) branches.push_back(std::move(branch));
  }
  if (!may_overlap) RETURN_IF_ERROR(CheckDisjoint(branches));
  return {std::move(branches)};
}

namespace {

// What can be known of a branch without looking at texts.
struct BranchFacts {
  unsigned types = kAll;
  std::optional<std::set<std::string>> values;
  std::map<std::string, std::set<std::string>> tags;  // values of required properties
};

Result<BranchFacts> FactsOf(const SchemaReader& reader, const SchemaNode& node) {
  BranchFacts facts;
  ASSIGN_OR_RETURN(facts.types, reader.DeclaredTypes(node));
  ASSIGN_OR_RETURN(const auto values, reader.FiniteValues(node));
  if (values) {
    facts.values = CanonicalSet(*values);
    facts.types = 0;
    for (const JsonValue* value : *values) facts.types |= TypeOf(*value);
  }
  if (facts.types != kObject) return facts;
  ASSIGN_OR_RETURN(const auto properties, reader.Properties(node));
  for (const SchemaProperty& property : properties) {
    if (!property.required) continue;
    ASSIGN_OR_RETURN(const auto tag, reader.FiniteValues(property.node));
    if (tag) facts.tags[property.name] = CanonicalSet(*tag);
  }
  return facts;
}

bool HaveCommon(const std::set<std::string>& a, const std::set<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const auto& value) { return b.count(value) > 0; });
}

bool AreDisjoint(const BranchFacts& a, const BranchFacts& b) {
  if ((a.types & b.types) == 0) return true;
  if (a.values && b.values && !HaveCommon(*a.values, *b.values)) return true;
  return std::any_of(a.tags.begin(), a.tags.end(), [&](const auto& tag) {
    const auto other = b.tags.find(tag.first);
    return other != b.tags.end() && !HaveCommon(tag.second, other->second);
  });
}

}  // namespace

// A grammar can offer alternatives, but not forbid that two of them hold at once.
Status SchemaReader::CheckDisjoint(const std::vector<SchemaNode>& branches) const {
  std::vector<BranchFacts> facts;
  for (const SchemaNode& branch : branches) {
    ASSIGN_OR_RETURN(BranchFacts of_branch, FactsOf(*this, branch));
    for (size_t i = 0; i < facts.size(); ++i) {
      if (AreDisjoint(facts[i], of_branch)) continue;
      return SchemaUnsupported(
          branch.place, StrCat("a value might meet ", branches[i].place,
                               " too; give both a required property with different const or enum, "
                               "or use anyOf"));
    }
    facts.push_back(std::move(of_branch));
  }
  return OkStatus();
}

}  // namespace vade
