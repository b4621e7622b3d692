// The tables of a document with the types of their cells, for whoever computes with them: found in
// its normalised text, where a table of any format is rows of "|" (docs/ingestion.md), and kept
// beside it in a compact form (docs/formats.md, notes). Words stay in the text alone.
//
// Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/cells.h"

namespace vade {

// Of a document; further ones are not kept. A table that reaches beyond is cut behind a row.
inline constexpr size_t kMaxTableCells = 200'000;
inline constexpr size_t kMaxTableBytes = 16 << 20;  // of the cells' words
inline constexpr size_t kMaxTables = 10'000;

struct TableCell {
  std::string text;
  CellValue value;
};

struct Table {
  uint64_t begin = 0, end = 0;  // in the document's text
  std::vector<std::string> columns;
  std::vector<std::vector<TableCell>> rows;  // [rows][columns], without the header
  bool cut = false;                          // rows are missing at the end
};

// What all cells of a column are, empty ones aside; kText where they differ, kEmpty where none is
// filled.
CellKind ColumnKind(const Table& table, size_t column);

// `known`: what the parser knows better, by ascending begin.
std::vector<Table> FindTables(std::string_view text, std::string_view mime_type,
                              std::span<const KnownCell> known);

// "" where there are none. `content_hash` says which bytes the tables are of.
std::string EncodeTables(const std::vector<Table>& tables, std::string_view content_hash);
// Nothing when it is damaged, of a later version, of other bytes, or not of this text.
std::optional<std::vector<Table>> DecodeTables(std::string_view encoded,
                                               std::string_view content_hash,
                                               std::string_view text);

}  // namespace vade
