#include "ingest/formats/xlsx_numbers.h"

#include <cmath>
#include <cstdio>

#include "base/strings.h"
#include "ingest/cells.h"

namespace vade {
namespace {

constexpr int64_t kSecondsADay = 86400;
constexpr double kMaxDays = 2'958'466;  // the end of the year 9999
// Days from the two beginnings of Excel's calendar to 1970-01-01.
constexpr int64_t kDaysFrom1900 = 25569;
constexpr int64_t kDaysFrom1904 = 24107;

struct CivilDate {
  int64_t year;
  int64_t month, day;
};

// Days since 1970-01-01 in the Gregorian calendar: years that begin in March, so that the leap day
// is the last; eras of 400 years.
CivilDate DateOf(int64_t days) {
  days += 719468;  // to 0000-03-01
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted = (5 * day_of_year + 2) / 153;  // month from March
  const int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * shifted + 2) / 5 + 1};
}

std::string Two(int64_t number) { return StrCat(number < 10 ? "0" : "", number); }

std::string ShowDate(int64_t days) {
  const CivilDate date = DateOf(days);
  return StrCat(date.year, "-", Two(date.month), "-", Two(date.day));
}

std::string ShowTime(int64_t seconds) {
  const std::string minutes = StrCat(Two(seconds / 3600), ":", Two(seconds / 60 % 60));
  return seconds % 60 == 0 ? minutes : StrCat(minutes, ":", Two(seconds % 60));
}

// Up to fifteen digits, as Excel has them: 0.1 + 0.2 is shown as 0.3.
std::string ShowPlain(double number) {
  if (!std::isfinite(number)) return "";
  if (number == std::floor(number) && std::abs(number) < 1e15) {
    return StrCat(static_cast<int64_t>(number));
  }
  char text[40];
  std::snprintf(text, sizeof(text), "%.15g", number);
  return text;
}

}  // namespace

NumberKind KindOfNumber(int format_id, std::string_view code) {
  if (code.empty()) {
    if (format_id == 9 || format_id == 10) return NumberKind::kPercent;
    if ((format_id >= 14 && format_id <= 17) || (format_id >= 27 && format_id <= 31) ||
        (format_id >= 50 && format_id <= 58)) {
      return NumberKind::kDate;
    }
    if (format_id == 22) return NumberKind::kDateTime;
    const bool time = (format_id >= 18 && format_id <= 21) || (format_id >= 45 && format_id <= 47);
    return time ? NumberKind::kTime : NumberKind::kPlain;
  }
  bool days = false, hours = false, quoted = false, bracketed = false;
  for (size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    if (c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == '[' || c == ']') {
      bracketed = c == '[';  // a colour, a currency; "[h]" counts hours
      if (bracketed && i + 1 < code.size()) hours = hours || code[i + 1] == 'h';
    } else if (!quoted && !bracketed) {
      if (c == '%') return NumberKind::kPercent;
      if (c == ';') break;
      days = days || c == 'y' || c == 'd' || c == 'Y' || c == 'D';
      hours = hours || c == 'h' || c == 'H' || c == 's';
    }
  }
  if (days) return hours ? NumberKind::kDateTime : NumberKind::kDate;
  return hours ? NumberKind::kTime : NumberKind::kPlain;
}

std::string SignOfCurrency(std::string_view code) {
  code = code.substr(0, code.find(';'));  // of numbers that are not negative
  if (const size_t at = code.find("[$"); at != std::string_view::npos) {
    const std::string_view rest = code.substr(at + 2);
    const std::string sign(StripAsciiWhitespace(rest.substr(0, rest.find_first_of("-]"))));
    return CurrencyOf(sign).empty() ? "" : sign;
  }
  if (const size_t at = code.find('"'); at != std::string_view::npos) {
    const std::string_view rest = code.substr(at + 1);
    const std::string sign(StripAsciiWhitespace(rest.substr(0, rest.find('"'))));
    if (!CurrencyOf(sign).empty()) return sign;
  }
  for (const std::string_view sign : {"$", "€", "£", "¥"}) {
    if (code.find(sign) != std::string_view::npos) return std::string(sign);
  }
  return "";
}

std::string ShowNumber(double number, NumberKind kind, bool since_1904) {
  if (kind == NumberKind::kPercent) return StrCat(ShowPlain(number * 100), "%");
  const bool dated = kind != NumberKind::kPlain && number >= 0 && number < kMaxDays;
  if (!dated) return ShowPlain(number);
  auto days = static_cast<int64_t>(std::floor(number));
  auto seconds = static_cast<int64_t>(std::llround((number - std::floor(number)) * kSecondsADay));
  if (seconds >= kSecondsADay) {
    seconds -= kSecondsADay;
    ++days;
  }
  if (kind == NumberKind::kTime) return ShowTime(seconds + days * kSecondsADay);
  // Excel's first two months have a day too many: 1900 was no leap year.
  if (!since_1904 && days < 60) ++days;
  const std::string date = ShowDate(days - (since_1904 ? kDaysFrom1904 : kDaysFrom1900));
  return kind == NumberKind::kDate || seconds == 0 ? date : StrCat(date, " ", ShowTime(seconds));
}

}  // namespace vade
