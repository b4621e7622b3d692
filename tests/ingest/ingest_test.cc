#include "ingest/ingest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "ingest/formats/ocr_data.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/made_files.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/zip.h"

namespace vade {
namespace {

using ::testing::HasSubstr;
using testing::MemoryStore;
using testing::TempDir;
using ::testing::UnorderedElementsAre;

class Ingest : public ::testing::Test {
 protected:
  Result<IngestReport> Run(const std::vector<std::string>& paths, const Context& ctx = Context()) {
    options_.parser_path = VADE_PARSE_BINARY;
    return Ingestor(&store_, &embedder_, options_).IngestPaths(paths, nullptr, ctx);
  }
  // "created updated unchanged duplicate failed", with the status when the run failed.
  std::string Outcome(const std::vector<std::string>& paths) {
    auto report = Run(paths);
    if (!report.ok()) return report.status().ToString();
    last_ = *report;
    return StrCat(report->created, " ", report->updated, " ", report->unchanged, " ",
                  report->duplicate, " ", report->failed);
  }
  std::string Folder() const { return folder_.path(); }
  void Write(std::string_view name, std::string_view bytes) { folder_.Write(name, bytes); }
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    auto page = store_.ListDocuments("default", {.limit = 1000});
    if (page.ok()) {
      for (const DocumentInfo& info : page->documents) ids.push_back(info.id);
    }
    return ids;
  }
  std::string ReasonFor(std::string_view source_end) {
    for (const IngestError& error : last_.errors) {
      if (error.source.ends_with(source_end)) return error.reason;
    }
    return "(no error)";
  }
  std::string LongText(int sentences, std::string_view word = "word") {
    std::string text = "# Long\n\n";
    for (int i = 0; i < sentences; ++i)
      text += StrCat("Sentence ", i, " has the ", word, " and some more words. ");
    return text;
  }

  TempDir folder_;
  MemoryStore store_;
  HashingEmbedder embedder_;
  IngestOptions options_;
  IngestReport last_;
};

// As an earlier version's parser left it.
TEST_F(Ingest, AnotherTextOfTheSameBytesIsStoredAnew) {
  PutRequest request;
  request.info.id = "a.md";
  request.bytes = "# A\n\nSome text.\n";
  const auto put = [&] { return Ingestor(&store_, &embedder_, options_).Put(request, Context()); };
  ASSERT_TRUE(put().ok());
  EXPECT_EQ(put()->outcome, IngestOutcome::kUnchanged);
  const auto writer = store_.BeginDocument("default", store_.GetDocument("default", "a.md")->info);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->AddText("# A\n").ok());
  ASSERT_TRUE((*writer)->Commit(Context()).ok());
  EXPECT_EQ(put()->outcome, IngestOutcome::kUpdated);
  EXPECT_EQ(store_.GetDocument("default", "a.md")->text, request.bytes);
}

TEST_F(Ingest, TellsCreatedUnchangedUpdatedAndDuplicateApart) {
  Write("a.md", "# A\n\nFirst text.\n");
  Write("sub/b.md", "# B\n\nSecond text.\n");
  EXPECT_EQ(Outcome({Folder()}), "2 0 0 0 0");
  EXPECT_EQ(last_.passages, 2u);
  EXPECT_EQ(Outcome({Folder()}), "0 0 2 0 0");
  EXPECT_EQ(last_.passages, 0u);
  Write("a.md", "# A\n\nFirst text, corrected.\n");
  Write("c.md", "# B\n\nSecond text.\n");
  EXPECT_EQ(Outcome({Folder()}), "0 1 1 1 0");
  EXPECT_THAT(Ids(), UnorderedElementsAre("a.md", "c.md", "sub/b.md"));
  auto document = store_.GetDocument("default", "a.md");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->text, "# A\n\nFirst text, corrected.\n");
  EXPECT_EQ(document->info.title, "A");
  EXPECT_EQ(document->info.mime_type, "text/markdown");
  EXPECT_EQ(document->info.revision, 2u);
}

