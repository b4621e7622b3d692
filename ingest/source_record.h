// What is remembered of a file that was ingested: whether it is as it was, and which documents came
// of it. Kept as a note of the collection (docs/formats.md has the bytes), so that a file whose
// bytes are the same is not parsed again and documents whose file has gone can be found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index/passage.h"
#include "ingest/jail.h"

namespace vade {

// A document of a file. Those of a container have ids of their own; others have the file's.
struct MadeDocument {
  std::string id;
  uint64_t digest = 0;  // DigestOf() what is stored; 0: nothing
  std::string failure;  // what its parser said of this part of the file; "": it was read
  bool stale = false;   // an earlier version of the file had it, this one has not
  friend bool operator==(const MadeDocument&, const MadeDocument&) = default;
};

struct SourceRecord {
  // Absolute path, "//MACHINE" before it where that is another one; URL; or kPutOrigin.
  std::string origin;
  std::string document_id;  // of the file as a whole
  std::string hash;         // SHA-256 of its bytes, hexadecimal; "": not all of it was stored
  uint64_t device = 0;      // of the file system that it lies on
  uint64_t setup = 0;       // SetupOf() the run that read it
  std::vector<MadeDocument> documents;
  friend bool operator==(const SourceRecord&, const SourceRecord&) = default;
};

// The origin of what was put as bytes: no path begins so.
inline constexpr std::string_view kPutOrigin = "put";

std::string NoteKeyOf(std::string_view origin, std::string_view document_id);
std::string EncodeNote(const SourceRecord& record);
// Nothing when it is damaged or of a later version: then the file is one that was never seen.
std::optional<SourceRecord> DecodeNote(std::string_view key, std::string_view value);

// Of all that its owner said of a document, content and description.
uint64_t DigestOf(const DocumentInfo& info);
// Of what decides, beside the file's bytes, what becomes of it: our parsers, the groups, what was
// said of the file, and, where it has pages without text, the languages that OCR has.
uint64_t SetupOf(const std::vector<std::string>& groups, const DocumentInfo& given, OcrPart pages);

}  // namespace vade
