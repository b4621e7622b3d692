#include "ingest/cells.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace vade {
namespace {

constexpr size_t kMaxCellBytes = 64;  // longer ones are text
constexpr size_t kMaxDigits = 15;     // what a double holds for sure
constexpr int kSecondsADay = 86400;

using Name = std::pair<std::string_view, std::string_view>;

// Signs and codes; longer ones before those that they begin with.
constexpr std::array<Name, 58> kCurrencies = {{
    {"US$", "USD"}, {"HK$", "HKD"}, {"NZ$", "NZD"}, {"R$", "BRL"},  {"C$", "CAD"},  {"A$", "AUD"},
    {"S$", "SGD"},  {"€", "EUR"},   {"£", "GBP"},   {"₹", "INR"},   {"₩", "KRW"},   {"₽", "RUB"},
    {"₺", "TRY"},   {"₪", "ILS"},   {"฿", "THB"},   {"₫", "VND"},   {"₴", "UAH"},   {"zł", "PLN"},
    {"Kč", "CZK"},  {"元", "CNY"},  {"円", "JPY"},  {"$", "$"},     {"¥", "¥"},     {"￥", "¥"},
    {"kr", "kr"},   {"AUD", "AUD"}, {"BRL", "BRL"}, {"CAD", "CAD"}, {"CHF", "CHF"}, {"CNY", "CNY"},
    {"CZK", "CZK"}, {"DKK", "DKK"}, {"EUR", "EUR"}, {"GBP", "GBP"}, {"HKD", "HKD"}, {"HUF", "HUF"},
    {"ILS", "ILS"}, {"INR", "INR"}, {"JPY", "JPY"}, {"KRW", "KRW"}, {"MXN", "MXN"}, {"NOK", "NOK"},
    {"NZD", "NZD"}, {"PLN", "PLN"}, {"RMB", "CNY"}, {"RON", "RON"}, {"RUB", "RUB"}, {"SEK", "SEK"},
    {"SGD", "SGD"}, {"THB", "THB"}, {"TRY", "TRY"}, {"TWD", "TWD"}, {"UAH", "UAH"}, {"USD", "USD"},
    {"VND", "VND"}, {"ZAR", "ZAR"}, {"AED", "AED"}, {"SAR", "SAR"},
}};

// The months' names in English and German, and how they are shortened.
constexpr std::array<std::pair<std::string_view, unsigned>, 42> kMonths = {{
    {"january", 1},   {"february", 2},  {"march", 3},  {"april", 4},     {"may", 5},
    {"june", 6},      {"july", 7},      {"august", 8}, {"september", 9}, {"october", 10},
    {"november", 11}, {"december", 12}, {"jan", 1},    {"feb", 2},       {"mar", 3},
    {"apr", 4},       {"jun", 6},       {"jul", 7},    {"aug", 8},       {"sep", 9},
    {"sept", 9},      {"oct", 10},      {"nov", 11},   {"dec", 12},      {"januar", 1},
    {"februar", 2},   {"märz", 3},      {"mai", 5},    {"juni", 6},      {"juli", 7},
    {"oktober", 10},  {"dezember", 12}, {"jänner", 1}, {"mär", 3},       {"okt", 10},
    {"dez", 12},      {"jan.", 1},      {"feb.", 2},   {"aug.", 8},      {"sept.", 9},
    {"nov.", 11},     {"dec.", 12},
}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool TakeFront(std::string_view* rest, std::string_view what) {
  if (!rest->starts_with(what)) return false;
  rest->remove_prefix(what.size());
  return true;
}
bool TakeBack(std::string_view* rest, std::string_view what) {
  if (!rest->ends_with(what)) return false;
  rest->remove_suffix(what.size());
  return true;
}

void ReplaceAll(std::string_view what, std::string_view by, std::string* text) {
  for (size_t at = text->find(what); at != std::string::npos; at = text->find(what, at + by.size()))
    text->replace(at, what.size(), by);
}

// One kind of blank, of minus and of apostrophe.
std::string Plain(std::string_view words) {
  std::string text(words);
  for (const std::string_view blank : {"\u00A0", "\u202F", "\u2009"}) ReplaceAll(blank, " ", &text);
  ReplaceAll("\u2212", "-", &text);
  ReplaceAll("\u2019", "'", &text);
  ReplaceAll("％", "%", &text);
  return std::string(StripAsciiWhitespace(text));
}

// Digits with or without groups of three, and decimals: nothing for anything else.
std::optional<double> ReadDigits(std::string_view text, DecimalMark mark) {
  const char decimal = mark == DecimalMark::kPoint ? '.' : ',';
  const char thousands = mark == DecimalMark::kPoint ? ',' : '.';
  std::string digits;
  char separator = 0;
  size_t group = 0, groups = 1, i = 0;
  for (; i < text.size() && text[i] != decimal && text[i] != 'e' && text[i] != 'E'; ++i) {
    const char c = text[i];
    if (IsDigit(c)) {
      digits.push_back(c);
      ++group;
      continue;
    }
    if (c != thousands && c != ' ' && c != '\'') return std::nullopt;
    if (separator != 0 && c != separator) return std::nullopt;
    if (groups == 1 ? group < 1 || group > 3 : group != 3) return std::nullopt;
    separator = c;
    group = 0;
    ++groups;
  }
  if (groups > 1 && group != 3) return std::nullopt;
  // A name, a telephone number.
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  const size_t whole = digits.size();
  if (i < text.size() && text[i] == decimal) {
    digits.push_back('.');
    for (++i; i < text.size() && IsDigit(text[i]); ++i) digits.push_back(text[i]);
    if (digits.back() == '.') return std::nullopt;
  }
  const bool decimals = digits.size() > whole;
  if (digits.empty() || digits.size() - (decimals ? 1 : 0) > kMaxDigits) return std::nullopt;
  if (whole == 0) digits.insert(digits.begin(), '0');
  if (i < text.size()) {
    // An exponent; "12E3" alone is a name.
    const std::string_view exponent = text.substr(i);
    const bool sure = decimals || exponent.find_first_of("+-") == 1;
    if (AsciiLower(exponent)[0] != 'e' || groups > 1 || exponent.size() > 5 || !sure) {
      return std::nullopt;
    }
    digits += exponent;
  }
  const auto number = ParseDouble(digits);
  return number && std::isfinite(*number) ? number : std::nullopt;
}

std::string_view TakeCurrency(std::string_view* text) {
  for (const auto& [sign, name] : kCurrencies) {
    std::string_view rest = *text;
    if (!TakeFront(&rest, sign) && !TakeBack(&rest, sign)) continue;
    rest = StripAsciiWhitespace(rest);
    if (rest.empty()) continue;
    *text = rest;
    return name;
  }
  return "";
}

std::optional<CellValue> ReadNumber(std::string_view text, DecimalMark mark) {
  bool negative = false;
  if (text.size() > 2 && text.front() == '(' && text.back() == ')') {
    negative = true;
    text = StripAsciiWhitespace(text.substr(1, text.size() - 2));
  }
  const auto take_sign = [&] {
    if (negative) return;
    negative = TakeFront(&text, "-");
    if (!negative) TakeFront(&text, "+");
    text = StripAsciiWhitespace(text);
  };
  take_sign();
  const std::string_view currency = TakeCurrency(&text);
  if (!currency.empty()) take_sign();
  const bool percent = currency.empty() && TakeBack(&text, "%");
  const auto number = ReadDigits(StripAsciiWhitespace(text), mark);
  if (!number) return std::nullopt;
  CellValue value = {.kind = CellKind::kNumber, .number = negative ? -*number : *number};
  if (percent) {
    value.kind = CellKind::kPercent;
    value.number /= 100;
  } else if (!currency.empty()) {
    value.kind = CellKind::kMoney;
    value.currency = currency;
  }
  return value;
}

// --- dates ---------------------------------------------------------------------------------------

struct DateParts {
  unsigned a = 0, b = 0, c = 0;  // as they stand
  std::string_view mark;
};

std::optional<unsigned> TakeNumber(std::string_view* rest, size_t most_digits) {
  size_t count = 0;
  while (count < rest->size() && IsDigit((*rest)[count])) ++count;
  if (count == 0 || count > most_digits) return std::nullopt;
  const auto number = ParseUint(rest->substr(0, count));
  rest->remove_prefix(count);
  return static_cast<unsigned>(*number);
}

// Three numbers with the same mark between them.
std::optional<DateParts> TakeParts(std::string_view* rest) {
  DateParts parts;
  const auto a = TakeNumber(rest, 4);
  if (!a || rest->empty()) return std::nullopt;
  parts.mark = rest->substr(0, 1);
  if (parts.mark != "-" && parts.mark != "/" && parts.mark != ".") return std::nullopt;
  rest->remove_prefix(1);
  const auto b = TakeNumber(rest, 2);
  if (!b || !TakeFront(rest, parts.mark)) return std::nullopt;
  const auto c = TakeNumber(rest, 4);
  if (!c) return std::nullopt;
  parts.a = *a, parts.b = *b, parts.c = *c;
  return parts;
}

std::optional<double> DaysOf(unsigned year, unsigned month, unsigned day) {
  if (year < 1000 || year > 9999) return std::nullopt;  // two digits may be of any century
  if (month > 12 || day > 31) return std::nullopt;      // std::chrono keeps their lowest byte alone
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(month), std::chrono::day(day));
  if (!date.ok()) return std::nullopt;
  return static_cast<double>(std::chrono::sys_days(date).time_since_epoch().count());
}

// "", or a time of the day behind a date, as its share of a day.
std::optional<double> ReadTime(std::string_view rest) {
  if (rest.empty()) return 0;
  if (!TakeFront(&rest, "T") && !TakeFront(&rest, " ")) return std::nullopt;
  const auto hours = TakeNumber(&rest, 2);
  if (!hours || !TakeFront(&rest, ":")) return std::nullopt;
  const auto minutes = TakeNumber(&rest, 2);
  if (!minutes) return std::nullopt;
  unsigned seconds = 0;
  if (TakeFront(&rest, ":")) {
    const auto number = TakeNumber(&rest, 2);
    if (!number) return std::nullopt;
    seconds = *number;
  }
  TakeFront(&rest, "Z");
  if (!rest.empty() || *hours > 23 || *minutes > 59 || seconds > 59) return std::nullopt;
  return static_cast<double>(*hours * 3600 + *minutes * 60 + seconds) / kSecondsADay;
}

unsigned MonthOf(std::string_view name) {
  const std::string lower = AsciiLower(name);
  const auto at = std::ranges::find(kMonths, std::string_view(lower),
                                    &std::pair<std::string_view, unsigned>::first);
  return at == kMonths.end() ? 0 : at->second;
}

// "1 March 2024", "1. März 2024", "March 1, 2024", "1-Mar-2024".
std::optional<double> ReadNamedDate(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find_first_of(" -,", begin), text.size());
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (words.size() != 3) return std::nullopt;
  const unsigned in_front = MonthOf(words[0]), inside = MonthOf(words[1]);
  std::string_view day = in_front > 0 ? words[1] : words[0];
  TakeBack(&day, ".");
  const auto day_number = ParseUint(day), year = ParseUint(words[2]);
  if (!day_number || !year || *day_number > 31 || *year > 9999) return std::nullopt;
  return DaysOf(static_cast<unsigned>(*year), in_front > 0 ? in_front : inside,
                static_cast<unsigned>(*day_number));
}

