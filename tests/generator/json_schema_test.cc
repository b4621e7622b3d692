#include <gtest/gtest.h>

#include "base/strings.h"
#include "tests/generator/schema_checks.h"

namespace vade {
namespace {

using testing::Json;
using testing::JsonTokens;
using testing::MeetsSchema;
using testing::RandomAnswer;
using testing::SchemaError;
using testing::Taken;
using testing::Texts;

TEST(JsonSchema, AnyValueWhereNothingIsAsked) {
  const Texts valid = {"{}",
                       "[]",
                       "\"\"",
                       "0",
                       "-1.5e+3",
                       "true",
                       "null",
                       "[1, 2,3]",
                       "{\"a\":1, \"b\": [{}]}",
                       "\"\\n\\u00e9\\uD83D\\ude00日\""};
  Texts texts = valid;
  for (const char* wrong : {"",
                            " 1",
                            "1 ",
                            "01",
                            "1.",
                            ".5",
                            "+1",
                            "-",
                            "[1,]",
                            "[ 1]",
                            "[1,  2]",
                            "{\"a\" :1}",
                            "{a:1}",
                            "{\"a\":1,}",
                            "\"\n\"",
                            "\"\\x\"",
                            "\"\\ud800\"",
                            "\"\\ud83d\\u0041\"",
                            "\"\\udc00\"",
                            "nul",
                            "tru",
                            "[}",
                            "\"\xC0\x80\"",
                            "1234567890123456789",
                            "1e999",
                            "[1\n,2]"}) {
    texts.push_back(wrong);
  }
  EXPECT_EQ(Taken("{}", texts), valid);
  EXPECT_EQ(Taken("true", texts), valid);
  EXPECT_EQ(Taken(R"({"title":"T","description":"D","default":1,"examples":[1],"$comment":"c",
                      "$schema":"s","$id":"i","deprecated":true,"x-order":1})",
                  texts),
            valid);
}

TEST(JsonSchema, AnyJsonObjectIsAnObject) {
  const auto object = Grammar::AnyJsonObject().value(), any = Grammar::AnyJson().value();
  EXPECT_TRUE(object->Matches("{\"a\": [1, {\"b\": null}]}"));
  EXPECT_FALSE(object->Matches("[]"));
  EXPECT_TRUE(any->Matches("[]"));
  EXPECT_FALSE(any->Matches("[] "));
}

TEST(JsonSchema, TypesChoose) {
  const Texts all = {"{}", "[]", "\"a\"", "7", "7.5", "true", "false", "null"};
  EXPECT_EQ(Taken(R"({"type":"object"})", all), Texts{"{}"});
  EXPECT_EQ(Taken(R"({"type":"array"})", all), Texts{"[]"});
  EXPECT_EQ(Taken(R"({"type":"string"})", all), Texts{"\"a\""});
  EXPECT_EQ(Taken(R"({"type":"integer"})", all), Texts{"7"});
  EXPECT_EQ(Taken(R"({"type":"number"})", all), (Texts{"7", "7.5"}));
  EXPECT_EQ(Taken(R"({"type":"boolean"})", all), (Texts{"true", "false"}));
  EXPECT_EQ(Taken(R"({"type":"null"})", all), Texts{"null"});
  EXPECT_EQ(Taken(R"({"type":["integer","null"]})", all), (Texts{"7", "null"}));
}

TEST(JsonSchema, PropertiesComeInTheirOrder) {
  const char* schema = R"({"type":"object","required":["a","c"],"properties":{
      "a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"},"d":{"type":"integer"}}})";
  EXPECT_EQ(
      Taken(schema, {"{\"a\":1,\"c\":3}", "{\"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4}",
                     "{\"a\":1,\"c\":3,\"d\":4}", "{\"c\":3,\"a\":1}", "{\"a\":1}", "{}",
                     "{\"a\":1,\"b\":2,\"d\":4}", "{\"a\":1,\"c\":3,}", "{\"a\":1,\"c\":3,\"e\":5}",
                     "{\"a\":1,\"a\":1,\"c\":3}", "{\"a\":\"1\",\"c\":3}"}),
      (Texts{"{\"a\":1,\"c\":3}", "{\"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4}",
             "{\"a\":1,\"c\":3,\"d\":4}"}));
}

