// The real command, speaking to a service.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "service/endpoint.h"
#include "tests/service/cli_fixture.h"
#include "tests/service/service_fixture.h"

namespace vade {
namespace {

using testing::CliTest;
using testing::Process;
using testing::ServedFake;

class CliServed : public CliTest {
 protected:
  Ran RunServed(std::vector<std::string> arguments, std::string_view input = "") {
    arguments.insert(arguments.end(), {"--server", served_.server->address()});
    return Run(arguments, input);
  }
  Json RunServedJson(std::vector<std::string> arguments, std::string_view input = "") {
    arguments.insert(arguments.end(), {"--server", served_.server->address()});
    return RunJson(arguments, input);
  }
  // Each step of the decoder takes long, so that an answer is under way when a signal comes.
  void MakeAnswersSlow() {
    served_.decoder->BeforeForward([](std::span<const ForwardItem>) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      return OkStatus();
    });
  }

  ServedFake served_;
};

TEST_F(CliServed, ADocumentIsPutFoundShownCorrectedAndDeleted) {
  EXPECT_EQ(
      RunServedJson({"docs", "put", "leave.md", "-", "--title", "Leave", "--meta", "year=2026",
                     "--meta", "final=true", "--meta", "tags=a|b", "--meta", "by=Marit"},
                    testing::kLeaveText)["outcome"],
      "created");
  const Json shown = RunServedJson({"docs", "show", "leave.md"});
  EXPECT_EQ(shown["metadata"],
            Json({{"year", 2026.0}, {"final", true}, {"tags", {"a", "b"}}, {"by", "Marit"}}));
  const Json found = RunServedJson({"search", "paid leave"});
  ASSERT_FALSE(found["hits"].empty());
  const Json hit = found["hits"][0];
  const std::string text = shown["text"];
  EXPECT_EQ(hit["document_id"], "leave.md");
  EXPECT_EQ(hit["text"],
            text.substr(hit["begin"], hit["end"].get<size_t>() - hit["begin"].get<size_t>()));
  EXPECT_TRUE(hit["passage_id"].is_string());

  EXPECT_EQ(RunServedJson({"docs", "put", "leave.md", "-"}, "Paid leave is forty days.")["outcome"],
            "updated");
  EXPECT_EQ(RunServedJson({"search", "paid leave"})["hits"][0]["text"],
            "Paid leave is forty days.");
  EXPECT_EQ(RunServedJson({"docs", "delete", "leave.md"})["deleted"], 1);
  EXPECT_TRUE(RunServedJson({"search", "paid leave"})["hits"].empty());
  EXPECT_EQ(RunServed({"search", "paid leave"}).out, "nothing was found\n");
}

TEST_F(CliServed, AnAnswerHasItsSources) {
  ASSERT_EQ(RunServed({"docs", "put", "leave.md", "-"}, testing::kLeaveText).status, 0);
  const Json json = RunServedJson({"ask", "How many days of paid leave?"});
  EXPECT_EQ(json["answer"], "Everyone has thirty days of paid leave a year.");
  EXPECT_FALSE(json["abstained"]);
  ASSERT_FALSE(json["citations"].empty()) << json.dump();
  for (const char* stage : {"embed", "search", "rerank", "prefill", "first_token", "total"}) {
    EXPECT_TRUE(json["timings_ms"].contains(stage)) << stage;
  }
  const Ran ran = RunServed({"ask", "How many days of paid leave?"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_NE(ran.out.find("Everyone has thirty days of paid leave a year.[1]"), std::string::npos)
      << ran.Shown();
  EXPECT_NE(ran.out.find("  [1] Leave (leave.md, bytes "), std::string::npos) << ran.Shown();
}

TEST_F(CliServed, AQuestionIsSearchedForWithThoseBeforeIt) {
  ASSERT_EQ(RunServed({"docs", "put", "leave.md", "-"}, testing::kLeaveText).status, 0);
  const auto wordings = [&] { return served_.store->last_search().wordings; };
  const Json found =
      RunServedJson({"search", "--earlier", "paid leave", "--earlier", "helmets", "and how many?"});
  EXPECT_FALSE(found["hits"].empty());
  ASSERT_EQ(wordings().size(), 2u);
  EXPECT_EQ(wordings()[1].question, "and how many? helmets paid leave");

  ASSERT_EQ(RunServed({"chat", "--json"}, "paid leave?\nand how many?\n").status, 0);
  ASSERT_EQ(wordings().size(), 1u);
  EXPECT_EQ(wordings()[0].question, "and how many? paid leave?");
  ASSERT_EQ(RunServed({"chat", "--json", "--as-asked"}, "paid leave?\nand how many?\n").status, 0);
  EXPECT_TRUE(wordings().empty());
}

// The decoder's word has a logit of 10, every other one 0.
TEST_F(CliServed, PenaltiesAndCutsReachTheModel) {
  ASSERT_EQ(RunServed({"docs", "put", "leave.md", "-"}, testing::kLeaveText).status, 0);
  const std::string answer = "Everyone has thirty days of paid leave a year.";
  const auto said = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"ask", "How many days of paid leave?"});
    return RunServedJson(flags)["answer"].get<std::string>();
  };
  EXPECT_EQ(said({"--presence-penalty", "-2", "--frequency-penalty", "-0.5"}), answer);
  EXPECT_NE(said({"--presence-penalty", "2", "--frequency-penalty", "2"}), answer);
  EXPECT_EQ(said({"--frequency-penalty", "1"}), answer);  // eight spaces: 10 - 7 is enough
  EXPECT_NE(said({"--frequency-penalty", "1", "--repetition-penalty", "8"}), answer);
  EXPECT_NE(said({"--temperature", "5", "--seed", "1"}), answer);
  EXPECT_EQ(said({"--temperature", "5", "--seed", "1", "--top-k", "1"}), answer);
  EXPECT_EQ(said({"--temperature", "5", "--seed", "1", "--min-p", "0.5"}), answer);
  const Ran chat = RunServed(
      {"chat", "--json", "--presence-penalty", "2", "--frequency-penalty", "2"}, "paid leave?\n");
  ASSERT_TRUE(Object(chat).is_object()) << chat.Shown();
  EXPECT_NE(Object(chat)["answer"], answer);
}

