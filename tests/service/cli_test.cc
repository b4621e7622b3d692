// The `vade` command without models: usage, errors, what it prints; in its own process.
#include <gtest/gtest.h>

#include <filesystem>

#include "index/index.h"
#include "kernels/kernels.h"
#include "model/cuda_library.h"
#include "service/cli_session.h"
#include "service/endpoint.h"
#include "service/serve.h"
#include "tests/service/cli_fixture.h"

namespace vade {
namespace {

using testing::CliTest;
using testing::Process;

class Cli : public CliTest {};

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

}  // namespace
}  // namespace vade