TEST(JsonSchema, EveryChoiceOfOptionalPropertiesIsPossible) {
  for (int required = -1; required < 5; ++required) {
    std::string schema = R"({"type":"object","properties":{)";
    for (int i = 0; i < 5; ++i) schema += StrCat(i ? "," : "", "\"p", i, "\":{\"const\":", i, "}");
    schema += "}";
    if (required >= 0) schema += StrCat(",\"required\":[\"p", required, "\"]");
    const auto grammar = Grammar::FromJsonSchema(schema + "}").value();
    for (int choice = 0; choice < 32; ++choice) {
      Texts members;
      for (int i = 0; i < 5; ++i) {
        if (choice >> i & 1) members.push_back(StrCat("\"p", i, "\":", i));
      }
      const bool valid = required < 0 || (choice >> required & 1);
      EXPECT_EQ(grammar->Matches(StrCat("{", Join(members, ","), "}")), valid)
          << required << " " << choice;
    }
  }
}

TEST(JsonSchema, ManyOptionalPropertiesStayLinear) {
  std::string schema = R"({"type":"object","properties":{)";
  for (int i = 0; i < 200; ++i)
    schema += StrCat(i ? "," : "", "\"p", i, "\":{\"type\":\"integer\"}");
  const auto grammar = Grammar::FromJsonSchema(schema + "}}").value();
  EXPECT_TRUE(grammar->Matches("{\"p3\":1, \"p77\":2, \"p199\":3}"));
  EXPECT_FALSE(grammar->Matches("{\"p77\":1, \"p3\":2}"));
}

TEST(JsonSchema, AdditionalPropertiesComeWhereTheyAreAskedFor) {
  const Texts texts = {"{}",
                       "{\"a\":1}",
                       "{\"b\":\"x\"}",
                       "{\"a\":1,\"b\":\"x\"}",
                       "{\"a\":1,\"ab\":\"x\",\"\":\"y\"}",
                       "{\"a\":\"x\"}",
                       "{\"b\":1}",
                       "{\"b\":\"x\",\"a\":1}"};
  const std::string a = R"({"type":"object","properties":{"a":{"type":"integer"}})";
  EXPECT_EQ(Taken(a + "}", texts), (Texts{"{}", "{\"a\":1}"}));
  EXPECT_EQ(Taken(a + R"(,"additionalProperties":false})", texts), (Texts{"{}", "{\"a\":1}"}));
  // "a" does not come as another property: its value would have to meet both.
  EXPECT_EQ(Taken(a + R"(,"additionalProperties":{"type":"string"}})", texts),
            (Texts{"{}", "{\"a\":1}", "{\"b\":\"x\"}", "{\"a\":1,\"b\":\"x\"}",
                   "{\"a\":1,\"ab\":\"x\",\"\":\"y\"}"}));
  EXPECT_EQ(Taken(a + R"(,"additionalProperties":true})", texts),
            (Texts{"{}", "{\"a\":1}", "{\"b\":\"x\"}", "{\"a\":1,\"b\":\"x\"}",
                   "{\"a\":1,\"ab\":\"x\",\"\":\"y\"}", "{\"b\":1}"}));
  EXPECT_EQ(Taken(R"({"type":"object","additionalProperties":{"type":"string"}})", texts),
            (Texts{"{}", "{\"b\":\"x\"}", "{\"a\":\"x\"}"}));
  EXPECT_EQ(Taken(R"({"type":"object","required":["b"]})", texts),
            (Texts{"{\"b\":\"x\"}", "{\"b\":1}", "{\"b\":\"x\",\"a\":1}"}));
  EXPECT_EQ(Taken(R"({"type":"object","required":["b"],"properties":{"a":{"type":"integer"}},
                      "additionalProperties":{"type":"string"}})",
                  texts),
            (Texts{"{\"b\":\"x\"}", "{\"a\":1,\"b\":\"x\"}"}));
}

