// Markdown -> blocks with byte ranges. See blocks.h.
//
// Reads CommonMark's and GFM's block structure as far as cutting a text needs it: where headings,
// fences, items, tables and quotes begin and end. It renders nothing and rejects nothing: whatever
// is not recognised is a paragraph. (md4c and its kin would be less code here, but they tell no
// offsets.)
#pragma once

#include <array>
#include <string_view>

#include "ingest/blocks.h"
#include "ingest/lines.h"

namespace vade {

class MarkdownScanner : public BlockScanner {
 public:
  explicit MarkdownScanner(std::string_view text) : text_(text) {}
  bool Next(Block* block) override;

 private:
  bool FrontMatter(Block* block);
  bool Heading(const Line& line, Block* block);
  bool Fence(const Line& line, size_t mark, Block* block);
  bool Markup(const Line& line, Block* block);  // comments, <pre>, <script>, <style>
  bool Break(const Line& line, Block* block);
  bool ListItem(const Line& line, Block* block);
  bool Quote(const Line& line, Block* block);
  bool Table(const Line& line, Block* block);
  bool IndentedCode(const Line& line, Block* block);
  void Paragraph(const Line& line, Block* block);

  bool BeginsBlock(const Line& line) const;  // a line that ends a paragraph before it
  bool BeginsTable(const Line& line) const;
  bool BeginsMarkup(const Line& line) const;
  void Take(const Line& line, Block* block);  // the block reaches to the end of this line
  void TakeWhile(bool (MarkdownScanner::*wanted)(const Line&) const, Block* block);
  bool Continues(const Line& line) const;  // goes on with a paragraph, an item, a table
  bool ContinuesQuote(const Line& line) const;

  std::string_view text_;
  size_t pos_ = 0;
  bool in_list_ = false;  // an indented line goes on with an item rather than being code
  std::array<bool, 4> never_closed_ = {};  // this closing mark does not occur any more
};

}  // namespace vade
