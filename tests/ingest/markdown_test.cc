#include "ingest/markdown.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/strings.h"
#include "ingest/document.h"

namespace vade {
namespace {

std::string_view KindName(BlockKind kind) {
  switch (kind) {
    case BlockKind::kFrontMatter: return "front";
    case BlockKind::kHeading: return "heading";
    case BlockKind::kParagraph: return "paragraph";
    case BlockKind::kListItem: return "item";
    case BlockKind::kQuote: return "quote";
    case BlockKind::kTable: return "table";
    case BlockKind::kCode: return "code";
    case BlockKind::kComment: return "comment";
    case BlockKind::kBreak: return "break";
  }
  return "?";
}

// One line a block: kind and text, line ends as "|".
std::string Render(std::string_view text, std::string_view type = kMarkdownType) {
  std::string out;
  auto scanner = ScanBlocks(text, type);
  for (Block block; scanner->Next(&block);) {
    std::string shown(text.substr(block.begin, block.end - block.begin));
    for (char& c : shown) c = c == '\n' ? '|' : c;
    out +=
        StrCat(KindName(block.kind), block.level > 0 ? StrCat(block.level) : "", ": ", shown, "\n");
  }
  return out;
}

std::string LabelOf(std::string_view text) {
  MarkdownScanner scanner(text);
  Block block;
  return scanner.Next(&block) && block.kind == BlockKind::kHeading ? HeadingLabel(text, block)
                                                                   : "(none)";
}

TEST(MarkdownScanner, FindsHeadingsOfBothForms) {
  EXPECT_EQ(Render("# One\ntext\n\nTwo\n===\nThree\n---\n####### seven marks\n#tag\n"),
            "heading1: # One\nparagraph: text\nheading1: Two|===\nheading2: Three|---\n"
            "paragraph: ####### seven marks|#tag\n");
}

TEST(MarkdownScanner, KeepsFencesClosedByTheirOwnMarkOnly) {
  EXPECT_EQ(Render("~~~~md\n```\n# no heading\n~~~\n```\n~~~~\nafter\n"),
            "code: ~~~~md|```|# no heading|~~~|```|~~~~\nparagraph: after\n");
}

TEST(MarkdownScanner, ReadsAnUnclosedFenceToTheEnd) {
  EXPECT_EQ(Render("```\n# a\n\n# b"), "code: ```|# a||# b\n");
}

TEST(MarkdownScanner, TakesInlineCodeOfThreeMarksForAParagraph) {
  EXPECT_EQ(Render("```inline``` words\n"), "paragraph: ```inline``` words\n");
}

TEST(MarkdownScanner, TellsIndentedCodeFromListContinuation) {
  EXPECT_EQ(Render("text\n\n    code\n\n    more\n\n- item\n\n      still the item\n\ntext\n"),
            "paragraph: text\ncode:     code||    more\nitem: - item\nparagraph: still the item\n"
            "paragraph: text\n");
}

TEST(MarkdownScanner, MakesABlockOfEachItemNestedOrNot) {
  EXPECT_EQ(Render("1. one\n   goes on\n   - nested\n2) two\n* star\n-not an item\n"),
            "item: 1. one|   goes on\nitem: - nested\nitem: 2) two\nitem: * star|-not an item\n");
}

TEST(MarkdownScanner, FindsAFenceThatBeginsInAnItem) {
  EXPECT_EQ(Render("- ```\n  # a\n  ```\n- b\n"), "code: - ```|  # a|  ```\nitem: - b\n");
}

TEST(MarkdownScanner, DoesNotTakeAYearAtALinesStartForAnItem) {
  EXPECT_EQ(Render("It was in\n1984. Then\n1. one\n"),
            "paragraph: It was in|1984. Then\nitem: 1. one\n");
}

TEST(MarkdownScanner, FindsTablesWithAndWithoutParagraphBefore) {
  EXPECT_EQ(Render("intro\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\nx | y\n--|--\n3 | 4\n# h\n"),
            "paragraph: intro\ntable: | a | b |||---|:-:||| 1 | 2 |\ntable: x | y|--|--|3 | 4\n"
            "heading1: # h\n");
}

TEST(MarkdownScanner, KeepsQuotesWithWhatIsInThem) {
  EXPECT_EQ(Render("> # not ours\n> ```\nlazy\n\nafter\n"),
            "quote: > # not ours|> ```|lazy\nparagraph: after\n");
}

TEST(MarkdownScanner, SkipsHeadingsInCommentsAndPreformattedText) {
  EXPECT_EQ(Render("<!-- # a\n\n# b -->\n<pre>\n# c\n\n</pre>\n# d\n"),
            "comment: <!-- # a||# b -->\ncode: <pre>|# c||</pre>\nheading1: # d\n");
}

TEST(MarkdownScanner, ReadsAnUnclosedCommentAsText) {
  EXPECT_EQ(Render("<!-- open\n\n# a\n"), "paragraph: <!-- open\nheading1: # a\n");
}

TEST(MarkdownScanner, ReadsFrontMatterOnlyWhereItHasKeysAndAnEnd) {
  EXPECT_EQ(Render("---\ntitle: x\n---\n# a\n"), "front: ---|title: x|---\nheading1: # a\n");
  EXPECT_EQ(Render("+++\ntitle = 'x'\n+++\na\n"), "front: +++|title = 'x'|+++\nparagraph: a\n");
  EXPECT_EQ(Render("---\nwords only\n---\n"), "break: ---\nheading2: words only|---\n");
  EXPECT_EQ(Render("---\na: b\n"), "break: ---\nparagraph: a: b\n");
}

TEST(MarkdownScanner, TellsABreakFromAnItem) {
  EXPECT_EQ(Render("* * *\n- - -\n- a\n***\n"),
            "break: * * *\nbreak: - - -\nitem: - a\nbreak: ***\n");
}

TEST(MarkdownScanner, MakesNothingOfWhiteSpace) {
  EXPECT_EQ(Render(" \n\t\n\xE3\x80\x80\n\xC2\xA0"), "");
}

TEST(MarkdownScanner, TakesTimeLinearInTextsMadeToBeSlow) {
  for (std::string_view line :
       {"<!-- \n", "<pre>\n", "| a\n", "> \n", "- ", "# a\n", "```\n~~~\n", "    a\n\n"}) {
    std::string text;
    while (text.size() < 2'000'000) text += line;
    MarkdownScanner scanner(text);
    size_t blocks = 0, end = 0;
    for (Block block; scanner.Next(&block); ++blocks) {
      ASSERT_LE(end, block.begin);
      end = block.end;
    }
    EXPECT_GE(blocks, 1u) << line;
  }
}

TEST(HeadingLabel, IsWhatAReaderSees) {
  EXPECT_EQ(LabelOf("## The `Vec<T>` type ##\n"), "The Vec<T> type");
  EXPECT_EQ(LabelOf("# [Link](http://x/y) and **bold** _it_ {#anchor}\n"), "Link and bold it");
  EXPECT_EQ(LabelOf("# <a id=\"x\"></a>snake_case C\\#\n"), "snake_case C#");
  EXPECT_EQ(LabelOf("Two\nlines\n=====\n"), "Two lines");
  EXPECT_EQ(LabelOf("# 2 \\* `3 \\* 4` <T> ![i](u)\n"), "2 * 3 \\* 4 <T> i");
  EXPECT_EQ(LabelOf("#\n"), "");
  EXPECT_EQ(LabelOf("# \xE7\xAC\xAC\xE4\xB8\x80\xE7\xAB\xA0\n"),
            "\xE7\xAC\xAC\xE4\xB8\x80\xE7\xAB\xA0");
}

TEST(HeadingLabel, IsCutAtACodePoint) {
  std::string text = "# ";
  for (int i = 0; i < 300; ++i) text += "\xE7\xAB\xA0";
  const std::string label = LabelOf(text);
  EXPECT_EQ(label.size(), 198u);
}

TEST(PlainTextScanner, FindsParagraphsBetweenBlankLines) {
  EXPECT_EQ(Render("\n  a\nb\n \n# c\n\n\n", kPlainTextType), "paragraph: a|b\nparagraph: # c\n");
}

}  // namespace
}  // namespace vade
