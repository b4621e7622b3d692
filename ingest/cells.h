// What a cell of a table is, told by its words: a number, a percentage, an amount of money, a date
// or text. Nothing is guessed: what can be read in two ways, and of which the cells around it do
// not tell how, is text; so are numbers that are names (007, 16 digits).
//
//   StyleVotes votes;
//   for (cell : column) votes.Count(cell);
//   CellValue value = ReadCell("1.234,50 €", votes.Style());   // money, 1234.5, "EUR"
//
// Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vade {

enum class CellKind : uint8_t {  // the numbers are those on disk
  kEmpty = 0,
  kText = 1,
  kNumber = 2,
  kPercent = 3,  // number: the share, .125 for "12.5%"
  kMoney = 4,    // number: the amount; currency
  kDate = 5,     // number: days since 1970-01-01, with the time of the day as a fraction
};

struct CellValue {
  CellKind kind = CellKind::kEmpty;
  double number = 0;
  // "EUR"; the sign itself where it is that of several currencies ("$"); "" when not money.
  std::string currency = {};
  friend bool operator==(const CellValue&, const CellValue&) = default;
};

// What a parser knows of a cell that its words do not say.
struct KnownCell {
  uint64_t begin = 0;  // of its words in the document's text
  CellValue value;
};

enum class DecimalMark : uint8_t { kPoint, kComma };
enum class DateOrder : uint8_t { kNotKnown, kDayFirst, kMonthFirst };  // of 1/2/2024

struct CellStyle {
  DecimalMark mark = DecimalMark::kPoint;
  DateOrder order = DateOrder::kNotKnown;
};

// What the cells of a table say of how all of them are written.
class StyleVotes {
 public:
  void Count(std::string_view words);
  CellStyle Style() const;

 private:
  uint64_t points_ = 0, commas_ = 0, days_first_ = 0, months_first_ = 0;
};

CellValue ReadCell(std::string_view words, const CellStyle& style);

// "number", "date" and so on: as they are called outside.
std::string_view CellKindName(CellKind kind);

// "EUR" for "€" and for "EUR"; "" for what is no sign or code of a currency.
std::string_view CurrencyOf(std::string_view sign);
// The same for a file that says that it names one: any three ASCII letters are a code.
std::string NamedCurrency(std::string_view name);

// "2024-03-01" or "2024-03-01T14:30:00" for a date's number.
std::string DateText(double days);

}  // namespace vade
