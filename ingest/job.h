// A file on its way through the stages, its documents, and the part of one that travels between two
// stages.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/language.h"
#include "base/status.h"
#include "index/index.h"
#include "index/passage.h"
#include "ingest/ingest.h"
#include "ingest/jail.h"
#include "ingest/sketch.h"
#include "ingest/source_record.h"
#include "ingest/splitter.h"

namespace vade {

struct IncomingFile {
  uint64_t number = 0;  // the caller's
  std::string shown;    // as the user named it: for messages; "": the document's source
  std::string origin;   // SourceRecord::origin; "": nothing is remembered of it
  uint64_t device = 0;
  uint64_t size_bytes = 0;
  PutRequest request;
  std::string hash;  // SHA-256 of request.bytes, hexadecimal; "": to be computed
  Status failure;    // it cannot be read
  // Its bytes can be had again by this; null: they are held until they are parsed.
  std::function<Result<std::string>()> read_again = nullptr;

  std::optional<SourceRecord> before;  // what is remembered of it
  bool unchanged = false;              // and still holds: request.bytes are not needed
  std::vector<std::optional<DocumentInfo>>
      documents;  // then: those of `before`, without stale ones
};

// What all documents of a file share.
struct FileTrail {
  uint64_t number = 0;
  std::optional<SourceRecord> before;
  SourceRecord record;     // as it is to be remembered; without an origin: not at all
  bool announced = false;  // `record`'s documents are in the ledger
  bool whole = true;       // nothing failed but for what a parser said
};

struct Job {
  std::string source;  // as the user named it: for messages
  uint64_t source_bytes = 0;
  DocumentInfo info;  // complete but for what the store sets
  std::string text;   // normalised
  std::string embedded_title;
  LanguageCode language = kUnknownLanguage;  // of the text's beginning
  std::optional<DocumentInfo> previous;      // the revision that is current now
  std::optional<Sketch> sketch;              // of the text
  std::vector<KnownCell> cells;              // as ParsedDocument has them, until `tables` is made
  std::string tables;                        // EncodeTables() of the text's
  bool unchanged = false;                    // `previous` says the same: nothing to do
  uint32_t first_page = 0;                   // as ParsedDocument has it
  bool ends_file = true;                     // no other document of the file follows
  std::shared_ptr<FileTrail> file = std::make_shared<FileTrail>();
};

// Passages of one job, in order. A job has one batch or more, and the last says so.
struct Batch {
  std::shared_ptr<Job> job;
  std::vector<Passage> passages;
  bool first = false;
  bool last = false;
  Status failure;  // of the document; then there are no passages
};

// A document of a file, or why it is none.
struct PreparedJob {
  std::shared_ptr<Job> job;  // with an error: its source alone
  Status status;
};

// A file -> jobs, one for each document that it holds (an archive and a mail have several): parsed,
// hashed and compared with what the store has. A file that cannot be read is one job with an error.
// Its bytes are gone then. Nothing, and the file is as it was: it is for a jail with OCR.
// An error of the call is the store's, or CANCELLED. NOT_FOUND: no such collection.
Result<std::optional<std::vector<PreparedJob>>> PrepareJobs(Store* store, Jail* jail,
                                                            const IngestOptions& options,
                                                            IncomingFile* file, const Context& ctx);

// Whether its bytes are read in a jail: they are neither plain text nor Markdown.
bool NeedsParser(const PutRequest& request);

SplitOptions SplitOptionsOf(const IngestOptions& options, const Embedder& embedder);
TokenCounter CounterOf(const Embedder& embedder);  // the embedder outlives it

}  // namespace vade
