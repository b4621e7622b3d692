// A collection's vectors by another embedder (docs/reembed.md): what is embedded is what ingestion
// would embed, headings and title included; passages stay as they were cut.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "model/embedder.h"

namespace vade {

struct ReembedOutcome {
  ReembedReport report;
  uint64_t cut = 0;  // passages embedded by this call of which the embedder reads only a part
};

using ReembedProgress = std::function<void(uint64_t done, uint64_t total)>;

struct NewEmbedder {
  Embedder* embedder = nullptr;  // borrowed
  std::string source = {};       // how it was called, a name or a path: whoever opens the store
                                 // later finds it by that
};

// The errors of Store::Reembed, and those of the embedder.
Result<ReembedOutcome> ReembedWith(Store* store, const std::string& collection,
                                   const NewEmbedder& next, const ReembedProgress& progress,
                                   const Context& ctx);

}  // namespace vade