TEST_F(Ingest, GivesADuplicateItsOwnPassagesWithoutEmbeddingAgain) {
  Write("a.md", LongText(100));
  EXPECT_EQ(Outcome({Folder()}), "1 0 0 0 0");
  const size_t embedded = embedder_.embedded();
  ASSERT_GT(embedded, 3u);
  Write("b.md", LongText(100));
  EXPECT_EQ(Outcome({Folder()}), "0 0 1 1 0");
  EXPECT_EQ(embedder_.embedded(), embedded);
  std::vector<float> first, second;
  auto a = store_.GetPassages("default", "a.md", &first);
  auto b = store_.GetPassages("default", "b.md", &second);
  ASSERT_TRUE(a.ok() && b.ok());
  ASSERT_EQ(a->size(), b->size());
  EXPECT_EQ(b->front().document_id, "b.md");
  EXPECT_NE(a->front().id, b->front().id);
  EXPECT_EQ(first, second);
}

TEST_F(Ingest, FindsDuplicatesWithinOneRun) {
  Write("a.md", LongText(100));
  Write("b.md", LongText(100));
  Write("c.md", LongText(100));
  EXPECT_EQ(Outcome({Folder()}), "1 0 0 2 0");
  auto a = store_.GetPassages("default", "a.md", nullptr);
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(embedder_.embedded(), a->size());
}

TEST_F(Ingest, EmbedsOnlyWhatAnUpdateChanged) {
  Write("a.md", LongText(200));
  EXPECT_EQ(Outcome({Folder()}), "1 0 0 0 0");
  const size_t embedded = embedder_.embedded();
  Write("a.md", LongText(200) + "\n\n# New\n\nA new section.\n");
  EXPECT_EQ(Outcome({Folder()}), "0 1 0 0 0");
  EXPECT_EQ(embedder_.embedded(), embedded + 1);
  std::vector<float> vectors;
  auto passages = store_.GetPassages("default", "a.md", &vectors);
  ASSERT_TRUE(passages.ok());
  for (size_t i = 0; i < passages->size();
       ++i) {  // reused or new: the vector is that of its own text
    const Passage& passage = (*passages)[i];
    const auto expected = embedder_.EmbedOne(passage.heading_path + "\n" + passage.text);
    EXPECT_EQ(std::vector<float>(vectors.begin() + static_cast<long>(i * 64),
                                 vectors.begin() + static_cast<long>(i * 64 + 64)),
              expected)
        << i;
  }
}

// The parsers have tests of their own; here it counts that what they say arrives.
TEST_F(Ingest, StoresWhatOtherFormatsSayOfThemselves) {
  Write("page.html",
        "<html lang=en><head><title>Boiler</title><meta name=author content='A. Smith'></head>"
        "<body><nav><a href=x>Home</a></nav><h1>Service</h1><p>It is serviced in May.</body>");
  EXPECT_EQ(Outcome({Folder()}), "1 0 0 0 0");
  auto document = store_.GetDocument("default", "page.html");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->text, "# Service\n\nIt is serviced in May.\n");
  EXPECT_EQ(document->info.title, "Boiler");
  EXPECT_EQ(document->info.mime_type, "text/html");
  EXPECT_EQ(std::get<std::string>(document->info.metadata["author"]), "A. Smith");
  EXPECT_EQ(Outcome({Folder()}), "0 0 1 0 0");
}

TEST_F(Ingest, GivesPassagesTheirPagesAndNotesPagesWithoutText) {
  std::string page;
  for (int i = 0; i < 60; ++i) page += StrCat("Sentence ", i, " of a page. ");
  Write("a.pdf", testing::PdfOf({page, "", page}));
  EXPECT_EQ(Outcome({Folder()}), "1 0 0 0 0");
  ASSERT_EQ(last_.notes.size(), 1u);
  EXPECT_EQ(last_.notes[0].reason, StrCat("has no text layer on page(s) 2, which were left out",
                                          OcrAtStart().languages.empty()
                                              ? "; install tesseract-ocr, or run OCR over it first"
                                              : ": Tesseract sees no text either"));
  auto passages = store_.GetPassages("default", "a.pdf", nullptr);
  ASSERT_TRUE(passages.ok() && passages->size() > 1);
  EXPECT_EQ(passages->front().page, 1u);
  EXPECT_EQ(passages->back().page, 3u);
}

TEST_F(Ingest, ClipsWhatAFileSaysOfItselfAtLength) {
  const std::string endless(100'000, 'x');
  Write("a.html", StrCat("<html><head><title>", endless, "</title><meta name=author content='",
                         endless, "'></head><p>Text."));
  EXPECT_EQ(Outcome({Folder()}), "1 0 0 0 0");
  auto document = store_.GetDocument("default", "a.html");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->info.title.size(), 500u);
  EXPECT_EQ(std::get<std::string>(document->info.metadata["author"]).size(), 4096u);
}

