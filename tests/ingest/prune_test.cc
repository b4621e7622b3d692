// What is remembered of files: those with the same bytes are not parsed again, and documents whose
// file has gone can go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "ingest/ingest.h"
#include "ingest/ledger.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/zip.h"

namespace vade {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MemoryStore;
using testing::TempDir;

class InStep : public ::testing::Test {
 protected:
  InStep() { options_.parser_path = VADE_PARSE_BINARY; }

  // "created updated unchanged duplicate failed renamed deleted"
  std::string Run(const std::vector<std::string>& paths) {
    auto report = Ingestor(&store_, &embedder_, options_).IngestPaths(paths, nullptr, Context());
    if (!report.ok()) return report.status().ToString();
    last_ = *report;
    return StrCat(report->created, " ", report->updated, " ", report->unchanged, " ",
                  report->duplicate, " ", report->failed, " ", report->renamed, " ",
                  report->deleted);
  }
  std::string Prune(const std::vector<std::string>& paths) {
    options_.prune = true;
    std::string outcome = Run(paths);
    options_.prune = false;
    return outcome;
  }
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    auto page = store_.ListDocuments("default", {.limit = 1000});
    if (page.ok()) {
      for (const DocumentInfo& info : page->documents) ids.push_back(info.id);
    }
    return ids;
  }
  std::vector<SourceRecord> Records() {
    std::vector<SourceRecord> records;
    EXPECT_EQ(Ledger(&store_, "default")
                  .Visit("",
                         [&](SourceRecord record) {
                           records.push_back(std::move(record));
                           return OkStatus();
                         }),
              OkStatus());
    return records;
  }
  void Write(std::string_view name, std::string_view bytes) { folder_.Write(name, bytes); }
  void Remove(std::string_view name) { std::filesystem::remove_all(folder_.File(name)); }
  Status Put(const std::string& id, const std::string& text) {
    PutRequest request;
    request.info.id = id;
    request.bytes = text;
    return Ingestor(&store_, &embedder_, options_).Put(std::move(request), {}).status();
  }

  TempDir folder_;
  MemoryStore store_;
  HashingEmbedder embedder_;
  IngestOptions options_;
  IngestReport last_;
};

TEST_F(InStep, DocumentsOfVanishedFilesGoWithPruneAndStayWithoutIt) {
  Write("a.md", "# A\n\nApples.");
  Write("sub/b.md", "# B\n\nBananas.");
  EXPECT_EQ(Run({folder_.path()}), "2 0 0 0 0 0 0");
  Remove("sub/b.md");
  EXPECT_EQ(Run({folder_.path()}), "0 0 1 0 0 0 0");
  EXPECT_THAT(Ids(), ElementsAre("a.md", "sub/b.md"));
  EXPECT_EQ(Prune({folder_.path()}), "0 0 1 0 0 0 1");
  EXPECT_THAT(Ids(), ElementsAre("a.md"));
  EXPECT_EQ(Records().size(), 1u);
  EXPECT_EQ(Prune({folder_.path()}), "0 0 1 0 0 0 0");
}

TEST_F(InStep, WhatAParserMadeOfAPutIsNotMadeAgain) {
  ASSERT_EQ(Put("a.html", "<html><p>Apples."), OkStatus());
  const std::string parser = std::exchange(options_.parser_path, "/no parser is needed");
  EXPECT_EQ(Put("a.html", "<html><p>Apples."), OkStatus());
  // What else was said of it counts too, and so does what is stored now.
  PutRequest titled;
  titled.info.id = "a.html";
  titled.info.title = "Fruit";
  titled.bytes = "<html><p>Apples.";
  const auto put = [&] { return Ingestor(&store_, &embedder_, options_).Put(titled, {}); };
  EXPECT_THAT(put().status().message(), HasSubstr("/no parser is needed"));
  options_.parser_path = parser;
  EXPECT_EQ(put()->outcome, IngestOutcome::kUpdated);
  EXPECT_EQ(put()->outcome, IngestOutcome::kUnchanged);
  ASSERT_EQ(Put("a.html", "Only text now."), OkStatus());
  EXPECT_EQ(put()->outcome, IngestOutcome::kUpdated);
  EXPECT_EQ(store_.GetDocument("default", "a.html")->text, "Apples.\n");
}