TEST(JsonSchema, NamesOfPropertiesAreEscaped) {
  const char* schema = R"({"type":"object","required":["a\"b\\\n"],"properties":{"a\"b\\\n":{},
                           "日":{"const":1}},"additionalProperties":{"const":2}})";
  EXPECT_EQ(Taken(schema, {R"({"a\"b\\\n":0})", R"({"a\"b\\\n":0,"日":1})",
                           R"({"a\"b\\\n":0,"日":2})", R"({"a\"b\\\n":0,"日":1,"日本":2,"月":2})"}),
            (Texts{R"({"a\"b\\\n":0})", R"({"a\"b\\\n":0,"日":1})",
                   R"({"a\"b\\\n":0,"日":1,"日本":2,"月":2})"}));
}

TEST(JsonSchema, APropertyThatNothingMeetsIsLeftOut) {
  EXPECT_EQ(Taken(R"({"properties":{"a":false,"b":{"const":1}}})",
                  {"{}", "{\"b\":1}", "{\"a\":1}", "{\"a\":1,\"b\":1}"}),
            (Texts{"{}", "{\"b\":1}"}));
}

TEST(JsonSchema, ArraysCountTheirItems) {
  const Texts texts = {"[]", "[1]", "[1,2]", "[1, 2, 3]", "[1,2,3,4]", "[\"a\"]", "[1,\"a\"]"};
  const std::string items = R"({"type":"array","items":{"type":"integer"})";
  EXPECT_EQ(Taken(items + "}", texts), Texts(texts.begin(), texts.begin() + 5));
  EXPECT_EQ(Taken(items + R"(,"minItems":2})", texts), Texts(texts.begin() + 2, texts.begin() + 5));
  EXPECT_EQ(Taken(items + R"(,"maxItems":2})", texts), Texts(texts.begin(), texts.begin() + 3));
  EXPECT_EQ(Taken(items + R"(,"minItems":1,"maxItems":3})", texts),
            Texts(texts.begin() + 1, texts.begin() + 4));
  EXPECT_EQ(Taken(items + R"(,"maxItems":0})", texts), Texts{"[]"});
  EXPECT_EQ(Taken(items + R"(,"uniqueItems":false,"minItems":4.0})", texts), Texts{"[1,2,3,4]"});
  EXPECT_EQ(Taken(R"({"items":false})", texts), Texts{"[]"});
}

TEST(JsonSchema, PrefixItemsComeOneByOne) {
  const Texts texts = {"[]",     "[1]", "[1,\"a\"]", "[1,\"a\",true]", "[1,\"a\",true,false]",
                       "[\"a\"]"};
  const std::string prefix = R"({"prefixItems":[{"type":"integer"},{"type":"string"}])";
  EXPECT_EQ(Taken(prefix + "}", texts), Texts(texts.begin(), texts.begin() + 3));
  EXPECT_EQ(Taken(prefix + R"(,"minItems":2})", texts), Texts{"[1,\"a\"]"});
  EXPECT_EQ(Taken(prefix + R"(,"minItems":3})", texts),
            (Texts{"[1,\"a\",true]", "[1,\"a\",true,false]"}));
  EXPECT_EQ(Taken(prefix + R"(,"minItems":3,"items":{"type":"boolean"}})", texts),
            (Texts{"[1,\"a\",true]", "[1,\"a\",true,false]"}));
  EXPECT_EQ(Taken(prefix + R"(,"maxItems":3,"items":{"type":"boolean"}})", texts),
            Texts(texts.begin(), texts.begin() + 4));
  EXPECT_EQ(Taken(prefix + R"(,"maxItems":1,"items":{"type":"boolean"}})", texts),
            (Texts{"[]", "[1]"}));
}

TEST(JsonSchema, AnyOfOffersAlternatives) {
  EXPECT_EQ(Taken(R"({"anyOf":[{"type":"integer"},{"const":"x"},false]})",
                  {"1", "\"x\"", "\"y\"", "null"}),
            (Texts{"1", "\"x\""}));
  // What stands beside holds for each alternative.
  EXPECT_EQ(Taken(R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2}},
                      "anyOf":[{"required":["a"]},{"required":["b"]}]})",
                  {"{}", "{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}"}),
            (Texts{"{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}"}));
}

