#include "ingest/formats/markdown_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ingest/tables.h"

namespace vade {
namespace {

TEST(MarkdownWriter, PutsBlocksApartAndItemsAndRowsTogether) {
  MarkdownWriter out;
  out.Heading(2, "The\nleave");
  out.Paragraph("  Days\n of \tleave ");
  out.ListItem(0, "-", "one");
  out.ListItem(1, "2.", "two");
  out.Row({"Name", "Days"});
  out.Row({"A|B"});
  out.Code("cc", "\nint a;\n");
  out.Note("1", "a note");
  EXPECT_EQ(out.Take(),
            "## The leave\n\nDays of leave\n\n- one\n  2. two\n\n| Name | Days |\n| --- | --- |\n"
            "| A\\|B |  |\n\n```cc\nint a;\n```\n\n[^1]: a note\n");
}

TEST(MarkdownWriter, EscapesWhatWouldReadAsAnotherBlock) {
  MarkdownWriter out;
  out.Paragraph("# not a heading");
  out.Paragraph("#tag");
  out.Paragraph("``` no fence");
  out.Paragraph("<!-- no comment");
  out.Code("", "a\n```\nb");
  EXPECT_EQ(out.Take(),
            "\\# not a heading\n\n#tag\n\n\\``` no fence\n\n\\<!-- no comment\n\n````\na\n```\nb\n"
            "````\n");
}

TEST(MarkdownWriter, KeepsPagesOnLinesOfTheirOwn) {
  MarkdownWriter out;
  out.PageBreak();
  out.Heading(1, "Second");
  out.Paragraph("goes on\f\n there");
  out.PageBreak();
  out.PageBreak();
  out.Row({"a", "b"});
  EXPECT_EQ(out.Take(), "\f\n# Second\n\ngoes on\fthere\n\n\f\f\n\n| a | b |\n| --- | --- |\n");
}

TEST(MarkdownWriter, TellsOfCellsWhatTheirWordsDoNotSayUpToTheLimit) {
  constexpr size_t kColumns = 1000;
  const std::vector<std::string> cells(kColumns, "12");
  const std::vector<CellValue> values(kColumns, {.kind = CellKind::kText});
  MarkdownWriter out;
  out.Row(cells, values);
  EXPECT_EQ(out.TakeCells().size(), 0u) << "a header's cells are names";
  for (size_t i = 0; i < kMaxTableCells / kColumns + 2; ++i) out.Row(cells, values);
  const auto known = out.TakeCells();
  ASSERT_EQ(known.size(), kMaxTableCells);
  const std::string text = out.Take();
  EXPECT_EQ(text.substr(known.front().begin, 4), "12 |");
  EXPECT_EQ(text.substr(known.back().begin, 4), "12 |");
}

TEST(CleanWords, JoinsLinesAsTheirScriptIsWritten) {
  EXPECT_EQ(CleanWords(" a\r\n b "), "a b");
  EXPECT_EQ(CleanWords("年度\n報告"), "年度報告");
  EXPECT_EQ(CleanWords("年度 報告"), "年度 報告");
  EXPECT_EQ(CleanWords("soft\u00ADhyphen\u200B\x01"), "softhyphen");
}

}  // namespace
}  // namespace vade
