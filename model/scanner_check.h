// Whether a GPU's search over rows of codes finds what looking at every row here finds, on made-up
// rows: what `vade doctor --gpu` runs beside the checks of backend_check.h. A megabyte, a few
// milliseconds.
#pragma once

#include <vector>

#include "base/status.h"
#include "kernels/row_scanner.h"
#include "model/backend_check.h"

namespace vade {

// One check with all rows and one with a filter: `difference` is the share of rows that are wrong
// or have another score, and none is allowed; `repeatable` that it finds the same again.
Result<std::vector<BackendCheck>> CheckScanner(kernels::RowScanner& scanner);

}  // namespace vade
