// How Excel shows a number: as a date, a percentage or a plain number, by the cell's format.
// Private to xlsx.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vade {

enum class NumberKind : uint8_t { kPlain, kDate, kTime, kDateTime, kPercent };

// By the number of a built-in format, and by the code of one that the file defines ("" for none).
NumberKind KindOfNumber(int format_id, std::string_view code);

// The sign of the currency that the code shows, "" for none: "€" of "#,##0.00 [$€-407]".
std::string SignOfCurrency(std::string_view code);

// "2024-03-01", "14:30", "12.5%", "1.2". `since_1904`: the file's days count from there.
std::string ShowNumber(double number, NumberKind kind, bool since_1904);

}  // namespace vade
