// The real command with real models, as a person uses it: ingest, search, ask, correct, delete,
// serve.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "service/endpoint.h"
#include "tests/service/cli_fixture.h"
#include "tests/testing/model_files.h"

namespace vade {
namespace {

using testing::ModelPath;
using testing::Process;

class CliE2e : public testing::CliTest {
 protected:
  // Loading models on a busy machine takes a while; repacked weights are kept for the whole run of
  // the tests.
  void SetUp() override {
    const std::string embedder = ModelPath("multilingual-e5-small-q4.gguf");
    const std::string decoder = ModelPath("smollm2-135m-instruct-q4_1.gguf");
    if (embedder.empty() || decoder.empty()) {
      GTEST_SKIP() << "multilingual-e5-small or SmolLM2 is not here (scripts/fetch-models --tests)";
    }
    // Folders of links, so that no other model of the machine is taken.
    ASSERT_TRUE(MakeDirectories(dir_.File("models")).ok());
    for (const std::string& path : {embedder, decoder}) {
      std::filesystem::create_symlink(std::filesystem::absolute(path),
                                      dir_.File("models/" + BaseName(path)));
    }
    if (packed_ == nullptr) packed_ = std::make_unique<testing::TempDir>();
    environment_["XDG_CACHE_HOME"] = packed_->path();
    dir_.Write("docs/handbook/leave.md",
               "# Leave\n\nEveryone has thirty days of paid leave a year. Leave is asked for two "
               "weeks ahead.\n");
    dir_.Write(
        "docs/museum.md",
        "# Opening hours\n\nThe museum opens at nine in the morning. It is closed on Mondays.\n");
    dir_.Write("docs/zh.md", "# 假期\n\n每位员工每年有三十天带薪假期。请提前两周申请。\n");
    dir_.Write("docs/broken.txt", std::string("\x7f"
                                              "ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0>\0\1\0\0\0",
                                              24));
  }
  static void TearDownTestSuite() { packed_.reset(); }

  void Ingest() { ASSERT_EQ(RunJson({"ingest", dir_.File("docs")})["created"], 3); }

  // A service that lets every answer through: so small a model is rarely sure.
  Process ServeAll() {
    const std::string config = dir_.Write("vade.conf", "answer.min_confidence = 0\n");
    return Start({"serve", "--grpc", "127.0.0.1:0", "--config", config});
  }
  // Once it serves.
  std::string AddressOf(Process& serve) {
    EXPECT_TRUE(serve.WaitForOutput("listening on ", kPatience)) << serve.err();
    return ReadEndpoint(data()).value_or("");
  }

  static std::string FirstDocument(const Json& found) {
    return found["hits"].empty() ? "" : found["hits"][0]["document_id"].get<std::string>();
  }

