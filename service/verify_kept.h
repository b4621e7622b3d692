// The part of `vade verify` that is about kept passages: each file is whole, is what its name says,
// and is of a passage that the store has now. Private to service/.
#pragma once

#include "base/context.h"
#include "base/status.h"
#include "generator/block_files.h"
#include "index/index.h"

namespace vade {

Result<KeptFilesReport> VerifyKept(Store* store, BlockFiles* files, BlockFiles::Repair repair,
                                   const Context& ctx);

}  // namespace vade
