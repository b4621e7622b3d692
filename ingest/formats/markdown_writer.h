// Builds normalised text: blocks of Markdown with blank lines between them (docs/ingestion.md).
//
//   MarkdownWriter out;
//   out.Heading(1, "Leave");
//   out.Paragraph("Twenty-five days a year.");
//   document.text = out.Take();
//
// Words may hold any white space: a run of it becomes one blank, or nothing between characters that
// are written without blanks when the run holds a line end. What is no text (control characters,
// soft hyphens, zero-width marks) goes. A paragraph that would read as another block is escaped.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingest/cells.h"

namespace vade {

// As above: the words of one block on one line. A form feed in a run of white space stays.
std::string CleanWords(std::string_view words);

class MarkdownWriter {
 public:
  void Heading(int level, std::string_view words);  // levels beyond 6 are 6
  void Paragraph(std::string_view words);
  void Quote(std::string_view words);
  // `mark` is "-" or "7."; `depth` counts from 0.
  void ListItem(int depth, std::string_view mark, std::string_view words);
  void Code(std::string_view language, std::string_view code);
  // Rows that follow one another are one table; the first of them is its header.
  void Row(const std::vector<std::string>& cells);
  // `values`, one a cell, are what the file says that they are; kEmpty: it does not say.
  void Row(const std::vector<std::string>& cells, std::span<const CellValue> values);
  void EndTable();                                            // the next row begins a new one
  void Note(std::string_view label, std::string_view words);  // "[^label]: words"
  void Markdown(std::string_view blocks);  // as it is, but for white space around it
  void PageBreak();                        // the next page begins here

  bool empty() const { return text_.empty(); }
  size_t size() const { return text_.size(); }
  std::string Take();
  // Of the rows so far: those that are something else than their words say, without headers, at
  // most kMaxTableCells.
  std::vector<KnownCell> TakeCells() { return std::move(known_); }

 private:
  enum class Last { kNothing, kBlock, kItem, kRow };
  void Begin(Last kind);

  std::string text_;
  std::vector<KnownCell> known_;
  Last last_ = Last::kNothing;
  size_t columns_ = 0;        // of the open table
  uint32_t page_breaks_ = 0;  // that still have to be written
};

}  // namespace vade
