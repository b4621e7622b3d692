// Pictures within documents and mail: their words stand behind the block that holds them.
#include "ingest/formats/inner_pictures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "ingest/formats/ocr_data.h"
#include "ingest/formats/parser.h"
#include "ingest/jail.h"
#include "tests/ingest/picture_reading.h"
#include "tests/testing/made_files.h"
#include "tests/testing/made_scans.h"

namespace vade {
namespace {

using ::testing::HasSubstr;

constexpr const char* kWords = "The boiler in the cellar is serviced every year in May.";
const std::string kQuote = StrCat("> Picture: ", kWords);

std::string PictureWith(const std::string& words, const std::string& format = "png") {
  return testing::PictureOf(testing::Drawn(words), format);
}

std::string Base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; ++j) {
      out.push_back(i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63]);
    }
    if (i % 57 == 54) out.push_back('\n');
  }
  return out;
}

class PicturesWithin : public PictureReading {
 protected:
  std::string Read(std::string_view name, std::string_view bytes) {
    return ReadAs([](const ParsedDocument& document) { return document.text; }, name, bytes);
  }
  double WithWords() {
    const auto at = last_.metadata.find("ocr_pictures");
    return at == last_.metadata.end() ? 0 : std::get<double>(at->second);
  }
};

std::string DocxParagraph(std::string_view words, std::string_view picture = "") {
  const std::string drawing = picture.empty()
                                  ? ""
                                  : StrCat("<w:r><w:drawing><a:blip xmlns:a='a' r:embed='", picture,
                                           "'/></w:drawing></w:r>");
  return StrCat("<w:p><w:r><w:t>", words, "</w:t></w:r>", drawing, "</w:p>");
}
std::string DocxWith(const std::string& body,
                     const std::vector<std::pair<std::string, std::string>>& pictures) {
  std::vector<std::pair<std::string, std::string>> targets, files;
  for (const auto& [name, bytes] : pictures) {
    targets.emplace_back(name, StrCat("media/", name, ".png"));
    files.emplace_back(StrCat("word/media/", name, ".png"), bytes);
  }
  files.emplace_back("word/_rels/document.xml.rels", testing::Relationships(targets));
  return testing::DocxOf(body, files);
}

TEST_F(PicturesWithin, WordStandBehindTheirParagraph) {
  const std::string body = DocxParagraph("Before.") + DocxParagraph("See this:", "p") +
                           DocxParagraph("After.") + DocxParagraph("Missing.", "q");
  EXPECT_EQ(Read("a.docx", DocxWith(body, {{"p", PictureWith(kWords)}})),
            StrCat("Before.\n\nSee this:\n\n", kQuote, "\n\nAfter.\n\nMissing.\n"));
  EXPECT_EQ(WithWords(), 1);
}

TEST_F(PicturesWithin, ADocumentOfNothingElseHaveItsText) {
  EXPECT_EQ(Read("a.docx", DocxWith(DocxParagraph("", "p"), {{"p", PictureWith(kWords)}})),
            kQuote + "\n");
}

TEST_F(PicturesWithin, ThatAreSmallOrShownBeforeOrDamagedOrWithoutWordsArePassedOver) {
  const std::string picture = PictureWith(kWords);
  const std::string small =
      testing::PictureOf(testing::Drawn(kWords).copy(poppler::rect(0, 0, 150, 150)), "png");
  std::string body;
  for (const char* id : {"p", "again", "small", "damaged", "cut", "blank", "text"}) {
    body += DocxParagraph(id, id);
  }
  EXPECT_EQ(Read("a.docx", DocxWith(body, {{"p", picture},
                                           {"again", picture},
                                           {"small", small},
                                           {"damaged", picture.substr(0, 2000)},
                                           {"cut", picture.substr(0, 20)},
                                           {"blank", PictureWith("")},
                                           {"text", "no picture"}})),
            StrCat("p\n\n", kQuote, "\n\nagain\n\nsmall\n\ndamaged\n\ncut\n\nblank\n\ntext\n"));
}

TEST_F(PicturesWithin, ASlideStandWhereItShowsThem) {
  const std::string picture = "<p:pic><p:blipFill><a:blip r:embed='p'/></p:blipFill></p:pic>";
  const std::string file = testing::PptxOf(
      {testing::Shape("title", "Boiler") + picture + testing::Shape("body", "Point")},
      {{"ppt/slides/_rels/slide0.xml.rels", testing::Relationships({{"p", "../media/p.jpg"}})},
       {"ppt/media/p.jpg", PictureWith(kWords, "jpeg")}});
  EXPECT_EQ(Read("a.pptx", file), StrCat("## Boiler\n\n", kQuote, "\n\n- Point\n"));
}

TEST_F(PicturesWithin, OpenDocumentStandBehindTheirParagraph) {
  const std::string body =
      "<text:p>See this:<draw:frame><draw:image xlink:href='Pictures/p.png'/></draw:frame></text:p>"
      "<text:p>After.</text:p>";
  EXPECT_EQ(Read("a.odt",
                 testing::OpenDocumentOf("text", body, {{"Pictures/p.png", PictureWith(kWords)}})),
            StrCat("See this:\n\n", kQuote, "\n\nAfter.\n"));
}

