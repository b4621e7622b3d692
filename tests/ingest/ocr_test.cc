// Pages without a text layer, read by Tesseract in the jail. The scans are made here: poppler draws
// a page with text, and its picture becomes a page without any.
#include "ingest/formats/ocr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poppler/cpp/poppler-document.h>
#include <poppler/cpp/poppler-page-renderer.h>
#include <poppler/cpp/poppler-page.h>
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
#include "tests/testing/memory_store.h"
#include "tests/testing/temp_dir.h"

namespace vade {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

struct Picture {
  int width = 0, height = 0;
  std::string pixels;  // a byte each
};

Picture PictureOf(const poppler::page& page) {
  constexpr double kDotsPerInch = 200;
  poppler::page_renderer renderer;
  renderer.set_image_format(poppler::image::format_gray8);
  renderer.set_render_hint(poppler::page_renderer::text_antialiasing);
  const poppler::image image = renderer.render_page(&page, kDotsPerInch, kDotsPerInch);
  Picture picture{image.width(), image.height(), {}};
  for (int y = 0; y < image.height(); ++y) {
    picture.pixels.append(image.const_data() + y * image.bytes_per_row(), image.width());
  }
  return picture;
}

// A page a text, each a picture.
std::string ScanOf(const std::vector<std::string>& pages) {
  const std::string drawn = testing::PdfOf(pages);
  const std::unique_ptr<poppler::document> source(
      poppler::document::load_from_raw_data(drawn.data(), static_cast<int>(drawn.size())));
  std::string kids, objects;
  for (size_t i = 0; i < pages.size(); ++i) {
    const std::unique_ptr<poppler::page> page(source->create_page(static_cast<int>(i)));
    const Picture picture = PictureOf(*page);
    const std::string draw = "q 595 0 0 842 0 0 cm /I Do Q";
    const size_t n = 10 + 3 * i;
    kids += StrCat(n, " 0 R ");
    objects += StrCat(n, " 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents ", n + 1,
                      " 0 R/Resources<</XObject<</I ", n + 2, " 0 R>>>>>>endobj\n", n + 1,
                      " 0 obj<</Length ", draw.size(), ">>stream\n", draw, "\nendstream endobj\n");
    objects +=
        StrCat(n + 2, " 0 obj<</Type/XObject/Subtype/Image/Width ", picture.width, "/Height ",
               picture.height, "/ColorSpace/DeviceGray/BitsPerComponent 8/Length ",
               picture.pixels.size(), ">>stream\n", picture.pixels, "\nendstream endobj\n");
  }
  return StrCat("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[",
                kids, "]/Count ", pages.size(), ">>endobj\n", objects, "trailer<</Root 1 0 R>>\n");
}

class OcrTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (OcrAtStart().languages.empty()) GTEST_SKIP() << "tesseract-ocr is not installed";
  }

  // In the jail; the reason as the text when it is refused.
  ParsedDocument Parse(std::string_view name, std::string_view bytes) {
    Jail jail({.parser_path = VADE_PARSE_BINARY});
    ParsedDocument document;
    const Status status = jail.Parse(
        {.name = name, .mime_type = "", .password = "", .bytes = bytes},
        [&](ParsedPart part) {
          document = std::move(part.document);
          return OkStatus();
        },
        Context());
    if (!status.ok()) document.text = status.ToString();
    return document;
  }
  static std::string Fact(const ParsedDocument& document, const std::string& key) {
    const auto at = document.metadata.find(key);
    return at == document.metadata.end() ? "(none)" : std::get<std::string>(at->second);
  }

  testing::TempDir folder_;
};

TEST_F(OcrTest, ReadsAScanInTheJailAndTellsWhichPages) {
  const ParsedDocument document = Parse(
      "scan.pdf", ScanOf({"The boiler in the cellar is serviced every year in the month of May.",
                          "", "The keys of the archive are with the porter."}));
  EXPECT_EQ(
      document.text,
      "The boiler in the cellar is serviced every year in the month of May.\n\n\f\f\n\nThe keys of "
      "the archive are with the porter.\n");
  EXPECT_EQ(Fact(document, "ocr_pages"), "1, 3");
  EXPECT_EQ(Fact(document, "pages_without_text"), "2");
}

TEST_F(OcrTest, LeavesPagesWithATextLayerAlone) {
  const ParsedDocument document = Parse("a.pdf", testing::PdfOf({"First page.", "Second."}));
  EXPECT_EQ(Fact(document, "ocr_pages"), "(none)");
}

TEST_F(OcrTest, SaysThatABlankScanHasNothingToRead) {
  EXPECT_EQ(Parse("blank.pdf", ScanOf({"", ""})).text,
            "INVALID_ARGUMENT: has no text on its 2 page(s), and Tesseract sees none");
}

TEST_F(OcrTest, GivesPassagesOfAScanTheirPages) {
  folder_.Write("scan.pdf", ScanOf({"The boiler in the cellar is serviced every year in May.",
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
  const auto refused = ParsePdf({.bytes = ScanOf({""}), .name = "scan.pdf", .password = ""});
  EXPECT_EQ(refused.status().ToString(),
            "INVALID_ARGUMENT: has no text layer on its 1 page(s): it is a scan or a drawing; "
            "install tesseract-ocr, or run OCR over it first, with ocrmypdf for one");
}

class SlowPages : public ::testing::Test {
 protected:
  // A parser that sends these bytes and commands.
  Status ParseBy(std::string_view commands) {
    const std::string path = folder_.Write("parser", StrCat("#!/bin/sh\n", commands, "\n"));
    EXPECT_EQ(chmod(path.c_str(), 0700), 0);
    Jail jail({.parser_path = path, .time_limit = 1s});
    return jail.Parse(
        {.name = "a.pdf", .mime_type = "", .password = "", .bytes = "bytes"},
        [](ParsedPart) { return OkStatus(); }, Context());
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
