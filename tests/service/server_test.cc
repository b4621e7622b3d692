// What only the server can show: the wire as a client in another language meets it.
#include "service/server.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "service/convert_proto.h"
#include "tests/service/service_fixture.h"
#include "tests/service/wire_client.h"
#include "vade/v1/answer.grpc.pb.h"
#include "vade/v1/corpus.grpc.pb.h"
#include "vade/v1/search.grpc.pb.h"

namespace vade {
namespace {

using std::chrono::milliseconds;
using testing::AskEndlessly;
using testing::FakeService;
using testing::kLeaveText;
using testing::MakePut;
using testing::Pace;
using testing::ServedFake;
using testing::WireClient;

bool Has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

v1::AskRequest Question() {
  v1::AskRequest request;
  request.set_question("How much paid leave?");
  return request;
}

v1::AskRequest EndlessQuestion() {
  v1::AskRequest request;
  ToProto(AskEndlessly(), &request);
  return request;
}

class ServerTest : public ::testing::Test {
 protected:
  void Begin(const ServerOptions& options = {}) {
    fake_ = std::make_unique<ServedFake>(options);
    ASSERT_NE(fake_->server, nullptr);
    wire_ = std::make_unique<WireClient>(fake_->server->address());
    const auto put = fake_->local->PutDocument("default", MakePut("leave.md", kLeaveText), {});
    ASSERT_TRUE(put.ok()) << put.status().ToString();
  }

