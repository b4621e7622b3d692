#include "ingest/formats/kind.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/strings.h"

namespace vade {
namespace {

std::string Kind(std::string_view bytes, std::string_view name, std::string_view type = "") {
  const KindOfFile kind = TellKind(bytes, name, type);
  return kind.kind == FileKind::kText ? "text" : std::string(kind.label);
}

TEST(FileKind, IsToldByTheBytesWhateverTheName) {
  EXPECT_EQ(Kind("%PDF-1.7 ...", "a.txt"), "PDF");
  EXPECT_EQ(Kind("PK\x03\x04 ....", "a.docx"), "a zip archive");
  EXPECT_EQ(Kind("\x89PNG\r\n\x1a\n", "a"), "a PNG image");
  EXPECT_EQ(Kind("\x1f\x8b\x08", "a"), "a gzip archive");
  EXPECT_EQ(Kind("{\\rtf1 a}", "a.doc"), "RTF");
  EXPECT_EQ(Kind("\n<!-- x --><!DOCTYPE HTML>\n<p>a", "page"), "HTML");
  EXPECT_EQ(Kind("<html><p>a", "table.xls"), "HTML");
  EXPECT_EQ(Kind("WEBVTT\n\n00:01.000 --> 00:02.000\nHi\n", "a"), "subtitles");
  EXPECT_EQ(Kind("From: a@b.c\nTo: d@e.f\nSubject: x\n\nHi\n", "note"), "a mail");
}

TEST(FileKind, LetsTheNameDecideBetweenWhatTheBytesAllow) {
  EXPECT_EQ(Kind("a,b\n1,2\n", "a.csv"), "CSV");
  EXPECT_EQ(Kind("a,b\n1,2\n", "a.txt"), "text");
  EXPECT_EQ(Kind("{\"a\": 1}", "a.json"), "JSON");
  EXPECT_EQ(Kind("{\"a\": 1}", "a.txt"), "text");
  EXPECT_EQ(Kind("<p>a</p>", "a.html"), "HTML");
  EXPECT_EQ(Kind("no marks", "a.html"), "text");
  EXPECT_EQ(Kind("# a\n<html>", "a.md"), "text");
  EXPECT_EQ(Kind("<html><p>a", "a", "text/plain"), "text");
  EXPECT_EQ(Kind("a;b", "a", "text/csv; charset=utf-8"), "CSV");
}

TEST(FileKind, RefusesByNameWhatCannotBeRead) {
  EXPECT_EQ(CheckKind(TellKind("\x7f"
                               "ELF\x02",
                               "a", ""))
                .message(),
            "a program (ELF) is not supported; convert it to a format that is");
  const std::string bmp =
      StrCat(std::string("BM\xe6\xe3\x8e\x01\0\0\0\0", 10), std::string(9000, '\xff'));
  EXPECT_EQ(CheckKind(TellKind(bmp, "a", "")).message(),
            "a BMP image is not supported; convert it to a format that is");
  EXPECT_EQ(Kind("BM25 ranks documents by the words of a question.", "a"), "text");
  EXPECT_EQ(CheckKind(TellKind("no zip", "a.odt", "")).message(),
            "is called OpenDocument and is not; it is damaged, or rename it to what it is");
  EXPECT_TRUE(CheckKind(TellKind("text", "a.doc", "")).ok());
  EXPECT_TRUE(CheckKind(TellKind("", "a.pdf", "")).ok()) << "which is refused as empty";
}

}  // namespace
}  // namespace vade