TEST_F(CliServed, AConversationIsOneObjectAQuestionAndAFailureDoesNotEndIt) {
  ASSERT_EQ(RunServed({"docs", "put", "leave.md", "-"}, testing::kLeaveText).status, 0);
  const std::string enormous(kMaxQuestionBytes + 1, 'x');
  const Ran ran =
      RunServed({"chat", "--json"}, "paid leave?\n\n" + enormous + "\n/new\npaid leave again?");
  EXPECT_EQ(ran.status, 0) << ran.Shown();
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2) << ran.Shown();
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.Shown();
  EXPECT_EQ(RunServed({"chat"}, "/quit\npaid leave?\n").out, "");
}

// A request may have a thousand turns; a conversation may go on.
TEST_F(CliServed, AConversationOutlivesAThousandTurns) {
  ASSERT_EQ(RunServed({"docs", "put", "leave.md", "-"}, testing::kLeaveText).status, 0);
  std::string questions;
  for (int i = 0; i < 502; ++i) questions += "paid leave?\n";
  const Ran ran = RunServed({"chat", "--json", "--max-tokens", "1"}, questions);
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 502);
  EXPECT_EQ(ran.err, "");
}

TEST_F(CliServed, AFolderIsIngestedThroughTheServiceAndABadFileIsReported) {
  dir_.Write("docs/leave.md", testing::kLeaveText);
  dir_.Write("docs/quay.md", testing::kQuayText);
  dir_.Write("docs/picture.txt", std::string("\x89PNG\0\0\0\0\x1a\0\0\xff\xd8\0\0", 15));
  const Json first = RunServedJson({"ingest", dir_.File("docs")});
  EXPECT_EQ(first["created"], 2);
  EXPECT_EQ(first["failed"], 1);
  ASSERT_EQ(first["errors"].size(), 1u);
  EXPECT_NE(first["errors"][0]["source"].get<std::string>().find("picture.txt"), std::string::npos);
  EXPECT_EQ(RunServedJson({"ingest", dir_.File("docs")})["unchanged"], 2);
}

TEST_F(CliServed, AnUnknownCollectionIsNamed) {
  ExpectFailure({"ask", "q", "--server", served_.server->address()},
                {"'default'", served_.server->address(), "vade ingest PATH"});
}

TEST_F(CliServed, ADirectoryThatAServiceHasOpenLeadsToTheService) {
  const auto store = MakeStore();  // holds the lock, as the service's process would
  ASSERT_EQ(RunServed({"docs", "put", "served.md", "-"}, testing::kLeaveText).status, 0);
  const auto endpoint = EndpointFile::Write(data(), served_.server->address());
  ASSERT_TRUE(endpoint.ok());
  const Ran ran = Run({"docs", "list"});
  EXPECT_EQ(ran.status, 0) << ran.Shown();
  EXPECT_NE(ran.out.find("served.md"), std::string::npos) << ran.Shown();
  EXPECT_TRUE(ran.Says("talking to it at " + served_.server->address())) << ran.Shown();
  EXPECT_TRUE(Object(Run({"docs", "list", "--json"})).is_object());
  ExpectFailure({"verify"}, {"in use"});  // needs the files themselves
}

