// What a JSON schema asks of one value. With $ref and allOf that is several schema objects that
// must all be met: they are kept side by side in a SchemaNode, never merged into a new JSON value,
// so that nothing is copied and every message names the place of the keyword that it is about.
//
// Nothing is owned: a reader and its nodes point into the document.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "generator/json_numbers.h"
#include "generator/json_value.h"

namespace vade {

// The types of JSON as bits. "number" is both of the numbers.
namespace json_type {
constexpr unsigned kObject = 1, kArray = 2, kString = 4, kInteger = 8, kFraction = 16,
                   kBoolean = 32, kNull = 64, kNumber = kInteger | kFraction, kAll = 127;
}

struct SchemaPart {
  const JsonValue* schema = nullptr;  // an object
  std::string place;                  // as a JSON pointer
  bool branched = false;              // its anyOf or oneOf has been taken care of
};

struct SchemaNode {
  std::string place;
  std::vector<SchemaPart> parts;       // only those that ask for something
  std::vector<const JsonValue*> seen;  // all that were collected
  bool never = false;                  // the schema false is among them
  std::string reached_by;              // the place that a $ref led to; "" = none did
};

struct SchemaProperty {
  std::string name;
  SchemaNode node;
  bool required = false;
};

// A value of a keyword, and where it stands.
struct SchemaValue {
  const JsonValue* value = nullptr;
  std::string place;
};

class SchemaReader {
 public:
  explicit SchemaReader(const JsonValue& document) : document_(document) {}

  // Adds the schema, what its $ref leads to, and its allOf. UNIMPLEMENTED names a keyword that is
  // not supported.
  Status Collect(const JsonValue& schema, const std::string& place, SchemaNode* node) const;

  std::vector<SchemaValue> All(const SchemaNode& node, std::string_view key) const;

  // By "type"; kAll where none stands.
  Result<unsigned> DeclaredTypes(const SchemaNode& node) const;
  // The types that the other keywords speak about; kAll where none does.
  unsigned MeantTypes(const SchemaNode& node) const;
  // What enum, const and type leave; nothing where neither enum nor const stands.
  Result<std::optional<std::vector<const JsonValue*>>> FiniteValues(const SchemaNode& node) const;
  // A keyword that speaks about values of one type only; place "" = there is none.
  SchemaValue FirstOfOneType(const SchemaNode& node) const;

  struct Counts {
    int min = 0, max = -1;  // -1: unbounded
  };
  Result<Counts> ReadCounts(const SchemaNode& node, std::string_view min_key,
                            std::string_view max_key) const;
  Result<NumberBounds> ReadBounds(const SchemaNode& node) const;

  // In the order of the schema; then what is required without being described.
  Result<std::vector<SchemaProperty>> Properties(const SchemaNode& node) const;
  // What other properties must meet.
  Result<SchemaNode> Additional(const SchemaNode& node) const;

  // The one anyOf or oneOf as nodes, each with all else that `node` asks for; nothing where neither
  // stands. Those of a oneOf are such that no value meets two of them, else UNIMPLEMENTED.
  Result<std::optional<std::vector<SchemaNode>>> Branches(const SchemaNode& node) const;

 private:
  Status CollectAll(const JsonValue& schema, const std::string& place, SchemaNode* node,
                    std::vector<const JsonValue*>* open) const;
  Status CheckKeywords(const JsonValue& schema, const std::string& place) const;
  Result<SchemaValue> Resolve(const JsonValue& ref, const std::string& place) const;
  Status CheckAdditional(const SchemaNode& node,
                         const std::vector<SchemaProperty>& properties) const;
  Status CheckDisjoint(const std::vector<SchemaNode>& branches) const;

  const JsonValue& document_;
};

// `place` with one more step; "JSON schema: PLACE: WHAT" as an error.
std::string PlaceOf(std::string_view place, std::string_view key);
Status SchemaError(std::string_view place, std::string_view what);
Status SchemaUnsupported(std::string_view place, std::string_view what);

}  // namespace vade
