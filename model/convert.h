// Converts weight files of other kinds to GGUF, for `vade models convert`. Conversion loses
// nothing: blocks are copied as they are, and the same input gives the same bytes.
#pragma once

#include <string>

#include "base/status.h"

namespace vade {

// multilingual-e5-small from the container "E5S1" (docs/formats.md has its bytes) to a GGUF encoder
// file that LoadEmbedder() reads. INVALID_ARGUMENT when `in` is something else, DATA_LOSS when it
// is damaged. `out` is written atomically.
Status ConvertE5(const std::string& in, const std::string& out);

}  // namespace vade
