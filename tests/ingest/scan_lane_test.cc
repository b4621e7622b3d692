// Scans leave the row of files: what waits behind them goes on. And what of them is remembered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "ingest/file_exchange.h"
#include "ingest/formats/ocr_data.h"
#include "ingest/ingest.h"
#include "ingest/ledger.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/made_files.h"
#include "tests/testing/made_scans.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/zip.h"

namespace vade {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

// Files in memory; keeps the order of the outcomes.
class ListedFiles final : public FileExchange {
 public:
  void Add(const std::string& id, std::string bytes) {
    IncomingFile file;
    file.number = files_.size();
    file.request.info.id = id;
    file.size_bytes = bytes.size();
    file.request.bytes = std::move(bytes);
    files_.push_back(std::move(file));
  }
  Status Plan(IngestRun*) override { return OkStatus(); }
  Result<std::optional<IncomingFile>> Next(const IngestRun&) override {
    if (files_.empty()) return std::optional<IncomingFile>();
    IncomingFile file = std::move(files_.front());
    files_.pop_front();
    return std::optional(std::move(file));
  }
  void Done(const Job& job, const Result<PutResult>& result) override {
    done.push_back(
        StrCat(job.file->number, job.ends_file ? "" : "+", result.ok() ? "" : " failed"));
  }
  void Stored(const Job&, double) override {}

  std::vector<std::string> done;  // numbers of files

 private:
  std::deque<IncomingFile> files_;
};

class ScanLane : public ::testing::Test {
 protected:
  void SetUp() override {
    if (OcrAtStart().languages.empty()) GTEST_SKIP() << "tesseract-ocr is not installed";
    options_.parser_path = VADE_PARSE_BINARY;
  }
  Status Ingest(FileExchange* files, const Context& ctx = {}) {
    return Ingestor(&store_, &embedder_, options_).IngestFrom(files, ctx).status();
  }
  // A scan of so many pages: a second or so each.
  static std::string Scan(int pages) {
    std::vector<std::string> texts;
    for (int i = 0; i < pages; ++i) {
      texts.push_back(StrCat("Page ", i, " says that the boiler is serviced in May."));
    }
    return testing::ScanOf(texts);
  }
  std::string TextOf(const std::string& id) {
    const auto document = store_.GetDocument("default", id);
    return document.ok() ? document->text : document.status().ToString();
  }

