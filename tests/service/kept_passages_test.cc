// What is kept of passages stays in step with the documents, over the real store and real files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/strings.h"
#include "generator/block_files.h"
#include "index/index.h"
#include "service/change_follower.h"
#include "tests/service/service_fixture.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using testing::kLeaveText;
using testing::kQuayText;
using testing::MakeAsk;
using testing::MakePut;

class KeptPassages : public ::testing::Test {
 protected:
  KeptPassages() { Open(); }

  void Open() {
    api_.reset();
    LocalParts parts;
    auto store = OpenStore(dir_.File("data"), {});
    ASSERT_TRUE(store.ok()) << store.status().message();
    parts.store = *std::move(store);
    parts.embedder = std::make_unique<HashingEmbedder>();
    auto decoder = std::make_unique<testing::ScriptedDecoder>();
    decoder->Say("paid leave", "Everyone has thirty days of paid leave a year.");
    decoder->Say("", "None");
    parts.decoder = std::move(decoder);
    auto files = BlockFiles::Open({.directory = dir_.File("kv"), .min_free_bytes = 0});
    ASSERT_TRUE(files.ok());
    files_ = files->get();
    parts.block_files = *std::move(files);
    LocalOptions options = testing::OneThread();
    options.generator.passage_gap = 0;  // all that is found is read
    auto api = LocalApi::FromParts(std::move(parts), options);
    ASSERT_TRUE(api.ok()) << api.status().message();
    api_ = *std::move(api);
  }
  void Put(const std::string& id, const std::string& text) {
    ASSERT_TRUE(api_->PutDocument("default", MakePut(id, text), {}).ok());
  }
  Answer Ask(const std::string& question) {
    auto reply = api_->Ask(MakeAsk(question), {}, {});
    EXPECT_TRUE(reply.ok()) << reply.status().message();
    return reply.ok() ? reply->answer : Answer();
  }
  // Files of passages of documents; closes the Api first, so that all is written.
  size_t FilesOnDisk() {
    api_.reset();
    size_t files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.File("kv"))) {
      const std::string path = entry.path();
      if (path.ends_with(".kv") && path.find("/0/") == std::string::npos) ++files;
    }
    Open();
    return files;
  }
  // Whether the passage's words, as the decoder keeps them, stand in any file.
  bool AnyFileHolds(std::string_view words) {
    std::string ids;
    for (char c : words) ids += std::string{c, '\0', '\0', '\0'};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.File("kv"))) {
      if (!entry.is_regular_file()) continue;
      const auto bytes = ReadFile(entry.path(), 1 << 24);
      if (bytes.ok() && bytes->find(ids) != std::string::npos) return true;
    }
    return false;
  }

  testing::TempDir dir_;
  std::unique_ptr<LocalApi> api_;
  BlockFiles* files_ = nullptr;
};

TEST_F(KeptPassages, TheNextProcessReadsNoPassageAgain) {
  Put("leave.md", kLeaveText);
  EXPECT_FALSE(Ask("How much paid leave?").readings.at(0).kept);
  EXPECT_TRUE(Ask("How much paid leave?").readings.at(0).kept);
  EXPECT_EQ(FilesOnDisk(), 1u);
  EXPECT_TRUE(AnyFileHolds("thirty days")) << "the search for words in files finds them";
  const Answer answer = Ask("How much paid leave?");
  EXPECT_TRUE(answer.readings.at(0).kept);
  EXPECT_EQ(answer.text, "Everyone has thirty days of paid leave a year.");
}

TEST_F(KeptPassages, NothingIsLeftOfADocumentThatWasDeleted) {
  Put("leave.md", kLeaveText);
  Put("quay.md", kQuayText);
  Ask("How much paid leave?");
  EXPECT_EQ(FilesOnDisk(), 2u);
  ASSERT_TRUE(api_->DeleteDocuments("default", {"leave.md"}, {}).ok());
  EXPECT_FALSE(AnyFileHolds("thirty days"));
  EXPECT_EQ(FilesOnDisk(), 1u);
  for (const ReadingFact& reading : Ask("How much paid leave?").readings)
    EXPECT_NE(reading.document_id, "leave.md");
}

TEST_F(KeptPassages, ANewRevisionTakesTheOldOneAway) {
  Put("leave.md", kLeaveText);
  Ask("How much paid leave?");
  EXPECT_EQ(FilesOnDisk(), 1u);
  Put("leave.md", "# Leave\n\nEveryone has forty days of paid leave a year.\n");
  EXPECT_FALSE(AnyFileHolds("thirty days"));
  const Answer answer = Ask("How much paid leave?");
  EXPECT_FALSE(answer.readings.at(0).kept);
  EXPECT_EQ(FilesOnDisk(), 1u);
  EXPECT_TRUE(AnyFileHolds("forty days"));
}

TEST_F(KeptPassages, ACollectionTakesAllOfItsPassagesAlong) {
  Put("leave.md", kLeaveText);
  Ask("How much paid leave?");
  EXPECT_EQ(FilesOnDisk(), 1u);
  ASSERT_TRUE(api_->DeleteCollection("default", {}).ok());
  EXPECT_EQ(FilesOnDisk(), 0u);
}