std::optional<double> ReadChineseDate(std::string_view text) {
  const auto year = TakeNumber(&text, 4);
  if (!year || !TakeFront(&text, "年")) return std::nullopt;
  const auto month = TakeNumber(&text, 2);
  if (!month || !TakeFront(&text, "月")) return std::nullopt;
  const auto day = TakeNumber(&text, 2);
  if (!day || (!TakeFront(&text, "日") && !TakeFront(&text, "号")) || !text.empty()) {
    return std::nullopt;
  }
  return DaysOf(*year, *month, *day);
}

std::optional<double> ReadDate(std::string_view text, DateOrder order) {
  std::string_view rest = text;
  const auto parts = TakeParts(&rest);
  if (!parts) {
    const auto named = ReadNamedDate(text);
    return named ? named : ReadChineseDate(text);
  }
  std::optional<double> days;
  if (parts->a > 999) {
    days = DaysOf(parts->a, parts->b, parts->c);
  } else if (parts->mark == "." || order == DateOrder::kDayFirst || parts->a > 12) {
    days = DaysOf(parts->c, parts->b, parts->a);
  } else if (order == DateOrder::kMonthFirst || parts->b > 12 || parts->a == parts->b) {
    days = DaysOf(parts->c, parts->a, parts->b);
  }
  const auto time = ReadTime(rest);
  if (!days || !time) return std::nullopt;
  return *days + *time;
}

}  // namespace

