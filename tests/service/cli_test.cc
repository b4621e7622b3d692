// The `vade` command without models: usage, errors, what it prints; in its own process and through
// a service.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "index/index.h"
#include "kernels/kernels.h"
#include "model/cuda_library.h"
#include "service/cli_session.h"
#include "service/endpoint.h"
#include "service/limits.h"
#include "service/serve.h"
#include "tests/service/cli_fixture.h"
#include "tests/service/service_fixture.h"

namespace vade {
namespace {

using testing::CliTest;
using testing::Process;
using testing::ServedFake;

class Cli : public CliTest {
 protected:
  void ExpectUsage(const std::vector<std::string>& arguments, const std::string& names) {
    const Ran ran = Run(arguments);
    EXPECT_EQ(ran.status, 2) << ran.Shown();
    EXPECT_TRUE(ran.out.empty()) << ran.Shown();
    EXPECT_TRUE(ran.Says(names)) << "'" << names << "' is not in\n" << ran.Shown();
  }

  void ExpectFailure(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& names) {
    const Ran ran = Run(arguments);
    EXPECT_TRUE(ran.FailedInOneLine()) << ran.Shown();
    for (const std::string& name : names) {
      EXPECT_TRUE(ran.Says(name)) << "'" << name << "' is not in\n" << ran.Shown();
    }
  }

  // A store in the data directory with one document in "default", as if an embedder had been there.
  std::unique_ptr<Store> MakeStore() {
    auto store = OpenStore(data(), {});
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    if (!store.ok()) return nullptr;
    CollectionInfo collection;
    collection.name = "default";
    collection.embedder_id = "hashing-4";
    collection.dimension = 4;
    EXPECT_TRUE((*store)->CreateCollection(collection).ok());
    DocumentInfo info;
    info.id = "leave.md";
    info.title = "Leave";
    info.source = "docs/leave.md";
    auto writer = (*store)->BeginDocument("default", info);
    EXPECT_TRUE(writer.ok());
    Passage passage;
    passage.end = 12;
    const float vector[4] = {1, 0, 0, 0};
    EXPECT_TRUE((*writer)->AddText("Thirty days.").ok());
    EXPECT_TRUE((*writer)->AddPassages({&passage, 1}, vector).ok());
    EXPECT_TRUE((*writer)->Commit({}).ok());
    return std::move(store).value();
  }
};

// --- usage
// ------------------------------------------------------------------------------------------------

TEST_F(Cli, HelpNamesEveryCommand) {
  const Ran ran = Run({"--help"});
  EXPECT_EQ(ran.status, 0);
  for (const char* command :
       {"serve", "ingest", "search", "ask", "chat", "docs", "collections", "models", "verify",
        "export", "import", "eval", "bench", "doctor", "version"}) {
    EXPECT_NE(ran.out.find(std::string("\n  ") + command), std::string::npos) << command;
  }
  EXPECT_TRUE(ran.err.empty());
}

TEST_F(Cli, TheVersionIsOneLineOrOneObject) {
  const Ran ran = Run({"version"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out.rfind("vade ", 0), 0u);
  EXPECT_TRUE(RunJson({"version"})["version"].is_string());
}

TEST_F(Cli, UsageErrorsExitWithTwo) {
  ExpectUsage({}, "subcommand");
  ExpectUsage({"frobnicate"}, "frobnicate");
  ExpectUsage({"ask"}, "question");
  ExpectUsage({"docs"}, "subcommand");
  ExpectUsage({"docs", "list", "--nonsense"}, "nonsense");
  ExpectUsage({"docs", "list", "--limit", "0"}, "--limit");
  ExpectUsage({"search", "q", "-k", "0"}, "-k");
  ExpectUsage({"search", "q", "-k", "many"}, "-k");
  ExpectUsage({"ask", "q", "-k", "101"}, "-k");
  ExpectUsage({"ask", "q", "--mode", "guess"}, "direct");
  ExpectUsage({"ask", "q", "--max-tokens", "0"}, "--max-tokens");
  ExpectUsage({"ask", "q", "--top-p", "0"}, "--top-p");
  ExpectUsage({"ask", "q", "--top-p", "1.1"}, "--top-p");
  ExpectUsage({"ask", "q", "--top-p", "nan"}, "--top-p");
  ExpectUsage({"ask", "q", "--top-k", "-1"}, "--top-k");
  ExpectUsage({"ask", "q", "--min-p", "1.1"}, "--min-p");
  ExpectUsage({"chat", "--repetition-penalty", "0"}, "--repetition-penalty");
  ExpectUsage({"ask", "q", "--presence-penalty", "-2.1"}, "--presence-penalty");
  ExpectUsage({"chat", "--frequency-penalty", "2.1"}, "--frequency-penalty");
  ExpectUsage({"--threads", "-1", "docs", "list"}, "--threads");
  ExpectUsage({"bench", "decode", "--depth", "2147483647"}, "--depth");
}

TEST_F(Cli, AnUnknownLevelIsUsageAndOneThatTheProcessorLacksIsAFailure) {
  ExpectUsage({"--level", "sse9", "version"}, "amx");
  for (const char* name : {"avx2", "avx512", "amx"}) {
    if (kernels::LevelSupported(*kernels::ParseLevel(name))) continue;
    ExpectFailure({"--level", name, "collections", "list"}, {name, "vade doctor"});
  }
}

TEST_F(Cli, WhatIsNotInThisVersionIsRefusedInOneLine) {
  MakeStore().reset();
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"ask", "q", "--mode", "cot"},
                                             {"models", "quantize", "a", "b", "q4_0"},
                                             {"bench", "ask", "x"},
                                             {"serve", "--http", "127.0.0.1:0"}}) {
    const Ran ran = Run(arguments);
    EXPECT_TRUE(ran.FailedInOneLine()) << arguments[0] << " " << arguments[1] << "\n"
                                       << ran.Shown();
    EXPECT_TRUE(ran.Says("in this version") || ran.Says("supported yet")) << ran.Shown();
  }
}

