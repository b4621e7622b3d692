// A document's tables as bytes (numbers are LEB128 where nothing else is said):
//   u8 1, string content hash, count of tables, then for each: begin, length, columns, rows, u8 1
//   where it is cut (else 0), count of currencies (at most 256) and as many strings, then its cells,
//   row by row.
//   A cell is u8 kind + 8 * form. Form 0: no number. 1 to 10: zigzag n, the number is n / 10^(form
//   - 1). 31: f64. Behind the number of an amount of money: the number of its currency.
#include "ingest/tables.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/blocks.h"
#include "ingest/document.h"

namespace vade {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kKindMask = 7, kRawForm = 31, kMaxScale = 9;
constexpr uint64_t kMaxColumns = 16384;
constexpr size_t kMaxCurrencies = 256;  // of a table; amounts in further ones are kept as numbers
constexpr size_t kMaxCurrencyBytes = 64;

// Their parsers write all numbers and dates in one way.
constexpr std::string_view kPlainTypes[] = {
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.oasis.opendocument.spreadsheet"};

struct Cell {
  std::string text;
  size_t begin = 0;  // of the text
};

// As MarkdownWriter::Row() writes it: a backslash means something in front of "|" alone.
std::string Unescaped(std::string_view words) {
  if (words.find("\\|") == std::string_view::npos) return std::string(words);
  std::string plain;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words.substr(i, 2) != "\\|") plain.push_back(words[i]);
  }
  return plain;
}

// The cells of a line of a table, "|" between them, at its ends or not; at most `most` of them.
std::vector<Cell> CellsOf(std::string_view text, size_t begin, size_t end, size_t most) {
  std::vector<Cell> cells;
  const auto blank = [&](size_t at) { return text[at] == ' ' || text[at] == '\t'; };
  const auto escape = [&](size_t at) {
    return text[at] == '\\' && at + 1 < end && text[at + 1] == '|';
  };
  while (begin < end && blank(begin)) ++begin;
  while (end > begin && (blank(end - 1) || text[end - 1] == '\r')) --end;
  if (begin < end && text[begin] == '|') ++begin;
  while (begin < end && cells.size() < most) {
    size_t stop = begin;
    while (stop < end && text[stop] != '|') stop += escape(stop) ? 2 : 1;
    size_t from = begin, to = stop;
    while (from < to && blank(from)) ++from;
    while (to > from && blank(to - 1)) --to;
    cells.push_back({Unescaped(text.substr(from, to - from)), from});
    begin = stop + 1;
  }
  return cells;
}

// The words of the table in [begin, end) of the text: the header and then rows as wide as it, of at
// most `most_cells` and, with the header, `most_bytes` together. No rows where the header alone has
// too many bytes or columns.
struct TableWords {
  std::vector<Cell> header;
  std::vector<std::vector<Cell>> rows;
  bool cut = false;
};
TableWords WordsOf(std::string_view text, size_t begin, size_t end, size_t most_cells,
                   size_t most_bytes) {
  TableWords words;
  size_t bytes = 0;
  for (size_t line = 0; begin < end; ++line) {
    const size_t stop = std::min(text.find('\n', begin), end);
    const size_t columns = words.header.size();
    if (line != 1) bytes += stop - begin;  // the second one parts the header from the rows
    if (line == 0) {
      if (bytes <= most_bytes) words.header = CellsOf(text, begin, stop, kMaxColumns + 1);
      if (words.header.empty() || words.header.size() > kMaxColumns) return words;
    } else if (line > 1) {
      if (words.rows.size() >= most_cells / columns || bytes > most_bytes) {
        words.cut = true;
        break;
      }
      words.rows.push_back(CellsOf(text, begin, stop, columns));
      words.rows.back().resize(columns);
    }
    begin = stop + 1;
  }
  return words;
}

CellStyle StyleOf(const TableWords& words) {
  StyleVotes votes;
  for (const auto& row : words.rows) {
    for (const Cell& cell : row) votes.Count(cell.text);
  }
  return votes.Style();
}

Table TableOf(TableWords words, uint64_t begin, uint64_t end) {
  Table table;
  table.begin = begin;
  table.end = end;
  table.cut = words.cut;
  for (Cell& cell : words.header) table.columns.push_back(std::move(cell.text));
  for (auto& row : words.rows) {
    auto& cells = table.rows.emplace_back();
    for (Cell& cell : row) cells.push_back({std::move(cell.text), {}});
  }
  return table;
}