TEST_F(Ingest, MakesADocumentOfEachFileInAnArchive) {
  Write("notes.zip", testing::Zip({{"a.md", "# A\n\nApples."},
                                   {"sub/b.html", "<p>Bananas."},
                                   {"c.gif", "GIF89a"},
                                   {"in.zip", testing::Zip({{"d.txt", "Dates."}})}}));
  EXPECT_EQ(Outcome({Folder()}), "3 0 0 0 1");
  EXPECT_THAT(Ids(), UnorderedElementsAre("notes.zip!/a.md", "notes.zip!/sub/b.html",
                                          "notes.zip!/in.zip!/d.txt"));
  EXPECT_EQ(ReasonFor("notes.zip!/c.gif"),
            "a GIF image is not supported; convert it to a format that is");
  EXPECT_EQ(Outcome({Folder()}), "0 0 3 0 1");
}

TEST_F(Ingest, ReportsBadFilesAndStoresTheOthers) {
  Write("a.md", "# A\n\nText.\n");
  Write("empty.md", "");
  Write("blank.txt", "\n \n");
  Write("doc.pdf", "%PDF-1.4 ...");
  Write("big.txt", std::string(2000, 'x'));
  std::filesystem::create_symlink("nowhere", folder_.File("dangling.md"));
  ASSERT_EQ(mkfifo(folder_.File("pipe.md").c_str(), 0600), 0);
  Write("caf\xE9.md", "A name in another charset.");
  std::filesystem::create_directory_symlink(".", folder_.File("loop"));
  options_.max_file_bytes = 1000;
  EXPECT_EQ(Outcome({Folder()}), "1 0 0 0 7") << "a pipe is no file";
  EXPECT_THAT(Ids(), UnorderedElementsAre("a.md"));
  EXPECT_EQ(ReasonFor("caf\xE9.md"), "has a name that is not UTF-8; rename it");
  EXPECT_EQ(ReasonFor("empty.md"), "is empty");
  EXPECT_EQ(ReasonFor("blank.txt"), "is empty");
  EXPECT_EQ(ReasonFor("doc.pdf"), "is a damaged PDF; fetch or save it again");
  EXPECT_THAT(ReasonFor("big.txt"), HasSubstr("has 2000 bytes, and 1000 is the limit"));
  EXPECT_THAT(ReasonFor("dangling.md"), HasSubstr("dangling.md"));
  EXPECT_THAT(ReasonFor("loop"), HasSubstr("leads back"));
}

TEST_F(Ingest, NamesDocumentsByTheirPathBelowTheRoot) {
  Write("x/a.md", "# A\n\nText.\n");
  Write("y/a.md", "# A\n\nOther.\n");
  EXPECT_EQ(Outcome({folder_.File("x/a.md")}), "1 0 0 0 0");
  EXPECT_THAT(Ids(), UnorderedElementsAre("a.md"));
  options_.source_root = Folder();
  EXPECT_EQ(Outcome({folder_.File("x"), folder_.File("y/a.md"), folder_.File("x/a.md")}),
            "1 0 0 1 0");
  EXPECT_THAT(Ids(), UnorderedElementsAre("a.md", "x/a.md", "y/a.md"));
  options_.source_root = folder_.File("x");
  EXPECT_EQ(Outcome({folder_.File("y")}), "0 0 0 0 1");
  EXPECT_THAT(ReasonFor("a.md"), HasSubstr("is not below the source root"));
}

TEST_F(Ingest, RefusesTheSecondOfTwoFilesWithOneId) {
  Write("x/a.md", "# A\n\nText.\n");
  Write("y/a.md", "# A\n\nOther.\n");
  EXPECT_EQ(Outcome({folder_.File("x"), folder_.File("y"), folder_.File("x")}), "1 0 0 0 1");
  EXPECT_THAT(ReasonFor("y/a.md"), HasSubstr("give a --source-root that is above both"));
  auto document = store_.GetDocument("default", "a.md");
  ASSERT_TRUE(document.ok());
  EXPECT_THAT(document->text, HasSubstr("Text."));
}

