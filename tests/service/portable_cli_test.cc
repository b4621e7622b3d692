// `vade export` and `vade import`, the real command over a real store.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>

#include "base/strings.h"
#include "index/index.h"
#include "service/endpoint.h"
#include "tests/service/cli_fixture.h"
#include "tests/service/service_fixture.h"

namespace vade {
namespace {

using testing::CliTest;
using testing::Process;
using testing::ServedFake;

class PortableCli : public CliTest {
 protected:
  static constexpr float kVector[4] = {0.6f, 0, 0.8f, 0};

  static std::string TextOf(int i) { return StrCat("Document ", i, ". ", std::string(2000, 'x')); }

  static void Fill(Store* store, int documents) {
    ASSERT_TRUE(
        store->CreateCollection({.name = "default", .embedder_id = "e-1", .dimension = 4}).ok());
    for (int i = 0; i < documents; ++i) {
      DocumentInfo info;
      info.id = StrCat("d", i);
      info.content_hash = StrCat("hash-", i);
      auto writer = *store->BeginDocument("default", info);
      const std::string text = TextOf(i);
      Passage passage;
      passage.end = text.size();
      ASSERT_TRUE(writer->AddText(text).ok());
      ASSERT_TRUE(writer->AddPassages({&passage, 1}, kVector).ok());
      ASSERT_TRUE(writer->Commit({}).ok());
    }
  }
  static void ExpectWholeDocuments(Store* store) {
    const auto page = store->ListDocuments("default", {.limit = 1000});
    ASSERT_TRUE(page.ok());
    for (const DocumentInfo& info : page->documents) {
      const int i = static_cast<int>(*ParseInt(info.id.substr(1)));
      ASSERT_EQ(store->GetDocument("default", info.id)->text, TextOf(i));
      ASSERT_EQ(store->GetPassages("default", info.id, nullptr)->size(), 1u);
    }
  }
  void FillData(int documents) {
    auto store = OpenStore(data(), {});
    ASSERT_TRUE(store.ok());
    Fill(store->get(), documents);
  }
};

TEST_F(PortableCli, ACollectionGoesFromOneDirectoryToAnother) {
  FillData(3);
  const std::string file = dir_.File("all.vade");
  const Json exported = RunJson({"export", file});
  EXPECT_EQ(exported["documents"], 3);
  EXPECT_EQ(exported["passages"], 3);
  EXPECT_EQ(exported["file"], file);
  environment_["VADE_DATA"] = dir_.File("other");
  const Json imported = RunJson({"import", file});
  EXPECT_EQ(imported["created"], 3);
  EXPECT_EQ(imported["updated"], 0);
  EXPECT_EQ(RunJson({"docs", "show", "d1"})["text"], TextOf(1));
  EXPECT_EQ(RunJson({"collections", "list"})["collections"][0]["embedder"], "e-1");
  EXPECT_EQ(RunJson({"verify"})["problems"], Json::array());
  const Ran again = Run({"import", file});
  EXPECT_EQ(again.out.rfind("0 created, 0 updated, 3 unchanged; 0 passages in ", 0), 0u)
      << again.Shown();
  EXPECT_EQ(RunJson({"--collection", "second", "import", file})["created"], 3);
}

TEST_F(PortableCli, WhatCannotBeDoneIsSaidInOneLine) {
  FillData(1);
  const Ran missing = Run({"--collection", "hr", "export", dir_.File("x")});
  EXPECT_TRUE(missing.FailedInOneLine() && missing.Says("there are default")) << missing.Shown();
  const Ran none = Run({"import", dir_.Write("notes.md", "# Notes\n\nNo export.")});
  EXPECT_TRUE(none.FailedInOneLine() && none.Says("notes.md: this is no export")) << none.Shown();
  const Ran folder = Run({"export", dir_.path()});
  EXPECT_TRUE(folder.FailedInOneLine() && folder.Says("is a folder")) << folder.Shown();
  EXPECT_EQ(Run({"import"}).status, 2);
}

TEST_F(PortableCli, ADirectoryThatAServiceHasOpenIsExportedAndFilledThroughTheService) {
  ServedFake served;
  const auto store = OpenStore(data(), {});  // holds the lock, as the service's process would
  ASSERT_TRUE(store.ok());
  Fill(served.store, 2);
  const auto endpoint = EndpointFile::Write(data(), served.server->address());
  const std::string file = dir_.File("all.vade");
  const Ran exported = Run({"export", file});
  EXPECT_EQ(exported.status, 0) << exported.Shown();
  EXPECT_TRUE(exported.Says("talking to it at")) << exported.Shown();
  EXPECT_EQ(RunJson({"--collection", "copy", "import", file})["created"], 2);
  EXPECT_EQ(served.store->GetDocument("copy", "d1")->text, TextOf(1));
}

// Each round is killed a little later than the one before, until one comes to its end.
TEST_F(PortableCli, AKilledImportLeavesWholeDocumentsAndGoesOnFromThere) {
  constexpr int kDocuments = 400, kMostRounds = 500;
  FillData(kDocuments);
  const std::string file = dir_.File("all.vade");
  ASSERT_EQ(Run({"export", file}).status, 0);
  const std::string other = dir_.File("other");
  environment_["VADE_DATA"] = other;
  uint64_t before = 0;
  int killed = 0, in_the_middle = 0;
  for (; killed < kMostRounds; ++killed) {
    Process process = Start({"import", file});
    if (process.Wait(std::chrono::milliseconds(50 + 20 * killed))) break;
    process.Signal(SIGKILL);
    process.Wait(kPatience);
    auto store = OpenStore(other, {});
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    const auto collection = (*store)->GetCollection("default");
    if (!collection.ok()) continue;  // it had not come so far
    EXPECT_EQ(Join((*store)->Verify({})->problems, "\n"), "");
    EXPECT_GE(collection->document_count, before);
    before = collection->document_count;
    if (before > 0 && before < kDocuments) ++in_the_middle;
    ExpectWholeDocuments(store->get());
  }
  EXPECT_LT(killed, kMostRounds);
  std::printf("%d killed, %d of them in the middle\n", killed, in_the_middle);
  EXPECT_EQ(RunJson({"import", file})["unchanged"], kDocuments);
  EXPECT_EQ(RunJson({"verify"})["documents"], kDocuments);
}

}  // namespace
}  // namespace vade