  static std::unique_ptr<testing::TempDir> packed_;
};

std::unique_ptr<testing::TempDir> CliE2e::packed_;

TEST_F(CliE2e, AFolderIsIngestedOnceAndABadFileIsReported) {
  const Ran ran = Run({"ingest", dir_.File("docs"), "--json"});
  EXPECT_EQ(ran.status, 0) << ran.Shown();
  const Json first = Object(ran);
  EXPECT_EQ(first["created"], 3) << ran.Shown();
  EXPECT_EQ(first["failed"], 1);
  ASSERT_EQ(first["errors"].size(), 1u);
  EXPECT_NE(first["errors"][0]["source"].get<std::string>().find("broken.txt"), std::string::npos);
  EXPECT_FALSE(first["errors"][0]["reason"].get<std::string>().empty());
  const Json second = RunJson({"ingest", dir_.File("docs")});
  EXPECT_EQ(second["unchanged"], 3);
  EXPECT_EQ(second["created"], 0);
  EXPECT_EQ(second["passages"], 0);
  EXPECT_TRUE(RunJson({"verify"})["problems"].empty());
}

TEST_F(CliE2e, QuestionsInTwoLanguagesFindTheirDocument) {
  Ingest();
  EXPECT_EQ(FirstDocument(RunJson({"search", "When does the museum open?"})), "museum.md");
  EXPECT_EQ(FirstDocument(RunJson({"search", "带薪假期有几天?"})), "zh.md");
  const Json found = RunJson({"search", "How long is paid leave?", "-k", "2"});
  EXPECT_EQ(found["hits"].size(), 2u);
  EXPECT_EQ(FirstDocument(found), "handbook/leave.md");
  EXPECT_GT(found["timings_ms"]["embed"], 0.0);
}

TEST_F(CliE2e, AnAnswersCitationsQuoteTheirDocumentsWordForWord) {
  Ingest();
  Process serve = ServeAll();
  const std::string address = AddressOf(serve);
  const std::vector<std::string> ask = {
      "ask", "When does the museum open?", "--max-tokens", "48", "--server", address};
  const Json reply = RunJson(ask);
  const std::string answer = reply["answer"];
  EXPECT_FALSE(answer.empty());
  EXPECT_EQ(reply["passages"].size() >= 1, true);
  EXPECT_FALSE(reply["abstained"]) << reply.dump();
  EXPECT_GT(reply["usage"]["completion_tokens"], 0);
  EXPECT_GT(reply["timings_ms"]["first_token"], 0.0);
  EXPECT_GE(reply["citations"].size(), 1u) << reply.dump();
  for (const Json& citation : reply["citations"]) {
    const std::string text =
        RunJson({"docs", "show", citation["document_id"], "--server", address})["text"];
    const size_t begin = citation["source_begin"], end = citation["source_end"];
    ASSERT_LE(begin, end);
    ASSERT_LE(end, text.size());
    EXPECT_EQ(text.substr(begin, end - begin), citation["quote"]);
    EXPECT_LE(citation["answer_begin"], citation["answer_end"]);
    EXPECT_LE(citation["answer_end"], answer.size());
  }
  EXPECT_EQ(RunJson(ask)["answer"], reply["answer"]);  // greedy: the same bytes
}

TEST_F(CliE2e, ACorrectionIsSeenByTheNextSearchAndADeletionHidesTheText) {
  Ingest();
  const Json put = RunJson({"docs", "put", "handbook/leave.md", "-"},
                           "# Leave\n\nSince May everyone has forty days of paid leave a year.\n");
  EXPECT_EQ(put["outcome"], "updated");
  EXPECT_EQ(put["revision"], 2);
  const Json found = RunJson({"search", "days of paid leave", "-k", "10"});
  EXPECT_NE(found["hits"][0]["text"].get<std::string>().find("forty days"), std::string::npos);
  EXPECT_EQ(found.dump().find("thirty days"), std::string::npos);
  EXPECT_EQ(RunJson({"docs", "delete", "handbook/leave.md"})["deleted"], 1);
  EXPECT_EQ(RunJson({"search", "days of paid leave", "-k", "10"}).dump().find("forty days"),
            std::string::npos);
  EXPECT_TRUE(Run({"docs", "show", "handbook/leave.md"}).FailedInOneLine());
}

TEST_F(CliE2e, AServiceIsFoundAndItsDeathIsSurvived) {
  Ingest();
  Process serve = Start({"serve", "--grpc", "127.0.0.1:0"});
  ASSERT_TRUE(serve.WaitForOutput("listening on 127.0.0.1:", kPatience)) << serve.err();
  const std::string line = serve.out();
  const std::string address = line.substr(line.find("127"), line.find('\n') - line.find("127"));

  EXPECT_EQ(FirstDocument(RunJson({"search", "museum", "--server", address})), "museum.md");
  const Ran found = Run({"search", "museum", "--json"});
  EXPECT_EQ(found.status, 0) << found.Shown();
  EXPECT_TRUE(found.Says("talking to it at " + address)) << found.Shown();
  EXPECT_EQ(FirstDocument(Object(found)), "museum.md");
  EXPECT_EQ(RunJson({"ask", "When does the museum open?", "--max-tokens", "16", "--server",
                     address})["passages"]
                .empty(),
            false);

  serve.Signal(SIGKILL);
  ASSERT_TRUE(serve.Wait(kPatience).has_value());
  EXPECT_TRUE(FileExists(dir_.File("data/endpoint")));  // it had no time to take it away
  const Ran after = Run({"search", "museum", "--json"});
  EXPECT_EQ(after.status, 0) << after.Shown();
  EXPECT_TRUE(after.err.empty()) << after.Shown();
  EXPECT_EQ(FirstDocument(Object(after)), "museum.md");
  EXPECT_FALSE(FileExists(dir_.File("data/endpoint")));
}

TEST_F(CliE2e, AServiceEndsCleanlyAndTakesItsAddressAway) {
  Process serve = Start({"serve", "--grpc", "127.0.0.1:0"});
  ASSERT_TRUE(serve.WaitForOutput("listening on ", kPatience)) << serve.err();
  EXPECT_TRUE(FileExists(dir_.File("data/endpoint")));
  serve.Signal(SIGTERM);
  EXPECT_EQ(serve.Wait(kPatience), 0) << serve.err();
  EXPECT_FALSE(FileExists(dir_.File("data/endpoint")));
}

TEST_F(CliE2e, AnInterruptedAnswerEndsPromptly) {
  Ingest();
  Process ask = Start({"ask", "Tell all about the museum and about leave.", "--max-tokens", "4000",
                       "--temperature", "5", "-v"});
  ask.CloseInput();
  ASSERT_TRUE(ask.WaitForError("loading the decoder", kPatience)) << ask.err();
  ask.Signal(SIGINT);
  EXPECT_EQ(ask.Wait(std::chrono::seconds(15)), 1) << ask.out() << ask.err();
}

TEST_F(CliE2e, AConversationRemembersAndEndsWithItsInput) {
  Ingest();
  const Ran ran = Run({"chat", "--json", "--max-tokens", "24"},
                      "When does the museum open?\nOn which day is it closed?\n");
  EXPECT_EQ(ran.status, 0) << ran.Shown();
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2) << ran.Shown();
}

TEST_F(CliE2e, TheDoctorFindsNothingMissing) {
  Ingest();
  const Ran ran = Run({"doctor", "--json"});
  const Json json = Object(ran);
  ASSERT_TRUE(json.is_object()) << ran.Shown();
  EXPECT_EQ(json["data"]["state"], "ok");
  EXPECT_EQ(json["data"]["documents"], 3);
  EXPECT_EQ(json["embedder"], dir_.File("models/multilingual-e5-small-q4.gguf"));
  EXPECT_EQ(json["decoder"], dir_.File("models/smollm2-135m-instruct-q4_1.gguf"));
  EXPECT_EQ(json["problems"].dump().find("fetch-models"), std::string::npos) << ran.Shown();
}

TEST_F(CliE2e, TheBenchesPrintWhatMeasurementsRead) {
  const Json decode = RunJson({"bench", "decode", "--tokens", "4", "--repeat", "1"});
  for (const char* field : {"model", "threads", "level", "tokens_per_second", "bandwidth_share"}) {
    EXPECT_TRUE(decode.contains(field)) << field;
  }
  EXPECT_GT(RunJson({"bench", "prefill", "--tokens", "16", "--repeat", "1"})["tokens_per_second"],
            0.0);
  const Json embed = RunJson({"bench", "embed", "--tokens", "32", "--batch", "2", "--repeat", "1"});
  EXPECT_GT(embed["tokens_per_second"], 0.0);
  EXPECT_GT(embed["passages_per_second"], 0.0);
  const Json search =
      RunJson({"bench", "search", "--vectors", "1000", "--kind", "flat", "--repeat", "1"});
  EXPECT_EQ(search["kind"], "flat");
  EXPECT_GT(search["recall@10"], 0.95);
}

}  // namespace
}  // namespace vade
