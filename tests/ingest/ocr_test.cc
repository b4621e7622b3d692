// Pages without a text layer, read by Tesseract in the jail.
#include "ingest/formats/ocr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "base/strings.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/ocr_data.h"
#include "ingest/ingest.h"
#include "ingest/jail.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/made_files.h"
#include "tests/testing/made_scans.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/zip.h"

namespace vade {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class OcrTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (OcrAtStart().languages.empty()) GTEST_SKIP() << "tesseract-ocr is not installed";
  }

  // In the jail; the reason as the text when it is refused.
  ParsedDocument Parse(std::string_view name, std::string_view bytes) {
    Jail jail({.parser_path = VADE_PARSE_BINARY, .with_ocr = true});
    ParsedDocument document;
    const auto parsed = jail.Parse(
        {.name = name, .mime_type = "", .password = "", .bytes = bytes},
        [&](ParsedPart part) {
          document = std::move(part.document);
          if (!part.status.ok()) document.text = part.status.ToString();
          return OkStatus();
        },
        Context());
    if (!parsed.ok()) document.text = parsed.status().ToString();
    return document;
  }
  static std::string Fact(const ParsedDocument& document, const std::string& key) {
    const auto at = document.metadata.find(key);
    return at == document.metadata.end() ? "(none)" : std::get<std::string>(at->second);
  }

  testing::TempDir folder_;
};

TEST_F(OcrTest, ReadsAScanInTheJailAndTellsWhichPages) {
  const ParsedDocument document =
      Parse("scan.pdf",
            testing::ScanOf({"The boiler in the cellar is serviced every year in the month of May.",
                             "", "The keys of the archive are with the porter."}));
  EXPECT_EQ(
      document.text,
      "The boiler in the cellar is serviced every year in the month of May.\n\n\f\f\n\nThe keys of "
      "the archive are with the porter.\n");
  EXPECT_EQ(Fact(document, "ocr_pages"), "1, 3");
  EXPECT_EQ(Fact(document, "pages_without_text"), "2");
}

TEST_F(OcrTest, IsForAnotherProcessThanOtherFiles) {
  Jail without({.parser_path = VADE_PARSE_BINARY});
  const auto parse = [&](std::string_view name, std::string_view bytes) {
    return without.Parse(
        {.name = name, .mime_type = "", .password = "", .bytes = bytes},
        [](ParsedPart) { return OkStatus(); }, Context());
  };
  const std::string scan = testing::ScanOf({"Words."});
  EXPECT_EQ(*parse("a.pdf", testing::PdfOf({"Words."})), OcrPart::kNone);
  EXPECT_EQ(*parse("scan.pdf", scan), OcrPart::kWanted);
  EXPECT_EQ(*parse("mixed.zip", testing::Zip({{"a.html", "<html><p>Words."}, {"b.pdf", scan}})),
            OcrPart::kWanted);
}

TEST_F(OcrTest, LeavesPagesWithATextLayerAlone) {
  const ParsedDocument document = Parse("a.pdf", testing::PdfOf({"First page.", "Second."}));
  EXPECT_EQ(Fact(document, "ocr_pages"), "(none)");
}

TEST_F(OcrTest, SaysThatABlankScanHasNothingToRead) {
  EXPECT_EQ(Parse("blank.pdf", testing::ScanOf({"", ""})).text,
            "INVALID_ARGUMENT: has no text on its 2 page(s), and Tesseract sees none");
}

TEST_F(OcrTest, GivesPassagesOfAScanTheirPages) {
  folder_.Write("scan.pdf",
                testing::ScanOf({"The boiler in the cellar is serviced every year in May.",
                                 "The keys of the archive are with the porter."}));
  testing::MemoryStore store;
  HashingEmbedder embedder;
  IngestOptions options;
  options.parser_path = VADE_PARSE_BINARY;
  const auto report =
      Ingestor(&store, &embedder, options).IngestPaths({folder_.path()}, nullptr, Context());
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->created, 1u);
  EXPECT_TRUE(report->notes.empty());
  const auto document = store.GetDocument("default", "scan.pdf");
  ASSERT_TRUE(document.ok());
  EXPECT_THAT(document->text, HasSubstr("keys of the archive"));
  EXPECT_EQ(std::get<std::string>(document->info.metadata.at("ocr_pages")), "1, 2");
}

// --- what holds without Tesseract too

TEST(WithoutOcr, AScanIsRefusedWithTheRemedy) {
  const auto refused =
      ParsePdf({.bytes = testing::ScanOf({""}), .name = "scan.pdf", .password = ""});
  EXPECT_EQ(refused.status().ToString(),
            "NOT_FOUND: has no text layer on its 1 page(s): it is a scan or a drawing; "
            "install tesseract-ocr, or run OCR over it first, with ocrmypdf for one");
}

class SlowPages : public ::testing::Test {
 protected:
  // A parser that sends these bytes and commands.
  Status ParseBy(std::string_view commands) {
    const std::string path = folder_.Write("parser", StrCat("#!/bin/sh\n", commands, "\n"));
    EXPECT_EQ(chmod(path.c_str(), 0700), 0);
    Jail jail({.parser_path = path, .time_limit = 1s});
    return jail
        .Parse(
            {.name = "a.pdf", .mime_type = "", .password = "", .bytes = "bytes"},
            [](ParsedPart) { return OkStatus(); }, Context())
        .status();
  }
  testing::TempDir folder_;
};

TEST_F(SlowPages, MayTakeLongerThanOthers) {
  const std::string at_work = "printf 'W\\0\\0\\0\\0\\0\\0\\0\\0' >&0",
                    end = "printf 'Z\\0\\0\\0\\0\\0\\0\\0\\0' >&0";
  EXPECT_EQ(ParseBy(StrCat("sleep 1.5; ", end)),
            InvalidArgument("takes more than 1 seconds to be read; split it"));
  EXPECT_EQ(ParseBy(StrCat(at_work, "; sleep 1.5; ", end)), OkStatus());
}

TEST_F(SlowPages, AreBounded) {
  const Status status = ParseBy(
      "i=0; while [ $i -lt 1100 ]; do printf 'W\\0\\0\\0\\0\\0\\0\\0\\0' >&0; i=$((i+1)); done; "
      "sleep 60");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
}

}  // namespace
}  // namespace vade
