// A collection's vectors made anew by another embedder, while everybody goes on with the present
// ones, and put in their place by one commit: docs/reembed.md.
#pragma once

#include <string_view>

#include "index/core.h"
#include "index/sealer.h"

namespace vade {

Result<ReembedReport> ReembedCollection(StoreCore* core, Sealer* sealer,
                                        std::string_view collection, const ReembedRequest& request,
                                        const Context& ctx);

}  // namespace vade