TEST_F(PicturesWithin, ABookStandBehindTheirParagraph) {
  const std::string file =
      testing::EpubOf({"<p>See <img src='../OEBPS/p%20q.png'/> this:</p><p>After.</p>"},
                      {{"OEBPS/p q.png", PictureWith(kWords)}});
  EXPECT_EQ(Read("a.epub", file), StrCat("See this:\n\n", kQuote, "\n\nAfter.\n"));
}

std::string MailPart(std::string_view headers, const std::string& picture) {
  return StrCat("--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n", headers,
                "\n\n", Base64(picture), "\n");
}

TEST_F(PicturesWithin, MailStandBehindTheirParagraphOrAtTheEnd) {
  const std::string mail = StrCat(
      "Subject: Boiler\nFrom: a@example.org\nContent-Type: multipart/related; boundary=b\n\n"
      "--b\nContent-Type: text/html\n\n<p>See <img src=\"cid:one\"> this:</p><p>After.</p>\n",
      MailPart("Content-ID: <one>", PictureWith(kWords)),
      MailPart("Content-Disposition: attachment; filename=\"keys.png\"",
               PictureWith("The keys are with the porter.")),
      "--b--\n");
  const std::string text = Read("a.eml", mail);
  EXPECT_THAT(text, HasSubstr(StrCat("See this:\n\n", kQuote, "\n\nAfter.\n")));
  EXPECT_THAT(text, HasSubstr("- Attachment: keys.png\n\n> Picture keys.png: The keys are with the "
                              "porter.\n"));
  EXPECT_EQ(WithWords(), 2);
}

TEST_F(PicturesWithin, MailWhoseTextIsPlainStandAtTheEnd) {
  const std::string mail = StrCat(
      "Subject: Boiler\nContent-Type: multipart/alternative; boundary=c\n\n"
      "--c\nContent-Type: text/plain\n\nPlain words.\n"
      "--c\nContent-Type: multipart/related; boundary=b\n\n"
      "--b\nContent-Type: text/html\n\n<p>See <img src=\"cid:one\"></p>\n",
      MailPart("Content-ID: <one>", PictureWith(kWords)), "--b--\n--c--\n");
  EXPECT_THAT(Read("a.eml", mail), HasSubstr(StrCat("Plain words.\n\n", kQuote, "\n")));
}

TEST_F(PicturesWithin, ADocumentSendItToTheParserWithTesseract) {
  Jail first({.parser_path = VADE_PARSE_BINARY});
  const auto pages = [&](const std::string& bytes) {
    const auto parsed = first.Parse(
        {.name = "a.docx", .mime_type = "", .password = "", .bytes = bytes},
        [](ParsedPart) { return OkStatus(); }, Context());
    return parsed.ok() ? *parsed : OcrPart::kNone;
  };
  const std::string body = DocxParagraph("See this:", "p");
  EXPECT_EQ(pages(DocxWith(body, {{"p", PictureWith(kWords)}})), OcrPart::kWanted);
  EXPECT_EQ(pages(DocxWith(body, {{"p", "no picture"}})), OcrPart::kNone);
}

// --- what holds without Tesseract too

TEST(PictureSizes, AreReadFromHeaders) {
  const poppler::image page = testing::Drawn(kWords);
  for (const std::string format : {"png", "jpeg"}) {
    const std::string picture = testing::PictureOf(page, format);
    const auto size = SizeOfPicture(picture);
    ASSERT_TRUE(size.has_value()) << format;
    EXPECT_EQ(size->width, static_cast<uint32_t>(page.width()));
    EXPECT_EQ(size->height, static_cast<uint32_t>(page.height()));
    for (size_t cut = 0; cut < 700; ++cut) (void)SizeOfPicture(picture.substr(0, cut));
    for (size_t at = 0; at < 700; ++at) {
      std::string damaged = picture;
      damaged[at] = '\xff';
      (void)SizeOfPicture(damaged);
    }
  }
  EXPECT_FALSE(SizeOfPicture("GIF89a").has_value());
  EXPECT_FALSE(SizeOfPicture("").has_value());
  EXPECT_FALSE(IsWorthReading({16, 16}));
  EXPECT_FALSE(IsWorthReading({4000, 20}));
  EXPECT_TRUE(IsWorthReading({1200, 40}));
}

// As many as the limit are asked for, and no further ones.
TEST(InnerPicturesLimit, HoldsForEveryDocument) {
  int asked = 0;
  const Source source = {
      .bytes = "", .name = "a", .password = "", .may_ocr = [&]() -> Result<bool> {
        ++asked;
        return false;
      }};
  MarkdownWriter out;
  InnerPictures pictures(source);
  std::string picture("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\1\0\0\0\1\0", 24);
  for (int i = 0; i < 2 * kMaxInnerPictures; ++i) pictures.Write(StrCat(picture, i), &out);
  EXPECT_EQ(asked, kMaxInnerPictures);
  Metadata metadata;
  EXPECT_TRUE(pictures.Finish(&metadata).ok());
  EXPECT_TRUE(metadata.empty());
  EXPECT_TRUE(out.empty());
}

TEST(InnerPicturesLimit, AnotherParserIsAskedForAtOnce) {
  const Source source = {.bytes = "", .name = "a", .password = "", .may_ocr = []() -> Result<bool> {
                           return Unavailable("elsewhere");
                         }};
  MarkdownWriter out;
  InnerPictures pictures(source);
  pictures.Write(std::string("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\1\0\0\0\1\0", 24), &out);
  Metadata metadata;
  EXPECT_EQ(pictures.Finish(&metadata).code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace vade
