// The blocks of a text, in order, each with its exact byte range: what the splitter cuts along.
//
//   auto scanner = ScanBlocks(text, kMarkdownType);
//   for (Block block; scanner->Next(&block);) ...
//
// Blocks are ascending and disjoint; what lies between them is white space. A scanner holds no more
// than its place in the text, so a text of any size is scanned in constant memory, in time linear
// in its size whatever it contains. The text outlives the scanner. One thread a scanner.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace vade {

enum class BlockKind {
  kFrontMatter,  // YAML or TOML between marks at the top
  kHeading,
  kParagraph,
  kListItem,  // one item, without the items nested in it
  kQuote,
  kTable,
  kCode,     // fenced, indented, <pre>, <script>, <style>; marks included
  kComment,  // <!-- ... -->
  kBreak,    // a thematic break: "---"
};

struct Block {
  BlockKind kind = BlockKind::kParagraph;
  size_t begin =
      0;  // of the first line's first character that counts; code begins at its line's start
  size_t end = 0;                         // behind the last line, its line end not included
  int level = 0;                          // of a heading: 1..6
  size_t label_begin = 0, label_end = 0;  // of a heading: its words, without marks
};

class BlockScanner {
 public:
  virtual ~BlockScanner() = default;
  virtual bool Next(Block* block) = 0;  // false at the end
};

// For kPlainTextType paragraphs between blank lines, for kSourceCodeType definitions; the text of
// all other types is Markdown.
std::unique_ptr<BlockScanner> ScanBlocks(std::string_view text, std::string_view mime_type);

// A heading's words as a reader sees them: without link targets, emphasis, code marks, tags,
// anchors.
std::string HeadingLabel(std::string_view text, const Block& heading);

// White space collapsed, at most 200 bytes.
std::string ShortLabel(std::string_view words);

}  // namespace vade