TEST_F(InStep, APutIsForgottenWithItsDocument) {
  ASSERT_EQ(Put("a.html", "<html><p>Apples."), OkStatus());
  EXPECT_EQ(Records().size(), 1u);
  ASSERT_EQ(Ledger(&store_, "default").ForgetPuts(std::vector<std::string>{"a.html"}), OkStatus());
  EXPECT_TRUE(Records().empty());
}

TEST_F(InStep, APutUnderAFilesIdKeepsNothingOfTheFile) {
  ASSERT_EQ(Put("a.html", "<html><p>Put before."), OkStatus());
  Write("a.html", "<html><p>Apples.");
  EXPECT_EQ(Run({folder_.path()}), "0 1 0 0 0 0 0");
  Remove("a.html");
  Write("b.md", "Bananas.");
  EXPECT_EQ(Prune({folder_.path()}), "1 0 0 0 0 0 1");
  EXPECT_THAT(Ids(), ElementsAre("b.md"));
}

TEST_F(InStep, OnlyWhatLayBelowThePathsGoes) {
  Write("one/a.md", "Apples.");
  Write("two/b.md", "Bananas.");
  Write("onemore/c.md", "Cherries.");
  EXPECT_EQ(Run({folder_.File("one"), folder_.File("two"), folder_.File("onemore")}),
            "3 0 0 0 0 0 0");
  ASSERT_EQ(Put("note", "Put by hand."), OkStatus());
  Remove("one/a.md");
  Remove("two/b.md");
  Remove("onemore/c.md");
  Write("one/new.md", "Dates.");
  EXPECT_EQ(Prune({folder_.File("one")}), "1 0 0 0 0 0 1");
  EXPECT_THAT(Ids(), ElementsAre("b.md", "c.md", "new.md", "note"));
}

TEST_F(InStep, ARenamedFileIsNotEmbeddedAgainAndItsOldDocumentGoes) {
  std::string text = "# Long\n\n";
  for (int i = 0; i < 200; ++i) text += StrCat("Sentence ", i, " says something of its own. ");
  Write("old.md", text);
  EXPECT_EQ(Run({folder_.path()}), "1 0 0 0 0 0 0");
  const size_t embedded = embedder_.embedded();
  std::filesystem::rename(folder_.File("old.md"), folder_.File("new.md"));
  EXPECT_EQ(Prune({folder_.path()}), "0 0 0 0 0 1 1");
  EXPECT_THAT(Ids(), ElementsAre("new.md"));
  EXPECT_EQ(embedder_.embedded(), embedded);
  // A copy is a duplicate, not a rename.
  Write("copy.md", text);
  EXPECT_EQ(Prune({folder_.path()}), "0 0 1 1 0 0 0");
  EXPECT_EQ(embedder_.embedded(), embedded);
}

TEST_F(InStep, NothingGoesWhenAPathIsMissingOrUnreadable) {
  Write("docs/a.md", "Apples.");
  Write("docs/sub/b.md", "Bananas.");
  Write("other/c.md", "Cherries.");
  const std::vector<std::string> both = {folder_.File("docs"), folder_.File("other")};
  EXPECT_EQ(Run(both), "3 0 0 0 0 0 0");
  std::filesystem::rename(folder_.File("docs"), folder_.File("away"));
  EXPECT_EQ(Prune(both), "0 0 1 0 1 0 0");
  EXPECT_EQ(Ids().size(), 3u);
  EXPECT_THAT(Prune({folder_.File("docs")}), HasSubstr("NOT_FOUND"));
  std::filesystem::rename(folder_.File("away"), folder_.File("docs"));
  if (geteuid() == 0) return;  // root reads what nobody may read
  chmod(folder_.File("docs/sub").c_str(), 0);
  EXPECT_EQ(Prune({folder_.File("docs")}), "0 0 1 0 1 0 0");
  chmod(folder_.File("docs/sub").c_str(), 0700);
  EXPECT_EQ(Ids().size(), 3u);
}

