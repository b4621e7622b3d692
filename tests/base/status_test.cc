#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

namespace vade {
namespace {

TEST(Status, DefaultIsOk) {
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(OkStatus().ToString(), "OK");
}

TEST(Status, StringBeginsWithTheNameOfTheCode) {
  EXPECT_EQ(NotFound("collection 'x' does not exist").ToString(),
            "NOT_FOUND: collection 'x' does not exist");
}

TEST(Status, EveryCodeHasItsGrpcName) {
  EXPECT_EQ(StatusCodeName(StatusCode::kOk), "OK");
  EXPECT_EQ(StatusCodeName(StatusCode::kResourceExhausted), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(StatusCodeName(StatusCode::kUnauthenticated), "UNAUTHENTICATED");
  EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(17)), "UNKNOWN");
  EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(-1)), "UNKNOWN");
}

TEST(Status, ContextStandsInFrontAndKeepsTheCode) {
  EXPECT_EQ(DataLoss("torn").WithContext("file a"), DataLoss("file a: torn"));
  EXPECT_TRUE(OkStatus().WithContext("file a").ok());
}

Result<int> Half(int n) {
  if (n % 2 != 0) return InvalidArgument("odd");
  return n / 2;
}

Result<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

Status CheckEven(int n) {
  RETURN_IF_ERROR(Half(n).status());
  return OkStatus();
}

TEST(Result, MacrosPassOnTheFirstError) {
  EXPECT_EQ(Quarter(12).value(), 3);
  EXPECT_EQ(Quarter(6).status(), InvalidArgument("odd"));
  EXPECT_TRUE(CheckEven(2).ok());
  EXPECT_EQ(CheckEven(3).code(), StatusCode::kInvalidArgument);
}

TEST(Result, HoldsWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(ResultDeathTest, ValueOfAnErrorEndsTheProcessWithTheStatus) {
  EXPECT_DEATH((void)Half(1).value(), "INVALID_ARGUMENT: odd");
}

TEST(ResultDeathTest, CannotBeMadeFromAnOkStatus) {
  EXPECT_DEATH((void)Result<int>(OkStatus()), "Result from an OK Status");
}

TEST(ResultDeathTest, FailedCheckSaysItsSentence) {
  EXPECT_DEATH(VADE_CHECK(1 > 2, "one is more than two"), "1 > 2: one is more than two");
}

}  // namespace
}  // namespace vade