TEST_F(Cli, WithoutAGpuTheProcessorIsUsedAndDoctorSaysWhy) {
  if (OpenCudaBackend({}).ok()) GTEST_SKIP() << "this machine has a GPU";
  MakeStore().reset();
  const Ran looked = Run({"doctor", "--json"});
  EXPECT_NE(looked.out.find("\"gpu\":{\"found\":false,\"why_not\":"), std::string::npos)
      << looked.Shown();
  const Ran examined = Run({"doctor", "--gpu"});
  EXPECT_NE(examined.out.find("problem: no GPU: "), std::string::npos) << examined.Shown();
  EXPECT_EQ(examined.status, 1);
  EXPECT_EQ(Run({"collections", "list", "--device", "tpu"}).status, 2);
}

// --- a directory without anything
// -------------------------------------------------------------------------

TEST_F(Cli, AnEmptyDirectorySaysHowToFillIt) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"ask", "How long is leave?"},
                                             {"search", "leave"},
                                             {"docs", "list"},
                                             {"docs", "show", "x"},
                                             {"docs", "delete", "x"}}) {
    ExpectFailure(arguments, {"'default'", data(), "vade ingest PATH"});
  }
}

TEST_F(Cli, AnEmptyDirectoryHasNoCollections) {
  EXPECT_EQ(RunJson({"collections", "list"}), Json({{"collections", Json::array()}}));
  EXPECT_EQ(Run({"collections", "list"}).out, "");
}

