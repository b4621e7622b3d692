#include "base/context.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "base/trace.h"

namespace vade {
namespace {

using std::chrono::hours;
using std::chrono::steady_clock;

TEST(Context, DefaultIsWantedForEver) {
  EXPECT_TRUE(Context().Check().ok());
  EXPECT_FALSE(Context().deadline().has_value());
}

TEST(Context, CancelReachesEveryCopy) {
  CancelSource source;
  const Context ctx = Context().WithCancel(source.token());
  const Context copy = ctx.WithTimeout(hours(1));
  EXPECT_TRUE(copy.Check().ok());
  source.Cancel();
  EXPECT_EQ(ctx.Check().code(), StatusCode::kCancelled);
  EXPECT_EQ(copy.Check().code(), StatusCode::kCancelled);
}

TEST(Context, PassedDeadlineIsAnError) {
  EXPECT_TRUE(Context().WithTimeout(hours(1)).Check().ok());
  EXPECT_EQ(Context().WithDeadline(steady_clock::now()).Check().code(),
            StatusCode::kDeadlineExceeded);
}

TEST(Trace, StagesAddUpInOrderOfFirstAppearance) {
  Trace trace("req-1");
  trace.AddTime("embed", 1);
  trace.AddTime("search", 2);
  trace.AddTime("embed", 3);
  trace.SetTime("search", 7);
  const std::vector<std::pair<std::string, double>> expected = {{"embed", 4}, {"search", 7}};
  EXPECT_EQ(trace.times_ms(), expected);
}

TEST(Trace, SpansAndCountsOfManyThreadsAddUp) {
  Trace trace("req-2");
  const Context ctx = Context().WithTrace(&trace);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 100; ++k) {
        const TraceSpan span(ctx, "work");
        AddCount(ctx, "items", 2);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(trace.counts().at(0).second, 800);
  ASSERT_EQ(trace.times_ms().size(), 1u);
  EXPECT_GE(trace.times_ms()[0].second, 0);
}

TEST(Trace, WithoutATraceNothingHappens) {
  const TraceSpan span(Context(), "work");
  AddCount(Context(), "items", 1);
}

TEST(Trace, RequestIdsAreSixteenHexadecimalDigitsAndDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(NewRequestId());
  EXPECT_EQ(ids.size(), 100u);
  EXPECT_EQ(ids.begin()->size(), 16u);
  EXPECT_EQ(ids.begin()->find_first_not_of("0123456789abcdef"), std::string::npos);
}

}  // namespace
}  // namespace vade
