// Strings, numbers and given values of JSON schemas.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "tests/generator/schema_checks.h"

namespace vade {
namespace {

using testing::Json;
using testing::SchemaError;
using testing::Taken;
using testing::Texts;

TEST(JsonSchemaValues, LengthsOfStringsCountCodePoints) {
  const Texts texts = {"\"\"",    "\"a\"",   "\"日本\"", "\"\\n\\\"\"", "\"\\ud83d\\ude00b\"",
                       "\"abc\"", "\"abcd\""};
  EXPECT_EQ(Taken(R"({"minLength":2,"maxLength":3})", texts),
            Texts(texts.begin() + 2, texts.begin() + 6));
  EXPECT_EQ(Taken(R"({"minLength":4})", texts), Texts{"\"abcd\""});
  EXPECT_EQ(Taken(R"({"type":"string","maxLength":0})", texts), Texts{"\"\""});
  EXPECT_EQ(Taken(R"({"maxLength":1000000000000})", texts), texts);
}

TEST(JsonSchemaValues, EnumAndConstAreTheirValues) {
  EXPECT_EQ(Taken(R"({"enum":["red","re",1,1.5,null,true,[1,{"a":"é"}],{},"\"\n"]})",
                  {"\"red\"", "\"re\"", "\"r\"", "1", "1.5", "null", "true", "false",
                   "[1,{\"a\":\"é\"}]", "[1, {\"a\": \"é\"}]", "{}", R"("\"\n")"}),
            (Texts{"\"red\"", "\"re\"", "1", "1.5", "null", "true", "[1,{\"a\":\"é\"}]",
                   "[1, {\"a\": \"é\"}]", "{}", R"("\"\n")"}));
  EXPECT_EQ(Taken(R"({"const":"x"})", {"\"x\"", "\"y\""}), Texts{"\"x\""});
  EXPECT_EQ(Taken(R"({"type":"string","enum":["a",1,null]})", {"\"a\"", "1", "null"}),
            Texts{"\"a\""});
  EXPECT_EQ(Taken(R"({"enum":[1,2,3],"const":2.0})", {"1", "2", "3"}), Texts{"2"});
}

TEST(JsonSchemaValues, IntegersKeepTheirBounds) {
  const std::pair<int, int> bounds[] = {{0, 0},     {0, 9},     {-1, 1},    {7, 13},  {-12, 345},
                                        {-345, -6}, {99, 1000}, {100, 199}, {-10, 0}, {-987, 1000}};
  for (const auto& [min, max] : bounds) {
    const auto grammar = Grammar::FromJsonSchema(StrCat(R"({"type":"integer","minimum":)", min,
                                                        ",\"maximum\":", max, "}"))
                             .value();
    for (int i = -1200; i <= 1200; ++i) {
      EXPECT_EQ(grammar->Matches(StrCat(i)), i >= min && i <= max) << i << " " << min << " " << max;
    }
    for (const char* odd : {"-0", "00", "01", "1.0", "-", ""}) EXPECT_FALSE(grammar->Matches(odd));
  }
}

TEST(JsonSchemaValues, BoundsOfIntegersMayBeOpenOrOdd) {
  const Texts texts = {"-999999999999999999", "-3", "-2", "0", "2", "3", "999999999999999999"};
  EXPECT_EQ(Taken(R"({"type":"integer","minimum":-2.5})", texts),
            Texts(texts.begin() + 2, texts.end()));
  EXPECT_EQ(Taken(R"({"type":"integer","minimum":2.5})", texts),
            (Texts{"3", "999999999999999999"}));
  EXPECT_EQ(Taken(R"({"type":"integer","maximum":-2.5})", texts),
            (Texts{"-999999999999999999", "-3"}));
  EXPECT_EQ(Taken(R"({"type":"integer","maximum":2.5})", texts),
            Texts(texts.begin(), texts.begin() + 5));
  EXPECT_EQ(Taken(R"({"type":"integer","exclusiveMinimum":-2,"exclusiveMaximum":3})", texts),
            (Texts{"0", "2"}));
  EXPECT_EQ(Taken(R"({"type":"integer","minimum":-1e300,"maximum":1e300})", texts), texts);
  EXPECT_EQ(Taken(R"({"type":"integer","minimum":0,"exclusiveMinimum":2,"maximum":9,
                      "allOf":[{"maximum":3}]})",
                  texts),
            Texts{"3"});
}

