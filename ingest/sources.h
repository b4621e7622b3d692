// Paths on the command line -> the files to read, each with the id of its document.
//
// The id is the path below options.source_root, or, when there is none, below the folder that was
// named; a file that was named has its name for id. Names between are separated by '/'. Two files
// that come out with one id (of different folders that were named together) are refused from the
// second on, with the remedy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "ingest/ingest.h"

namespace vade {

struct SourceFile {
  std::string path;
  std::string document_id;
  uint64_t size_bytes = 0;
};

struct SourceList {
  std::vector<SourceFile> files;    // in the order of the paths, within a folder in byte order
  std::vector<IngestError> errors;  // what was found and cannot be read
  uint64_t total_bytes = 0;
};

// NOT_FOUND or the like when none of the paths could be read; CANCELLED.
Result<SourceList> ListSources(const std::vector<std::string>& paths, const IngestOptions& options,
                               const Context& ctx);

}  // namespace vade