TEST(JsonSchema, OneOfNeedsAlternativesThatExcludeEachOther) {
  EXPECT_EQ(Taken(R"({"oneOf":[{"type":"integer"},{"type":"string"},{"enum":[null,1.5]}]})",
                  {"1", "\"x\"", "null", "1.5", "2.5"}),
            (Texts{"1", "\"x\"", "null", "1.5"}));
  EXPECT_EQ(Taken(R"({"oneOf":[
      {"type":"object","required":["k"],"properties":{"k":{"const":"a"},"x":{"type":"integer"}}},
      {"type":"object","required":["k"],"properties":{"k":{"enum":["b","c"]},"y":{}}}]})",
                  {"{\"k\":\"a\",\"x\":1}", "{\"k\":\"b\",\"y\":1}", "{\"k\":\"b\",\"x\":1}"}),
            (Texts{"{\"k\":\"a\",\"x\":1}", "{\"k\":\"b\",\"y\":1}"}));
  const std::string refused =
      "UNIMPLEMENTED: JSON schema: /oneOf/1: a value might meet /oneOf/0 too; give both a required "
      "property with different const or enum, or use anyOf";
  EXPECT_EQ(SchemaError(R"({"oneOf":[{"type":"number"},{"type":"integer"}]})"), refused);
  EXPECT_EQ(SchemaError(R"({"oneOf":[{"enum":[1,2]},{"enum":[2,3]}]})"), refused);
  EXPECT_EQ(SchemaError(R"({"oneOf":[{"type":"object","properties":{"k":{"const":1}}},
                               {"type":"object","properties":{"k":{"const":2}},"required":["k"]}]})"),
            refused);
}

TEST(JsonSchema, AllOfAsksForEverything) {
  EXPECT_EQ(
      Taken(R"({"allOf":[{"$ref":"#/$defs/base"},{"properties":{"b":{"const":2}},"required":["b"]}],
                      "$defs":{"base":{"type":"object","properties":{"a":{"type":"integer","minimum":5},
                                                                      "b":{"type":"integer"}},
                                       "required":["a"]}}})",
            {"{\"a\":5,\"b\":2}", "{\"a\":4,\"b\":2}", "{\"a\":5,\"b\":3}", "{\"a\":5}"}),
      Texts{"{\"a\":5,\"b\":2}"});
  EXPECT_EQ(Taken(R"({"allOf":[{"type":["string","integer"]},{"type":["integer","null"]}]})",
                  {"1", "\"a\"", "null"}),
            Texts{"1"});
}

TEST(JsonSchema, ReferencesMayRecur) {
  const char* tree = R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","required":["v"],
      "properties":{"v":{"type":"integer"},"kids":{"type":"array","items":{"$ref":"#/$defs/node"}},
                    "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}}}}})";
  EXPECT_EQ(Taken(tree, {"{\"v\":1}", "{\"v\":1,\"kids\":[{\"v\":2,\"kids\":[]},{\"v\":3}]}",
                         "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}", "{\"v\":1,\"kids\":[1]}",
                         "{\"kids\":[]}"}),
            (Texts{"{\"v\":1}", "{\"v\":1,\"kids\":[{\"v\":2,\"kids\":[]},{\"v\":3}]}",
                   "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"}));
  EXPECT_EQ(Taken(R"({"anyOf":[{"type":"integer"},{"type":"array","items":{"$ref":"#"}}]})",
                  {"1", "[1,[2,[]]]", "[\"a\"]"}),
            (Texts{"1", "[1,[2,[]]]"}));
}

TEST(JsonSchema, ReferencesLeadAnywhereInTheSchema) {
  EXPECT_EQ(Taken(R"({"properties":{"a/b~%":{"const":1},"c":{"$ref":"#/properties/a~1b~0%25"}},
                      "required":["c"]})",
                  {"{\"c\":1}", "{\"c\":2}"}),
            Texts{"{\"c\":1}"});
  EXPECT_EQ(
      Taken(R"({"$ref":"#/definitions/x","definitions":{"x":{"anyOf":[{"const":1},{"const":2}]}}})",
            {"1", "2", "3"}),
      (Texts{"1", "2"}));
  EXPECT_EQ(Taken(R"({"$ref":"#/$defs/0/anyOf/1","$defs":[{"anyOf":[{"const":1},{"const":2}]}]})",
                  {"1", "2"}),
            Texts{"2"});
}