TEST_F(Cli, AMissingModelIsSaidWithTheCommandThatFetchesIt) {
  const std::string file = dir_.Write("a.md", "# A\n\nText.\n");
  ExpectFailure({"docs", "put", "a", file}, {"multilingual-e5-small", "scripts/fetch-models"});
  ExpectFailure({"ingest", file}, {"multilingual-e5-small", "scripts/fetch-models"});
  ExpectFailure({"collections", "create", "c"}, {"scripts/fetch-models"});
  MakeStore().reset();
  ExpectFailure({"search", "leave"}, {"multilingual-e5-small", "scripts/fetch-models"});
  ExpectFailure({"bench", "decode"}, {"scripts/fetch-models"});
  ExpectFailure({"bench", "embed"}, {"scripts/fetch-models"});
  ExpectFailure({"bench", "decode", "--model", "no-such-model"}, {"no-such-model"});
}

// --- a store, no models
// -----------------------------------------------------------------------------------

TEST_F(Cli, DocumentsAreListedAndShownWithoutAModel) {
  MakeStore().reset();
  EXPECT_EQ(Run({"docs", "list"}).out, "leave.md\tLeave\trevision 1\t1 passages\n");
  EXPECT_EQ(Run({"docs", "show", "leave.md"}).out, "Thirty days.\n");
  const Json list = RunJson({"docs", "list"});
  ASSERT_EQ(list["documents"].size(), 1u);
  EXPECT_EQ(list["documents"][0]["document_id"], "leave.md");
  EXPECT_EQ(list["documents"][0]["source"], "docs/leave.md");
  EXPECT_EQ(list["documents"][0]["passages"], 1);
  EXPECT_EQ(list["next"], "");
  EXPECT_EQ(RunJson({"docs", "show", "leave.md"})["text"], "Thirty days.");
  EXPECT_EQ(RunJson({"collections", "list"})["collections"][0]["documents"], 1);
  EXPECT_EQ(RunJson({"verify"})["problems"], Json::array());
}

TEST_F(Cli, VerifyNamesFilesOfKeptPassagesThatAreNoGoodAndRemovesThemWhenAskedTo) {
  MakeStore().reset();
  const Ran clean = Run({"verify"});
  EXPECT_EQ(clean.status, 0) << clean.Shown();
  EXPECT_NE(clean.out.find("0 files of kept passages, 0 bytes, 0 problems"), std::string::npos);
  dir_.Write("data/kv/weights/1/aa/1-bb.kv", "VADEKV01 and nothing else");
  const Ran found = Run({"verify"});
  EXPECT_EQ(found.status, 1);
  EXPECT_NE(found.out.find("problem: kept passage weights/1/aa/1-bb.kv: "), std::string::npos)
      << found.Shown();
  EXPECT_TRUE(found.Says("vade verify --repair")) << found.Shown();
  const Json repaired = RunJson({"verify", "--repair"});
  EXPECT_EQ(repaired["kept"]["files"], 1);
  EXPECT_EQ(repaired["kept"]["removed"], 1);
  EXPECT_EQ(RunJson({"verify"})["kept"]["files"], 0);
}

TEST_F(Cli, VerifyDoesNotSayThatItRemovedWhatIsStillThere) {
  MakeStore().reset();
  dir_.Write("data/kv/stray", "?");
  std::filesystem::create_symlink("nowhere", dir_.File("data/kv/link"));
  const Ran repaired = Run({"verify", "--repair"});
  EXPECT_EQ(repaired.status, 1) << repaired.Shown();
  EXPECT_NE(repaired.out.find("removed: kept passage stray: "), std::string::npos)
      << repaired.Shown();
  EXPECT_NE(repaired.out.find("problem: kept passage link: cannot examine"), std::string::npos)
      << repaired.Shown();
  EXPECT_TRUE(repaired.Says("1 files or folders of kept passages are no good and are still there"))
      << repaired.Shown();
}

TEST_F(Cli, DeletingNeedsNoModelAndSaysWhenThereWasNothing) {
  MakeStore().reset();
  ExpectFailure({"docs", "show", "nothing"}, {"nothing"});
  EXPECT_EQ(RunJson({"docs", "delete", "leave.md", "nothing"})["deleted"], 1);
  const Ran again = Run({"docs", "delete", "leave.md"});
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(again.Says("vade docs list"));
  EXPECT_EQ(Run({"docs", "list"}).out, "");
}