TEST(JsonSchemaValues, NumbersKeepTheirBounds) {
  // In hundredths, so that the check is one of integers.
  struct Bounds {
    int min, max;
    bool min_open, max_open;
  };
  const Bounds all[] = {
      {0, 100, false, false},    {0, 100, true, true},    {-250, 1025, false, false},
      {-250, 1025, true, true},  {-1, 1, false, true},    {5, 7, true, false},
      {-307, -110, false, true}, {999, 1001, true, true}, {-100, 0, false, true},
      {-100, 0, true, false},    {12, 12, false, false}};
  const auto decimal = [](int hundredths) {
    const std::string digits = StrCat(1000 + std::abs(hundredths) % 100);
    return StrCat(hundredths < 0 ? "-" : "", std::abs(hundredths) / 100, ".", digits.substr(2));
  };
  for (const Bounds& b : all) {
    const std::string schema = StrCat(
        R"({"type":"number",")", b.min_open ? "exclusiveMinimum" : "minimum", "\":", decimal(b.min),
        ",\"", b.max_open ? "exclusiveMaximum" : "maximum", "\":", decimal(b.max), "}");
    const auto grammar = Grammar::FromJsonSchema(schema).value();
    for (int i = -1300; i <= 1300; ++i) {
      const bool within =
          (b.min_open ? i > b.min : i >= b.min) && (b.max_open ? i < b.max : i <= b.max);
      // Zeros behind an upper bound that is reached are the one spelling that is left out.
      std::string text = decimal(i);
      if (i == 0 || (i == b.max && i >= 0) || (i == b.min && i < 0)) {
        while (text.ends_with('0')) text.pop_back();
        if (text.ends_with('.')) text.pop_back();
        if (i == 0) text = "0";
      }
      EXPECT_EQ(grammar->Matches(text), within) << text << " " << schema;
    }
    // Beyond a bound by the least that can be written, and short of it.
    if (b.max > 0) {
      EXPECT_FALSE(grammar->Matches(decimal(b.max) + "01")) << schema;
    }
    if (b.max > 0 && b.min != b.max) {
      EXPECT_TRUE(grammar->Matches(decimal(b.max - 1) + "9")) << schema;
    }
    EXPECT_FALSE(grammar->Matches("1e1"));
  }
}

TEST(JsonSchemaValues, PatternsAreFoundLikeRegularExpressions) {
  const char* patterns[] = {"^a+$",      "a",          "^a|b$",       "^(a|b)1?$",  "^[^a]$",
                            "^\\w\\d$",  "^\\W$",      "^a{2}$",      "^a{1,2}b*$", "^(?:ab)+$",
                            "^\\D\\S?$", "^a.b?$",     "^[a\"]{2,}$", "^\\s$|1",    "^$",
                            "b$",        "^[\\da-]+$", "^a*?b$",      "\\\\"};
  const std::string letters = "ab1\" \\-";
  for (const char* pattern : patterns) {
    const auto grammar =
        Grammar::FromJsonSchema(Json{{"type", "string"}, {"pattern", pattern}}.dump()).value();
    const std::regex regex(pattern);
    Texts texts = {""};
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::string text = texts[i];
      EXPECT_EQ(grammar->Matches(Json(text).dump()), std::regex_search(text, regex))
          << pattern << " in " << text;
      if (text.size() == 3) continue;
      for (const char c : letters) texts.push_back(text + c);
    }
  }
}

TEST(JsonSchemaValues, PatternsAreAboutCodePoints) {
  EXPECT_EQ(Taken(R"({"pattern":"^[\\u4e00-\\u9fff]{2}\\n\\x41\\u{1F600}$"})",
                  {"\"日本\\nA😀\"", "\"日\\nA😀\"", "\"日本\\nB😀\""}),
            Texts{"\"日本\\nA😀\""});
  EXPECT_EQ(Taken(R"({"pattern":"^.$"})", {"\"日\"", "\"\\n\"", "\"\\\"\"", "\"\\u0001\""}),
            (Texts{"\"日\"", "\"\\\"\"", "\"\\u0001\""}));
}

