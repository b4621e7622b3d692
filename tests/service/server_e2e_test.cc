// The real server on loopback with real models: documents in over gRPC, cited answers out.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include "base/strings.h"
#include "service/local_api.h"
#include "service/remote_api.h"
#include "service/server.h"
#include "tests/service/wire_client.h"
#include "tests/testing/model_files.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using std::chrono::milliseconds;
using testing::ModelPath;
using testing::TempDir;
using testing::WireClient;

constexpr char kSecretWord[] = "Quillfeather";

class ServerE2e : public ::testing::Test {
 protected:
  // One service for the whole suite: loading the models is most of the time.
  static void SetUpTestSuite() {
    const std::string embedder = ModelPath("multilingual-e5-small-q4.gguf");
    const std::string decoder = ModelPath("smollm2-135m-instruct-q4_1.gguf");
    if (embedder.empty() || decoder.empty()) return;
    dir_ = std::make_unique<TempDir>();
    LocalOptions options;
    options.data_dir = dir_->File("data");
    options.packed_dir = dir_->File("packed");
    options.embedder_model = embedder;
    options.decoder_model = decoder;
    options.context_tokens = 4096;
    options.generator.min_confidence =
        0;  // so small a model is rarely sure: what it says is looked at
    auto api = LocalApi::Open(options);
    ASSERT_TRUE(api.ok()) << api.status().ToString();
    api_ = std::move(api).value();
    auto server = Server::Start(api_.get(), {.grpc_address = "127.0.0.1:0", .serving = false});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
    ASSERT_TRUE(api_->LoadEmbedderNow().ok());
    ASSERT_TRUE(api_->LoadDecoderNow().ok());
    server_->SetServing(true);
  }
  static void TearDownTestSuite() {
    server_.reset();
    api_.reset();
    dir_.reset();
  }

  void SetUp() override {
    if (!server_)
      GTEST_SKIP() << "multilingual-e5-small or SmolLM2 is not here (scripts/fetch-models --tests)";
    wire_ = std::make_unique<WireClient>(server_->address());
    ASSERT_TRUE(wire_
                    ->Put("opening.md",
                          "# Opening hours\n\nThe museum opens at nine in the morning and closes "
                          "at five in the afternoon. On Mondays it stays closed.\n")
                    .ok());
    ASSERT_TRUE(wire_
                    ->Put("lighthouse.md",
                          StrCat("# The lighthouse\n\nThe keeper of the lighthouse is called ",
                                 kSecretWord, ". The lamp is lit at dusk.\n"))
                    .ok());
  }

  static v1::AskRequest Question(const std::string& text, uint32_t max_tokens = 48) {
    v1::AskRequest request;
    request.set_question(text);
    request.mutable_options()->set_k(3);
    request.mutable_options()->set_max_tokens(max_tokens);
    return request;
  }

  static std::unique_ptr<TempDir> dir_;
  static std::unique_ptr<LocalApi> api_;
  static std::unique_ptr<Server> server_;
  std::unique_ptr<WireClient> wire_;
};

std::unique_ptr<TempDir> ServerE2e::dir_;
std::unique_ptr<LocalApi> ServerE2e::api_;
std::unique_ptr<Server> ServerE2e::server_;

TEST_F(ServerE2e, HealthIsServingAndReflectionListsTheServices) {
  EXPECT_TRUE(wire_->IsServing(""));
  const auto names = wire_->ListServices();
  EXPECT_NE(std::find(names.begin(), names.end(), "vade.v1.AnswerService"), names.end());
}

TEST_F(ServerE2e, AQuestionIsAnsweredFromTheDocuments) {
  const auto answer = wire_->Ask(Question("When does the museum open?"));
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  ASSERT_GT(answer.retrieved.hits_size(), 0);
  EXPECT_EQ(answer.retrieved.hits(0).document_id(), "opening.md");
  EXPECT_EQ(answer.kinds.front(), 'r');
  EXPECT_EQ(answer.kinds.back(), 'd');
  EXPECT_FALSE(answer.text.empty());
  EXPECT_EQ(answer.text, answer.done.answer());
  const std::string text = api_->GetDocument("default", "opening.md", {})->text;
  EXPECT_FALSE(answer.done.abstained()) << answer.text;
  size_t quoted = 0;
  for (const v1::Citation& citation : answer.done.citations()) {
    if (citation.document_id() != "opening.md") continue;
    ++quoted;
    EXPECT_EQ(citation.quote(), text.substr(citation.source_begin(),
                                            citation.source_end() - citation.source_begin()));
  }
  EXPECT_GE(quoted, 1u) << answer.text;
  bool timed = false;
  for (const v1::StageTime& time : answer.done.timings())
    timed = timed || time.stage() == "first_token";
  EXPECT_TRUE(timed);
}

