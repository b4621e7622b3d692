// A document's tables.
#include <algorithm>

#include "service/convert_proto.h"
#include "vade/v1/corpus.pb.h"

namespace vade {
namespace {

v1::CellType ToProto(CellKind kind) {
  switch (kind) {
    case CellKind::kEmpty: return v1::CELL_TYPE_EMPTY;
    case CellKind::kText: return v1::CELL_TYPE_TEXT;
    case CellKind::kNumber: return v1::CELL_TYPE_NUMBER;
    case CellKind::kPercent: return v1::CELL_TYPE_PERCENT;
    case CellKind::kMoney: return v1::CELL_TYPE_MONEY;
    case CellKind::kDate: return v1::CELL_TYPE_DATE;
  }
  return v1::CELL_TYPE_UNSPECIFIED;
}

CellKind FromProto(v1::CellType type) {
  switch (type) {
    case v1::CELL_TYPE_EMPTY: return CellKind::kEmpty;
    case v1::CELL_TYPE_NUMBER: return CellKind::kNumber;
    case v1::CELL_TYPE_PERCENT: return CellKind::kPercent;
    case v1::CELL_TYPE_MONEY: return CellKind::kMoney;
    case v1::CELL_TYPE_DATE: return CellKind::kDate;
    default: return CellKind::kText;
  }
}

void ToProto(const TableCell& cell, v1::TableCell* out) {
  out->set_text(Utf8(cell.text));
  out->set_type(ToProto(cell.value.kind));
  out->set_number(cell.value.number);
  out->set_currency(Utf8(cell.value.currency));
}

TableCell FromProto(const v1::TableCell& in) {
  return {in.text(), {FromProto(in.type()), in.number(), in.currency()}};
}

}  // namespace

void ToProto(const std::vector<Table>& tables, v1::GetTablesResponse* out) {
  for (const Table& table : tables) {
    v1::Table* const to = out->add_tables();
    to->set_begin(table.begin);
    to->set_end(table.end);
    to->set_cut(table.cut);
    for (size_t i = 0; i < table.columns.size(); ++i) {
      v1::TableColumn* const column = to->add_columns();
      column->set_name(Utf8(table.columns[i]));
      column->set_type(ToProto(ColumnKind(table, i)));
    }
    for (const auto& row : table.rows) {
      v1::TableRow* const cells = to->add_rows();
      for (const TableCell& cell : row) ToProto(cell, cells->add_cells());
    }
  }
}

// Rows are as wide as the header, whatever the other side sends.
std::vector<Table> FromProto(const v1::GetTablesResponse& in) {
  std::vector<Table> tables;
  for (const v1::Table& from : in.tables()) {
    Table& table = tables.emplace_back();
    table.begin = from.begin();
    table.end = from.end();
    table.cut = from.cut();
    for (const v1::TableColumn& column : from.columns()) table.columns.push_back(column.name());
    for (const v1::TableRow& row : from.rows()) {
      auto& cells = table.rows.emplace_back();
      for (const v1::TableCell& cell : row.cells()) cells.push_back(FromProto(cell));
      cells.resize(table.columns.size());
    }
  }
  return tables;
}

}  // namespace vade