TEST_F(Ingest, FailsOnlyWhenNothingCanBeDone) {
  Write("a.md", "# A\n\nText.\n");
  EXPECT_THAT(Outcome({folder_.File("none")}), HasSubstr("NOT_FOUND"));
  EXPECT_EQ(Outcome({folder_.File("none"), Folder()}), "1 0 0 0 1");
  EXPECT_THAT(Outcome({}), HasSubstr("INVALID_ARGUMENT"));
}

TEST_F(Ingest, RefusesACollectionOfAnotherEmbedder) {
  Write("a.md", "# A\n\nText.\n");
  ASSERT_TRUE(
      store_.CreateCollection({.name = "default", .embedder_id = "e5", .dimension = 384}).ok());
  const std::string outcome = Outcome({Folder()});
  EXPECT_THAT(outcome, HasSubstr("FAILED_PRECONDITION"));
  EXPECT_THAT(outcome, HasSubstr("'e5'"));
  EXPECT_THAT(outcome, HasSubstr("'hashing-64'"));
}

TEST_F(Ingest, StopsWithTheStoresErrorAndKeepsWhatWasCommitted) {
  for (int i = 0; i < 10; ++i) Write(StrCat("f", i, ".md"), LongText(300, StrCat("w", i)));
  store_.FailNext("commit", ResourceExhausted("the disk is full"), 3);
  EXPECT_EQ(Outcome({Folder()}), "RESOURCE_EXHAUSTED: the disk is full");
  // Of those that were committed together with the fourth, others may have come through.
  const size_t kept = Ids().size();
  EXPECT_GE(kept, 3u);
  EXPECT_LT(kept, 10u);
  EXPECT_EQ(Outcome({Folder()}), StrCat(10 - kept, " 0 ", kept, " 0 0"));
}

TEST_F(Ingest, CommitsSmallDocumentsTogether) {
  for (int i = 0; i < 100; ++i) Write(StrCat("f", 1000 + i, ".md"), StrCat("Note ", i, "."));
  EXPECT_EQ(Outcome({Folder()}), "100 0 0 0 0");
  EXPECT_EQ(store_.counts().committed, 100u);
  EXPECT_GT(store_.counts().most_together, 1u);
  EXPECT_LE(store_.counts().most_together, 64u);
}

TEST_F(Ingest, TellsOfFilesInTheirOrderWhetherTheyAreCommittedOrNot) {
  for (int i = 0; i < 40; ++i) {
    Write(StrCat("f", 100 + i, i % 4 == 3 ? ".odt" : ".md"), i % 5 == 2 ? "" : StrCat("Note ", i));
  }
  const auto report = Run({Folder()});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->created + report->failed, 40u);
  std::vector<std::string> failed;
  for (const IngestError& error : report->errors) failed.push_back(error.source);
  EXPECT_TRUE(std::is_sorted(failed.begin(), failed.end()));
  EXPECT_EQ(failed.size(), 16u);
}

TEST_F(Ingest, GoesOnWhenOneOfThoseCommittedTogetherIsRefused) {
  for (int i = 0; i < 20; ++i) Write(StrCat("f", 10 + i, ".md"), StrCat("Note ", i, "."));
  store_.FailNext("commit", Aborted("changed meanwhile"), 7);
  EXPECT_EQ(Outcome({Folder()}), "19 0 0 0 1");
  EXPECT_EQ(ReasonFor("f17.md"), "changed meanwhile");
  EXPECT_EQ(Outcome({Folder()}), "1 0 19 0 0");
}

TEST_F(Ingest, GoesOnWhenTheStoreRefusesOneDocument) {
  for (int i = 0; i < 5; ++i) Write(StrCat("f", i, ".md"), LongText(20, StrCat("w", i)));
  store_.FailNext("text", InvalidArgument("bad text"), 2);
  EXPECT_EQ(Outcome({Folder()}), "4 0 0 0 1");
  EXPECT_EQ(ReasonFor("f2.md"), "bad text");
}

// What was stored cannot be read back, as after damage of the disk.
class DamagedStore : public MemoryStore {
 public:
  bool passages_damaged = false, hashes_damaged = false;

  Result<std::vector<Passage>> GetPassages(std::string_view collection,
                                           std::string_view document_id,
                                           std::vector<float>* vectors) override {
    if (passages_damaged) return DataLoss("passage 7 is missing; run vade verify");
    return MemoryStore::GetPassages(collection, document_id, vectors);
  }
  Result<std::optional<DocumentInfo>> FindByHash(std::string_view collection,
                                                 std::string_view content_hash) override {
    if (hashes_damaged) return DataLoss("a content hash names a document that is not there");
    return MemoryStore::FindByHash(collection, content_hash);
  }
};

