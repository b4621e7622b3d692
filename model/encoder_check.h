// Whether a GPU's encoder embeds as the processor does, on made-up weights: what `vade doctor
// --gpu` runs beside the checks of backend_check.h. Some hundred kilobytes, a few milliseconds.
#pragma once

#include <vector>

#include "base/status.h"
#include "model/backend_check.h"
#include "model/device_encoder.h"

namespace vade {

// For each way of pooling one check: `difference` is 1 - the least cosine between the vectors of
// both, `repeatable` that a text alone has the bits that it has among others. An error: what the
// device could not do at all.
Result<std::vector<BackendCheck>> CheckEncoder(const OpenDeviceEncoder& open);

}  // namespace vade