TEST(JsonSchema, WhatIsNotSupportedIsRefusedByNameAndPlace) {
  const auto refused = [](std::string_view place) {
    return StrCat("UNIMPLEMENTED: JSON schema: ", place,
                  ": this keyword is not supported; leave it out or say it with others");
  };
  EXPECT_EQ(SchemaError(R"({"not":{}})"), refused("/not"));
  EXPECT_EQ(SchemaError(R"({"properties":{"a":{"multipleOf":2}}})"),
            refused("/properties/a/multipleOf"));
  EXPECT_EQ(SchemaError(R"({"items":{"uniqueItems":true}})"), refused("/items/uniqueItems"));
  for (const char* keyword :
       {"if", "then", "else", "patternProperties", "propertyNames", "minProperties",
        "maxProperties", "dependentRequired", "dependentSchemas", "contains",
        "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$anchor", "nullable",
        "additionalItems"}) {
    EXPECT_EQ(SchemaError(StrCat("{\"", keyword, "\":{}}")), refused(StrCat("/", keyword)));
  }
  EXPECT_EQ(SchemaError(R"({"items":{"$id":"x"}})"), refused("/items/$id"));
  EXPECT_EQ(SchemaError(R"({"$ref":"http://example.org/x"})"),
            "UNIMPLEMENTED: JSON schema: /$ref: only references within the schema (#/...) are "
            "followed");
  EXPECT_EQ(SchemaError(R"({"enum":["a"],"minLength":1})"),
            "UNIMPLEMENTED: JSON schema: /minLength: this keyword beside enum or const; leave it "
            "out");
  EXPECT_EQ(SchemaError(R"({"pattern":"a","maxLength":3})"),
            "UNIMPLEMENTED: JSON schema: /pattern: with another pattern, format, minLength or "
            "maxLength");
  EXPECT_EQ(SchemaError(R"({"items":[{}]})"),
            "UNIMPLEMENTED: JSON schema: /items: a list of schemas is named prefixItems");
  EXPECT_EQ(SchemaError(R"({"anyOf":[{}],"oneOf":[{}]})"),
            "UNIMPLEMENTED: JSON schema: /oneOf: only one anyOf or oneOf can apply to a value");
  EXPECT_EQ(SchemaError(R"({"allOf":[{"properties":{"a":{}},"additionalProperties":false},
                               {"properties":{"b":{}}}]})"),
            "UNIMPLEMENTED: JSON schema: /allOf/0/additionalProperties: it also speaks about 'b', "
            "which another schema of the same value describes");
}

