// What a weight file holds, as text for `vade models inspect`.
#pragma once

#include <string>

#include "model/gguf.h"

namespace vade {

// One line a key ("key  type  value", values shortened) and one line a tensor (name, type, shape,
// bytes), with a summary of the tensor types at the end.
std::string DescribeGguf(const GgufFile& file);

}  // namespace vade
