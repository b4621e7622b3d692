// Pictures that are files of their own, read by Tesseract in the jail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/strings.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/jpeg_turn.h"
#include "ingest/formats/ocr_data.h"
#include "ingest/ingest.h"
#include "ingest/jail.h"
#include "tests/ingest/picture_reading.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/made_scans.h"
#include "tests/testing/memory_store.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/zip.h"

namespace vade {
namespace {

using ::testing::HasSubstr;

constexpr const char* kWords = "The boiler in the cellar is serviced every year in May.";

class Pictures : public PictureReading {
 protected:
  // "type text".
  std::string Read(std::string_view name, std::string_view bytes) {
    return ReadAs(
        [](const ParsedDocument& document) {
          return StrCat(document.mime_type, " ", document.text);
        },
        name, bytes);
  }
  std::string Fact(const std::string& key) {
    const auto at = last_.metadata.find(key);
    if (at == last_.metadata.end()) return "(none)";
    const auto* number = std::get_if<double>(&at->second);
    return number != nullptr ? StrCat(*number) : std::get<std::string>(at->second);
  }
};

TEST_F(Pictures, AreReadWhateverTheirFormatAndName) {
  const poppler::image page = testing::Drawn(kWords);
  for (const std::string format : {"png", "jpeg", "tiff"}) {
    EXPECT_EQ(Read("IMG_1", testing::PictureOf(page, format)),
              StrCat("image/", format, " ", kWords, "\n"));
    EXPECT_EQ(last_.title, kWords);
    EXPECT_EQ(last_.first_page, 0u) << "one picture has no pages";
    EXPECT_EQ(Fact("ocr_pages"), "1");
  }
}

TEST_F(Pictures, MayHaveColours) {
  const poppler::image page =
      testing::Drawn(kWords, poppler::rotate_0, poppler::image::format_argb32);
  EXPECT_EQ(Read("a.png", testing::PictureOf(page, "png")), StrCat("image/png ", kWords, "\n"));
}

TEST_F(Pictures, OfOneFileAreItsPages) {
  const std::string bytes = testing::TiffOf({testing::Drawn(kWords), testing::Drawn(""),
                                             testing::Drawn("The keys are with the porter.")});
  EXPECT_EQ(Read("fax.tif", bytes),
            StrCat("image/tiff ", kWords, "\n\n\f\f\n\nThe keys are with the porter.\n"));
  EXPECT_EQ(last_.first_page, 1u);
  EXPECT_EQ(Fact("pages"), "3");
  EXPECT_EQ(Fact("ocr_pages"), "1, 3");
  EXPECT_EQ(Fact("pages_without_text"), "2");
}

TEST_F(Pictures, WithoutWordsAreToldAsSuch) {
  EXPECT_EQ(Read("a.png", testing::PictureOf(testing::Drawn(""), "png")),
            "is a PNG image in which Tesseract sees no text");
}

TEST_F(Pictures, WhichAreDamagedAreRefused) {
  const std::string png = testing::PictureOf(testing::Drawn(kWords), "png");
  EXPECT_EQ(Read("a.png", png.substr(0, 20)),
            "INVALID_ARGUMENT: is a damaged picture; fetch or save it again");
  EXPECT_EQ(Read("a.png", "\x89PNG\r\n\x1a\n"),
            "INVALID_ARGUMENT: is a damaged picture; fetch or save it again");
  const std::string tiff = testing::TiffOf({testing::Drawn(kWords)});
  EXPECT_EQ(Read("a.tif", tiff.substr(0, 60)),
            "INVALID_ARGUMENT: is a damaged picture; fetch or save it again");
  std::string loop = testing::TiffOf({testing::Drawn("")});
  loop.replace(8 + 2 + 12 * 9, 4, std::string("\x08\0\0\0", 4));  // the next page is this one
  EXPECT_FALSE(Read("a.tif", loop).starts_with("image/"));
}

// The beginning of a picture that would take gigabytes.
std::string HugePng() {
  std::string out("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16);
  for (int i = 0; i < 2; ++i) out.append("\0\0\xea\x60", 4);  // 60,000
  return out.append("\x08\x06\0\0\0????", 9).append(400, '\0');
}

TEST_F(Pictures, WithTooManyPixelsAreNotDecoded) {
  EXPECT_EQ(Read("bomb.png", HugePng()),
            "INVALID_ARGUMENT: has 60000 x 60000 pixels, and 100 million are the limit; make it "
            "smaller");
  EXPECT_EQ(Read("a.png", testing::PictureOf(testing::Drawn(kWords), "png")),
            StrCat("image/png ", kWords, "\n"));
}

// A JPEG that says how the camera was held.
std::string Held(const std::string& jpeg, uint16_t orientation) {
  std::string exif("Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", 24);
  AppendFixed(&exif, orientation);
  exif.append(6, '\0');
  std::string segment("\xFF\xE1\0", 3);
  segment.push_back(static_cast<char>(exif.size() + 2));
  return StrCat(jpeg.substr(0, 2), segment, exif, jpeg.substr(2));
}

TEST_F(Pictures, AreTurnedTheWayTheCameraWasHeld) {
  const std::string turned =
      testing::PictureOf(testing::Drawn(kWords, poppler::rotate_270), "jpeg");
  EXPECT_EQ(Read("a.jpg", Held(turned, 6)), StrCat("image/jpeg ", kWords, "\n"));
  const std::string other = testing::PictureOf(testing::Drawn(kWords, poppler::rotate_90), "jpeg");
  EXPECT_EQ(Read("a.jpg", Held(other, 8)), StrCat("image/jpeg ", kWords, "\n"));
}

TEST_F(Pictures, InAnArchiveAreDocumentsOfTheirOwnAndRememberedWhenTheyHaveNoWords) {
  const testing::TempDir folder;
  folder.Write("a.zip", testing::Zip({{"b.png", testing::PictureOf(testing::Drawn(kWords), "png")},
                                      {"c.png", testing::PictureOf(testing::Drawn(""), "png")}}));
  folder.Write("d.jpg", testing::PictureOf(testing::Drawn(""), "jpeg"));
  testing::MemoryStore store;
  HashingEmbedder embedder;
  IngestOptions options;
  const auto run = [&](const std::string& parser) {
    options.parser_path = parser;
    auto report =
        Ingestor(&store, &embedder, options).IngestPaths({folder.path()}, nullptr, Context());
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    std::string out = StrCat(report->created, " created ", report->unchanged, " unchanged");
    std::sort(report->errors.begin(), report->errors.end(),
              [](const auto& a, const auto& b) { return a.source < b.source; });
    for (const IngestError& error : report->errors) {
      out += StrCat("\n", error.source.substr(folder.path().size() + 1), " ", error.reason);
    }
    return out;
  };
  const std::string errors =
      "\na.zip!/c.png is a PNG image in which Tesseract sees no text"
      "\nd.jpg is a JPEG image in which Tesseract sees no text";
  EXPECT_EQ(run(VADE_PARSE_BINARY), "1 created 0 unchanged" + errors);
  EXPECT_TRUE(store.GetDocument("default", "a.zip!/b.png").ok());
  EXPECT_EQ(run("/no parser is needed"), "0 created 1 unchanged" + errors);
}

// --- what holds without Tesseract too

TEST(PicturesWithoutOcr, AreRefusedWithThePackagesName) {
  const auto refused = ParsePicture({.bytes = "\xFF\xD8\xFF\xE0", .name = "a.jpg", .password = ""});
  EXPECT_EQ(refused.status().message(),
            "is a JPEG image; its words can be read by OCR: install tesseract-ocr");
}

TEST(JpegTurn, BelievesNothingThatDoesNotFit) {
  const std::string jpeg("\xFF\xD8\xFF\xDA\0\x02", 6);
  EXPECT_EQ(QuarterTurnsOf(Held(jpeg, 3)), 2);
  EXPECT_EQ(QuarterTurnsOf(Held(jpeg, 1)), 0);
  EXPECT_EQ(QuarterTurnsOf(Held(jpeg, 77)), 0);
  const std::string held = Held(jpeg, 6);
  EXPECT_EQ(QuarterTurnsOf(held), 1);
  for (size_t size = 0; size < 30; ++size) EXPECT_EQ(QuarterTurnsOf(held.substr(0, size)), 0);
  for (size_t at = 2; at < held.size(); ++at) {
    for (const char byte : {'\0', '\x7f', '\xff'}) {
      std::string bad = held;
      bad[at] = byte;
      const int turns = QuarterTurnsOf(bad);
      EXPECT_TRUE(turns >= 0 && turns <= 3);
    }
  }
}

}  // namespace
}  // namespace vade
