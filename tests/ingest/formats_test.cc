// Each format's parser on small files that this test makes. Real files: manifest_slow_test.cc.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/strings.h"
#include "ingest/formats/mime.h"
#include "ingest/formats/parser.h"
#include "ingest/formats/xlsx_numbers.h"
#include "tests/testing/made_files.h"

namespace vade {
namespace {

using testing::DocxOf;
using testing::OpenDocumentOf;
using testing::PptxOf;
using testing::Shape;
using testing::XlsxOf;

// The texts of the file's documents behind the names of those inside it; or the reason.
std::string Text(std::string_view name, std::string_view bytes, std::string_view password = "") {
  std::string out;
  const Status status = ParseFile(
      {.name = name, .mime_type = "", .password = password, .bytes = bytes}, [&](ParsedPart part) {
        if (!part.document.inner.empty()) out += StrCat("== ", part.document.inner, "\n");
        out += part.status.ok() ? part.document.text : StrCat(part.status.message(), "\n");
        return OkStatus();
      });
  return status.ok() ? out : status.ToString();
}

ParsedDocument Document(std::string_view name, std::string_view bytes) {
  ParsedDocument first;
  const Status status = ParseFile({.name = name, .mime_type = "", .password = "", .bytes = bytes},
                                  [&](ParsedPart part) {
                                    first = std::move(part.document);
                                    return OkStatus();
                                  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return first;
}

std::string Paragraph(std::string_view words, std::string_view properties = "") {
  return StrCat("<w:p><w:pPr>", properties, "</w:pPr><w:r><w:t>", words, "</w:t></w:r></w:p>");
}

TEST(Docx, ReadsHeadingsByTheirStyleItemsByTheirNumbering) {
  const std::string styles =
      "<w:styles><w:style w:styleId='berschrift1'><w:name w:val='heading 1'/></w:style>"
      "<w:style w:styleId='Mine'><w:basedOn w:val='berschrift1'/></w:style></w:styles>";
  const std::string numbering =
      "<w:numbering><w:abstractNum w:abstractNumId='7'><w:lvl><w:numFmt w:val='decimal'/></w:lvl>"
      "</w:abstractNum><w:num w:numId='1'><w:abstractNumId w:val='7'/></w:num></w:numbering>";
  const std::string item = "<w:numPr><w:ilvl w:val='0'/><w:numId w:val='1'/></w:numPr>";
  EXPECT_EQ(Text("a.docx",
                 DocxOf(Paragraph("Title", "<w:pStyle w:val='Mine'/>") + Paragraph("one", item) +
                            Paragraph("two", item) + Paragraph("Text."),
                        {{"word/styles.xml", styles}, {"word/numbering.xml", numbering}})),
            "# Title\n\n1. one\n2. two\n\nText.\n");
}

TEST(Docx, ReadsTablesNotesAndHeadersAndLeavesDeletionsOut) {
  const std::string table = "<w:tbl><w:tr><w:tc>" + Paragraph("Name") + "</w:tc><w:tc>" +
                            Paragraph("Days") + "</w:tc></w:tr><w:tr><w:tc>" + Paragraph("A") +
                            "</w:tc><w:tc>" + Paragraph("1") + Paragraph("2") +
                            "</w:tc></w:tr></w:tbl>";
  const std::string body =
      "<w:p><w:r><w:t>Kept</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins>"
      "<w:r><w:t> and new</w:t><w:footnoteReference w:id='2'/></w:r></w:ins></w:p>" +
      table;
  EXPECT_EQ(Text("a.docx",
                 DocxOf(body, {{"word/footnotes.xml",
                                StrCat("<w:footnotes><w:footnote w:id='2'>", Paragraph("A note."),
                                       "</w:footnote></w:footnotes>")},
                               {"word/header1.xml", "<w:hdr>" + Paragraph("ACME") + "</w:hdr>"},
                               {"word/header2.xml", "<w:hdr>" + Paragraph("ACME") + "</w:hdr>"}})),
            "ACME\n\nKept and new[^2]\n\n| Name | Days |\n| --- | --- |\n| A | 1 2 |\n\n"
            "[^2]: A note.\n");
}

TEST(Docx, CountsThePagesThatWordRenderedLast) {
  const ParsedDocument document =
      Document("a.docx", DocxOf("<w:p><w:r><w:t>one</w:t></w:r><w:r><w:lastRenderedPageBreak/>"
                                "<w:t>two</w:t></w:r></w:p>"));
  EXPECT_EQ(document.text, "one\ftwo\n");
  EXPECT_EQ(document.first_page, 1u);
}

TEST(Pptx, MakesAPageOfEachSlide) {
  const ParsedDocument document = Document(
      "a.pptx", PptxOf({Shape("title", "First") + Shape("body", "point") + Shape("sldNum", "1"),
                        Shape("ctrTitle", "Second")}));
  EXPECT_EQ(document.text, "## First\n\n- point\n\n\f\n\n## Second\n");
  EXPECT_EQ(document.first_page, 1u);
  EXPECT_EQ(document.title, "First");
}

TEST(Xlsx, ShowsCellsAsPeopleSeeThem) {
  const std::string styles =
      "<numFmts><numFmt numFmtId='164' formatCode='dd/mm/yyyy hh:mm'/></numFmts>"
      "<cellXfs><xf numFmtId='0'/><xf numFmtId='14'/><xf numFmtId='164'/><xf "
      "numFmtId='10'/></cellXfs>";
  const std::string rows =
      "<row r='2'><c r='B2' t='s'><v>0</v></c><c r='D2' "
      "t='inlineStr'><is><t>When</t></is></c></row>"
      "<row r='3'><c r='B3'><v>1.5</v></c><c r='D3' s='1'><v>45352</v></c></row>"
      "<row r='4'><c r='B4' s='3'><v>0.125</v></c><c r='D4' s='2'><v>45352.5</v></c></row>"
      "<row r='6'><c r='B6' t='b'><v>1</v></c></row>";
  EXPECT_EQ(Text("a.xlsx", XlsxOf(rows, "<si><r><t>Am</t></r><r><t>ount</t></r></si>", styles)),
            "## Stock\n\n| Amount | When |\n| --- | --- |\n| 1.5 | 2024-03-01 |\n"
            "| 12.5% | 2024-03-01 12:00 |\n\nTRUE\n");
  EXPECT_EQ(Text("a.xlsx", XlsxOf("<row><c><v>1</v></c></row>", "", "", "hidden")),
            "## Stock (hidden sheet)\n\n1\n");
}

TEST(Xlsx, KnowsBothOfExcelsCalendars) {
  EXPECT_EQ(ShowNumber(1, NumberKind::kDate, false), "1900-01-01");
  EXPECT_EQ(ShowNumber(61, NumberKind::kDate, false), "1900-03-01");
  EXPECT_EQ(ShowNumber(0, NumberKind::kDate, true), "1904-01-01");
  EXPECT_EQ(ShowNumber(0.75, NumberKind::kTime, false), "18:00");
  EXPECT_EQ(ShowNumber(0.1 + 0.2, NumberKind::kPlain, false), "0.3");
  EXPECT_EQ(KindOfNumber(164, "[$-409]d-mmm-yy"), NumberKind::kDate);
  EXPECT_EQ(KindOfNumber(164, "\"day\" 0.00"), NumberKind::kPlain);
}

TEST(OpenDocument, ReadsTextTablesAndSlides) {
  EXPECT_EQ(
      Text("a.odt", OpenDocumentOf("text",
                                   "<text:h text:outline-level='2'>Head</text:h><text:list>"
                                   "<text:list-item><text:p>item</text:p></text:list-item>"
                                   "</text:list><text:p>a<text:s/>b<text:note><text:note-body>"
                                   "<text:p>noted</text:p></text:note-body></text:note>"
                                   "</text:p>")),
      "## Head\n\n- item\n\na b[^1]\n\n[^1]: noted\n");
  EXPECT_EQ(
      Text("a.ods",
           OpenDocumentOf("spreadsheet",
                          "<table:table table:name='S'><table:table-row><table:table-cell "
                          "table:number-columns-repeated='2'><text:p>x</text:p></table:table-cell>"
                          "<table:table-cell table:number-columns-repeated='16000'/>"
                          "</table:table-row><table:table-row table:number-rows-repeated="
                          "'1000000'><table:table-cell/></table:table-row></table:table>")),
      "## S\n\n| x | x |\n| --- | --- |\n");
  EXPECT_EQ(Text("a.odp", testing::Odp("slide words")), "slide words\n");
}

TEST(Epub, FollowsTheSpine) {
  const ParsedDocument document =
      Document("a.epub", testing::EpubOf({"<h1>One</h1><p>first</p>", "<p>second</p>"}));
  EXPECT_EQ(document.text, "# One\n\nfirst\n\nsecond\n");
  EXPECT_EQ(document.title, "A Book");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("author")), "B. Writer");
}

TEST(Rtf, ReadsCharsetsTablesAndHidesWhatIsNoText) {
  EXPECT_EQ(Text("a.rtf",
                 "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}{\\f1\\fcharset204 Arial;}}"
                 "{\\info{\\title T}}{\\*\\unknown gone}\\f0 caf\\'e9 \\f1 \\'cf\\'f0\\par "
                 "\\pard\\outlinelevel0 Head\\par\\pard \\u-10179?\\u-8704? x\\par "
                 "\\trowd\\intbl a\\cell b\\cell\\row}"),
            "caf\u00E9 \u041F\u0440\n\n# Head\n\n\U0001F600 x\n\n| a | b |\n| --- | --- |\n");
}

TEST(Csv, FindsTheDelimiterAndTheHeader) {
  EXPECT_EQ(Text("a.csv", "Report;;\nName;Days;Note\nA;1;\"x; \"\"y\"\"\"\n"),
            "Report\n\n| Name | Days | Note |\n| --- | --- | --- |\n| A | 1 | x; \"y\" |\n");
  EXPECT_EQ(Text("a.tsv", "a\tb\n1,5\t2\n"), "| a | b |\n| --- | --- |\n| 1,5 | 2 |\n");
}

TEST(Json, KeepsNamesBesideValues) {
  EXPECT_EQ(Text("a.json", R"({"a": {"b": [1, "x"]}, "c": [{"d": null}]})"),
            "- a:\n  - b: 1, x\n- c:\n  - 1:\n    - d: null\n");
  EXPECT_EQ(Text("a.json", "{\"cut\": "), "{\"cut\": ");
  EXPECT_EQ(Text("a.jsonl", "{\"a\": 1, \"b\": \"x\"}\n\n{\"a\": 2}\n"), "a: 1; b: x\n\na: 2\n");
  EXPECT_EQ(Text("a.json", std::string(100'000, '[')).substr(0, 4), "[[[[");
}

TEST(Xml, NamesItsWordsAndFetchesNothing) {
  EXPECT_EQ(Text("a.xml",
                 "<?xml version='1.0'?><!DOCTYPE n [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
                 "<n><to>Bob &amp; <b>Al</b></to><t>&x;</t></n>"),
            "to: Bob & Al\n\nt: &x;\n");
}

TEST(Subtitles, JoinsWhatIsSaidBehindItsTime) {
  EXPECT_EQ(Text("a.srt",
                 "1\n00:00:01,000 --> 00:00:03,000\n<i>Hello</i>\nthere.\n\n2\n00:00:04,000 --> "
                 "00:00:05,000\nYes.\n\n3\n00:01:10,000 --> 00:01:12,000\nLater.\n"),
            "[00:00:01] Hello there. Yes.\n\n[00:01:10] Later.\n");
}

TEST(Mail, DecodesWordsAndPartsAndGivesAttachmentsTheirOwnDocuments) {
  const std::string mail =
      "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\nSubject: =?utf-8?B?w4R?=\n "
      "=?utf-8?B?cGZlbA==?=\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n"
      "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\nContent-Type: text/plain; "
      "charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nK=E4se and a long=\n"
      " line\n> quoted\n--c\nContent-Type: text/html\n\n<p>html\n--c--\n--b\nContent-Type: "
      "text/html; name=\"x.html\"\nContent-Disposition: attachment\nContent-Transfer-Encoding: "
      "base64\n\nPHA+YXR0YWNoZWQ=\n--b\nContent-Type: image/png\n\nxx\n--b--\n";
  EXPECT_EQ(Text("m.eml", mail),
            "# \u00C4pfel\n\n- From: J\u00FCrgen <j@example.org>\n\nK\u00E4se and a long line\n\n"
            "> quoted\n\n- Attachment: x.html\n- Attachment: attachment-2\n== x.html\nattached\n");
}

TEST(Mail, TellsTheDate) {
  EXPECT_EQ(MailDateToIso("Tue, 1 Jul 2003 10:52:37 +0200"), "2003-07-01T10:52:37+02:00");
  EXPECT_EQ(MailDateToIso("12 Feb 2021 09:05 GMT"), "2021-02-12T09:05:00Z");
  EXPECT_EQ(MailDateToIso("yesterday"), "");
}

TEST(Mailbox, HasADocumentForEachMessage) {
  const std::string one = "From a@b Tue\n" + testing::Mail("first");
  EXPECT_EQ(Text("m.mbox", one + "\n" + one).substr(0, 12), "== 1.eml\n# N");
  EXPECT_NE(Text("m.mbox", one + "\n" + one).find("== 2.eml\n"), std::string::npos);
}

TEST(Pdf, MakesPagesOfItsPages) {
  const ParsedDocument document = Document("a.pdf", testing::PdfOf({"First page.", "Second."}));
  EXPECT_EQ(document.text, "First page.\n\n\f\n\nSecond.\n");
  EXPECT_EQ(document.first_page, 1u);
  EXPECT_EQ(std::get<double>(document.metadata.at("pages")), 2);
}

TEST(Pdf, SaysWhichPagesHaveNoText) {
  const ParsedDocument document = Document("a.pdf", testing::PdfOf({"Text.", "", "More."}));
  EXPECT_EQ(document.text, "Text.\n\n\f\f\n\nMore.\n");
  EXPECT_EQ(std::get<std::string>(document.metadata.at("pages_without_text")), "2");
}

TEST(Archive, ReadsWhatIsInItAndTellsWhatIsNot) {
  EXPECT_EQ(Text("a.tar", testing::Tar("b.txt", "tarred")), "== b.txt\ntarred");
  EXPECT_EQ(Text("a.zip", testing::Zip({{"../x/./b.txt", "zipped"}, {".hidden", "no"}})),
            "== x/b.txt\nzipped");
  EXPECT_EQ(Text("a.zip", testing::Zip({{"b.png", "\x89PNG"}})),
            "== b.png\nis a PNG image; its words can be read by OCR: install tesseract-ocr\n");
}

TEST(Formats, RefuseTheDamagedWithAReason) {
  const std::string docx = testing::Docx("text");
  EXPECT_TRUE(Text("a.docx", docx.substr(0, docx.size() / 2))
                  .starts_with("INVALID_ARGUMENT: is damaged: no whole zip archive"));
  EXPECT_TRUE(Text("a.docx", DocxOf("<w:p><w:r>")).starts_with("INVALID_ARGUMENT: is damaged: "));
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "<w:sdt>";
  for (int i = 0; i < 5000; ++i) deep += "</w:sdt>";
  EXPECT_EQ(Text("a.docx", DocxOf(deep)),
            "INVALID_ARGUMENT: is nested too deeply to be a document");
  EXPECT_EQ(Text("a.odt", testing::Zip({{"mimetype", "application/vnd.oasis.opendocument.text"},
                                        {"META-INF/manifest.xml", "<x><encryption-data/></x>"}})),
            "INVALID_ARGUMENT: is encrypted; save it without a password");
}

}  // namespace
}  // namespace vade
