// JSON as one line of text, for whatever writes it. Private to service/.
#pragma once

#include <string>

namespace vade {

// Stored text is UTF-8, but a model's name, an old report or a damaged byte may not be: what is
// none is replaced rather than an exception thrown.
template <typename Json>
std::string JsonText(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace vade