uint64_t Zigzag(int64_t number) {
  return (static_cast<uint64_t>(number) << 1) ^ static_cast<uint64_t>(number >> 63);
}
int64_t Unzigzag(uint64_t number) {
  return static_cast<int64_t>(number >> 1) ^ -static_cast<int64_t>(number & 1);
}

bool HasNumber(CellKind kind) { return kind > CellKind::kText; }

double Scaled(int64_t digits, int scale) {
  return static_cast<double>(digits) / std::pow(10.0, scale);
}

using CurrencyNumbers = std::map<std::string_view, uint64_t>;

// The first kMaxCurrencies of the table's, by the order in which they come.
CurrencyNumbers CurrenciesOf(const Table& table, std::vector<std::string_view>* in_order) {
  CurrencyNumbers numbers;
  for (const auto& row : table.rows) {
    for (const TableCell& cell : row) {
      if (in_order->size() == kMaxCurrencies) return numbers;
      if (cell.value.kind != CellKind::kMoney) continue;
      if (numbers.emplace(cell.value.currency, in_order->size()).second)
        in_order->push_back(cell.value.currency);
    }
  }
  return numbers;
}

void AppendCell(const CellValue& value, const CurrencyNumbers& currencies, std::string* out) {
  const auto currency =
      value.kind == CellKind::kMoney ? currencies.find(value.currency) : currencies.end();
  const bool without = value.kind == CellKind::kMoney && currency == currencies.end();
  const auto kind = static_cast<uint8_t>(without ? CellKind::kNumber : value.kind);
  if (!HasNumber(value.kind)) return out->push_back(static_cast<char>(kind));
  constexpr double kMostDigits = 9e15;
  int scale = 0;
  for (; scale <= kMaxScale; ++scale) {
    const double digits = value.number * std::pow(10.0, scale);
    if (!(std::abs(digits) < kMostDigits)) scale = kMaxScale;
    if (std::abs(digits) < kMostDigits && Scaled(std::llround(digits), scale) == value.number)
      break;
  }
  if (scale > kMaxScale) {
    out->push_back(static_cast<char>(kind + 8 * kRawForm));
    AppendFixed(out, value.number);
  } else {
    out->push_back(static_cast<char>(kind + 8 * (scale + 1)));
    AppendVarint(out, Zigzag(std::llround(value.number * std::pow(10.0, scale))));
  }
  if (currency != currencies.end()) AppendVarint(out, currency->second);
}

bool ReadCellValue(ByteReader* in, const std::vector<std::string>& currencies, CellValue* value) {
  uint8_t head = 0;
  if (!in->Read(&head)) return false;
  const uint8_t kind = head & kKindMask, form = head >> 3;
  if (kind > static_cast<uint8_t>(CellKind::kDate)) return false;
  value->kind = static_cast<CellKind>(kind);
  if (!HasNumber(value->kind)) return form == 0;
  if (form == kRawForm) {
    if (!in->Read(&value->number) || !std::isfinite(value->number)) return false;
  } else {
    uint64_t digits = 0;
    if (form < 1 || form > kMaxScale + 1 || !in->ReadVarint(&digits)) return false;
    value->number = Scaled(Unzigzag(digits), form - 1);
  }
  if (value->kind != CellKind::kMoney) return true;
  uint64_t currency = 0;
  if (!in->ReadVarint(&currency) || currency >= currencies.size()) return false;
  value->currency = currencies[currency];
  return true;
}

// What is left for the tables that follow: no more than FindTables() finds, whoever wrote the bytes
// (an import may bring those of somebody who made them to mislead).
struct Left {
  size_t cells = kMaxTableCells, bytes = kMaxTableBytes;
  uint64_t from = 0;  // behind the table before
};

bool ReadTable(ByteReader* in, std::string_view text, Left* left, Table* table) {
  uint64_t begin = 0, length = 0, columns = 0, rows = 0, currency_count = 0;
  uint8_t cut = 0;
  if (!in->ReadVarint(&begin) || !in->ReadVarint(&length) || !in->ReadVarint(&columns) ||
      !in->ReadVarint(&rows) || !in->Read(&cut) || !in->ReadVarint(&currency_count)) {
    return false;
  }
  if (begin < left->from || begin > text.size() || length > text.size() - begin || columns == 0 ||
      columns > kMaxColumns || rows == 0 || rows > left->cells / columns ||
      rows > in->remaining() / columns || currency_count > kMaxCurrencies) {
    return false;
  }
  const uint64_t end = begin + length;
  if (FloorToCodePoint(text, begin) != begin || FloorToCodePoint(text, end) != end) return false;
  std::vector<std::string> currencies(currency_count);
  for (std::string& currency : currencies) {
    std::string_view sign;
    if (!in->ReadString(&sign) || sign.size() > kMaxCurrencyBytes || !IsValidUtf8(sign)) {
      return false;
    }
    currency = sign;
  }
  TableWords words = WordsOf(text, begin, end, rows * columns, left->bytes);
  if (words.header.size() != columns || words.rows.size() != rows) return false;
  *table = TableOf(std::move(words), begin, end);
  table->cut = cut != 0;
  for (auto& row : table->rows) {
    for (TableCell& cell : row) {
      if (!ReadCellValue(in, currencies, &cell.value)) return false;
    }
  }
  *left = {left->cells - rows * columns, left->bytes - std::min<size_t>(left->bytes, length), end};
  return true;
}

}  // namespace