TEST_F(Ingest, MendsADocumentWhoseStoredRevisionIsDamaged) {
  SetLogLevel(LogLevel::kOff);
  DamagedStore store;
  const auto run = [&] {
    auto report =
        Ingestor(&store, &embedder_, options_).IngestPaths({Folder()}, nullptr, Context());
    if (!report.ok()) return report.status().ToString();
    return StrCat(report->created, " ", report->updated, " ", report->duplicate);
  };
  Write("a.md", "# A\n\nFirst text.\n");
  EXPECT_EQ(run(), "1 0 0");
  store.passages_damaged = true;
  Write("a.md", "# A\n\nFirst text, corrected.\n");
  Write("b.md", "# A\n\nFirst text, corrected.\n");
  EXPECT_EQ(run(), "0 1 1");
  store.hashes_damaged = true;
  Write("c.md", "# C\n\nAnother text.\n");
  EXPECT_EQ(run(), "1 0 0");
  const auto text = [&](std::string_view id) {
    auto document = store.GetDocument("default", id);
    return document.ok() ? document->text : document.status().ToString();
  };
  EXPECT_EQ(text("a.md"), "# A\n\nFirst text, corrected.\n");
  EXPECT_EQ(text("c.md"), "# C\n\nAnother text.\n");
  SetLogLevel(LogLevel::kWarning);
}

TEST_F(Ingest, BatchesSpanDocumentsAndStayBounded) {
  for (int i = 0; i < 100; ++i)
    Write(StrCat("f", i, ".md"), StrCat("# F", i, "\n\nText ", i, ".\n"));
  Write("long.md", LongText(2000));
  EXPECT_EQ(Outcome({Folder()}), "101 0 0 0 0");
  EXPECT_LE(store_.counts().largest_batch, 256u);
  auto long_one = store_.GetDocument("default", "long.md");
  ASSERT_TRUE(long_one.ok());
  EXPECT_EQ(long_one->text, LongText(2000));
  EXPECT_GT(long_one->info.passage_count, 64u);
}

TEST_F(Ingest, EmbedsAFirstPassageWithoutAndALaterOneWithTheTitle) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += StrCat("Line ", i, " tells of something else.\n");
  Write("a.txt", text);
  EXPECT_EQ(Outcome({Folder()}), "1 0 0 0 0");
  // What was first comes later now, and the other way round: neither may lend its vector.
  Write("a.txt", StrCat("Line 0 tells of something else.\n\n", text));
  EXPECT_EQ(Outcome({Folder()}), "0 1 0 0 0");
  std::vector<float> vectors;
  auto passages = store_.GetPassages("default", "a.txt", &vectors);
  ASSERT_TRUE(passages.ok());
  ASSERT_GE(passages->size(), 2u);
  for (size_t i = 0; i < passages->size(); ++i) {
    const std::string title = i > 0 ? "Line 0 tells of something else.\n" : "";
    const auto row = vectors.begin() + static_cast<long>(i * 64);
    EXPECT_EQ(std::vector<float>(row, row + 64), embedder_.EmbedOne(title + (*passages)[i].text))
        << i;
  }
}

// Cancels after a number of calls.
class CancellingEmbedder : public HashingEmbedder {
 public:
  explicit CancellingEmbedder(CancelSource* source) : source_(source) {}
  Result<std::vector<float>> Embed(std::span<const std::string_view> texts, EmbedRole role,
                                   const Context& ctx) override {
    if (++calls_ == 3) source_->Cancel();
    return HashingEmbedder::Embed(texts, role, ctx);
  }

 private:
  CancelSource* source_;
  std::atomic<int> calls_{0};
};

TEST_F(Ingest, StopsBetweenBatchesWhenCancelled) {
  for (int i = 0; i < 40; ++i) Write(StrCat("f", 10 + i, ".md"), LongText(300, StrCat("w", i)));
  CancelSource source;
  CancellingEmbedder embedder(&source);
  auto report = Ingestor(&store_, &embedder, options_)
                    .IngestPaths({Folder()}, nullptr, Context().WithCancel(source.token()));
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.status().code(), StatusCode::kCancelled);
  EXPECT_LE(embedder.embedded(), 96u);
  EXPECT_LT(Ids().size(), 20u);
}

