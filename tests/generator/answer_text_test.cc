#include "generator/answer_text.h"

#include <gtest/gtest.h>

#include <random>

#include "base/unicode.h"

namespace vade {
namespace {

// Feeds `bytes` in pieces of `size`; each piece given out must be whole code points.
std::string Feed(std::string_view bytes, size_t size, std::vector<std::string> stops = {},
                 std::vector<AnswerText::Mark>* marks = nullptr) {
  AnswerText text(std::move(stops));
  std::string out;
  for (size_t pos = 0; pos < bytes.size(); pos += size) {
    const std::string more = text.Append(bytes.substr(pos, size));
    EXPECT_TRUE(IsValidUtf8(more)) << more;
    out += more;
  }
  const std::string rest = text.Finish();
  EXPECT_TRUE(IsValidUtf8(rest));
  if (marks != nullptr) *marks = text.marks();
  return out + rest;
}

TEST(AnswerText, CodePointsAreNeverSplit) {
  const std::string text = "病假是十四天 😀 ok";
  for (size_t size = 1; size <= 5; ++size) EXPECT_EQ(Feed(text, size), text);
}

TEST(AnswerText, AnUnfinishedCodePointIsDroppedAndIllFormedBytesAreReplaced) {
  EXPECT_EQ(Feed("ab\xE4\xBD", 1), "ab");
  EXPECT_EQ(Feed("a\xFF"
                 "b",
                 1),
            "a\uFFFDb");
  EXPECT_EQ(Feed(std::string("a\0b", 3), 1), "ab");
}

TEST(AnswerText, WhiteSpaceAtTheEndsIsDropped) {
  EXPECT_EQ(Feed(" \n 14 days \n\n", 1), "14 days");
  EXPECT_EQ(Feed(" \n ", 1), "");
}

TEST(AnswerText, MarksAreTakenOutAndRemembered) {
  const std::string text = "It is 14 days [2]. Not more[1][3] than that [1, 2].";
  for (size_t size : {1, 3, 100}) {
    std::vector<AnswerText::Mark> marks;
    const std::string shown = Feed(text, size, {}, &marks);
    EXPECT_EQ(shown, "It is 14 days. Not more than that.");
    std::vector<std::pair<size_t, int>> got;
    for (const auto& mark : marks) got.emplace_back(mark.position, mark.label);
    EXPECT_EQ(got,
              (std::vector<std::pair<size_t, int>>{{13, 2}, {23, 1}, {23, 3}, {33, 1}, {33, 2}}));
  }
}

TEST(AnswerText, MarksLeaveTheWordsApart) {
  EXPECT_EQ(Feed("[1] It is", 1), "It is");
  EXPECT_EQ(Feed("one [1]two", 1), "one two");
  EXPECT_EQ(Feed("one [1] two", 1), "one two");
  EXPECT_EQ(Feed("一【1】。二[2]", 1), "一。二");
  EXPECT_EQ(Feed("one\n[1] two", 1), "one\ntwo");
}

TEST(AnswerText, WhatIsNoMarkStays) {
  for (const char* text :
       {"a [b] c", "[x", "a[0]", "see [1a]", "`v[1]` holds", "[1234567]", "[]", "[[1"}) {
    EXPECT_EQ(Feed(text, 1), text);
  }
}

TEST(AnswerText, EndsBeforeTheFirstStopStringWhereverTokensAreCut) {
  for (size_t size = 1; size <= 12; ++size) {
    EXPECT_EQ(Feed("one two END three", size, {"END"}), "one two");
    EXPECT_EQ(Feed("one\n\ntwo", size, {"\n\n"}), "one");
    EXPECT_EQ(Feed("aab", size, {"ab"}), "a");
    EXPECT_EQ(Feed("abcd", size, {"cd", "bc"}), "a");
    EXPECT_EQ(Feed("是十四天。然后", size, {"。"}), "是十四天");
    EXPECT_EQ(Feed("one EN", size, {"END"}), "one EN");
    EXPECT_EQ(Feed("days [1]. More", size, {"days."}), "");
  }
}

TEST(AnswerText, AStopStringInPartsOfACodePointDoesNotSplitOne) {
  EXPECT_TRUE(IsValidUtf8(Feed("是十四天", 1, {"\x81"})));
  EXPECT_TRUE(IsValidUtf8(Feed("是十四天", 1, {std::string("\xE5\xA4")})));
}

// However the bytes are cut: the same text, without stop strings, and nothing is taken back.
TEST(AnswerText, TheCutOfTheBytesDoesNotMatter) {
  const std::vector<std::string> parts = {"a", "b", " ",  "\n",     "[1]",  "[",
                                          "]", "1", "是", "。",     "😀",    "ab",
                                          ".", "`", ", ", "[2, 3]", "\xE4", "【4】"};
  std::mt19937_64 random(17);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += parts[random() % parts.size()];
    const std::vector<std::string> stops =
        round % 3 == 0 ? std::vector<std::string>{}
                       : std::vector<std::string>{"ab", ". ", "是。", "b\n"};
    const std::string whole = Feed(text, text.size(), stops);
    for (size_t size : {1, 2, 3, 7})
      ASSERT_EQ(Feed(text, size, stops), whole) << text << " by " << size;
    for (const std::string& stop : stops)
      ASSERT_EQ(whole.find(stop), std::string::npos) << text << " | " << whole;
  }
}

}  // namespace
}  // namespace vade