// As a mount point is without its file system.
TEST_F(InStep, NothingGoesBelowAFolderThatIsEmptyAndOnAnotherDeviceThanBefore) {
  Write("mnt/a.md", "Apples.");
  Write("mnt/b.md", "Bananas.");
  EXPECT_EQ(Run({folder_.path()}), "2 0 0 0 0 0 0");
  for (SourceRecord record : Records()) {
    record.device ^= 1;
    const StoreNote note = NoteOf(record);
    ASSERT_EQ(store_.PutNotes("default", {&note, 1}), OkStatus());
  }
  Remove("mnt/a.md");
  Remove("mnt/b.md");
  EXPECT_EQ(Prune({folder_.path()}), "0 0 0 0 0 0 0");
  EXPECT_EQ(Ids().size(), 2u);
  ASSERT_EQ(last_.notes.size(), 1u);
  EXPECT_THAT(last_.notes[0].source, HasSubstr("/mnt"));
  EXPECT_THAT(last_.notes[0].reason, HasSubstr("vade docs delete"));
  Write("mnt/c.md", "Cherries.");  // it is in use: what is missing beside it has gone
  EXPECT_EQ(Prune({folder_.path()}), "1 0 0 0 0 0 2");
}

TEST_F(InStep, WhatHasLeftAnArchiveGoesWithPrune) {
  Write("notes.zip", testing::Zip({{"a.md", "Apples."}, {"b.md", "Bananas."}}));
  EXPECT_EQ(Run({folder_.path()}), "2 0 0 0 0 0 0");
  Write("notes.zip", testing::Zip({{"a.md", "Apples."}, {"c.md", "Cherries."}}));
  EXPECT_EQ(Run({folder_.path()}), "1 0 1 0 0 0 0");
  EXPECT_THAT(Ids(), ElementsAre("notes.zip!/a.md", "notes.zip!/b.md", "notes.zip!/c.md"));
  EXPECT_EQ(Prune({folder_.path()}), "0 0 2 0 0 0 1") << "the archive itself is as it was";
  EXPECT_THAT(Ids(), ElementsAre("notes.zip!/a.md", "notes.zip!/c.md"));
  Remove("notes.zip");
  EXPECT_EQ(Prune({folder_.path()}), "0 0 0 0 0 0 2");
  EXPECT_TRUE(Ids().empty());
}

TEST_F(InStep, AMemberThatCannotBeReadAnyMoreKeepsItsDocument) {
  Write("notes.zip", testing::Zip({{"a.md", "Apples."}, {"b.html", "<p>Bananas."}}));
  EXPECT_EQ(Run({folder_.path()}), "2 0 0 0 0 0 0");
  Write("notes.zip", testing::Zip({{"a.md", "Apples."}, {"b.html", "\x89PNG\r\n"}}));
  EXPECT_EQ(Prune({folder_.path()}), "0 0 1 0 1 0 0");
  EXPECT_EQ(Ids().size(), 2u);
  EXPECT_EQ(Prune({folder_.path()}), "0 0 1 0 1 0 0") << "told each time, from memory";
  Write("notes.zip", testing::Zip({{"a.md", "Apples."}}));
  EXPECT_EQ(Prune({folder_.path()}), "0 0 1 0 0 0 1");
}

TEST_F(InStep, WhatSomebodyElsePutUnderTheIdStays) {
  Write("a.md", "Apples.");
  EXPECT_EQ(Run({folder_.path()}), "1 0 0 0 0 0 0");
  ASSERT_EQ(Put("a.md", "Corrected by hand."), OkStatus());
  Remove("a.md");
  EXPECT_EQ(Prune({folder_.path()}), "0 0 0 0 0 0 0");
  EXPECT_THAT(Ids(), ElementsAre("a.md"));
  EXPECT_TRUE(Records().empty());
}

TEST_F(InStep, ADocumentThatAnotherFileHasTooStays) {
  Write("one/a.md", "Apples.");
  Write("two/a.md", "Apples.");
  EXPECT_EQ(Run({folder_.File("one")}), "1 0 0 0 0 0 0");
  EXPECT_EQ(Run({folder_.File("two")}), "0 0 1 0 0 0 0");
  Remove("one/a.md");
  EXPECT_EQ(Prune({folder_.File("one")}), "0 0 0 0 0 0 0");
  EXPECT_THAT(Ids(), ElementsAre("a.md"));
  Remove("two/a.md");
  EXPECT_EQ(Prune({folder_.File("two")}), "0 0 0 0 0 0 1");
}