  std::unique_ptr<ServedFake> fake_;
  std::unique_ptr<WireClient> wire_;
};

// Listening.

TEST_F(ServerTest, PortZeroTakesAFreeOneAndSaysWhich) {
  Begin();
  const std::string& address = fake_->server->address();
  EXPECT_EQ(address.rfind("127.0.0.1:", 0), 0u) << address;
  EXPECT_NE(address, "127.0.0.1:0");
}

TEST_F(ServerTest, ATakenAddressIsUnavailableAndNamed) {
  Begin();
  const auto second = Server::Start(fake_->local.get(), {.grpc_address = fake_->server->address()});
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable) << second.status().ToString();
  EXPECT_TRUE(Has(second.status().message(), fake_->server->address()))
      << second.status().ToString();
}

TEST_F(ServerTest, ANonsenseAddressIsRefused) {
  FakeService fake;
  for (const char* address :
       {"", "localhost", ":50051", "localhost:x", "localhost:70000", "127.0.0.1:-1"}) {
    EXPECT_EQ(Server::Start(fake.local.get(), {.grpc_address = address}).status().code(),
              StatusCode::kInvalidArgument)
        << address;
  }
  EXPECT_EQ(Server::Start(fake.local.get(), {.grpc_address = "127.0.0.1:0", .max_concurrent = 0})
                .status()
                .code(),
            StatusCode::kInvalidArgument);
}

TEST_F(ServerTest, ListeningEverywhereNamesAnAddressThatCanBeReached) {
  FakeService fake;
  const auto server = Server::Start(fake.local.get(), {.grpc_address = "0.0.0.0:0"});
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  EXPECT_EQ((*server)->address().rfind("127.0.0.1:", 0), 0u) << (*server)->address();
  EXPECT_TRUE(WireClient((*server)->address()).IsServing(""));
}

TEST_F(ServerTest, NobodyThereIsUnavailableWithTheRemedy) {
  Begin();
  const std::string address = fake_->server->address();
  fake_->server.reset();
  const auto api = ConnectApi(address);
  ASSERT_TRUE(api.ok());
  const Status status = (*api)->ListCollections({}).status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(status.message(),
            StrCat("nothing answers at ", address, "; start it with `vade serve`"));
}

TEST_F(ServerTest, AClientTakesNoNonsenseAddress) {
  for (const char* address :
       {"", "localhost", "localhost:", "localhost:0", ":80", "http://localhost:80"}) {
    EXPECT_EQ(ConnectApi(address).status().code(), StatusCode::kInvalidArgument) << address;
  }
}

// Health and reflection.

TEST_F(ServerTest, HealthSaysWhetherItServes) {
  Begin({.serving = false});
  EXPECT_FALSE(wire_->IsServing(""));
  EXPECT_FALSE(wire_->IsServing("vade.v1.AnswerService"));
  fake_->server->SetServing(true);
  EXPECT_TRUE(wire_->IsServing(""));
  for (const char* name :
       {"vade.v1.CorpusService", "vade.v1.SearchService", "vade.v1.AnswerService"}) {
    EXPECT_TRUE(wire_->IsServing(name)) << name;
  }
}

TEST_F(ServerTest, ReflectionListsTheServices) {
  Begin();
  const std::vector<std::string> names = wire_->ListServices();
  for (const char* name : {"vade.v1.CorpusService", "vade.v1.SearchService",
                           "vade.v1.AnswerService", "grpc.health.v1.Health"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  }
}

// Requests.

TEST_F(ServerTest, ADeleteWithEraseTakesTheBytesAlong) {
  Begin();
  v1::DeleteDocumentsRequest erase;
  erase.add_document_ids("leave.md");
  erase.set_erase(true);
  uint64_t deleted = 0;
  ASSERT_TRUE(wire_->Delete(erase, &deleted).ok());
  EXPECT_EQ(deleted, 1u);
  EXPECT_EQ(fake_->store->erased, 1);
  EXPECT_FALSE(fake_->local->GetDocument("default", "leave.md", {}).ok());
}

TEST_F(ServerTest, EmptyMessagesAreAnsweredWithTheDefaultsOrARefusal) {
  Begin();
  EXPECT_EQ(wire_->Search({}).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(wire_->Delete({}).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(wire_->Put({}).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(wire_->Ask({}).status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(wire_->Chat({}).status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_TRUE(wire_->List({}).ok()) << "the default collection, a hundred documents";
}

TEST_F(ServerTest, TheRequestIdIsTheClientsOrANewOne) {
  Begin();
  v1::SearchRequest request;
  request.set_question("paid leave");
  EXPECT_EQ(wire_->SearchWithId(request, "my-id_1"), "my-id_1");
  const std::string fresh = wire_->SearchWithId(request, "not plain");
  EXPECT_EQ(fresh.size(), 16u) << fresh;
  EXPECT_NE(wire_->SearchWithId(request, ""), wire_->SearchWithId(request, ""));
}

TEST_F(ServerTest, AnAnswersStreamHasItsOrder) {
  Begin();
  v1::AskRequest request;
  request.set_question("How much paid leave?");
  const auto answer = wire_->Ask(request);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.kinds.front(), 'r');
  EXPECT_EQ(answer.kinds.back(), 'd');
  EXPECT_EQ(std::count(answer.kinds.begin(), answer.kinds.end(), 'r'), 1);
  EXPECT_EQ(std::count(answer.kinds.begin(), answer.kinds.end(), 'd'), 1);
  EXPECT_EQ(std::count(answer.kinds.begin(), answer.kinds.end(), 'c'), 1) << answer.kinds;
  EXPECT_EQ(answer.text, answer.done.answer());
  EXPECT_FALSE(answer.request_id.empty());
  EXPECT_GT(answer.done.timings_size(), 0);
}

TEST_F(ServerTest, AMessageBeyondTheLimitIsRefusedClearly) {
  Begin({.max_message_bytes = 100'000});
  const auto put =
      fake_->remote->PutDocument("default", MakePut("big", std::string(200'000, 'x')), {});
  EXPECT_EQ(put.status().code(), StatusCode::kOutOfRange) << put.status().ToString();
  EXPECT_TRUE(Has(put.status().message(), "larger than the service")) << put.status().ToString();
  const auto beyond =
      fake_->remote->PutDocument("default", MakePut("big", std::string(64 << 20, 'x')), {});
  EXPECT_EQ(beyond.status().code(), StatusCode::kOutOfRange);
  EXPECT_TRUE(Has(beyond.status().message(), "at most 63 MiB")) << beyond.status().ToString();
}

TEST_F(ServerTest, GarbageOnTheSocketLeavesTheServerStanding) {
  Begin();
  const std::string& address = fake_->server->address();
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(5000, '\xff'),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(500, '\x01')}) {
    testing::SendRaw(address, bytes);
  }
  EXPECT_TRUE(wire_->IsServing(""));
}

TEST_F(ServerTest, WhatARequestSaysCannotSteerTheTerminalOfTheLog) {
  Begin();
  SetLogLevel(LogLevel::kInfo);
  ::testing::internal::CaptureStderr();
  const Status status = fake_->remote
                            ->GetDocument("default",
                                          "a\xc2\x9b"
                                          "31m\xe2\x80\xae",
                                          {})
                            .status();
  const std::string log = ::testing::internal::GetCapturedStderr();
  SetLogLevel(LogLevel::kWarning);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_TRUE(Has(log, "GetDocument")) << log;
  EXPECT_TRUE(Has(log, "a31m")) << log;
  EXPECT_FALSE(Has(log, "\xc2\x9b") || Has(log, "\xe2\x80\xae")) << log;
}

// Concurrency, cancellation, shutdown.

TEST_F(ServerTest, CallsBeyondTheLimitAreTurnedAwayWithAHint) {
  Begin({.max_concurrent = 2});
  Pace pace(fake_->decoder, std::chrono::minutes(5));
  // What was found is told before anything is decoded: by then a question has its place. (A search
  // in the meantime could take the second question's.)
  std::atomic<int> placed{0};
  const auto count = [&](const v1::AskEvent& event) { placed += event.has_retrieved(); };
  std::vector<std::future<WireClient::Streamed>> asking;
  for (int i = 0; i < 2; ++i) {
    asking.push_back(std::async(std::launch::async, [&] {
      return wire_->Ask(Question(), std::chrono::minutes(5), count);
    }));
  }
  for (int i = 0; i < 20000 && placed < 2; ++i) std::this_thread::sleep_for(milliseconds(1));
  ASSERT_EQ(placed, 2);
  ASSERT_TRUE(pace.AwaitSteps(1));
  v1::SearchRequest search;
  search.set_question("paid leave");
  const grpc::Status refused = wire_->Search(search);
  EXPECT_EQ(refused.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Has(refused.error_message(), "try again")) << refused.error_message();
  EXPECT_TRUE(wire_->IsServing("")) << "health is answered all the same";
  pace.Release();
  for (auto& one : asking) EXPECT_TRUE(one.get().status.ok());
  EXPECT_TRUE(wire_->Search(search).ok()) << "the places are free again";
}

TEST_F(ServerTest, ManyClientsAtOnceGetTheSameAnswer) {
  Begin();
  std::vector<std::future<WireClient::Streamed>> asking;
  for (int i = 0; i < 12; ++i) {
    asking.push_back(std::async(
        std::launch::async, [&] { return WireClient(fake_->server->address()).Ask(Question()); }));
  }
  for (auto& one : asking) {
    const auto answer = one.get();
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_EQ(answer.text, "Everyone has thirty days of paid leave a year.");
  }
}

TEST_F(ServerTest, AClientThatGoesAwayStopsItsAnswer) {
  Begin();
  const Pace pace(fake_->decoder, milliseconds(10));
  EXPECT_EQ(wire_->AskAndHangUp(EndlessQuestion(), 3).error_code(), grpc::CANCELLED);
  EXPECT_TRUE(pace.Ceases()) << "the decoder still works for nobody";
}

TEST_F(ServerTest, ADeadlineThatPassesStopsTheAnswer) {
  Begin();
  const Pace pace(fake_->decoder, milliseconds(10));
  const auto answer = wire_->Ask(EndlessQuestion(), milliseconds(400));
  EXPECT_EQ(answer.status.error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_TRUE(pace.Ceases());
}

TEST_F(ServerTest, ShutdownLetsCallsFinishWithinTheGrace) {
  Begin();
  Pace pace(fake_->decoder, std::chrono::minutes(5));
  auto asking = std::async(std::launch::async, [&] { return wire_->Ask(Question()); });
  ASSERT_TRUE(pace.AwaitSteps(1));
  auto stopping =
      std::async(std::launch::async, [&] { fake_->server->Shutdown(std::chrono::minutes(2)); });
  std::this_thread::sleep_for(milliseconds(50));
  pace.Release();
  const auto answer = asking.get();
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.text, "Everyone has thirty days of paid leave a year.");
  stopping.get();
  EXPECT_EQ(wire_->List({}).error_code(), grpc::UNAVAILABLE);
}

TEST_F(ServerTest, ShutdownEndsCallsThatOutstayTheGrace) {
  Begin();
  const Pace pace(fake_->decoder, milliseconds(10));
  auto asking = std::async(std::launch::async, [&] { return wire_->Ask(EndlessQuestion()); });
  ASSERT_TRUE(pace.AwaitSteps(3));
  const auto begin = std::chrono::steady_clock::now();
  fake_->server->Shutdown(milliseconds(50));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  EXPECT_FALSE(asking.get().status.ok());
  fake_->server->Shutdown(milliseconds(0));  // once more is harmless
}

}  // namespace
}  // namespace vade
