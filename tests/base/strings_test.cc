#include "base/strings.h"

#include <gtest/gtest.h>

#include <limits>

namespace vade {
namespace {

using Parts = std::vector<std::string>;

TEST(Strings, StrCatJoinsTextAndNumbers) {
  EXPECT_EQ(StrCat("a", std::string("b"), std::string_view("c"), 'd', 5, -6, 0.5, true),
            "abcd5-60.5true");
  EXPECT_EQ(StrCat(), "");
}

TEST(Strings, StrCatWritesDoublesThatReadBackTheSame) {
  EXPECT_EQ(ParseDouble(StrCat(0.1 + 0.2)), 0.1 + 0.2);
}

TEST(Strings, SplitKeepsEmptyParts) {
  EXPECT_EQ(Split("a,,b,", ','), (Parts{"a", "", "b", ""}));
  EXPECT_EQ(Split("", ','), Parts{""});
}

TEST(Strings, JoinIsTheInverseOfSplit) {
  EXPECT_EQ(Join({"a", "", "b"}, ", "), "a, , b");
  EXPECT_EQ(Join({}, ","), "");
}

TEST(Strings, StripTakesAsciiWhitespaceFromBothEnds) {
  EXPECT_EQ(StripAsciiWhitespace(" \t\r\n a b \v\f"), "a b");
  EXPECT_EQ(StripAsciiWhitespace(" \n "), "");
}

TEST(Strings, AsciiLowerLeavesOtherBytesAlone) { EXPECT_EQ(AsciiLower("AbZ[Ä"), "abz[Ä"); }

TEST(Strings, HexHasTwoDigitsAByte) {
  EXPECT_EQ(Hex(std::string_view("\x00\x0f\xff", 3)), "000fff");
}

TEST(Strings, NumbersMustBeTheWholeText) {
  EXPECT_EQ(ParseInt("-42"), -42);
  for (const char* bad : {"", " 1", "1 ", "+1", "1.0", "0x1", "9223372036854775808"}) {
    EXPECT_EQ(ParseInt(bad), std::nullopt) << bad;
  }
}

TEST(Strings, NumbersReachTheirLimitsAndNoFurther) {
  EXPECT_EQ(ParseInt("-9223372036854775808"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(ParseUint("18446744073709551615"), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(ParseUint("18446744073709551616"), std::nullopt);
  EXPECT_EQ(ParseUint("-1"), std::nullopt);
  EXPECT_EQ(ParseDouble("1e-3"), 1e-3);
  EXPECT_EQ(ParseDouble("1e999"), std::nullopt);
}

TEST(HexDigit, IsItsValueInEitherCaseOrNothing) {
  EXPECT_EQ(HexDigit('0'), 0);
  EXPECT_EQ(HexDigit('9'), 9);
  EXPECT_EQ(HexDigit('a'), 10);
  EXPECT_EQ(HexDigit('F'), 15);
  for (char c : {'g', 'G', ' ', '/', ':', '@', '`', '\0'}) EXPECT_EQ(HexDigit(c), -1) << c;
}

}  // namespace
}  // namespace vade
