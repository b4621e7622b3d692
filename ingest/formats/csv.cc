// Delimited tables: comma, semicolon, tab or bar, whichever makes the rows agree; quotes as in RFC
// 4180. Titles above the header become paragraphs.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/text.h"

namespace vade {
namespace {

using Row = std::vector<std::string>;

constexpr size_t kSampleRows = 50;
constexpr size_t kMaxColumns = 4096;
constexpr size_t kHeaderWithin = 5;  // rows that may stand above the header

class CsvReader {
 public:
  CsvReader(std::string_view text, char delimiter) : text_(text), delimiter_(delimiter) {}

  bool Next(Row* row) {
    row->clear();
    if (pos_ >= text_.size()) return false;
    for (bool more = true; more;) {
      std::string cell;
      more = ReadCell(&cell);
      if (row->size() < kMaxColumns) row->push_back(std::move(cell));
    }
    return true;
  }

 private:
  // Whether another cell of the row follows.
  bool ReadCell(std::string* cell) {
    if (pos_ < text_.size() && text_[pos_] == '"') ReadQuoted(cell);
    while (pos_ < text_.size()) {
      const char c = text_[pos_++];
      if (c == delimiter_) return true;
      if (c == '\n') return false;
      cell->push_back(c);
    }
    return false;
  }

  void ReadQuoted(std::string* cell) {
    // A quote that is never closed is a character: the rest of the file is no cell.
    if (text_.find('"', pos_ + 1) == std::string_view::npos) return;
    for (++pos_; pos_ < text_.size(); ++pos_) {
      if (text_[pos_] == '"') {
        if (pos_ + 1 >= text_.size() || text_[pos_ + 1] != '"') {
          ++pos_;
          return;
        }
        ++pos_;
      }
      cell->push_back(text_[pos_]);
    }
  }

  const std::string_view text_;
  const char delimiter_;
  size_t pos_ = 0;
};

// How many of the first rows have the most usual number of cells above one.
size_t Agreement(std::string_view text, char delimiter) {
  CsvReader reader(text, delimiter);
  std::vector<size_t> widths;
  for (Row row; widths.size() < kSampleRows && reader.Next(&row);) widths.push_back(row.size());
  size_t best = 0;
  for (size_t width : widths) {
    if (width < 2) continue;
    const auto same = static_cast<size_t>(std::count(widths.begin(), widths.end(), width));
    best = std::max(best, same * 100 + std::min<size_t>(width, 50));
  }
  return best;
}

char DelimiterOf(std::string_view text) {
  char best = ',';
  size_t most = 0;
  for (char delimiter : {',', ';', '\t', '|'}) {
    const size_t agreement = Agreement(text, delimiter);
    if (agreement > most) {
      most = agreement;
      best = delimiter;
    }
  }
  return best;
}

size_t FilledCells(const Row& row) {
  return static_cast<size_t>(std::count_if(row.begin(), row.end(), [](const std::string& cell) {
    return !StripAsciiWhitespace(cell).empty();
  }));
}

}  // namespace

Result<ParsedDocument> ParseCsv(const Source& source) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(source.bytes));
  CsvReader reader(text, DelimiterOf(text));
  MarkdownWriter out;
  bool in_table = false;
  size_t above = 0;
  for (Row row; reader.Next(&row);) {
    // "Stanley Cups,," above the header names the table.
    const bool caption = !in_table && above < kHeaderWithin && row.size() > 1 &&
                         FilledCells(row) == 1 && !StripAsciiWhitespace(row[0]).empty();
    if (caption) {
      ++above;
      out.Paragraph(row[0]);
      continue;
    }
    in_table = in_table || FilledCells(row) > 0;
    out.Row(row);
  }
  if (out.empty()) return InvalidArgument("is empty");
  ParsedDocument document;
  document.text = out.Take();
  document.mime_type = "text/csv";
  document.title = document.text.starts_with('|')
                       ? TitleOf("", kPlainTextType, source.name)
                       : TitleOf(document.text, document.mime_type, source.name);
  return document;
}

}  // namespace vade
