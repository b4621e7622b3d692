// Tables with the types of their cells: what words are read as, tables in texts of every format,
// their stored form, and that they follow their documents.
#include "ingest/tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <random>

#include "base/strings.h"
#include "ingest/document.h"
#include "ingest/document_tables.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/parser.h"
#include "ingest/ingest.h"
#include "tests/testing/hashing_embedder.h"
#include "tests/testing/made_files.h"
#include "tests/testing/memory_store.h"

namespace vade {
namespace {

// "money 1234.5 EUR", "date 2024-03-01", "text".
std::string Shown(const CellValue& value) {
  std::string text(CellKindName(value.kind));
  if (value.kind == CellKind::kDate) return StrCat(text, " ", DateText(value.number));
  if (value.kind > CellKind::kText) text += StrCat(" ", value.number);
  return value.currency.empty() ? text : StrCat(text, " ", value.currency);
}
std::string Read(std::string_view words, CellStyle style = {}) {
  return Shown(ReadCell(words, style));
}
// The cells of all tables, a row a line.
std::string Shown(const std::vector<Table>& tables) {
  std::string all;
  for (const Table& table : tables) {
    all += StrCat("[", Join(table.columns, "; "), "]\n");
    for (const auto& row : table.rows) {
      std::vector<std::string> cells;
      for (const TableCell& cell : row) cells.push_back(Shown(cell.value));
      all += StrCat(Join(cells, "; "), "\n");
    }
  }
  return all;
}

TEST(Cells, NumbersAreReadWhateverTheirGroupsAndSigns) {
  EXPECT_EQ(Read("42"), "number 42");
  EXPECT_EQ(Read(" -3.5 "), "number -3.5");
  EXPECT_EQ(Read("\u22123.5"), "number -3.5");
  EXPECT_EQ(Read("+7"), "number 7");
  EXPECT_EQ(Read("1,234,567.89"), "number 1234567.89");
  EXPECT_EQ(Read("1 234 567"), "number 1234567");
  EXPECT_EQ(Read("1\u00A0234"), "number 1234");
  EXPECT_EQ(Read("1'234.50"), "number 1234.5");
  EXPECT_EQ(Read("(1,234)"), "number -1234");
  EXPECT_EQ(Read(".5"), "number 0.5");
  EXPECT_EQ(Read("0.05"), "number 0.05");
  EXPECT_EQ(Read("1.5e-3"), "number 0.0015");
  EXPECT_EQ(Read("6.02E23"), "number 6.02e+23");
  const CellStyle comma = {.mark = DecimalMark::kComma};
  EXPECT_EQ(Read("1.234,5", comma), "number 1234.5");
  EXPECT_EQ(Read("0,5", comma), "number 0.5");
  EXPECT_EQ(Read("1.234", comma), "number 1234");
}

TEST(Cells, PercentagesAndMoneyAreMoreThanNumbers) {
  EXPECT_EQ(Read("12.5%"), "percent 0.125");
  EXPECT_EQ(Read("-3 %"), "percent -0.03");
  EXPECT_EQ(Read("$1,200.50"), "money 1200.5 $");
  EXPECT_EQ(Read("-$5"), "money -5 $");
  EXPECT_EQ(Read("$-5"), "money -5 $");
  EXPECT_EQ(Read("($5.00)"), "money -5 $");
  EXPECT_EQ(Read("US$ 5"), "money 5 USD");
  EXPECT_EQ(Read("5 USD"), "money 5 USD");
  EXPECT_EQ(Read("\u00A33"), "money 3 GBP");
  EXPECT_EQ(Read("1.234,50 \u20AC", {.mark = DecimalMark::kComma}), "money 1234.5 EUR");
  EXPECT_EQ(Read("\u00A5800"), "money 800 \u00A5");
  EXPECT_EQ(Read("800 \u5143"), "money 800 CNY");
  EXPECT_EQ(Read("$"), "text");
  EXPECT_EQ(Read("%"), "text");
}

TEST(Cells, DatesAreReadWhereTheyCanMeanOneDayOnly) {
  EXPECT_EQ(Read("2024-03-01"), "date 2024-03-01");
  EXPECT_EQ(Read("2024/3/1"), "date 2024-03-01");
  EXPECT_EQ(Read("2024-03-01 14:30"), "date 2024-03-01T14:30:00");
  EXPECT_EQ(Read("2024-03-01T14:30:05Z"), "date 2024-03-01T14:30:05");
  EXPECT_EQ(Read("1.3.2024"), "date 2024-03-01");
  EXPECT_EQ(Read("25/12/2024"), "date 2024-12-25");
  EXPECT_EQ(Read("12/25/2024"), "date 2024-12-25");
  EXPECT_EQ(Read("1/2/2024"), "text") << "January or February";
  EXPECT_EQ(Read("1/2/2024", {.order = DateOrder::kDayFirst}), "date 2024-02-01");
  EXPECT_EQ(Read("1/2/2024", {.order = DateOrder::kMonthFirst}), "date 2024-01-02");
  EXPECT_EQ(Read("1 March 2024"), "date 2024-03-01");
  EXPECT_EQ(Read("March 1, 2024"), "date 2024-03-01");
  EXPECT_EQ(Read("1-Mar-2024"), "date 2024-03-01");
  EXPECT_EQ(Read("1. M\u00E4rz 2024"), "date 2024-03-01");
  EXPECT_EQ(Read("2024\u5E743\u67081\u65E5"), "date 2024-03-01");
  EXPECT_EQ(Read("1969-12-31"), "date 1969-12-31");
  EXPECT_EQ(Read("2023-02-29"), "text");
  EXPECT_EQ(Read("1.3.24"), "text") << "of which century";
  EXPECT_EQ(Read("2024-03-01 25:00"), "text");
  for (const char* words : {"2024.1.258", "2024-13-01", "258.1.2024", "257/1/2024", "2024-1-32"}) {
    EXPECT_EQ(Read(words), "text") << words;
  }
}

TEST(Cells, NamesThatLookLikeNumbersAreText) {
  for (const char* words :
       {"007", "030 123456", "1234567890123456", "12E3", "1,23", "1,2345", "1.2.3", "12 34",
        "1,234,56", "A4", "4x", "--5", "1e999", "- ", "1-2", "NaN", "12345678901234567890"}) {
    EXPECT_EQ(Read(words), "text") << words;
  }
  EXPECT_EQ(Read(std::string(100'000, '1')), "text");
  EXPECT_EQ(Read(""), "empty");
  EXPECT_EQ(Read(" "), "empty");
}

TEST(Tables, AreFoundInMarkdownWithTheStyleOfTheirCells) {
  const std::string text =
      "# Prices\n\nWords | with a bar.\n\n| Item | Price | Share | Since |\n|---|--:|---|---|\n"
      "| A\\|B | 1.234,50 \u20AC | 12,5% | 1/2/2024 |\n| C | 1.000 \u20AC | | 13/2/2024 "
      "|\n\nMore.\n\n"
      "x | y\n--|--\n1.5 | 2 | 3\n4\n";
  const auto tables = FindTables(text, kMarkdownType, {});
  EXPECT_EQ(Shown(tables),
            "[Item; Price; Share; Since]\n"
            "text; money 1234.5 EUR; percent 0.125; date 2024-02-01\n"
            "text; money 1000 EUR; empty; date 2024-02-13\n"
            "[x; y]\nnumber 1.5; number 2\nnumber 4; empty\n");
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0].rows[0][0].text, "A|B");
  EXPECT_EQ(text.substr(tables[0].begin, 8), "| Item |");
  EXPECT_EQ(text.substr(tables[0].end, 8), "\n\nMore.\n");
  EXPECT_EQ(ColumnKind(tables[0], 1), CellKind::kMoney);
  EXPECT_EQ(ColumnKind(tables[0], 2), CellKind::kPercent) << "empty cells aside";
  EXPECT_TRUE(FindTables(text, kPlainTextType, {}).empty());
  EXPECT_TRUE(FindTables("```\n| a |\n|---|\n| 1 |\n```\n", kMarkdownType, {}).empty());
}

// What the writer makes of cells is what they are read as.
TEST(Tables, BackslashesAndBarsOfCellsComeBack) {
  const std::vector<std::string> cells = {"a|b",
                                          "a\\|b",
                                          "\\",
                                          "|",
                                          "\\|",
                                          "||",
                                          "a\\",
                                          "\\\\|",
                                          "C:\\x\\|y\\\\",
                                          "\\a",
                                          std::string(1 << 20, '|')};
  MarkdownWriter out;
  out.Row(cells);
  out.Row(cells);
  const auto tables = FindTables(out.Take(), kMarkdownType, {});
  ASSERT_EQ(tables.size(), 1u);
  ASSERT_EQ(tables[0].rows.size(), 1u);
  EXPECT_EQ(tables[0].columns, cells);
  std::vector<std::string> row;
  for (const TableCell& cell : tables[0].rows[0]) row.push_back(cell.text);
  EXPECT_EQ(row, cells);
}

int64_t MostMemoryUsed() {  // bytes
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

TEST(Tables, LinesOfBarsTakeNoMemory) {
  const std::string bars(8 << 20, '|');
  const std::string header = bars + "\n|-|\n| 1 |\n", row = "| a |\n|-|\n" + bars + "\n";
  const int64_t before = MostMemoryUsed();
  EXPECT_EQ(Shown(FindTables(header, kMarkdownType, {})), "");
  EXPECT_EQ(Shown(FindTables(row, kMarkdownType, {})), "[a]\nempty\n");
  EXPECT_LT(MostMemoryUsed() - before, 64 << 20);
}

TEST(Tables, AHeaderAboveTheLimitIsNoTable) {
  const std::string rest = " |\n|-|\n| 1 |\n";
  EXPECT_EQ(FindTables("| a" + rest, kMarkdownType, {}).size(), 1u);
  EXPECT_EQ(FindTables("| " + std::string(kMaxTableBytes, 'a') + rest, kMarkdownType, {}).size(),
            0u);
}

TEST(Tables, AmountsInMoreCurrenciesThanAreKeptAreNumbers) {
  constexpr size_t kColumns = 100, kCells = 100'000, kCurrencies = 256;
  std::string text = "|", below = "|";
  for (size_t i = 0; i < kColumns; ++i) text += " a |", below += " - |";
  text += StrCat("\n", below);
  std::vector<KnownCell> known;
  for (size_t i = 0; i < kCells; ++i) {
    text += i % kColumns == 0 ? "\n| " : " | ";
    known.push_back(
        {text.size(), {.kind = CellKind::kMoney, .number = 1, .currency = StrCat("C", i)}});
    text += "1";
  }
  const auto tables =
      DecodeTables(EncodeTables(FindTables(text, kMarkdownType, known), "h"), "h", text);
  ASSERT_TRUE(tables.has_value());
  ASSERT_EQ(tables->size(), 1u);
  size_t money = 0, numbers = 0;
  for (const auto& row : tables->at(0).rows) {
    for (const TableCell& cell : row) {
      const CellValue& value = cell.value;
      if (value.kind == CellKind::kMoney) {
        EXPECT_EQ(value.currency, StrCat("C", money++));
      }
      if (value.kind == CellKind::kNumber && value.number == 1) ++numbers;
    }
  }
  EXPECT_EQ(money, kCurrencies);
  EXPECT_EQ(money + numbers, kCells);
}

TEST(Tables, BeyondTheLimitAreCutBehindARow) {
  std::string text = "| a | b | c |\n| --- | --- | --- |\n";
  for (size_t i = 0; i < kMaxTableCells / 3 + 10; ++i) text += "| 1 | 2 | 3 |\n";
  text += "\nWords.\n\n| d |\n| --- |\n| 4 |\n";
  const auto tables = FindTables(text, kMarkdownType, {});
  ASSERT_EQ(tables.size(), 1u);
  EXPECT_EQ(tables[0].rows.size(), kMaxTableCells / 3);
  EXPECT_TRUE(tables[0].cut);
  const auto back = DecodeTables(EncodeTables(tables, "h"), "h", text);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->at(0).rows.size(), kMaxTableCells / 3);
  EXPECT_TRUE(back->at(0).cut);
}

class StoredTables : public ::testing::Test {
 protected:
  const std::string text_ =
      "| Name | Amount | When | Rate |\n| --- | --- | --- | --- |\n"
      "| one | $5 | 2024-03-01 14:31 | 1.5% |\n| two | \u20AC1234.56 | | 0.1234567890123 |\n"
      "| three | -7 | 1066-10-14 | 6.02e23 |\n";
  const std::vector<Table> tables_ = FindTables(text_, kMarkdownType, {});
};

TEST_F(StoredTables, ReadBackAsTheyWere) {
  const std::string encoded = EncodeTables(tables_, "hash");
  const auto back = DecodeTables(encoded, "hash", text_);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(Shown(*back), Shown(tables_));
  EXPECT_EQ(back->at(0).end, tables_[0].end);
  EXPECT_LT(encoded.size(), 90u) << "words are in the text alone";
  EXPECT_EQ(EncodeTables({}, "hash"), "");
}

TEST_F(StoredTables, OfOtherBytesOrAnotherTextAreNone) {
  const std::string encoded = EncodeTables(tables_, "hash");
  EXPECT_FALSE(DecodeTables(encoded, "other", text_).has_value());
  EXPECT_FALSE(DecodeTables(encoded, "hash", text_.substr(0, text_.size() - 30)).has_value());
  EXPECT_FALSE(DecodeTables(encoded, "hash", "# Nothing\n").has_value());
}

TEST_F(StoredTables, DamagedBytesAreRefusedOrReadAsTables) {
  const std::string encoded = EncodeTables(tables_, "hash");
  for (size_t i = 0; i < encoded.size(); ++i) {
    EXPECT_FALSE(DecodeTables(std::string_view(encoded).substr(0, i), "hash", text_).has_value());
  }
  std::mt19937 random(11);
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = encoded;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto tables = DecodeTables(damaged, "hash", text_);
    if (!tables) continue;
    for (const Table& table : *tables) {
      ASSERT_LE(table.begin, table.end);
      ASSERT_LE(table.end, text_.size());
      for (const auto& row : table.rows) ASSERT_EQ(row.size(), table.columns.size());
    }
  }
}

// What a writer of ours would never keep, as an import may bring it.
class MisleadingTables : public StoredTables {
 protected:
  static std::string Encoded(std::vector<Table> tables) { return EncodeTables(tables, "hash"); }
  bool AreRead(std::vector<Table> tables) {
    return DecodeTables(Encoded(std::move(tables)), "hash", text_).has_value();
  }
};

TEST_F(MisleadingTables, AreNoneThoughOnesThatAreSoundAreRead) {
  ASSERT_EQ(tables_.size(), 1u);
  EXPECT_TRUE(AreRead(tables_));
  EXPECT_FALSE(AreRead({tables_[0], tables_[0]})) << "the same words again and again";
  Table table = tables_[0];
  table.rows.clear();
  table.end = text_.find("| one");
  EXPECT_FALSE(AreRead({table})) << "a header costs bytes of the text, not of what is read";
  table = tables_[0];
  table.rows[0][1].value.currency = std::string(65, 'E');
  EXPECT_FALSE(AreRead({table})) << "each amount has a copy of its currency";
  table.rows[0][1].value.currency = "\xff";
  EXPECT_FALSE(AreRead({table})) << "messages take UTF-8 alone";
}

TEST_F(MisleadingTables, ThatCutACharacterAreNone) {
  const std::string text = "| \u00fc |\n| --- |\n| \u00fc |";
  std::vector<Table> tables = FindTables(text, kMarkdownType, {});
  ASSERT_EQ(tables.size(), 1u);
  ASSERT_EQ(tables[0].end, text.size());
  EXPECT_TRUE(DecodeTables(Encoded(tables), "hash", text).has_value());
  tables[0].end -= std::string_view("\xbc |").size();
  EXPECT_FALSE(DecodeTables(Encoded(tables), "hash", text).has_value());
}

// The document of a file, through its parser.
ParsedDocument Parsed(std::string_view name, const std::string& bytes) {
  ParsedDocument document;
  const Status status = ParseFile({.name = name, .mime_type = "", .password = "", .bytes = bytes},
                                  [&](ParsedPart part) {
                                    document = std::move(part.document);
                                    return part.status;
                                  });
  EXPECT_TRUE(status.ok()) << status.message();
  return document;
}
std::string TablesOf(std::string_view name, const std::string& bytes) {
  const ParsedDocument document = Parsed(name, bytes);
  return Shown(FindTables(document.text, document.mime_type, document.cells));
}

TEST(TablesOfFiles, OfCsvAndHtmlAndWordAreReadByTheirWords) {
  EXPECT_EQ(TablesOf("a.csv", "Name;Betrag;Datum\nA;1.234,50;1.3.2024\nB;0,75;24.12.2023\n"),
            "[Name; Betrag; Datum]\ntext; number 1234.5; date 2024-03-01\n"
            "text; number 0.75; date 2023-12-24\n");
  EXPECT_EQ(
      TablesOf("a.html",
               "<html><body><p>Words of a page.</p><table><tr><th>City</th><th>People</th></tr>"
               "<tr><td>Bergen</td><td>291,940</td></tr></table></body></html>"),
      "[City; People]\ntext; number 291940\n");
  const auto cell = [](std::string_view words) {
    return StrCat("<w:tc><w:p><w:r><w:t>", words, "</w:t></w:r></w:p></w:tc>");
  };
  EXPECT_EQ(TablesOf("a.docx", testing::DocxOf(StrCat("<w:tbl><w:tr>", cell("Part"), cell("Cost"),
                                                      "</w:tr><w:tr>", cell("bolt"), cell("$0.20"),
                                                      "</w:tr></w:tbl>"))),
            "[Part; Cost]\ntext; money 0.2 $\n");
}

TEST(TablesOfFiles, OfExcelAreWhatTheirFormatsSay) {
  const std::string styles =
      "<numFmts><numFmt numFmtId='164' formatCode='#,##0.00\\ [$\u20AC-407]'/>"
      "<numFmt numFmtId='165' formatCode='\"$\"#,##0.00'/></numFmts><cellXfs><xf numFmtId='0'/>"
      "<xf numFmtId='14'/><xf numFmtId='10'/><xf numFmtId='164'/><xf numFmtId='165'/></cellXfs>";
  const std::string rows =
      "<row r='1'><c r='A1' t='s'><v>0</v></c><c r='B1' t='s'><v>1</v></c><c r='C1' "
      "t='s'><v>2</v></c>"
      "<c r='D1' t='s'><v>3</v></c><c r='E1' t='s'><v>4</v></c></row>"
      "<row r='2'><c r='A2' t='s'><v>5</v></c><c r='B2' s='3'><v>1234.5</v></c><c r='C2' s='1'>"
      "<v>45352</v></c><c r='D2' s='2'><v>0.125</v></c><c r='E2'><v>7</v></c></row>"
      "<row r='3'><c r='A3' t='s'><v>6</v></c><c r='B3' s='4'><v>-2</v></c><c r='E3' t='s'>"
      "<v>6</v></c></row>";
  const std::string strings =
      "<si><t>Id</t></si><si><t>Price</t></si><si><t>Since</t></si><si><t>Share</t></si>"
      "<si><t>Count</t></si><si><t>12</t></si><si><t>1,5</t></si>";
  const std::string file = testing::XlsxOf(rows, strings, styles);
  EXPECT_EQ(TablesOf("a.xlsx", file),
            "[Id; Price; Since; Share; Count]\n"
            "text; money 1234.5 EUR; date 2024-03-01; percent 0.125; number 7\n"
            "text; money -2 $; empty; empty; text\n");
  EXPECT_THAT(Parsed("a.xlsx", file).text,
              ::testing::HasSubstr("| 12 | 1234.5 \u20AC | 2024-03-01 | 12.5% | 7 |\n"
                                   "| 1,5 | -$2 |  |  | 1,5 |"));
}

TEST(TablesOfFiles, OfOpenDocumentAreTheValuesBehindTheWords) {
  const auto cell = [](std::string_view attributes, std::string_view words) {
    return StrCat("<table:table-cell ", attributes, "><text:p>", words,
                  "</text:p></table:table-cell>");
  };
  const std::string table =
      StrCat("<table:table table:name='T'><table:table-row>", cell("", "Id"), cell("", "Price"),
             cell("", "Since"), cell("", "Share"), "</table:table-row><table:table-row>",
             cell("office:value-type='string'", "0815"),
             cell("office:value-type='currency' office:currency='EUR' office:value='1234.5'",
                  "1.234,50 \u20AC"),
             cell("office:value-type='date' office:date-value='2024-02-01'", "1.2.24"),
             cell("office:value-type='percentage' office:value='0.125'", "12,5 %"),
             "</table:table-row></table:table>");
  EXPECT_EQ(TablesOf("a.ods", testing::OpenDocumentOf("spreadsheet", table)),
            "[Id; Price; Since; Share]\ntext; money 1234.5 EUR; date 2024-02-01; percent 0.125\n");
}

std::string OdsOfMoney(std::string_view currency) {
  return testing::OpenDocumentOf(
      "spreadsheet",
      StrCat("<table:table table:name='T'><table:table-row><table:table-cell><text:p>Price</text:p>"
             "</table:table-cell></table:table-row><table:table-row><table:table-cell "
             "office:value-type='currency' office:value='5' office:currency='",
             currency,
             "'><text:p>five</text:p></table:table-cell></table:table-row>"
             "</table:table>"));
}

TEST(TablesOfFiles, OfOpenDocumentHaveCurrenciesThatCanBeSome) {
  const auto of = [](std::string_view currency) { return TablesOf("a.ods", OdsOfMoney(currency)); };
  EXPECT_EQ(of("XAU"), "[Price]\nmoney 5 XAU\n");
  EXPECT_EQ(of("\u20AC"), "[Price]\nmoney 5 EUR\n");
  for (const std::string& other : {std::string(), std::string("EU"), std::string("E R"),
                                   std::string("EURO"), std::string(1000, 'E')}) {
    EXPECT_EQ(of(other), "[Price]\nnumber 5\n") << other;
  }
}

class KeptTables : public ::testing::Test {
 protected:
  Result<PutResult> Put(const std::string& id, const std::string& bytes,
                        const std::string& name = "") {
    PutRequest request;
    request.info.id = id;
    request.info.source = name.empty() ? id : name;
    request.bytes = bytes;
    IngestOptions options;
    options.parser_path = VADE_PARSE_BINARY;
    return Ingestor(&store_, &embedder_, options).Put(std::move(request), {});
  }
  std::string Of(const std::string& id) {
    const auto tables = DocumentTables(&store_, "default").Of(id);
    return tables.ok() ? Shown(*tables) : tables.status().ToString();
  }
  size_t Notes() { return store_.ListNotes("default", "t", "", 1000).value().size(); }
  void DropNote(const std::string& id) {
    const StoreNote none{TablesNoteKey(id), ""};
    EXPECT_TRUE(store_.PutNotes("default", {&none, 1}).ok());
  }

