// Exports and imports: a collection as one logical file, and a file into a collection
// (docs/export.md).
//
//   ASSIGN_OR_RETURN(auto reader, store->ReadCollection("default"));
//   RETURN_IF_ERROR(ExportCollection(reader.get(), now, &file, ctx).status());
//   ASSIGN_OR_RETURN(ImportReport report, ImportCollection(store, "default", &source, ctx));
//
// Any thread; a source and a sink belong to one call.
#pragma once

#include <cstdint>
#include <string>

#include "base/context.h"
#include "base/status.h"
#include "base/streams.h"
#include "index/index.h"

namespace vade {

struct ExportReport {
  uint64_t documents = 0, passages = 0, text_bytes = 0;
};

struct ImportReport {
  uint64_t created = 0, updated = 0, unchanged = 0;
  uint64_t passages = 0;  // newly stored
};

// All that the reader has not gone through yet. `now`: Unix microseconds, for the file's header.
Result<ExportReport> ExportCollection(CollectionReader* reader, int64_t now, ByteSink* sink,
                                      const Context& ctx);

// Reads a file through. INVALID_ARGUMENT: it is no export, or damaged. FAILED_PRECONDITION: it is
// of a newer version.
Result<ExportReport> CheckExport(ByteSource* source, const Context& ctx);

// Checks the whole file, then stores what the collection has not, document by document; makes the
// collection when there is none. The errors of CheckExport, and FAILED_PRECONDITION for vectors of
// another embedder, leave the store as it was; what fails later leaves whole documents.
Result<ImportReport> ImportCollection(Store* store, const std::string& collection,
                                      ByteSource* source, const Context& ctx);

}  // namespace vade
