// Any bytes as a picture from a camera: how it was held is read without harm, whatever its places
// and lengths say.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ingest/formats/jpeg_turn.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int turns = vade::QuarterTurnsOf({reinterpret_cast<const char*>(data), size});
  if (turns < 0 || turns > 3) std::abort();
  return 0;
}