  testing::MemoryStore store_;
  HashingEmbedder embedder_;
};

constexpr char kPrices[] = "# Prices\n\n| Item | Price |\n| --- | --- |\n| nail | $5 |\n";

TEST_F(KeptTables, FollowTheirDocuments) {
  ASSERT_TRUE(Put("a.md", kPrices).ok());
  ASSERT_TRUE(Put("plain.md", "# Words\n\nNo table here.\n").ok());
  EXPECT_EQ(Of("a.md"), "[Item; Price]\ntext; money 5 $\n");
  EXPECT_EQ(Of("plain.md"), "");
  EXPECT_EQ(Notes(), 1u);
  ASSERT_TRUE(Put("a.md", "| Item | Price |\n| --- | --- |\n| nail | 6 \u20AC |\n").ok());
  EXPECT_EQ(Of("a.md"), "[Item; Price]\ntext; money 6 EUR\n");
  ASSERT_TRUE(Put("a.md", "# Sold out\n").ok());
  EXPECT_EQ(Of("a.md"), "");
  EXPECT_EQ(Notes(), 0u) << "nothing stays behind";
  EXPECT_THAT(Of("missing"), ::testing::HasSubstr("NOT_FOUND"));
}

// Rows of one file that say the same, so that what is kept of one text would be taken for the
// other's: read as text, "12" is a number, and only the file knows that it is none.
TEST_F(KeptTables, StayThoseOfTheRevisionThatIsThereWhenACommitFails) {
  const auto workbook = [](std::string_view cell) {
    return testing::XlsxOf(
        StrCat("<row r='1'><c r='A1' t='inlineStr'><is><t>Id</t></is></c><c r='B1' t='inlineStr'>"
               "<is><t>N</t></is></c></row><row r='2'>",
               cell, "<c r='B2'><v>3</v></c></row>"),
        "", "");
  };
  ASSERT_TRUE(Put("a.xlsx", workbook("<c r='A2' t='inlineStr'><is><t>12</t></is></c>")).ok());
  ASSERT_EQ(Of("a.xlsx"), "[Id; N]\ntext; number 3\n");
  const auto kept_tables = store_.GetNote("default", TablesNoteKey("a.xlsx")).value();
  for (const char* operation : {"together", "commit"}) {
    store_.FailNext(operation, ResourceExhausted("the disk is full"));
    EXPECT_FALSE(Put("a.xlsx", workbook("<c r='A2'><v>12</v></c>")).ok());
    EXPECT_EQ(Of("a.xlsx"), "[Id; N]\ntext; number 3\n");
    EXPECT_EQ(store_.GetNote("default", TablesNoteKey("a.xlsx")).value(), kept_tables);
  }
  ASSERT_TRUE(Put("a.xlsx", workbook("<c r='A2'><v>12</v></c>")).ok());
  EXPECT_EQ(Of("a.xlsx"), "[Id; N]\nnumber 12; number 3\n");
}

TEST_F(KeptTables, OfDocumentsThatEarlierProgramsStoredComeFromTheText) {
  ASSERT_TRUE(Put("a.md", kPrices).ok());
  DropNote("a.md");
  EXPECT_EQ(Notes(), 0u);
  EXPECT_EQ(Of("a.md"), "[Item; Price]\ntext; money 5 $\n");
}

TEST_F(KeptTables, OfAFileWithACurrencyThatIsNoneAreStored) {
  ASSERT_TRUE(Put("a.ods", OdsOfMoney(std::string(65, 'E'))).ok());
  EXPECT_EQ(Of("a.ods"), "[Price]\nnumber 5\n");
}

TEST_F(KeptTables, KeepWhatOnlyTheFileKnew) {
  const std::string file = testing::XlsxOf(
      "<row r='1'><c r='A1' t='inlineStr'><is><t>Id</t></is></c><c r='B1' "
      "t='inlineStr'><is><t>N</t></is>"
      "</c></row><row r='2'><c r='A2' t='inlineStr'><is><t>12</t></is></c><c "
      "r='B2'><v>3</v></c></row>",
      "", "");
  ASSERT_TRUE(Put("a.xlsx", file).ok());
  EXPECT_EQ(Of("a.xlsx"), "[Id; N]\ntext; number 3\n");
  DropNote("a.xlsx");
  EXPECT_EQ(Of("a.xlsx"), "[Id; N]\nnumber 12; number 3\n") << "the text alone does not say it";
}

TEST_F(KeptTables, AreForgottenOnlyOnceTheDocumentIsGone) {
  ASSERT_TRUE(Put("a.md", kPrices).ok());
  const std::vector<std::string> ids = {"a.md"};
  DocumentTables tables(&store_, "default");
  ASSERT_TRUE(tables.Forget(ids).ok());
  EXPECT_EQ(Notes(), 1u) << "it is there: put again, perhaps, a moment after it went";
  ASSERT_TRUE(store_.DeleteDocuments("default", ids, Context()).ok());
  ASSERT_TRUE(tables.Forget(ids).ok());
  EXPECT_EQ(Notes(), 0u);
}

}  // namespace
}  // namespace vade
