// Log lines for operators, on standard error: time, level, message. Results never go through here.
#pragma once

#include <string_view>

namespace vade {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

void SetLogLevel(LogLevel level);  // default kWarning; `vade serve` sets kInfo
void LogDebug(std::string_view message);
void LogInfo(std::string_view message);
void LogWarning(std::string_view message);
void LogError(std::string_view message);

}  // namespace vade
