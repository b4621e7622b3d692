// Reads the passages of a collection ahead of the questions about them. Private to service/.
#pragma once

#include <string>

#include "generator/block_files.h"
#include "generator/generator.h"
#include "index/index.h"
#include "service/api.h"

namespace vade {

// Document after document, by id, until the files of kept passages have taken their budget.
// NOT_FOUND for the collection; FAILED_PRECONDITION when nothing is kept in files at all.
Result<WarmReport> WarmCollection(Store* store, const std::string& collection,
                                  const BlockFiles& files, Generator* generator,
                                  const Context& ctx);

}  // namespace vade
