#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vade {
namespace {

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override { SetLogLevel(LogLevel::kWarning); }

  static std::string LinesAt(LogLevel level) {
    SetLogLevel(level);
    ::testing::internal::CaptureStderr();
    LogDebug("a debug line");
    LogInfo("an info line");
    LogWarning("a warning line");
    LogError("an error line {}");
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, LevelHidesWhatIsBelowIt) {
  const std::string lines = LinesAt(LogLevel::kWarning);
  EXPECT_EQ(lines.find("an info line"), std::string::npos);
  EXPECT_THAT(lines, ::testing::HasSubstr("a warning line\n"));
}

TEST_F(LogTest, DebugShowsAllAndOffShowsNothing) {
  EXPECT_THAT(LinesAt(LogLevel::kDebug), ::testing::HasSubstr("a debug line\n"));
  EXPECT_EQ(LinesAt(LogLevel::kOff), "");
}

TEST_F(LogTest, MessagesAreNoFormatStrings) {
  EXPECT_THAT(LinesAt(LogLevel::kError), ::testing::HasSubstr("an error line {}\n"));
}

TEST_F(LogTest, LineHasTimeAndLevel) {
  EXPECT_THAT(LinesAt(LogLevel::kError),
              ::testing::MatchesRegex("20..-..-..T..:..:..\\....[-+]..:.. .*error.* an error.*\n"));
}

}  // namespace
}  // namespace vade
