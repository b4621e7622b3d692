#include "base/clock.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/testing/manual_clock.h"

namespace vade {
namespace {

TEST(Rfc3339, FormatsWhatADateOfTheUtcCalendarSays) {
  EXPECT_EQ(FormatRfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatRfc3339(1'795'359'720'000'000), "2026-11-22T15:02:00Z");
  EXPECT_EQ(FormatRfc3339(951'782'400'000'000), "2000-02-29T00:00:00Z");
}

TEST(Rfc3339, FractionsAppearOnlyWhenThereAreSome) {
  EXPECT_EQ(FormatRfc3339(1'500'000), "1970-01-01T00:00:01.500000Z");
  EXPECT_EQ(FormatRfc3339(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(Rfc3339, ExtremeNumbersAreFormattedToo) {
  EXPECT_EQ(FormatRfc3339(std::numeric_limits<int64_t>::max()), "294247-01-10T04:00:54.775807Z");
  EXPECT_EQ(FormatRfc3339(std::numeric_limits<int64_t>::min()), "-290308-12-21T19:59:05.224192Z");
}

TEST(Rfc3339, ParsesTimesInUtcAndElsewhere) {
  constexpr int64_t kTime = 1'795'359'720'000'000;
  for (const char* text : {"2026-11-22T15:02:00Z", "2026-11-22t15:02:00z", "2026-11-22 15:02:00Z",
                           "2026-11-22T23:02:00+08:00", "2026-11-22T10:32:00-04:30"}) {
    const auto parsed = ParseRfc3339(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(*parsed, kTime) << text;
  }
  EXPECT_EQ(ParseRfc3339("2026-11-22T15:02:00.25Z").value(), kTime + 250'000);
  EXPECT_EQ(ParseRfc3339("2026-11-22T15:02:00.1234567899Z").value(), kTime + 123'456);
}

TEST(Rfc3339, ADateAloneIsItsMidnight) {
  EXPECT_EQ(FormatRfc3339(ParseRfc3339("2026-11-22").value()), "2026-11-22T00:00:00Z");
  EXPECT_EQ(FormatRfc3339(ParseRfc3339("1900-03-01").value()), "1900-03-01T00:00:00Z");
}

TEST(Rfc3339, WhatIsNoTimeIsRefusedWithAnExample) {
  for (const char* text : {"", "2026", "2026-13-01", "2026-02-29", "2026-11-22T",
                           "2026-11-22T15:02:00", "2026-11-22T24:00:00Z", "2026-11-22T15:60:00Z",
                           "2026-11-22T15:02:61Z", "2026-11-22T15:02:00.Z", "2026-11-22T15:02:00Zx",
                           "2026-11-22T15:02:00+8", "22.11.2026", "+026-11-22"}) {
    const auto parsed = ParseRfc3339(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(parsed.status().message().find("2026-11-22T15:02:00Z"), std::string::npos);
  }
}

TEST(Clock, SystemClockMoves) {
  const auto steady = SystemClock().Steady();
  EXPECT_GT(SystemClock().UnixMicros(), 1'700'000'000'000'000);
  EXPECT_GE(SystemClock().Steady(), steady);
}

TEST(Clock, ManualClockMovesOnlyByHand) {
  testing::ManualClock clock(5);
  const auto steady = clock.Steady();
  EXPECT_EQ(clock.UnixMicros(), 5);
  clock.Advance(std::chrono::seconds(2));
  EXPECT_EQ(clock.UnixMicros(), 2'000'005);
  EXPECT_EQ(clock.Steady() - steady, std::chrono::seconds(2));
  clock.SetWallClock(1);
  EXPECT_EQ(clock.UnixMicros(), 1);
  EXPECT_EQ(clock.Steady() - steady, std::chrono::seconds(2));
}

}  // namespace
}  // namespace vade