TEST(JsonSchema, WhatIsWrongIsRefusedWithItsPlace) {
  const auto wrong = [](std::string_view what) {
    return StrCat("INVALID_ARGUMENT: JSON schema: ", what);
  };
  EXPECT_EQ(SchemaError("{"), wrong("the root: no valid JSON from byte 2 on"));
  EXPECT_EQ(SchemaError("{} {}"), wrong("the root: no valid JSON from byte 4 on"));
  EXPECT_EQ(SchemaError("3"), wrong("the root: expected an object, true or false"));
  EXPECT_EQ(SchemaError("false"), wrong("the root: nothing can meet it"));
  EXPECT_EQ(SchemaError(R"({"a":1,"a":2})"), wrong("the root: the key \"a\" comes twice"));
  EXPECT_EQ(SchemaError(R"({"properties":{"a/b":{"type":"text"}}})"),
            wrong("/properties/a~1b/type: expected object, array, string, number, integer, boolean "
                  "or null, or a list of them"));
  EXPECT_EQ(SchemaError(R"({"minLength":-1})"),
            wrong("/minLength: expected a whole number from 0 on"));
  EXPECT_EQ(SchemaError(R"({"minLength":"1"})"),
            wrong("/minLength: expected a whole number from 0 on"));
  EXPECT_EQ(SchemaError(R"({"minItems":20001})"), wrong("/minItems: at most 20000 is possible"));
  EXPECT_EQ(SchemaError(R"({"minItems":3,"maxItems":2})"), wrong("/maxItems: less than minItems"));
  EXPECT_EQ(SchemaError(R"({"type":"integer","minimum":5,"maximum":4})"),
            wrong("the root: no number lies within the bounds"));
  EXPECT_EQ(SchemaError(R"({"type":"integer","minimum":1e30})"),
            wrong("the root: no number lies within the bounds"));
  EXPECT_EQ(SchemaError(R"({"type":"integer","exclusiveMinimum":true})"),
            wrong("/exclusiveMinimum: expected a number"));
  EXPECT_EQ(SchemaError(R"({"type":"number","minimum":1e-30})"),
            wrong("/minimum: a bound has at most 18 digits behind the point"));
  EXPECT_EQ(SchemaError(R"({"enum":[]})"), wrong("the root: enum, const and type leave no value"));
  EXPECT_EQ(SchemaError(R"({"type":"string","const":1})"),
            wrong("the root: enum, const and type leave no value"));
  EXPECT_EQ(SchemaError(R"({"type":"string","allOf":[{"type":"null"}]})"),
            wrong("the root: no type meets all that is asked"));
  EXPECT_EQ(SchemaError(R"({"$ref":"#/$defs/x"})"), wrong("/$ref: nothing stands at '#/$defs/x'"));
  EXPECT_EQ(SchemaError(R"({"required":["a"],"additionalProperties":false})"),
            wrong("the root: 'a' is required, but additionalProperties forbids it"));
  EXPECT_EQ(SchemaError(R"({"properties":{"a":false},"required":["a"]})"),
            wrong("/properties/a: it is required, but nothing can meet it"));
  EXPECT_EQ(SchemaError(R"({"anyOf":[]})"), wrong("/anyOf: expected 1 to 500 schemas"));
}

TEST(JsonSchema, ReferencesWithoutEndAreRefused) {
  EXPECT_EQ(SchemaError(R"({"$ref":"#"})"),
            "INVALID_ARGUMENT: JSON schema: the root: it refers to itself without end");
  EXPECT_EQ(SchemaError(R"({"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},
                      "b":{"$ref":"#/$defs/a"}}})"),
            "INVALID_ARGUMENT: JSON schema: /$defs/a: it refers to itself without end");
  EXPECT_NE(SchemaError(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})")
                .find("can never come to an end"),
            std::string::npos);
  EXPECT_NE(
      SchemaError(R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})").find("refers to itself before"),
      std::string::npos);
}

