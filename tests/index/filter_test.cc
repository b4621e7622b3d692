#include "index/filter.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/strings.h"

namespace vade {
namespace {

DocumentInfo Report() {
  DocumentInfo info;
  info.id = "reports/2024/rent.md";
  info.title = "Rent \"2024\"";
  info.source = "file:///reports/rent.md";
  info.mime_type = "text/markdown";
  info.groups = {"board", "staff"};
  info.valid_from = "2024-03-01";
  info.created_unix_micros = *ParseRfc3339("2024-01-01T12:00:00Z");
  info.updated_unix_micros = *ParseRfc3339("2025-01-01T12:00:00Z");
  info.metadata = {{"year", 2024.0}, {"language", std::string("en")},
                   {"draft", false}, {"tags", std::vector<std::string>{"rent", "hr"}},
                   {"年份", 2024.0}, {"two words", std::string("yes")},
                   {"in", 1.0}};
  return info;
}

// "yes", "no", or what is wrong with the expression.
std::string Says(const std::string& text) {
  const auto filter = Filter::Parse(text);
  if (!filter.ok()) return filter.status().message();
  return filter->Keeps(Report()) ? "yes" : "no";
}

void ExpectAll(const std::string& answer, const std::vector<std::string>& expressions) {
  for (const std::string& text : expressions) EXPECT_EQ(Says(text), answer) << text;
}

TEST(Filter, ComparesEachTypeOfMetadata) {
  ExpectAll("yes", {"year = 2024", "year != 2023", "year < 2024.5", "year <= 2024", "year > -1e3",
                    "year >= 2024", "language = \"en\"", "language < 'fr'", "draft = false",
                    "draft != true", "meta.year = 2024", "年份 = 2024",
                    "meta.\"two words\" = 'yes'", "meta.in = 1", "year in (2023, 2024)",
                    "language in ('de', 'en')", "draft in (false)"});
  ExpectAll("no", {"year = 2023", "year != 2024", "year < 2024", "language > 'fr'", "draft = true",
                   "year in (1, 2)", "language in ('de')"});
}

TEST(Filter, ListsContainAndAreAmongAndTextsContainParts) {
  ExpectAll("yes", {"tags contains 'hr'", "tags in ('x', 'hr')", "tags not contains 'h'",
                    "language contains 'e'", "groups contains 'board'", "groups in ('staff', 'q')",
                    "title contains '2024'", "id contains '/2024/'"});
  ExpectAll("no", {"tags contains 'h'", "tags = 'hr'", "tags not in ('rent')",
                   "groups not contains 'board'", "year contains '2'"});
}

TEST(Filter, ComparesFactsOfTheDocumentAndTimes) {
  ExpectAll(
      "yes",
      {"id = 'reports/2024/rent.md'", "document_id < 's'", "mime_type = 'text/markdown'",
       "source >= 'file:'", "title = \"Rent \\\"2024\\\"\"", "created < '2024-01-01T12:00:01Z'",
       "created >= '2024-01-01'", "updated > \"2024-12-31\"", "valid_from = '2024-03-01T00:00:00Z'",
       "valid_from in ('2020-01-01', '2024-03-01')", "not exists supersedes"});
  ExpectAll("no", {"created = '2024-01-01'", "valid_from > '2024-03-01'", "exists supersedes"});
}

TEST(Filter, WhatADocumentLacksOrHasWithAnotherTypeComparesAsFalse) {
  ExpectAll("no", {"color = 'red'", "color < 'z'", "color in ('red')", "color contains ''",
                   "exists color", "year = '2024'", "year > 'a'", "draft = 0", "tags < 'z'",
                   "year in ('2024')"});
  ExpectAll("yes", {"color != 'red'", "not color = 'red'", "color not in ('red')", "exists year",
                    "exists draft", "EXISTS tags", "year != '2024'"});
}

TEST(Filter, AndBindsTighterThanOrAndNotTightest) {
  ExpectAll(
      "yes",
      {"year = 2024 or year = 1 and draft = true", "(year = 1 or year = 2024) and draft = false",
       "not draft = true and year = 2024", "NOT (draft = true OR year = 1) And exists year",
       "not not exists year", "((((year = 2024))))"});
  ExpectAll("no", {"(year = 2024 or year = 1) and draft = true",
                   "not (year = 2024 or draft = true)", "not year = 2024 or draft = true"});
}

TEST(Filter, ErrorsPointAtTheirColumn) {
  const auto at = [](int column, const std::string& rest) {
    return StrCat("filter, column ", column, ": ", rest);
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", at(1, "expected a field, found the end")},
      {"year", at(5, "expected an operator (= != < <= > >=), in or contains, found the end")},
      {"year = ", at(8, "expected a text in quotes, a number, true or false, found the end")},
      {"year == 2", at(6, "write = for equality")},
      {"a = 1 && b = 2", at(7, "write and")},
      {"a = 1 | b = 2", at(7, "write or")},
      {"! a = 1", at(1, "expected != here; a condition is negated with not")},
      {"年份 = 二千", at(6, "expected a text in quotes, a number, true or false, found '二千'")},
      {"a = 'x", at(5, "a quote without its end")},
      {"a = 'x\\q'", at(8, "expected one of \" ' \\ n t behind a backslash")},
      {"a = 1-2", at(5, "'1-2' is not a number; put quotes around a text or a time")},
      {"(a = 1", at(7, "expected and, or, or ), found the end")},
      {"a = 1)", at(6, "expected and, or, or the end, found ')'")},
      {"a in 1", at(6, "expected (, found '1'")},
      {"a in ()", at(7, "expected a text in quotes, a number, true or false, found ')'")},
      {"a in (1,", at(9, "expected a text in quotes, a number, true or false, found the end")},
      {"a not = 1", at(7, "expected in or contains, found '='")},
      {"title = 3", at(9, "expected a text in quotes, found '3'")},
      {"created > 3", at(11, "expected a time in quotes, \"2026-11-22\", found '3'")},
      {"created contains '3'", at(9, "a time does not contain anything")},
      {"groups = 'a'", at(8, "groups is a list; use contains, in or exists")},
      {"draft < true", at(7, "true and false have no order; use = or !=")},
      {"meta. = 3", at(6, "a name ends with '.'; expected a name or a quoted name behind it")},
      {"or = 3", at(1, "expected a field, found 'or'")},
      {"a contains 3", at(12, "expected a text in quotes, found '3'")},
      {"a = 1 b = 2", at(7, "expected and, or, or the end, found 'b'")},
      {"a # 1", at(3, "expected a field, a value, an operator (= != < <= > >=) or a parenthesis")},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(Says(text), message) << text;
  EXPECT_TRUE(Says("created > 'soon'").starts_with("filter, column 11: "))
      << Says("created > 'soon'");
  EXPECT_EQ(Filter::Parse("a").status().code(), StatusCode::kInvalidArgument);
}

TEST(Filter, SizeAndNestingAreBounded) {
  const auto nested = [](int depth) {
    return std::string(depth, '(') + "year = 2024" + std::string(depth, ')');
  };
  EXPECT_EQ(Says(nested(kMaxFilterNesting - 1)), "yes");
  EXPECT_EQ(Says(nested(kMaxFilterNesting)), "filter, column 65: nested more than 64 deep");
  std::string nots;
  for (int i = 0; i < 2000; ++i) nots += "not ";
  EXPECT_NE(Says(nots + "year = 2024").find("nested more than"), std::string::npos);
  std::string chain = "year = 2024";
  while (chain.size() + 14 < kMaxFilterBytes) chain += " and year > 1";
  EXPECT_EQ(Says(chain), "yes");
  EXPECT_NE(Says(std::string(kMaxFilterBytes + 1, ' ')).find("at most"), std::string::npos);
  EXPECT_NE(Says("a = '\xff'").find("UTF-8"), std::string::npos);
}

}  // namespace
}  // namespace vade
