#include "index/terms.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace vade {
namespace {

// "run run:2 ..." by bytes.
std::string Rendered(const TermList& list) {
  std::vector<std::string> parts;
  for (const TermCount& t : list.terms) {
    parts.push_back(t.count == 1 ? t.term : StrCat(t.term, ":", t.count));
  }
  return Join(parts, " ");
}

TermList ListOf(std::string_view text, const std::vector<std::string>& languages = {"en"}) {
  std::vector<LanguageCode> codes;
  for (const std::string& name : languages) codes.push_back(ParseLanguage(name));
  TermCollector collector(codes);
  collector.Add(text);
  return collector.Take();
}

std::string Terms(std::string_view text, const std::vector<std::string>& languages = {"en"}) {
  return Rendered(ListOf(text, languages));
}

TEST(Terms, WordsAreThereAsTheyStandAndAsStems) {
  EXPECT_EQ(Terms("Running, runs; run!"), "run:3 running runs");
  EXPECT_EQ(ListOf("Running, runs; run!").length, 3u);
  EXPECT_EQ(Terms("the harbour's cranes"), "crane cranes harbour harbour's the");
}

TEST(Terms, StemsAreThoseOfTheLanguagesThatAreAskedFor) {
  EXPECT_EQ(Terms("Prüfungen", {}), "prüfungen");
  EXPECT_EQ(Terms("Prüfungen", {"de"}), "prufung prüfungen");
  EXPECT_EQ(Terms("houses", {"en", "de", "zh", ""}), "hous houses");
}

TEST(Terms, WidthAndCaseDoNotMatter) {
  EXPECT_EQ(Terms("ＦＬ-20/B"), Terms("fl-20/b"));
  EXPECT_EQ(Terms("STRASSE", {}), Terms("straße", {}));
}

TEST(Terms, IdentifiersAreThereWholeAndInParts) {
  EXPECT_EQ(Terms("FL-20/B.", {}), "20 b fl fl-20/b");
  EXPECT_EQ(ListOf("FL-20/B").length, 3u);
  EXPECT_EQ(Terms("a -- b - c", {}), "a b c");
  EXPECT_EQ(Terms("ops@example.org", {}), "example ops ops@example.org org");
}

TEST(Terms, NumbersAreThereWithoutTheirSeparatorsToo) {
  EXPECT_EQ(Terms("1,250 kg", {}), "1 1,250 1250 250 kg");
  EXPECT_EQ(Terms("1250", {}), "1250");
  EXPECT_EQ(Terms("3.14", {}), "14 3 3.14 314");
}

TEST(Terms, ScriptsWithoutSpacesGivePairs) {
  EXPECT_EQ(Terms("波高测量", {}), "波高 测量 高测");
  EXPECT_EQ(ListOf("波高测量").length, 3u);
  EXPECT_EQ(Terms("波", {}), "波");
  EXPECT_EQ(Terms("用FL-20测波高", {}), "20 fl fl-20 波高 测波 用");
}

TEST(Terms, SeveralTextsOfOnePassageAreCountedTogetherAndDoNotTouch) {
  TermCollector collector({});
  collector.Add("Leave");
  collector.Add("sick leave");
  const TermList list = collector.Take();
  EXPECT_EQ(Rendered(list), "leave:2 sick");
  EXPECT_EQ(list.length, 3u);
  EXPECT_EQ(Rendered(collector.Take()), "");
}

TEST(Terms, LongTermsAreCutAndStayApart) {
  const std::string a(1000, 'x'), b = a + "y";
  const TermList first = ListOf(a, {}), second = ListOf(b, {});
  ASSERT_EQ(first.terms.size(), 1u);
  EXPECT_EQ(first.terms[0].term.size(), kMaxTermBytes);
  EXPECT_NE(first.terms[0].term, second.terms[0].term);
  EXPECT_EQ(first.terms[0].term.substr(0, 40), second.terms[0].term.substr(0, 40));
}

TEST(Terms, WhateverBytesComeTermsAreShortAndWithoutZeros) {
  std::string bytes;
  for (int i = 0; i < 4000; ++i) bytes += static_cast<char>((i * 7919 + i / 3) % 256);
  bytes += std::string("a\0b", 3);
  for (const TermCount& term : ListOf(bytes).terms) {
    EXPECT_LE(term.term.size(), kMaxTermBytes);
    EXPECT_FALSE(term.term.empty());
    EXPECT_EQ(term.term.find('\0'), std::string::npos);
  }
}

}  // namespace
}  // namespace vade