TEST_F(ServerE2e, TheSameQuestionAndSeedGiveTheSameBytes) {
  v1::AskRequest request = Question("What happens at dusk?", 24);
  request.mutable_options()->set_temperature(0.8);
  request.mutable_options()->set_seed(7);
  const auto first = wire_->Ask(request), second = wire_->Ask(request);
  ASSERT_TRUE(first.status.ok()) << first.status.error_message();
  EXPECT_EQ(first.text, second.text);
}

TEST_F(ServerE2e, ADeletedDocumentIsInNoAnswer) {
  const auto before = wire_->Ask(Question("Who keeps the lighthouse?"));
  ASSERT_TRUE(before.status.ok()) << before.status.error_message();
  const auto has_secret = [](const WireClient::Streamed& answer) {
    return (answer.retrieved.SerializeAsString() + answer.done.SerializeAsString())
               .find(kSecretWord) != std::string::npos;
  };
  EXPECT_TRUE(has_secret(before)) << "the passage is found while it is there";
  v1::DeleteDocumentsRequest request;
  request.add_document_ids("lighthouse.md");
  uint64_t deleted = 0;
  ASSERT_TRUE(wire_->Delete(request, &deleted).ok());
  EXPECT_EQ(deleted, 1u);
  const auto after = wire_->Ask(Question("Who keeps the lighthouse?"));
  ASSERT_TRUE(after.status.ok()) << after.status.error_message();
  EXPECT_FALSE(has_secret(after));
}

TEST_F(ServerE2e, AChatFollowsItsTurns) {
  v1::ChatRequest chat;
  const auto add = [&](v1::Turn::Role role, const char* text) {
    v1::Turn* turn = chat.add_turns();
    turn->set_role(role);
    turn->set_content(text);
  };
  add(v1::Turn::ROLE_USER, "When does the museum open?");
  add(v1::Turn::ROLE_ASSISTANT, "At nine in the morning.");
  add(v1::Turn::ROLE_USER, "And on which day is the museum closed?");
  chat.mutable_options()->set_max_tokens(32);
  const auto answer = wire_->Chat(chat);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.kinds.back(), 'd');
}

TEST_F(ServerE2e, HangingUpMidStreamFreesTheService) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(wire_->AskAndHangUp(Question("When does the museum open?", 2000), 2).error_code(),
            grpc::CANCELLED);
  const auto next = wire_->Ask(Question("When does the museum close?", 8));
  EXPECT_TRUE(next.status.ok()) << next.status.error_message();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::minutes(3));
}

TEST_F(ServerE2e, ADeadlineEndsTheCall) {
  const auto answer = wire_->Ask(Question("When does the museum open?"), milliseconds(2));
  EXPECT_EQ(answer.status.error_code(), grpc::DEADLINE_EXCEEDED) << answer.status.error_message();
}

TEST_F(ServerE2e, BadRequestsAreRefusedByCode) {
  v1::AskRequest elsewhere = Question("Anything?");
  elsewhere.mutable_options()->set_collection("nowhere");
  EXPECT_EQ(wire_->Ask(elsewhere).status.error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(wire_->Ask(Question(std::string(33 * 1024, 'x'))).status.error_code(),
            grpc::INVALID_ARGUMENT);
  v1::AskRequest filtered = Question("Anything?");
  filtered.mutable_options()->set_filter("year ==");
  EXPECT_EQ(wire_->Ask(filtered).status.error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(ServerE2e, ShutdownIsCleanWithAnAnswerUnderWay) {
  auto second = Server::Start(api_.get(), {.grpc_address = "127.0.0.1:0"});
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  WireClient client((*second)->address());
  // So hot a sampling all but never chooses the token that ends an answer.
  v1::AskRequest endless = Question("When does the museum open?", 3000);
  endless.mutable_options()->set_temperature(5);
  std::promise<void> begun;
  auto asking = std::async(std::launch::async, [&] {
    bool told = false;
    return client.Ask(endless, std::chrono::minutes(5), [&](const v1::AskEvent& event) {
      if (event.has_token() && !std::exchange(told, true)) begun.set_value();
    });
  });
  ASSERT_EQ(begun.get_future().wait_for(std::chrono::minutes(2)), std::future_status::ready);
  (*second)->Shutdown(milliseconds(100));
  const WireClient::Streamed answer = asking.get();
  EXPECT_FALSE(answer.status.ok()) << answer.text;
  EXPECT_FALSE(answer.text.empty());
  EXPECT_EQ(answer.kinds.find('d'), std::string::npos) << "it was not done";
  // What it left is in order: the engine is free for the next.
  EXPECT_TRUE(wire_->Ask(Question("When does the museum open?", 8)).status.ok());
}

}  // namespace
}  // namespace vade
