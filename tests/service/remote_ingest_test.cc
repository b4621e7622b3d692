// What the errors of a service do to a folder that is ingested through it.
#include "service/remote_ingest.h"

#include <gtest/gtest.h>

#include <deque>

#include "tests/testing/scripted_api.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::TempDir;

// Answers puts with these errors, one after the other, and takes them once there are none left.
class FailingApi : public testing::ScriptedApi {
 public:
  explicit FailingApi(std::deque<Status> errors) : errors_(std::move(errors)) {}

  Result<PutResult> PutDocument(const std::string& collection, const PutRequest& request,
                                const Context& ctx) override {
    ++asked;
    if (errors_.empty()) return ScriptedApi::PutDocument(collection, request, ctx);
    const Status status = errors_.front();
    errors_.pop_front();
    return status;
  }
  int asked = 0;

 private:
  std::deque<Status> errors_;
};

class RemoteIngest : public ::testing::Test {
 protected:
  RemoteIngest() {
    dir_.Write("docs/a.md", "One text.");
    dir_.Write("docs/b.md", "Another text.");
  }
  Result<IngestReport> Ingest(Api& api, const Context& ctx = {}) {
    return IngestThrough(api, 1 << 20, {dir_.File("docs")}, {}, nullptr, ctx);
  }

  TempDir dir_;
};

TEST_F(RemoteIngest, ABusyServiceIsAskedAgain) {
  FailingApi api({ResourceExhausted("64 calls at once"), ResourceExhausted("64 calls at once")});
  const auto report = Ingest(api);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->created, 2u);
  EXPECT_EQ(report->failed, 0u);
  EXPECT_EQ(api.asked, 4);
}

TEST_F(RemoteIngest, OneThatStaysBusyOrFullEndsTheRun) {
  FailingApi api(std::deque<Status>(4, ResourceExhausted("the disk is full")));
  const auto report = Ingest(api);
  EXPECT_EQ(report.status().code(), StatusCode::kResourceExhausted) << report.status().ToString();
  EXPECT_EQ(api.asked, 4);
}

TEST_F(RemoteIngest, WaitingEndsWithItsContext) {
  FailingApi api(std::deque<Status>(4, ResourceExhausted("64 calls at once")));
  const auto report = Ingest(api, Context().WithTimeout(std::chrono::milliseconds(200)));
  EXPECT_EQ(report.status().code(), StatusCode::kDeadlineExceeded) << report.status().ToString();
  EXPECT_EQ(api.asked, 1);
}

TEST_F(RemoteIngest, AFailureOfTheStoreEndsTheRun) {
  for (const Status& status : {Internal("the store"), DataLoss("a damaged file"),
                               Unavailable("gone"), NotFound("no embedder")}) {
    FailingApi api({status});
    EXPECT_EQ(Ingest(api).status(), status);
    EXPECT_EQ(api.asked, 1);
  }
}

TEST_F(RemoteIngest, WhatIsTheFilesOwnIsReportedAndStopsNothing) {
  for (const Status& status : {InvalidArgument("no text"), OutOfRange("too large"),
                               Status(StatusCode::kAborted, "again")}) {
    FailingApi api({status});
    const auto report = Ingest(api);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->failed, 1u);
    EXPECT_EQ(report->created, 1u);
    EXPECT_EQ(report->errors.at(0).reason, status.message());
  }
}

}  // namespace
}  // namespace vade