TEST(JsonSchema, HostileSchemasGiveOneClearError) {
  const auto deep = [](int levels, const std::string& open, const std::string& close) {
    std::string text;
    for (int i = 0; i < levels; ++i) text += open;
    text += "{}";
    for (int i = 0; i < levels; ++i) text += close;
    return text;
  };
  EXPECT_NE(SchemaError(std::string(200'000, '[')).find("nested more than 256 deep"),
            std::string::npos);
  EXPECT_NE(SchemaError(deep(100, "{\"items\":", "}")).find("schemas are nested more than 64 deep"),
            std::string::npos);
  EXPECT_NE(
      SchemaError(deep(100, "{\"anyOf\":[", "]}")).find("schemas are nested more than 64 deep"),
      std::string::npos);
  EXPECT_NE(SchemaError(std::string(300 << 10, ' ')).find("at most 262144 are read"),
            std::string::npos);

  std::string keys = "{\"properties\":{";
  for (int i = 0; i < 2001; ++i) keys += StrCat(i ? "," : "", "\"k", i, "\":{}");
  EXPECT_NE(SchemaError(keys + "}}").find("an object has more than 2000 keys"), std::string::npos);

  std::string optional = "{\"properties\":{";
  for (int i = 0; i < 300; ++i) optional += StrCat(i ? "," : "", "\"k", i, "\":{}");
  EXPECT_NE(SchemaError(optional + "}}").find("more than 256 properties are optional"),
            std::string::npos);

  // Each definition offers the next one in two ways, with something beside that keeps them apart.
  std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 40; ++i) {
    doubling += StrCat("\"d", i, R"(":{"type":"array","minItems":)", i,
                       R"(,"anyOf":[{"minItems":1,"$ref":"#/$defs/d)", i + 1,
                       R"("},{"maxItems":99,"$ref":"#/$defs/d)", i + 1, "\"}]},");
  }
  doubling += R"("d40":{"type":"array"}}})";
  const std::string error = SchemaError(doubling);
  EXPECT_TRUE(error.find("too large once its references") != std::string::npos ||
              error.find("too many schemas for one value") != std::string::npos)
      << error;

  std::string chain = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 1000; ++i) {
    chain += StrCat("\"d", i, R"(":{"items":{"$ref":"#/$defs/d)", i + 1, "\"}},");
  }
  EXPECT_EQ(SchemaError(chain + R"("d1000":{"const":1}}})"), "OK");
}

TEST(JsonSchema, LargeEnumsAndConstantsAreRead) {
  std::string list;
  for (int i = 0; i < 20'000; ++i) list += StrCat(i ? "," : "", i % 10);
  const auto constant = Grammar::FromJsonSchema(StrCat("{\"const\":[", list, "]}"));
  ASSERT_TRUE(constant.ok()) << constant.status().ToString();
  EXPECT_TRUE((*constant)->Matches(StrCat("[", list, "]")));
  std::string words;
  for (int i = 0; i < 5'000; ++i) words += StrCat(i ? "," : "", "\"word ", i * 7919, "\"");
  const auto enumeration = Grammar::FromJsonSchema(StrCat("{\"enum\":[", words, "]}"));
  ASSERT_TRUE(enumeration.ok()) << enumeration.status().ToString();
  EXPECT_TRUE((*enumeration)->Matches("\"word 7919\""));
  EXPECT_FALSE((*enumeration)->Matches("\"word 7920\""));
}

// Schemas of all kinds; whatever random tokens are taken, the text parses and meets the schema.
const char* const kWalkedSchemas[] = {
    R"({})",
    R"({"type":"object","properties":{"name":{"type":"string","maxLength":12},"age":{"type":"integer",
        "minimum":0,"maximum":130},"email":{"type":"string","pattern":"^[a-z]+@[a-z]+\\.[a-z]{2,3}$"},
        "score":{"type":"number","minimum":-1.5,"exclusiveMaximum":2.25}},"required":["age","score"]})",
    R"({"type":"object","properties":{"a":{"type":"boolean"}},"additionalProperties":
        {"type":["null","integer"]}})",
    R"({"type":"array","prefixItems":[{"enum":["x","y",3]},{"type":"string","minLength":2}],
        "items":{"type":"number","exclusiveMinimum":0},"minItems":1,"maxItems":5})",
    R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"value":{"type":"integer"},
        "left":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]},"right":{"$ref":"#/$defs/tree"}},
        "required":["value"]}}})",
    R"({"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"n":{"type":"integer"}},
        "required":["kind","n"]},{"type":"object","properties":{"kind":{"const":"b"},
        "s":{"type":"string"}},"required":["kind"]},{"type":"null"}]})",
    R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer","minimum":3}}},
        {"properties":{"a":{"maximum":17},"b":{"const":[1,{"x":null}]}},"required":["a","b"]}]})",
};

TEST(JsonSchema, RandomAnswersMeetTheirSchema) {
  for (const char* text : kWalkedSchemas) {
    const Json schema = Json::parse(text);
    const auto grammar = Grammar::FromJsonSchema(text).value();
    int ended_count = 0;
    for (unsigned seed = 0; seed < 60; ++seed) {
      std::mt19937 random(seed);
      bool ended = false;
      auto constraint = Constrain(grammar, &JsonTokens()).value();
      const std::string answer = RandomAnswer(*constraint, JsonTokens(), random, &ended);
      if (!ended) continue;
      ++ended_count;
      ASSERT_TRUE(Json::accept(answer)) << "seed " << seed << ": " << answer;
      EXPECT_TRUE(MeetsSchema(schema, schema, Json::parse(answer)))
          << "seed " << seed << ": " << answer << " for " << text;
    }
    EXPECT_GT(ended_count, 30) << text;
  }
}

}  // namespace
}  // namespace vade
