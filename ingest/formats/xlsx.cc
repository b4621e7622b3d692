// Excel (xlsx): a heading a sheet, its filled cells as tables; an empty row ends a table. Numbers
// as people see them. Hidden sheets are marked.
#include <algorithm>
#include <pugixml.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/office_xml.h"
#include "ingest/formats/xlsx_numbers.h"
#include "ingest/formats/zip_file.h"

namespace vade {
namespace {

constexpr size_t kMaxColumns = 16384;  // Excel's own

// Without the readings that Japanese files keep beside the words.
std::string TextOf(const pugi::xml_node& node) {
  std::string words;
  for (const pugi::xml_node& child : node.children()) {
    const std::string_view name = LocalName(child);
    if (name == "t") words += child.child_value();
    if (name == "r") words += TextOf(child);
  }
  return words;
}

// Column of "BC12", from 0; `otherwise` when there is none.
size_t ColumnOf(std::string_view reference, size_t otherwise) {
  size_t column = 0;
  for (const char c : reference) {
    if (c < 'A' || c > 'Z') break;
    column = column * 26 + static_cast<size_t>(c - 'A' + 1);
    if (column > kMaxColumns) return otherwise;
  }
  return column == 0 ? otherwise : column - 1;
}

struct NumberStyle {
  NumberKind kind = NumberKind::kPlain;
  std::string currency;  // its sign
};

struct Workbook {
  std::vector<std::string> strings;
  std::vector<NumberStyle> styles;  // by the number of a cell's style
  bool since_1904 = false;
};

void ReadStyles(const pugi::xml_node& root, Workbook* book) {
  std::unordered_map<int, std::string> codes;
  for (const pugi::xml_node& format : Child(root, "numFmts").children()) {
    codes[format.attribute("numFmtId").as_int()] = Attribute(format, "formatCode");
  }
  for (const pugi::xml_node& style : Child(root, "cellXfs").children()) {
    const int id = style.attribute("numFmtId").as_int();
    const auto code = codes.find(id);
    const std::string_view shown = code == codes.end() ? "" : std::string_view(code->second);
    book->styles.push_back({KindOfNumber(id, shown), SignOfCurrency(shown)});
  }
}

// As people write it: $5, but 5 €.
std::string ShowMoney(const std::string& number, const std::string& sign) {
  if (sign != "$" && sign != "£" && sign != "¥") return StrCat(number, " ", sign);
  if (!number.starts_with('-')) return StrCat(sign, number);
  return StrCat("-", sign, std::string_view(number).substr(1));
}

std::string CellText(const pugi::xml_node& cell, const Workbook& book) {
  const std::string_view type = Attribute(cell, "t");
  const std::string value = Child(cell, "v").child_value();
  if (type == "inlineStr") return TextOf(Child(cell, "is"));
  if (type == "s") {
    const auto index = ParseUint(value);
    return index && *index < book.strings.size() ? book.strings[*index] : "";
  }
  if (type == "b") return value == "1" ? "TRUE" : "FALSE";
  if (!type.empty() && type != "n") return value;
  const auto number = ParseDouble(value);
  if (!number) return value;
  const auto style = ParseUint(Attribute(cell, "s"));
  const NumberStyle shown =
      style && *style < book.styles.size() ? book.styles[*style] : NumberStyle();
  std::string words = ShowNumber(*number, shown.kind, book.since_1904);
  const bool money = shown.kind == NumberKind::kPlain && !shown.currency.empty();
  return money && !words.empty() ? ShowMoney(words, shown.currency) : words;
}

// Numbers are shown so that their words tell what they are; a text that looks like one is none.
CellValue CellValueOf(const pugi::xml_node& cell) {
  const std::string_view type = Attribute(cell, "t");
  const bool number = type.empty() || type == "n";
  return {.kind = number ? CellKind::kEmpty : CellKind::kText};
}

struct SheetRow {
  std::vector<std::string> cells;
  std::vector<CellValue> values;
};

SheetRow RowOf(const pugi::xml_node& row, const Workbook& book) {
  SheetRow read;
  std::vector<std::string>& cells = read.cells;
  for (const pugi::xml_node& cell : row.children()) {
    if (LocalName(cell) != "c") continue;
    const size_t column = ColumnOf(Attribute(cell, "r"), cells.size());
    std::string text = CellText(cell, book);
    if (text.empty()) continue;
    if (cells.size() <= column) cells.resize(column + 1);
    cells[column] = std::move(text);
    read.values.resize(cells.size());
    read.values[column] = CellValueOf(cell);
  }
  return read;
}

using Rows = std::vector<SheetRow>;

// Rows that follow one another, without the columns that are empty in all of them.
void WriteTable(Rows* rows, MarkdownWriter* out) {
  size_t width = 0;
  for (const SheetRow& row : *rows) width = std::max(width, row.cells.size());
  std::vector<bool> used(width);
  for (const SheetRow& row : *rows) {
    for (size_t i = 0; i < row.cells.size(); ++i) used[i] = used[i] || !row.cells[i].empty();
  }
  const bool one_column = std::count(used.begin(), used.end(), true) == 1;
  out->EndTable();
  for (SheetRow& row : *rows) {
    SheetRow read = std::exchange(row, {});  // large sheets go as they are written
    SheetRow kept;
    for (size_t i = 0; i < width; ++i) {
      if (!used[i]) continue;
      const bool filled = i < read.cells.size();
      kept.cells.push_back(filled ? std::move(read.cells[i]) : std::string());
      kept.values.push_back(filled ? std::move(read.values[i]) : CellValue());
    }
    one_column ? out->Paragraph(kept.cells.front()) : out->Row(kept.cells, kept.values);
  }
  out->EndTable();
  rows->clear();
}

// A header that stands alone over an empty row still belongs to what is below.
bool IsLoneHeader(const Rows& rows) {
  if (rows.size() != 1) return false;
  const std::vector<std::string>& cells = rows[0].cells;
  return std::count(cells.begin(), cells.end(), "") + 1 < static_cast<std::ptrdiff_t>(cells.size());
}

// Whether there was anything in it.
bool WriteSheet(const pugi::xml_node& root, const Workbook& book, const std::string& name,
                MarkdownWriter* out) {
  Rows rows;
  int64_t last = 0;
  bool filled = false;
  for (const pugi::xml_node& row : Child(root, "sheetData").children()) {
    const int64_t number = ParseInt(Attribute(row, "r")).value_or(last + 1);
    SheetRow read = RowOf(row, book);
    if (read.cells.empty()) continue;
    if (!std::exchange(filled, true)) out->Heading(2, name);
    if (number > last + 1 && !rows.empty() && !IsLoneHeader(rows)) WriteTable(&rows, out);
    last = number;
    rows.push_back(std::move(read));
  }
  if (!rows.empty()) WriteTable(&rows, out);
  return filled;
}

Result<Workbook> ReadWorkbook(ZipFile* zip, const pugi::xml_node& root) {
  Workbook book;
  const std::string_view since = Attribute(Child(root, "workbookPr"), "date1904");
  book.since_1904 = since == "1" || since == "true";
  ASSIGN_OR_RETURN(const XmlDocument strings, ReadXmlPart(zip, "xl/sharedStrings.xml"));
  for (const pugi::xml_node& one : strings->document_element().children()) {
    if (LocalName(one) == "si") book.strings.push_back(TextOf(one));
  }
  ASSIGN_OR_RETURN(const XmlDocument styles, ReadXmlPart(zip, "xl/styles.xml"));
  ReadStyles(styles->document_element(), &book);
  return book;
}

}  // namespace

Result<ParsedDocument> ParseXlsx(const Source& source) {
  ASSIGN_OR_RETURN(const auto zip, ZipFile::Open(source.bytes));
  const std::string name = "xl/workbook.xml";
  ASSIGN_OR_RETURN(const XmlDocument main, ReadXmlPart(zip.get(), name));
  const pugi::xml_node root = main->document_element();
  ASSIGN_OR_RETURN(const Workbook book, ReadWorkbook(zip.get(), root));
  const auto parts = ReadRelationships(zip.get(), name);
  MarkdownWriter out;
  bool filled = false;
  for (const pugi::xml_node& sheet : Child(root, "sheets").children()) {
    const auto part = parts.find(sheet.attribute("r:id").value());
    if (part == parts.end()) continue;
    ASSIGN_OR_RETURN(const XmlDocument cells, ReadXmlPart(zip.get(), part->second));
    const bool hidden = Attribute(sheet, "state").find("idden") != std::string_view::npos;
    const std::string title = StrCat(Attribute(sheet, "name"), hidden ? " (hidden sheet)" : "");
    filled = WriteSheet(cells->document_element(), book, title, &out) || filled;
  }
  if (!filled) return InvalidArgument("is an Excel file without filled cells");
  OfficeFacts facts = ReadOfficeFacts(zip.get(), "docProps/core.xml");
  ParsedDocument document;
  document.text = out.Take();
  document.cells = out.TakeCells();
  document.mime_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
  document.metadata = std::move(facts.metadata);
  // Sheets are called "Sheet1": the file's name says more.
  document.title =
      facts.title.empty() ? TitleOf("", kPlainTextType, source.name) : std::move(facts.title);
  return document;
}

}  // namespace vade