TEST(JsonSchemaValues, PatternsThatAreNotSupportedAreNamed) {
  const auto error = [](const std::string& pattern) {
    return SchemaError(Json{{"pattern", pattern}}.dump());
  };
  EXPECT_EQ(error("(?=a)"),
            "UNIMPLEMENTED: JSON schema: /pattern: character 3: look-around is not supported");
  EXPECT_EQ(error("(?<!a)"),
            "UNIMPLEMENTED: JSON schema: /pattern: character 4: look-around is not supported");
  EXPECT_EQ(error("(a)\\1"),
            "UNIMPLEMENTED: JSON schema: /pattern: character 5: the escape \\1 is not supported");
  EXPECT_EQ(error("\\bx"),
            "UNIMPLEMENTED: JSON schema: /pattern: character 2: the escape \\b is not supported");
  EXPECT_EQ(
      error("a^"),
      "UNIMPLEMENTED: JSON schema: /pattern: character 2: an anchor inside the pattern is not "
      "supported");
  EXPECT_EQ(
      error("(a$)"),
      "UNIMPLEMENTED: JSON schema: /pattern: character 3: an anchor inside the pattern is not "
      "supported");
  EXPECT_EQ(error("(a"), "INVALID_ARGUMENT: JSON schema: /pattern: character 3: expected )");
  EXPECT_EQ(error("a)"), "INVALID_ARGUMENT: JSON schema: /pattern: character 2: unexpected ')'");
  EXPECT_EQ(error("*"), "INVALID_ARGUMENT: JSON schema: /pattern: character 1: unexpected '*'");
  EXPECT_EQ(error("[b-a]"),
            "INVALID_ARGUMENT: JSON schema: /pattern: character 5: the range before this is none");
  EXPECT_EQ(error("a{99999}"),
            "INVALID_ARGUMENT: JSON schema: /pattern: character 8: expected a count of at most "
            "20000");
  EXPECT_EQ(error(std::string(1000, '(')),
            "INVALID_ARGUMENT: JSON schema: /pattern: character 52: groups are nested too deep");
  EXPECT_EQ(error("\\"),
            "INVALID_ARGUMENT: JSON schema: /pattern: character 2: nothing follows the backslash");
}

TEST(JsonSchemaValues, DatesExist) {
  const auto grammar = Grammar::FromJsonSchema(R"({"format":"date"})").value();
  const auto two = [](int n) { return StrCat(n / 10, n % 10); };
  for (const int year : {1900, 1904, 1999, 2000, 2023, 2024, 2100}) {
    for (int month = 0; month <= 13; ++month) {
      for (int day = 0; day <= 32; ++day) {
        const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        const int days[] = {0, 31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0};
        const std::string text = StrCat("\"", year, "-", two(month), "-", two(day), "\"");
        EXPECT_EQ(grammar->Matches(text), day >= 1 && day <= days[month]) << text;
      }
    }
  }
}

TEST(JsonSchemaValues, FormatsAreKept) {
  struct Case {
    const char *format, *good, *bad;
  };
  const Case cases[] = {
      {"time", "\"23:59:59Z\"", "\"24:00:00Z\""},
      {"time", "\"01:02:03.5+02:00\"", "\"01:02:03\""},
      {"date-time", "\"2024-02-29T12:00:00Z\"", "\"2023-02-29T12:00:00Z\""},
      {"uuid", "\"123e4567-e89b-12d3-a456-426614174000\"", "\"123e4567e89b12d3a456426614174000\""},
      {"ipv4", "\"192.168.0.255\"", "\"192.168.0.256\""},
      {"ipv4", "\"0.0.0.0\"", "\"00.0.0.0\""},
      {"hostname", "\"a-b.example\"", "\"-a.example\""},
      {"email", "\"a.b@example.org\"", "\"a..b@example.org\""},
      {"uri", "\"https://example.org:80/a%20b?c=d#e\"", "\"example.org\""},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(
        Taken(StrCat(R"({"type":"string","format":")", one.format, "\"}"), {one.good, one.bad}),
        Texts{one.good});
  }
  EXPECT_EQ(SchemaError(R"({"properties":{"a":{"format":"ipv6"}}})"),
            "UNIMPLEMENTED: JSON schema: /properties/a/format: the format 'ipv6'; known are date, "
            "time, date-time, uuid, ipv4, hostname, email, uri");
}

}  // namespace
}  // namespace vade