void StyleVotes::Count(std::string_view words) {
  if (words.size() > kMaxCellBytes) return;
  const std::string text = Plain(words);
  const bool point = ReadNumber(text, DecimalMark::kPoint).has_value();
  const bool comma = ReadNumber(text, DecimalMark::kComma).has_value();
  if (point && !comma) ++points_;
  if (comma && !point) ++commas_;
  std::string_view rest = text;
  const auto parts = TakeParts(&rest);
  if (!parts || parts->a > 31 || parts->mark == ".") return;
  if (parts->a > 12 && parts->b <= 12) ++days_first_;
  if (parts->b > 12 && parts->a <= 12) ++months_first_;
}

CellStyle StyleVotes::Style() const {
  CellStyle style;
  if (commas_ > points_) style.mark = DecimalMark::kComma;
  if (days_first_ > 0 && months_first_ == 0) style.order = DateOrder::kDayFirst;
  if (months_first_ > 0 && days_first_ == 0) style.order = DateOrder::kMonthFirst;
  return style;
}

CellValue ReadCell(std::string_view words, const CellStyle& style) {
  const std::string_view trimmed = StripAsciiWhitespace(words);
  if (trimmed.empty()) return {};
  if (trimmed.size() <= kMaxCellBytes) {
    const std::string text = Plain(trimmed);
    if (auto number = ReadNumber(text, style.mark)) return std::move(*number);
    if (const auto days = ReadDate(text, style.order)) {
      return {.kind = CellKind::kDate, .number = *days};
    }
  }
  return {.kind = CellKind::kText};
}