  testing::TempDir folder_;
  testing::MemoryStore store_;
  HashingEmbedder embedder_;
  IngestOptions options_;
};

TEST_F(ScanLane, FilesBehindAScanDoNotWaitForIt) {
  ListedFiles files;
  files.Add("a.pdf", Scan(3));
  for (int i = 1; i < 8; ++i) files.Add(StrCat("b", i, ".html"), StrCat("<html><p>Page ", i));
  ASSERT_EQ(Ingest(&files), OkStatus());
  EXPECT_THAT(files.done, ElementsAre("1", "2", "3", "4", "5", "6", "7", "0"));
}

// More bytes than are held in memory, and nobody has them again: they wait in files.
TEST_F(ScanLane, FilesBehindManyScansDoNotWaitForThemEither) {
  ListedFiles files;
  constexpr size_t kScans = 12;
  const std::string scan = Scan(1);
  ASSERT_GT(kScans * scan.size(), 40u << 20);
  for (size_t i = 0; i < kScans; ++i) files.Add(StrCat("a", i, ".pdf"), scan);
  files.Add("b.html", "<html><p>Text.");
  ASSERT_EQ(Ingest(&files), OkStatus());
  ASSERT_EQ(files.done.size(), kScans + 1);
  const auto at = std::find(files.done.begin(), files.done.end(), StrCat(kScans));
  EXPECT_LT(at - files.done.begin(), 4) << "of 12 scans 8 are held at most";
  for (size_t i = 0; i < kScans; ++i) {
    EXPECT_THAT(TextOf(StrCat("a", i, ".pdf")), ::testing::HasSubstr("serviced in May")) << i;
  }
}

TEST_F(ScanLane, AFileDoesNotOvertakeAScanWithTheSameId) {
  ListedFiles files;
  files.Add("a", Scan(2));
  files.Add("b", "<html><p>Before.");
  files.Add("a", "<html><p>The last word.");
  files.Add("c", "<html><p>Behind.");
  ASSERT_EQ(Ingest(&files), OkStatus());
  EXPECT_THAT(files.done, ElementsAre("1", "0", "2", "3"));
  EXPECT_EQ(TextOf("a"), "The last word.\n");
}

TEST_F(ScanLane, OneBadScanStopsNothing) {
  ListedFiles files;
  files.Add("blank.pdf", testing::ScanOf({""}));
  files.Add("a.pdf", Scan(1));
  files.Add("b.html", "<html><p>Text.");
  ASSERT_EQ(Ingest(&files), OkStatus());
  std::sort(files.done.begin(), files.done.end());
  EXPECT_THAT(files.done, ElementsAre("0 failed", "1", "2"));
  EXPECT_THAT(TextOf("a.pdf"), ::testing::HasSubstr("serviced in May"));
}

TEST_F(ScanLane, DocumentsOfAFileStayTogetherWhenAnotherLaneIsDone) {
  ListedFiles files;
  std::vector<std::pair<std::string, std::string>> inner = {{"scan.pdf", Scan(1)}};
  for (int i = 0; i < 40; ++i) inner.emplace_back(StrCat(i, ".html"), StrCat("<html><p>Text ", i));
  for (int i = 0; i < 4; ++i) files.Add(StrCat(i, ".zip"), testing::Zip(inner));
  ASSERT_EQ(Ingest(&files), OkStatus());
  ASSERT_EQ(files.done.size(), 4u * 41);
  for (size_t i = 0; i < files.done.size(); ++i) {
    EXPECT_EQ(files.done[i].ends_with('+'), i % 41 != 40) << i;
    EXPECT_EQ(files.done[i][0], files.done[i / 41 * 41][0]) << i;
  }
}

TEST_F(ScanLane, EndsWithItsCaller) {
  const std::string scan = Scan(12);
  ListedFiles files;
  files.Add("a.pdf", scan);
  EXPECT_EQ(Ingest(&files, Context().WithTimeout(200ms)).code(), StatusCode::kDeadlineExceeded);
  ListedFiles again;
  again.Add("a.pdf", scan);
  CancelSource cancel;
  std::thread soon([&] {
    std::this_thread::sleep_for(200ms);
    cancel.Cancel();
  });
  EXPECT_EQ(Ingest(&again, Context().WithCancel(cancel.token())).code(), StatusCode::kCancelled);
  soon.join();
}

TEST_F(ScanLane, OnlyFilesWithPagesForOcrDependOnIt) {
  folder_.Write("scan.pdf", Scan(1));
  folder_.Write("text.pdf", testing::PdfOf({"Some text."}));
  folder_.Write("page.html", "<html><p>Text.");
  const auto run = [&] {
    const auto report =
        Ingestor(&store_, &embedder_, options_).IngestPaths({folder_.path()}, nullptr, Context());
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return StrCat(report->created, " ", report->unchanged, " ", report->failed);
  };
  ASSERT_EQ(run(), "3 0 0");
  std::vector<std::string> dependent;
  ASSERT_EQ(Ledger(&store_, "default")
                .Visit("",
                       [&](SourceRecord record) {
                         DocumentInfo given;
                         given.id = given.source = record.document_id;
                         const bool depends = record.setup != SetupOf({}, given, OcrPart::kNone);
                         if (depends) dependent.push_back(record.document_id);
                         EXPECT_EQ(record.setup,
                                   SetupOf({}, given, depends ? OcrPart::kPages : OcrPart::kNone));
                         if (!depends) return OkStatus();
                         record.setup = 1;  // as when languages have come since
                         return store_.PutNotes("default", std::vector<StoreNote>{NoteOf(record)});
                       }),
            OkStatus());
  EXPECT_THAT(dependent, ElementsAre("scan.pdf"));
  EXPECT_EQ(run(), "0 3 0");
  options_.parser_path = "/no parser is needed";
  EXPECT_EQ(run(), "0 3 0") << "the scan was read again once";
}

}  // namespace
}  // namespace vade
