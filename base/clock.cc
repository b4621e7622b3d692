#include "base/clock.h"

#include <array>
#include <cstdio>
#include <optional>

#include "base/strings.h"

namespace vade {
namespace {

class RealClock final : public Clock {
 public:
  int64_t UnixMicros() const override {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  std::chrono::steady_clock::time_point Steady() const override {
    return std::chrono::steady_clock::now();
  }
};

constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kSecondsPerDay = 86'400;

int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// Takes exactly `width` digits off the front.
std::optional<int> TakeDigits(std::string_view* text, size_t width) {
  if (text->size() < width) return std::nullopt;
  int value = 0;
  for (char c : text->substr(0, width)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text->remove_prefix(width);
  return value;
}

bool TakeAnyOf(std::string_view* text, std::string_view characters) {
  if (text->empty() || characters.find(text->front()) == std::string_view::npos) return false;
  text->remove_prefix(1);
  return true;
}

std::optional<int64_t> TakeDate(std::string_view* text) {  // days since 1970-01-01
  const auto year = TakeDigits(text, 4);
  if (!year || !TakeAnyOf(text, "-")) return std::nullopt;
  const auto month = TakeDigits(text, 2);
  if (!month || !TakeAnyOf(text, "-")) return std::nullopt;
  const auto day = TakeDigits(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

std::optional<int64_t> TakeHoursAndMinutes(std::string_view* text) {  // seconds
  const auto hours = TakeDigits(text, 2);
  if (!hours || *hours > 23 || !TakeAnyOf(text, ":")) return std::nullopt;
  const auto minutes = TakeDigits(text, 2);
  if (!minutes || *minutes > 59) return std::nullopt;
  return *hours * 3600 + *minutes * 60;
}

// ".25" -> 250000; digits beyond microseconds are dropped. 0 when there is no fraction.
std::optional<int64_t> TakeFraction(std::string_view* text) {
  if (!TakeAnyOf(text, ".")) return 0;
  int64_t micros = 0;
  int64_t unit = kMicrosPerSecond / 10;
  bool any = false;
  while (const auto digit = TakeDigits(text, 1)) {
    micros += *digit * unit;
    unit /= 10;
    any = true;
  }
  if (!any) return std::nullopt;
  return micros;
}

std::optional<int64_t> TakeOffset(std::string_view* text) {  // seconds east of UTC
  if (TakeAnyOf(text, "Zz")) return 0;
  if (text->empty()) return std::nullopt;
  const int sign = text->front() == '-' ? -1 : 1;
  if (!TakeAnyOf(text, "+-")) return std::nullopt;
  const auto seconds = TakeHoursAndMinutes(text);
  if (!seconds) return std::nullopt;
  return sign * *seconds;
}

std::optional<int64_t> TakeTime(std::string_view* text) {  // microseconds since midnight UTC
  const auto start = TakeHoursAndMinutes(text);
  if (!start || !TakeAnyOf(text, ":")) return std::nullopt;
  const auto seconds = TakeDigits(text, 2);
  if (!seconds || *seconds > 60) return std::nullopt;  // 60: a leap second
  const auto fraction = TakeFraction(text);
  if (!fraction) return std::nullopt;
  const auto offset = TakeOffset(text);
  if (!offset) return std::nullopt;
  return (*start + *seconds - *offset) * kMicrosPerSecond + *fraction;
}

}  // namespace

const Clock& SystemClock() {
  static const RealClock clock;
  return clock;
}

std::string FormatRfc3339(int64_t unix_micros) {
  const int64_t seconds = FloorDivide(unix_micros, kMicrosPerSecond);
  const int64_t days = FloorDivide(seconds, kSecondsPerDay);
  const int64_t of_day = seconds - days * kSecondsPerDay;
  const int64_t micros = (unix_micros % kMicrosPerSecond + kMicrosPerSecond) % kMicrosPerSecond;
  // The Gregorian calendar repeats every 400 years, so years outside chrono's range come out right
  // too.
  constexpr int64_t kDaysPerEra = 146'097;
  const int64_t era = FloorDivide(days, kDaysPerEra);
  const std::chrono::year_month_day date{
      std::chrono::sys_days(std::chrono::days(days - era * kDaysPerEra))};
  const long long year = static_cast<int>(date.year()) + era * 400;
  std::array<char, 64> buffer;
  int length = std::snprintf(buffer.data(), buffer.size(), "%04lld-%02u-%02uT%02d:%02d:%02d", year,
                             static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                             static_cast<int>(of_day / 3600), static_cast<int>(of_day / 60 % 60),
                             static_cast<int>(of_day % 60));
  std::string out(buffer.data(), static_cast<size_t>(length));
  if (micros != 0) {
    length = std::snprintf(buffer.data(), buffer.size(), ".%06d", static_cast<int>(micros));
    out.append(buffer.data(), static_cast<size_t>(length));
  }
  return out + "Z";
}

Result<int64_t> ParseRfc3339(std::string_view text) {
  std::string_view rest = text;
  const auto days = TakeDate(&rest);
  std::optional<int64_t> micros = 0;
  if (days && !rest.empty()) micros = TakeAnyOf(&rest, "Tt ") ? TakeTime(&rest) : std::nullopt;
  if (!days || !micros || !rest.empty()) {
    return InvalidArgument(StrCat("'", text.substr(0, 64), "' is no time; write it as ",
                                  "2026-11-22 or 2026-11-22T15:02:00Z"));
  }
  return *days * kSecondsPerDay * kMicrosPerSecond + *micros;
}

}  // namespace vade