std::string_view CellKindName(CellKind kind) {
  switch (kind) {
    case CellKind::kEmpty: return "empty";
    case CellKind::kText: return "text";
    case CellKind::kNumber: return "number";
    case CellKind::kPercent: return "percent";
    case CellKind::kMoney: return "money";
    case CellKind::kDate: return "date";
  }
  return "text";
}

std::string_view CurrencyOf(std::string_view sign) {
  const auto at = std::ranges::find(kCurrencies, sign, &Name::first);
  return at == kCurrencies.end() ? "" : at->second;
}

std::string NamedCurrency(std::string_view name) {
  if (const std::string_view known = CurrencyOf(name); !known.empty()) return std::string(known);
  const std::string lower = AsciiLower(name);
  const bool code =
      lower.size() == 3 && std::ranges::all_of(lower, [](char c) { return c >= 'a' && c <= 'z'; });
  return code ? std::string(name) : "";
}

std::string DateText(double days) {
  constexpr double kFirst = -719162, kLast = 2932896;  // years 1 to 9999
  if (!(days >= kFirst && days <= kLast)) return "";
  const double whole = std::floor(days);
  const auto date = std::chrono::year_month_day(
      std::chrono::sys_days(std::chrono::days(static_cast<int>(whole))));
  const auto two = [](unsigned number) { return StrCat(number < 10 ? "0" : "", number); };
  std::string year = StrCat(static_cast<int>(date.year()));
  year.insert(0, 4 - std::min<size_t>(4, year.size()), '0');
  std::string text = StrCat(year, "-", two(static_cast<unsigned>(date.month())), "-",
                            two(static_cast<unsigned>(date.day())));
  const auto seconds = static_cast<unsigned>(std::lround((days - whole) * kSecondsADay));
  if (seconds == 0 || seconds >= kSecondsADay) return text;
  return StrCat(text, "T", two(seconds / 3600), ":", two(seconds / 60 % 60), ":",
                two(seconds % 60));
}

}  // namespace vade