CellKind ColumnKind(const Table& table, size_t column) {
  CellKind kind = CellKind::kEmpty;
  for (const auto& row : table.rows) {
    const CellKind one = row[column].value.kind;
    if (one == CellKind::kEmpty || one == kind) continue;
    if (kind != CellKind::kEmpty) return CellKind::kText;
    kind = one;
  }
  return kind;
}

std::vector<Table> FindTables(std::string_view text, std::string_view mime_type,
                              std::span<const KnownCell> known) {
  std::vector<Table> tables;
  if (mime_type == kPlainTextType || mime_type == kSourceCodeType ||
      text.find('|') == std::string_view::npos) {
    return tables;
  }
  const bool plain = std::ranges::find(kPlainTypes, mime_type) != std::end(kPlainTypes);
  size_t cells_left = kMaxTableCells, bytes_left = kMaxTableBytes;
  auto next_known = known.begin();
  const auto scanner = ScanBlocks(text, mime_type);
  for (Block block; tables.size() < kMaxTables && cells_left > 0 && scanner->Next(&block);) {
    if (block.kind != BlockKind::kTable) continue;
    TableWords words = WordsOf(text, block.begin, block.end, cells_left, bytes_left);
    if (words.rows.empty()) continue;
    const CellStyle style = plain ? CellStyle() : StyleOf(words);
    std::vector<CellValue> values;
    for (const auto& row : words.rows) {
      for (const Cell& cell : row) {
        while (next_known != known.end() && next_known->begin < cell.begin) ++next_known;
        const bool is_known =
            next_known != known.end() && !cell.text.empty() && next_known->begin == cell.begin;
        values.push_back(is_known ? next_known->value : ReadCell(cell.text, style));
      }
    }
    cells_left = words.cut ? 0 : cells_left - std::min(cells_left, values.size());
    bytes_left -= std::min(bytes_left, block.end - block.begin);
    Table table = TableOf(std::move(words), block.begin, block.end);
    auto value = values.begin();
    for (auto& row : table.rows) {
      for (TableCell& cell : row) cell.value = std::move(*value++);
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

std::string EncodeTables(const std::vector<Table>& tables, std::string_view content_hash) {
  std::string out;
  if (tables.empty()) return out;
  out.push_back(static_cast<char>(kVersion));
  AppendString(&out, content_hash);
  AppendVarint(&out, tables.size());
  for (const Table& table : tables) {
    AppendVarint(&out, table.begin);
    AppendVarint(&out, table.end - table.begin);
    AppendVarint(&out, table.columns.size());
    AppendVarint(&out, table.rows.size());
    out.push_back(table.cut ? 1 : 0);
    std::vector<std::string_view> currencies;
    const CurrencyNumbers numbers = CurrenciesOf(table, &currencies);
    AppendVarint(&out, currencies.size());
    for (const std::string_view currency : currencies) AppendString(&out, currency);
    for (const auto& row : table.rows) {
      for (const TableCell& cell : row) AppendCell(cell.value, numbers, &out);
    }
  }
  return out;
}

std::optional<std::vector<Table>> DecodeTables(std::string_view encoded,
                                               std::string_view content_hash,
                                               std::string_view text) {
  ByteReader in(encoded);
  uint8_t version = 0;
  std::string_view hash;
  uint64_t count = 0;
  if (!in.Read(&version) || version != kVersion || !in.ReadString(&hash) || hash != content_hash ||
      !in.ReadVarint(&count) || count > kMaxTables) {
    return std::nullopt;
  }
  std::vector<Table> tables(count);
  Left left;
  for (Table& table : tables) {
    if (!ReadTable(&in, text, &left, &table)) return std::nullopt;
  }
  if (in.remaining() > 0) return std::nullopt;
  return tables;
}

}  // namespace vade