TEST_F(Cli, AnUnknownCollectionIsNamedWithThoseThatAre) {
  MakeStore().reset();
  ExpectFailure({"docs", "list", "--collection", "handbook"}, {"'handbook'", "there are default"});
  ExpectFailure({"search", "q", "--collection", "handbook"}, {"'handbook'", "there are default"});
  ExpectFailure({"collections", "delete", "handbook"}, {"handbook"});
  ExpectFailure({"docs", "list", "--collection", "../up"}, {"collection"});
}

TEST_F(Cli, OptionsMayStandBeforeOrBehindTheCommand) {
  MakeStore().reset();
  environment_["VADE_DATA"] = dir_.File("elsewhere");
  EXPECT_EQ(Run({"--data", data(), "docs", "list"}).out,
            Run({"docs", "list", "--data", data()}).out);
  EXPECT_EQ(Run({"docs", "list", "--data", data()}).status, 0);
}

TEST_F(Cli, ADirectoryInUseIsSaid) {
  const auto store = MakeStore();
  ExpectFailure({"docs", "list"}, {data(), "in use"});
}

TEST_F(Cli, ADataDirectoryThatIsAFileIsNamed) {
  const std::string file = dir_.Write("file", "x");
  ExpectFailure({"--data", file, "docs", "list"}, {file});
}

TEST_F(Cli, MetadataOfAPutIsChecked) {
  const std::string file = dir_.Write("a.md", "text");
  ExpectFailure({"docs", "put", "a", file, "--meta", "nonsense"}, {"KEY=VALUE"});
  ExpectFailure({"docs", "put", "a", dir_.File("missing.md")}, {"missing.md"});
}

// --- through a service
// ------------------------------------------------------------------------------------

