// The Api of a running service, over gRPC.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "service/api.h"

namespace vade {

// `address` is HOST:PORT. Does not connect yet; the first call fails with UNAVAILABLE, naming the
// address, when nobody listens there. A message beyond the limits is OUT_OF_RANGE:
// RESOURCE_EXHAUSTED means a service that is busy or whose disk is full. Deadlines and cancellation
// of the Context travel with each call.
Result<std::unique_ptr<Api>> ConnectApi(const std::string& address);

}  // namespace vade
