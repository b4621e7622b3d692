#include "ingest/formats/markdown_writer.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/tables.h"

namespace vade {
namespace {

constexpr int kMaxHeadingLevel = 6;
constexpr int kMaxListDepth = 8;

// Characters that show nothing and would only keep words from being found.
bool IsInvisible(char32_t c) {
  if (c < 0x20) return !IsWhitespace(c);
  return (c >= 0x7F && c < 0xA0 && c != 0x85) || c == 0xAD || c == 0x200B || c == 0x2060 ||
         c == 0xFEFF || (c >= 0xFFF0 && c <= 0xFFFB);
}

// Han, kana and full-width marks: a line end between two of them is no blank.
bool IsUnspaced(char32_t c) {
  return IsHan(c) || (c >= 0x3000 && c <= 0x30FF) || (c >= 0xFF00 && c <= 0xFFEF);
}

// Whether a line that begins so is read as something else than a paragraph.
bool ReadsAsMark(std::string_view words) {
  const size_t hashes = words.find_first_not_of('#');
  if (hashes != 0 && (hashes == std::string_view::npos || words[hashes] == ' ')) return true;
  static constexpr std::array<std::string_view, 9> kMarks = {
      "```", "~~~", "<!--", "<pre", "<script", "<style", "---", "+++", "==="};
  return std::any_of(kMarks.begin(), kMarks.end(), [&](std::string_view mark) {
    return AsciiLower(words.substr(0, mark.size())) == mark;
  });
}

std::string Escaped(std::string_view words) {
  return ReadsAsMark(words) ? StrCat('\\', words) : std::string(words);
}

}  // namespace

std::string CleanWords(std::string_view words) {
  std::string out;
  out.reserve(words.size());
  char32_t before = 0;  // the last character written
  bool space = false, line_end = false;
  size_t page_ends = 0;
  for (size_t pos = 0; pos < words.size();) {
    const char32_t c = NextCodePoint(words, &pos);
    if (IsWhitespace(c)) {
      space = true;
      line_end = line_end || c == '\n';
      if (c == '\f') ++page_ends;
      continue;
    }
    if (IsInvisible(c)) continue;
    if (page_ends > 0) {
      out.append(page_ends, '\f');
    } else if (space && !out.empty() && !(line_end && IsUnspaced(before) && IsUnspaced(c))) {
      out.push_back(' ');
    }
    space = line_end = false;
    page_ends = 0;
    AppendCodePoint(&out, c);
    before = c;
  }
  return out;
}

void MarkdownWriter::Begin(Last kind) {
  if (kind != Last::kRow) columns_ = 0;
  if (last_ != Last::kNothing) {
    const bool joined = kind == last_ && kind != Last::kBlock && page_breaks_ == 0;
    text_ += joined ? "\n" : "\n\n";
  }
  if (page_breaks_ > 0) {
    // On a line of its own: in front of a block it would count as indentation.
    text_.append(page_breaks_, '\f');
    text_ += last_ == Last::kNothing ? "\n" : "\n\n";
    page_breaks_ = 0;
  }
  last_ = kind;
}

void MarkdownWriter::Heading(int level, std::string_view words) {
  const std::string clean = CleanWords(words);
  if (clean.empty()) return;
  Begin(Last::kBlock);
  text_.append(static_cast<size_t>(std::clamp(level, 1, kMaxHeadingLevel)), '#');
  text_ += StrCat(' ', clean);
}

void MarkdownWriter::Paragraph(std::string_view words) {
  const std::string clean = CleanWords(words);
  if (clean.empty()) return;
  Begin(Last::kBlock);
  text_ += Escaped(clean);
}

void MarkdownWriter::Quote(std::string_view words) {
  const std::string clean = CleanWords(words);
  if (clean.empty()) return;
  Begin(Last::kBlock);
  text_ += StrCat("> ", clean);
}

void MarkdownWriter::ListItem(int depth, std::string_view mark, std::string_view words) {
  const std::string clean = CleanWords(words);
  if (clean.empty()) return;
  Begin(Last::kItem);
  text_.append(2 * static_cast<size_t>(std::clamp(depth, 0, kMaxListDepth)), ' ');
  text_ += StrCat(mark, ' ', clean);
}

void MarkdownWriter::Code(std::string_view language, std::string_view code) {
  while (code.starts_with('\n')) code.remove_prefix(1);
  while (code.ends_with('\n') || code.ends_with(' ')) code.remove_suffix(1);
  if (code.empty()) return;
  Begin(Last::kBlock);
  std::string fence = "```";
  while (code.find(fence) != std::string_view::npos) fence.push_back('`');
  text_ += StrCat(fence, language, '\n', code, '\n', fence);
}

void MarkdownWriter::Row(const std::vector<std::string>& cells) { Row(cells, {}); }

void MarkdownWriter::Row(const std::vector<std::string>& cells, std::span<const CellValue> values) {
  std::string line = "|";
  bool blank = true;
  std::vector<KnownCell> known;  // within the line
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string clean = CleanWords(cells[i]);
    blank = blank && clean.empty();
    const bool says = i < values.size() && values[i].kind != CellKind::kEmpty && !clean.empty();
    if (says && ReadCell(clean, CellStyle()) != values[i]) {
      known.push_back({line.size() + 1, values[i]});
    }
    line += StrCat(' ', Join(Split(clean, '|'), "\\|"), " |");
  }
  if (blank) return;
  const bool header = columns_ == 0 || last_ != Last::kRow || page_breaks_ > 0;
  Begin(header ? Last::kBlock : Last::kRow);
  last_ = Last::kRow;
  for (size_t i = cells.size(); i < columns_; ++i) line += "  |";
  // A header's cells are names, and beyond the limit none is kept (ingest/tables.h).
  if (header) known.clear();
  known.resize(std::min(known.size(), kMaxTableCells - known_.size()));
  for (KnownCell& cell : known) {
    cell.begin += text_.size();
    known_.push_back(std::move(cell));
  }
  text_ += line;
  if (!header) return;
  columns_ = cells.size();
  text_ += "\n|";
  for (size_t i = 0; i < columns_; ++i) text_ += " --- |";
}

void MarkdownWriter::EndTable() { columns_ = 0; }

void MarkdownWriter::Note(std::string_view label, std::string_view words) {
  const std::string clean = CleanWords(words);
  if (clean.empty()) return;
  Begin(Last::kBlock);
  text_ += StrCat("[^", label, "]: ", clean);
}

void MarkdownWriter::Markdown(std::string_view blocks) {
  const size_t first = blocks.find_first_not_of(" \n");
  if (first == std::string_view::npos) return;
  // The first line's indentation may be code.
  const size_t line = blocks.rfind('\n', first);
  blocks.remove_prefix(line == std::string_view::npos ? 0 : line + 1);
  while (blocks.ends_with('\n') || blocks.ends_with(' ')) blocks.remove_suffix(1);
  Begin(Last::kBlock);
  text_ += blocks;
}

void MarkdownWriter::PageBreak() { ++page_breaks_; }

std::string MarkdownWriter::Take() {
  if (!text_.empty()) text_.push_back('\n');
  last_ = Last::kNothing;
  columns_ = 0;
  page_breaks_ = 0;
  return std::move(text_);
}

}  // namespace vade