TEST_F(CliServed, OptionsThatAreTheServicesOwnAreRefused) {
  const auto store = MakeStore();
  const auto endpoint = EndpointFile::Write(data(), served_.server->address());
  ASSERT_TRUE(endpoint.ok());
  for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{
           {"--model", "m"}, {"--embedder", "e"}, {"--threads", "1"}, {"--level", "scalar"}}) {
    const std::string expected = option + " is the service's own; leave it out";
    ExpectFailure({"ask", "q", "--server", served_.server->address(), option, value}, {expected});
    ExpectFailure({"docs", "list", option, value}, {expected});
  }
}

TEST_F(CliServed, AnInterruptedAnswerEndsPromptly) {
  ASSERT_EQ(RunServed({"docs", "put", "leave.md", "-"}, testing::kLeaveText).status, 0);
  MakeAnswersSlow();
  Process ask = Start({"ask", "paid leave?", "--server", served_.server->address()});
  ASSERT_TRUE(ask.WaitForOutput("E", kPatience)) << ask.err();
  ask.Signal(SIGINT);
  EXPECT_EQ(ask.Wait(std::chrono::seconds(20)), 1) << ask.err();
  const std::string err = ask.err();
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  EXPECT_EQ(ask.out().back(), '\n');
}

TEST_F(CliServed, AConversationThatWaitsForItsNextQuestionEndsWithCtrlC) {
  ASSERT_EQ(RunServed({"docs", "put", "leave.md", "-"}, testing::kLeaveText).status, 0);
  Process chat = Start({"chat", "--server", served_.server->address()});
  chat.Write("paid leave?\n");
  ASSERT_TRUE(chat.WaitForError("tokens in", kPatience)) << chat.err();
  chat.Signal(SIGINT);
  EXPECT_EQ(chat.Wait(std::chrono::seconds(20)), 0) << chat.err();
}

TEST_F(CliServed, AConversationInTheMiddleOfAnAnswerEndsWithCtrlC) {
  ASSERT_EQ(RunServed({"docs", "put", "leave.md", "-"}, testing::kLeaveText).status, 0);
  MakeAnswersSlow();
  Process chat = Start({"chat", "--server", served_.server->address()});
  chat.Write("paid leave?\n");
  ASSERT_TRUE(chat.WaitForOutput("E", kPatience)) << chat.err();
  chat.Signal(SIGINT);
  EXPECT_EQ(chat.Wait(std::chrono::seconds(20)), 0) << chat.err();
}

TEST_F(CliServed, AnEvaluationRunsThroughAService) {
  dir_.Write(
      "set/passages.jsonl",
      "{\"id\":\"leave\",\"title\":\"Leave\",\"text\":\"Everyone has thirty days of paid "
      "leave a year.\",\"lang\":\"en\"}\n{\"id\":\"quay\",\"text\":\"Helmets are worn.\"}\n");
  dir_.Write("set/qa.jsonl",
             "{\"id\":\"q\",\"question\":\"How many days of paid leave?\",\"answers\":[\"thirty "
             "days\"],\"passage_id\":\"leave\",\"lang\":\"en\"}\n");
  const Json retrieval = RunServedJson({"eval", "retrieval", dir_.File("set")});
  EXPECT_EQ(retrieval["queries"], 1);
  EXPECT_EQ(retrieval["recall@1"], 1.0);
  const std::string old = dir_.Write("old.json", "{\"contains\":0.25}");
  const Ran ran =
      RunServed({"eval", "answers", dir_.File("set"), "--json", "--report", dir_.File("r.html"),
                 "--records", dir_.File("r.jsonl"), "--against", old});
  EXPECT_EQ(ran.status, 0) << ran.Shown();
  const Json answers = Object(ran);
  EXPECT_EQ(answers["contains"], 1.0) << ran.Shown();
  EXPECT_EQ(answers["citation_precision"], 1.0) << ran.Shown();
  EXPECT_EQ(answers["citation_recall"], 1.0) << ran.Shown();
  EXPECT_TRUE(ran.Says("contains: 0.25 -> 1.0  (+0.7500)")) << ran.Shown();
  EXPECT_TRUE(FileExists(dir_.File("r.html")));
  const auto lines = ReadFile(dir_.File("r.jsonl"), 4096);
  ASSERT_TRUE(lines.ok()) << lines.status().message();
  const Json record = Json::parse(*lines, nullptr, false);
  EXPECT_EQ(record.value("id", ""), "q");
  EXPECT_EQ(record.value("contains", 0.0), 1.0);
  EXPECT_EQ(record.value("gold_rank", 0), 1);
}

}  // namespace
}  // namespace vade
