#include "ingest/document.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/files.h"
#include "base/strings.h"
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
            "INVALID_ARGUMENT: image/png is not supported; convert it to a format that is");
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

TEST(ParseDocument, CountsPagesByTheFormFeedsInFront) {
  const std::string text = "one\n\n\f\n\ntwo\fthree";
  EXPECT_EQ(PageAt(text, 1, 0), 1u);
  EXPECT_EQ(PageAt(text, 1, text.find("two")), 2u);
  EXPECT_EQ(PageAt(text, 1, text.size() + 5), 3u);
  EXPECT_EQ(PageAt(text, 0, text.size()), 0u);
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

TEST(ParseDocument, TellsSourceCodeByItsNameAndCallsItByThat) {
  const auto parsed = ParseDocument("# not a heading\nx = 1\n", "src/tool.py", "");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->mime_type, kSourceCodeType);
  EXPECT_EQ(parsed->title, "tool.py");
  const auto told = ParseDocument("# not a heading\nx = 1\n", "src/tool.py", "text/plain");
  ASSERT_TRUE(told.ok());
  EXPECT_EQ(told->mime_type, kPlainTextType);
}

}  // namespace
}  // namespace vade