TEST_F(Ingest, ReportsProgressUpToTheEnd) {
  for (int i = 0; i < 10; ++i) Write(StrCat("f", i, ".md"), LongText(50, StrCat("w", i)));
  std::vector<IngestProgress> seen;
  auto report = Ingestor(&store_, &embedder_, options_)
                    .IngestPaths(
                        {Folder()}, [&](const IngestProgress& p) { seen.push_back(p); }, Context());
  ASSERT_TRUE(report.ok());
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back().files_done, 10u);
  EXPECT_EQ(seen.back().files_total, 10u);
  EXPECT_EQ(seen.back().bytes_done, seen.back().bytes_total);
  EXPECT_EQ(seen.back().passages, report->passages);
  EXPECT_EQ(seen.back().seconds_left, 0);
  for (size_t i = 1; i < seen.size(); ++i) EXPECT_GE(seen[i].bytes_done, seen[i - 1].bytes_done);
}

TEST_F(Ingest, GivesEveryDocumentTheGroupsOfTheRun) {
  Write("a.md", "# A\n\nText.\n");
  options_.groups = {"staff"};
  EXPECT_EQ(Outcome({Folder()}), "1 0 0 0 0");
  options_.groups = {"staff", "board"};
  EXPECT_EQ(Outcome({Folder()}), "0 1 0 0 0");
  auto info = store_.FindDocument("default", "a.md");
  ASSERT_TRUE(info.ok() && *info);
  EXPECT_EQ((*info)->groups, (std::vector<std::string>{"board", "staff"}));
}

TEST_F(Ingest, PutsOneDocument) {
  Ingestor ingestor(&store_, &embedder_, options_);
  PutRequest request;
  request.info.id = "note-1";
  request.info.title = "Given";
  request.info.metadata["year"] = 2026.0;
  request.bytes = "# Heading\r\n\r\nCaf\xE9 at noon.\r\n";  // Latin-1
  auto put = ingestor.Put(request, Context());
  ASSERT_TRUE(put.ok()) << put.status().ToString();
  EXPECT_EQ(put->outcome, IngestOutcome::kCreated);
  EXPECT_EQ(put->revision, 1u);
  EXPECT_EQ(put->passages, 1u);
  auto document = store_.GetDocument("default", "note-1");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->text, "# Heading\n\nCaf\xC3\xA9 at noon.\n");
  EXPECT_EQ(document->info.title, "Given");
  EXPECT_EQ(document->info.source, "note-1");
  EXPECT_EQ(document->info.mime_type, "text/markdown");

  auto again = ingestor.Put(request, Context());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->outcome, IngestOutcome::kUnchanged);
  EXPECT_EQ(again->commit, put->commit);
  request.info.metadata["year"] = 2027.0;
  auto updated = ingestor.Put(request, Context());
  ASSERT_TRUE(updated.ok());
  EXPECT_EQ(updated->outcome, IngestOutcome::kUpdated);
  EXPECT_EQ(updated->revision, 2u);
  request.info.id = "note-2";
  auto twin = ingestor.Put(request, Context());
  ASSERT_TRUE(twin.ok());
  EXPECT_EQ(twin->outcome, IngestOutcome::kDuplicate);
  EXPECT_EQ(twin->duplicate_of, "note-1");
  EXPECT_EQ(embedder_.embedded(), 1u);
}

TEST_F(Ingest, RefusesAPutThatIsNoDocument) {
  Ingestor ingestor(&store_, &embedder_, options_);
  const auto put = [&](std::string id, std::string bytes) {
    PutRequest request;
    request.info.id = std::move(id);
    request.bytes = std::move(bytes);
    return ingestor.Put(request, Context()).status().ToString();
  };
  EXPECT_EQ(put("x", ""), "INVALID_ARGUMENT: document 'x': is empty");
  EXPECT_THAT(put("", "text"), HasSubstr("has no id"));
  EXPECT_THAT(put("a\nb", "text"), HasSubstr("has a bad id"));
  EXPECT_THAT(put("\xFF", "text"), HasSubstr("has a bad id"));
  EXPECT_THAT(put("x", std::string(64, '\0')),
              HasSubstr("INVALID_ARGUMENT: document 'x': is not text"));
  EXPECT_TRUE(Ids().empty());
}

}  // namespace
}  // namespace vade