TEST_F(InStep, AFileWithTheSameBytesIsNotParsedAgain) {
  Write("page.html", "<title>Boiler</title><p>It is serviced in May.");
  EXPECT_EQ(Run({folder_.path()}), "1 0 0 0 0 0 0");
  options_.parser_path = "/nowhere/vade-parse";  // whoever needs it fails
  EXPECT_EQ(Run({folder_.path()}), "0 0 1 0 0 0 0");
  Write("page.html", "<title>Boiler</title><p>It is serviced in June.");
  EXPECT_EQ(Run({folder_.path()}), "0 0 0 0 1 0 0");
  options_.parser_path = VADE_PARSE_BINARY;
  EXPECT_EQ(Run({folder_.path()}), "0 1 0 0 0 0 0");
}

TEST_F(InStep, AFileIsReadAgainWhenItsDocumentIsNotWhatItMade) {
  Write("page.html", "<title>Boiler</title><p>It is serviced in May.");
  EXPECT_EQ(Run({folder_.path()}), "1 0 0 0 0 0 0");
  ASSERT_EQ(Put("page.html", "Corrected by hand."), OkStatus());
  EXPECT_EQ(Run({folder_.path()}), "0 1 0 0 0 0 0");
  const std::vector<std::string> ids = {"page.html"};
  ASSERT_TRUE(store_.DeleteDocuments("default", ids, {}).ok());
  EXPECT_EQ(Run({folder_.path()}), "1 0 0 0 0 0 0");
  options_.groups = {"staff"};
  EXPECT_EQ(Run({folder_.path()}), "0 1 0 0 0 0 0");
}

// A collection that an earlier program filled has no records.
TEST_F(InStep, FilesThatAreNotRememberedAreFromTheirNextIngestionOn) {
  Write("a.md", "Apples.");
  EXPECT_EQ(Run({folder_.path()}), "1 0 0 0 0 0 0");
  for (const SourceRecord& record : Records()) {
    const StoreNote removal = RemovalOf(record);
    ASSERT_EQ(store_.PutNotes("default", {&removal, 1}), OkStatus());
  }
  EXPECT_EQ(Run({folder_.path()}), "0 0 1 0 0 0 0");
  ASSERT_EQ(Records().size(), 1u);
  Remove("a.md");
  EXPECT_EQ(Prune({folder_.path()}), "0 0 0 0 0 0 1");
}

TEST_F(InStep, PartsOfAFolderAreBroughtUpToDateAlone) {
  Write("a.md", "Apples.");
  Write("sub/b.md", "Bananas.");
  Write("sub/c.md", "Cherries.");
  EXPECT_EQ(Run({folder_.path()}), "3 0 0 0 0 0 0");
  Write("a.md", "Apricots.");
  Write("sub/b.md", "Blueberries.");
  Remove("sub/c.md");
  Write("sub/deep/d.md", "Dates.");
  const auto root = AbsolutePath(folder_.path());
  ASSERT_TRUE(root.ok());
  options_.only = {JoinPath(*root, "sub")};
  EXPECT_EQ(Prune({folder_.path()}), "1 1 0 0 0 0 1") << "a.md is not looked at";
  EXPECT_THAT(Ids(), ElementsAre("a.md", "sub/b.md", "sub/deep/d.md"));
  Remove("sub");
  options_.only = {JoinPath(*root, "sub"), JoinPath(*root, "a.md")};
  EXPECT_EQ(Prune({folder_.path()}), "0 1 0 0 0 0 2");
  EXPECT_THAT(Ids(), ElementsAre("a.md"));
}

TEST_F(InStep, ADamagedRecordIsNone) {
  const SourceRecord record{.origin = "/x/a.md",
                            .document_id = "a.md",
                            .hash = std::string(64, 'f'),
                            .device = 7,
                            .setup = 9,
                            .documents = {{"a.md", 5, "", false}, {"a.md!/b", 0, "is bad", true}}};
  const std::string key = NoteKeyOf(record.origin, record.document_id);
  const std::string value = EncodeNote(record);
  EXPECT_EQ(DecodeNote(key, value), record);
  for (size_t cut = 0; cut < value.size(); ++cut) {
    EXPECT_EQ(DecodeNote(key, value.substr(0, cut)), std::nullopt) << cut;
  }
  EXPECT_EQ(DecodeNote(key, value + "x"), std::nullopt);
  EXPECT_EQ(DecodeNote("f/x/a.md", value), std::nullopt) << "no id";
  std::string huge = value.substr(0, 1 + 1 + 64 + 16);
  huge += "\xff\xff\xff\xff\xff\xff\xff\xff\x7f";  // so many documents
  EXPECT_EQ(DecodeNote(key, huge), std::nullopt);
}

}  // namespace
}  // namespace vade