class CliServed : public Cli {
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

TEST_F(Cli, AStaleEndpointIsIgnoredWhenTheDirectoryIsFree) {
  MakeStore().reset();
  dir_.Write("data/endpoint", "127.0.0.1:9\n");
  const Ran ran = Run({"docs", "list"});
  EXPECT_EQ(ran.status, 0) << ran.Shown();
  EXPECT_TRUE(ran.err.empty()) << ran.Shown();
  EXPECT_FALSE(FileExists(dir_.File("data/endpoint")));
}

TEST_F(Cli, ADirectoryInUseWhoseServiceDoesNotAnswerIsInUse) {
  const auto store = MakeStore();
  dir_.Write("data/endpoint", "127.0.0.1:9\n");
  ExpectFailure({"docs", "list"}, {data(), "in use"});
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

TEST_F(Cli, ABenchThatAsksOnOneThreadRefusesMore) {
  ExpectFailure({"bench", "search", "--vectors", "100", "--threads", "2"}, {"one thread"});
}

TEST_F(Cli, ACommandMakesNoSegmentsBesideItsWork) {
  CliSession session;
  EXPECT_FALSE(session.local_options().store.background);
  EXPECT_TRUE(ReadServeSettings({})->local.store.background);
}

TEST_F(Cli, AnErrorLineCannotSteerATerminal) {
  const std::string file = dir_.Write("fi\x1b[31mle", "x");
  const Ran ran = Run({"--data", file, "docs", "list"});
  EXPECT_TRUE(ran.FailedInOneLine()) << ran.Shown();
  EXPECT_TRUE(ran.Says("fi[31mle")) << ran.Shown();
  MakeStore().reset();
  ExpectFailure({"docs", "show",
                 "a\xc2\x9b"
                 "31m"},
                {"a31m"});
}

TEST_F(Cli, DeletingACollectionPrintsOneObject) {
  MakeStore().reset();
  EXPECT_EQ(RunJson({"collections", "delete", "default"}), Json({{"deleted", 1}}));
  MakeStore().reset();
  const Ran ran = Run({"collections", "delete", "default"});
  EXPECT_EQ(ran.status, 0) << ran.Shown();
  EXPECT_EQ(ran.out, "");
}

TEST_F(Cli, AServiceSaysWhereItListensAsALineOrAsOneObject) {
  for (const bool json : {false, true}) {
    std::vector<std::string> arguments = {"serve", "--grpc", "127.0.0.1:0"};
    if (json) arguments.push_back("--json");
    Process serve = Start(arguments);
    ASSERT_TRUE(serve.WaitForOutput("\n", kPatience)) << serve.err();
    const std::string address = ReadEndpoint(data()).value_or("nowhere");
    EXPECT_EQ(serve.out(),
              json ? "{\"listening\":\"" + address + "\"}\n" : "listening on " + address + "\n");
    serve.Signal(SIGTERM);
    EXPECT_EQ(serve.Wait(kPatience), 0) << serve.err();
  }
}

TEST_F(Cli, NobodyAtTheServerIsSaid) {
  ExpectFailure({"docs", "list", "--server", "127.0.0.1:9"}, {"127.0.0.1:9", "vade serve"});
  ExpectFailure({"docs", "list", "--server", "nonsense"}, {"HOST:PORT"});
  ExpectFailure({"verify", "--server", "127.0.0.1:9"}, {"leave --server out"});
  ExpectFailure({"serve", "--server", "127.0.0.1:9"}, {"leave --server out"});
  ExpectFailure({"doctor", "--server", "127.0.0.1:9"}, {"leave --server out"});
}

// --- Ctrl-C
// ---------------------------------------------------------------------------------------------------

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

// --- models, eval
// -----------------------------------------------------------------------------------------

TEST_F(Cli, TheModelsAreListedWithWhatIsThere) {
  dir_.Write("models/smollm2-135m-instruct-q4_1.gguf", "too short");
  const Json json = RunJson({"models", "list"});
  EXPECT_EQ(json["directory"], dir_.File("models"));
  std::map<std::string, Json> models;
  for (const Json& model : json["models"]) models[model["name"]] = model;
  EXPECT_EQ(models.at("smollm2-135m")["state"], "wrong size");
  EXPECT_EQ(models.at("multilingual-e5-small")["state"], "missing");
  EXPECT_EQ(models.at("multilingual-e5-small")["role"], "embedder");
  EXPECT_EQ(models.at("qwen2.5-coder-1.5b")["licence"], "Apache-2.0");
  EXPECT_EQ(models.at("qwen2.5-coder-1.5b")["bytes"], 1117320768);
  const Ran ran = Run({"models", "list"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_NE(ran.out.find("qwen2.5-coder-1.5b     decoder    1117 MB"), std::string::npos)
      << ran.out;
  EXPECT_NE(ran.out.find("scripts/fetch-models"), std::string::npos);
}

TEST_F(Cli, AWeightFileThatIsNoneIsRefused) {
  const std::string file = dir_.Write("x.gguf", "not a weight file at all, but long enough");
  ExpectFailure({"models", "inspect", file}, {file});
  ExpectFailure({"models", "inspect", dir_.File("missing.gguf")}, {"missing.gguf"});
  ExpectFailure({"models", "inspect", "smollm2-135m"}, {"scripts/fetch-models"});
  ExpectFailure({"models", "convert", file, dir_.File("out.gguf")}, {file});
  EXPECT_FALSE(FileExists(dir_.File("out.gguf")));
}

TEST_F(Cli, AnEvaluationOfNothingSaysWhatADatasetIs) {
  ExpectFailure({"eval", "retrieval", dir_.File("none")}, {"passages.jsonl"});
  dir_.Write("set/passages.jsonl", "{\"id\":\"p\",\"text\":\"t\"}\n");
  dir_.Write("set/qa.jsonl", "{\"id\":\"q\",\"question\":\"x\",\"passage_id\":\"p\"}\n");
  ExpectFailure({"eval", "answers", dir_.File("set")}, {"scripts/fetch-models"});
  ExpectFailure({"eval", "answers", dir_.File("set"), "--against", dir_.Write("old.json", "no")},
                {"old.json", "--json"});
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
