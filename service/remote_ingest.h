// Files of this machine into a store that is elsewhere: found as vade ingest finds them, put one by
// one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "ingest/ingest.h"
#include "service/api.h"

namespace vade {

// As Ingestor::IngestPaths, with api.PutDocument for each file: the same ids, the same report. A
// file that cannot be read, is beyond `max_put_bytes` or is refused is reported and stops nothing;
// that nobody answers (UNAVAILABLE), that the service lacks a model, that its disk is full or its
// store fails, or the end of `ctx`, stops all. RESOURCE_EXHAUSTED is retried three times, a second
// apart: the service may only be busy. UNIMPLEMENTED: passage sizes, which are the service's.
Result<IngestReport> IngestThrough(Api& api, uint64_t max_put_bytes,
                                   const std::vector<std::string>& paths,
                                   const IngestOptions& options, const ProgressFunction& progress,
                                   const Context& ctx);

}  // namespace vade
