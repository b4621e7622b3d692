#include "ingest/document.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/files.h"
#include "base/unicode.h"

namespace vade {
namespace {

std::string Describe(std::string_view bytes, std::string_view name, std::string_view type = "") {
  auto parsed = ParseDocument(bytes, name, type);
  if (!parsed.ok()) return parsed.status().ToString();
  return parsed->mime_type + " '" + parsed->title + "'";
}

TEST(ParseDocument, TakesTheTitleFromTheBestPlace) {
  EXPECT_EQ(Describe("---\nlang: en\ntitle: \"Sick leave\"\n---\n# Other\n", "a.md"),
            "text/markdown 'Sick leave'");
  EXPECT_EQ(Describe("intro\n\n## The *rules*\n", "a.md"), "text/markdown 'The rules'");
  EXPECT_EQ(Describe("A short line\nand more\n", "a.txt"), "text/plain 'A short line'");
  const std::string prose(300, 'x');
  EXPECT_EQ(Describe(prose, "dir/annual-report.txt"), "text/plain 'annual-report'");
  EXPECT_EQ(Describe("```\ncode\n```\n", "dir/notes.md"), "text/markdown 'notes'");
}

TEST(ParseDocument, TellsTheTypeByNameContentAndRequest) {
  EXPECT_EQ(Describe("# a\n", "a.MD"), "text/markdown 'a'");
  EXPECT_EQ(Describe("# a\n", "a.txt"), "text/plain '# a'");
  EXPECT_EQ(Describe("# a\n\nb\n", "note-17"), "text/markdown 'a'");
  EXPECT_EQ(Describe("no signs\n", "note-17"), "text/plain 'no signs'");
  EXPECT_EQ(Describe("# a\n", "a.txt", "text/markdown; charset=utf-8"), "text/markdown 'a'");
  EXPECT_EQ(Describe("# a\n", "a.md", "text/plain"), "text/plain '# a'");
  EXPECT_EQ(Describe("x", "a", "image/png"),
            "INVALID_ARGUMENT: image/png is not supported yet; convert it to text or Markdown");
}

TEST(ParseDocument, NamesTheKindOfWhatItDoesNotRead) {
  const auto refused = [](std::string_view bytes, std::string_view name) {
    const std::string all = Describe(bytes, name);
    const size_t end = all.find(" is not supported yet; convert it to text or Markdown");
    return end == std::string::npos ? all : all.substr(0, end);
  };
  EXPECT_EQ(refused("%PDF-1.7 ...", "a.txt"), "INVALID_ARGUMENT: PDF");
  EXPECT_EQ(refused("PK\x03\x04 ....", "a.docx"), "INVALID_ARGUMENT: Word (docx)");
  EXPECT_EQ(refused("PK\x03\x04 ....", "a.zip"),
            "INVALID_ARGUMENT: a zip archive or an Office file");
  EXPECT_EQ(refused("\x89PNG\r\n\x1a\n", "a"), "INVALID_ARGUMENT: a PNG image");
  EXPECT_EQ(refused("\x1f\x8b\x08", "a"), "INVALID_ARGUMENT: a gzip archive");
  EXPECT_EQ(refused("\x7f"
                    "ELF\x02",
                    "a"),
            "INVALID_ARGUMENT: a program (ELF)");
  EXPECT_EQ(refused("{\\rtf1 a}", "a.rtf"), "INVALID_ARGUMENT: RTF");
  EXPECT_EQ(refused("<p>a</p>", "a.html"), "INVALID_ARGUMENT: HTML");
  EXPECT_EQ(refused("\n<!DOCTYPE HTML>\n<p>a", "page"), "INVALID_ARGUMENT: HTML");
}

TEST(ParseDocument, RefusesWhatIsEmptyOrNoText) {
  EXPECT_EQ(Describe("", "a.md"), "INVALID_ARGUMENT: is empty");
  EXPECT_EQ(Describe(" \n\t\xE3\x80\x80\n", "a.md"), "INVALID_ARGUMENT: is empty");
  EXPECT_EQ(Describe("\xEF\xBB\xBF", "a.md"), "INVALID_ARGUMENT: is empty");
  std::string noise;
  for (int i = 0; i < 4096; ++i) noise.push_back(static_cast<char>((i * 2654435761u) >> 13));
  EXPECT_TRUE(Describe(noise, "a.bin").starts_with("INVALID_ARGUMENT: is not text: "))
      << Describe(noise, "a.bin");
}

TEST(ParseDocument, ChangesOnlyLineEndsAndTheMark) {
  auto parsed = ParseDocument("\xEF\xBB\xBF# a\r\n\r\ncafe\xCC\x81 \r\nb", "a.md", "");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->text, "# a\n\ncafe\xCC\x81 \nb");
}

std::string IngestData(std::string_view file) {
  auto bytes = ReadFile(std::string(VADE_SOURCE_DIR "/../shared/data/ingest/") + std::string(file),
                        64 << 20);
  return bytes.ok() ? *bytes : "";
}

TEST(ParseDocument, ReadsCharsetsOfTheWorld) {
  if (!FileExists(VADE_SOURCE_DIR "/../shared/data/ingest/manifest.jsonl"))
    GTEST_SKIP() << "no ../shared/data";
  for (const auto& [file, expected] :
       {std::pair("encoding/zh-gbk.txt", "expected/zh-gbk.utf8.txt"),
        std::pair("encoding/zh-gb18030.txt", "expected/zh-gb18030.utf8.txt"),
        std::pair("encoding/zh-big5.txt", "expected/zh-big5.utf8.txt"),
        std::pair("encoding/zh-utf16le-bom.txt", "expected/zh-utf16.utf8.txt"),
        std::pair("encoding/zh-utf16be-nobom.txt", "expected/zh-utf16.utf8.txt")}) {
    auto parsed = ParseDocument(IngestData(file), file, "");
    ASSERT_TRUE(parsed.ok()) << file << ": " << parsed.status().ToString();
    EXPECT_EQ(parsed->text, IngestData(expected)) << file;
  }
}

TEST(ParseDocument, RefusesDamagedFilesAndNeverDies) {
  if (!FileExists(VADE_SOURCE_DIR "/../shared/data/ingest/manifest.jsonl"))
    GTEST_SKIP() << "no ../shared/data";
  size_t read = 0, refused = 0;
  const Status walked = WalkFiles(
      VADE_SOURCE_DIR "/../shared/data/ingest",
      [&](const FileEntry& entry) -> Status {
        auto bytes = ReadFile(entry.path, 64 << 20);
        if (!bytes.ok()) return bytes.status();
        auto parsed = ParseDocument(*bytes, entry.path, "");
        if (parsed.ok()) {
          ++read;
          EXPECT_TRUE(IsValidUtf8(parsed->text)) << entry.path;
          EXPECT_EQ(parsed->text.find('\0'), std::string::npos) << entry.path;
        } else {
          ++refused;
          EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidArgument) << entry.path;
        }
        return OkStatus();
      },
      nullptr);
  EXPECT_TRUE(walked.ok()) << walked.ToString();
  EXPECT_GT(read, 30u);
  EXPECT_GT(refused, 50u);
  for (std::string_view file :
       {"bad/random.bin", "bad/empty.txt", "bad/fake-text-all-whitespace.txt", "bad/password.pdf",
        "bad/testODTEncrypted.odt", "bad/testODTnotaZipFile.odt"}) {
    const std::string bytes = IngestData(file);
    ASSERT_TRUE(FileExists(VADE_SOURCE_DIR "/../shared/data/ingest/" + std::string(file)))
        << file << " is not in the corpus";
    EXPECT_EQ(bytes.empty(), file == "bad/empty.txt") << file;
    EXPECT_FALSE(ParseDocument(bytes, file, "").ok()) << file;
  }
}

}  // namespace
}  // namespace vade