TEST_F(KeptPassages, ADeleteThatDiedHalfWayIsFinishedAtOpen) {
  Put("leave.md", kLeaveText);
  Ask("How much paid leave?");
  EXPECT_EQ(FilesOnDisk(), 1u);
  ASSERT_TRUE(api_->store()
                  .DeleteDocuments("default", std::vector<std::string>{"leave.md"}, {})
                  .ok());  // not through the Api
  EXPECT_TRUE(AnyFileHolds("thirty days"));
  Open();
  EXPECT_FALSE(AnyFileHolds("thirty days"));
}

TEST_F(KeptPassages, VerifyFindsFilesOfWhatTheStoreHasNoMore) {
  Put("leave.md", kLeaveText);
  Put("quay.md", kQuayText);
  Ask("How much paid leave?");
  EXPECT_EQ(FilesOnDisk(), 2u);
  const auto verify = [&](BlockFiles::Repair repair) {
    auto report = api_->VerifyKeptFiles(repair, {});
    EXPECT_TRUE(report.ok()) << report.status().message();
    return report.ok() ? *report : KeptFilesReport();
  };
  const KeptFilesReport clean = verify(BlockFiles::Repair::kNothing);
  EXPECT_EQ(clean.files, 3u) << "two passages and the prefix";
  EXPECT_TRUE(clean.problems.empty());
  // As a copy of the folder that was put back would do.
  std::filesystem::copy(dir_.File("kv"), dir_.File("copy"),
                        std::filesystem::copy_options::recursive);
  Put("leave.md", "# Leave\n\nEveryone has forty days of paid leave a year.\n");
  ASSERT_TRUE(api_->DeleteDocuments("default", {"quay.md"}, {}).ok());
  EXPECT_TRUE(verify(BlockFiles::Repair::kNothing).problems.empty());
  std::filesystem::copy(
      dir_.File("copy"), dir_.File("kv"),
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::skip_existing);
  const KeptFilesReport stale = verify(BlockFiles::Repair::kRemove);
  ASSERT_EQ(stale.problems.size(), 2u);
  for (const KeptFileProblem& problem : stale.problems)
    EXPECT_NE(problem.line.find("it is stale"), std::string::npos) << problem.line;
  EXPECT_EQ(stale.removed(), 2u);
  EXPECT_FALSE(AnyFileHolds("thirty days"));
  EXPECT_TRUE(verify(BlockFiles::Repair::kNothing).problems.empty());
}

TEST_F(KeptPassages, AStoreThatWasRestoredFromAnEarlierCopyStartsAnew) {
  Put("leave.md", kLeaveText);
  Ask("How much paid leave?");
  files_->SetAppliedCommit(1000000);  // of changes that this store has never seen
  Open();
  EXPECT_EQ(FilesOnDisk(), 0u);
}

TEST_F(KeptPassages, WarmingReadsEveryPassageOnce) {
  Put("leave.md", kLeaveText);
  Put("quay.md", kQuayText);
  const auto first = api_->Warm("default", {});
  ASSERT_TRUE(first.ok()) << first.status().message();
  EXPECT_EQ(first->passages, 2u);
  EXPECT_EQ(first->read, 2u);
  EXPECT_TRUE(first->complete);
  EXPECT_EQ(api_->Warm("default", {})->read, 0u);
  for (const ReadingFact& reading : Ask("How much paid leave?").readings) EXPECT_TRUE(reading.kept);
  EXPECT_EQ(FilesOnDisk(), 2u);
  EXPECT_EQ(api_->Warm("default", {})->read, 0u);
  EXPECT_EQ(api_->Warm("nowhere", {}).status().code(), StatusCode::kNotFound);
}

// As where the process that deleted died before the notes went.
TEST_F(KeptPassages, NotesOfADeletedDocumentGoByTheChangeLog) {
  const std::string table = "|Port|Depth|\n|---|---|\n|Quay|14|\n";
  Put("gone.md", table);
  Put("again.md", table + "\nAgain.\n");
  api_.reset();
  auto notes = [](Store* store) {
    auto found = store->ListNotes("default", "t", "", 10);
    std::vector<std::string> keys;
    for (const StoreNote& note : *found) keys.push_back(note.key);
    return keys;
  };
  {
    auto store = OpenStore(dir_.File("data"), {});
    ASSERT_TRUE(store.ok());
    ASSERT_EQ(notes(store->get()), (std::vector<std::string>{"tagain.md", "tgone.md"}));
    ASSERT_TRUE((*store)->DeleteDocuments("default", std::vector<std::string>{"gone.md"}, {}).ok());
    ASSERT_EQ(notes(store->get()).size(), 2u);
  }
  auto store = OpenStore(dir_.File("data"), {});
  ASSERT_TRUE(store.ok());
  auto files = BlockFiles::Open({.directory = dir_.File("kv"), .min_free_bytes = 0});
  ASSERT_TRUE(files.ok());
  ASSERT_TRUE(ChangeFollower(store->get(), files->get()).CatchUp(nullptr).ok());
  EXPECT_EQ(notes(store->get()), (std::vector<std::string>{"tagain.md"}));
}

}  // namespace
}  // namespace vade
