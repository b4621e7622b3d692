// Paths on the command line -> the files to read, each with the id of its document.
//
// The id is the path below options.source_root, or, when there is none, below the folder that was
// named; a file that was named has its name for id. Names between are separated by '/'. Two files
// that come out with one id (of different folders that were named together) are refused from the
// second on, with the remedy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "ingest/ingest.h"
#include "ingest/source_record.h"

namespace vade {

class WebPage;

struct SourceFile {
  std::string path;    // as the user would name it: for reading and for messages
  std::string origin;  // absolute: SourceRecord::origin
  std::string document_id;
  uint64_t size_bytes = 0;
  uint64_t device = 0;
  std::string hash = {};       // SHA-256 of its bytes, hexadecimal, where that is known before
  std::string mime_type = {};  // "": found out
  std::shared_ptr<const WebPage> page = {};  // of the web; path, origin and id are its URL
};

struct SourceList {
  std::vector<SourceFile> files;    // in the order of the paths, within a folder in byte order
  std::vector<IngestError> errors;  // what was found and cannot be read
  uint64_t total_bytes = 0;
  // Absolute paths: `files` has all that is at them and below them, but for what could not be read.
  std::vector<std::string> scopes;
  std::unordered_set<std::string> gone_pages;  // URLs among `scopes`; their servers say so
};

// NOT_FOUND or the like when none of the paths could be read; CANCELLED. With options.only it is of
// these parts of the paths alone, and parts that have gone are no error.
Result<SourceList> ListSources(const std::vector<std::string>& paths, const IngestOptions& options,
                               const Context& ctx);

// Its bytes; what stands in the way is the file's own failure, whatever its kind: INVALID_ARGUMENT.
Result<std::string> ReadSource(const SourceFile& file, uint64_t limit_bytes);

// Whether an absolute path is `scope` or lies below it.
bool IsAtOrBelow(std::string_view path, std::string_view scope);

// Which files that are remembered have gone from the disk since. What cannot be looked at has not
// gone, and neither has what lies on a file system that is not mounted at the moment.
class VanishedFiles {
 public:
  explicit VanishedFiles(const SourceList& sources);

  // Of a record at or below one of sources.scopes.
  bool IsVanished(const SourceRecord& record);
  // What was taken for unmounted, to be told.
  std::vector<IngestError> TakeNotes() { return std::move(notes_); }

 private:
  bool SeemsUnmounted(const SourceRecord& record);

  const std::unordered_set<std::string> gone_pages_;
  std::unordered_set<std::string> present_;     // origins
  std::unordered_set<std::string> with_files_;  // folders that hold some of them, at any depth
  std::unordered_set<std::string> told_;        // folders in notes_
  std::vector<IngestError> notes_;
};

}  // namespace vade
