// Files and texts -> documents in the store: read, decode, split, embed, one atomic commit a
// document.
//
//   Ingestor ingestor(&store, &embedder, {.collection = "default"});
//   ASSIGN_OR_RETURN(IngestReport report, ingestor.IngestPaths({"docs/"}, progress, ctx));
//
// Formats other than text and Markdown are read by processes of their own (ingest/jail.h), which
// the Ingestor starts when the first such file comes. One bad file is reported and stops nothing.
// Of files the store remembers hash and documents: the next run does not parse what has the same
// bytes, and finds what has gone. Of what is put, where a parser has read it, too.
// Thread-safe for distinct documents; owns nothing but those processes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "index/passage.h"
#include "model/embedder.h"

namespace vade {

class FileExchange;
class Jail;

enum class IngestOutcome {
  kCreated,
  kUpdated,
  kUnchanged,
  kDuplicate,  // created or updated; another document has the same bytes
  kFailed,
  kRenamed,  // as kDuplicate, and that other document goes in the same run: its file has vanished
};

struct IngestError {
  std::string source;
  std::string reason;
};

struct OutcomeCounts {
  uint64_t created = 0, updated = 0, unchanged = 0, duplicate = 0, failed = 0, renamed = 0;
  uint64_t passages = 0;  // newly stored
};

struct IngestReport : OutcomeCounts {
  uint64_t deleted = 0;  // with options.prune: documents whose file has gone
  std::vector<IngestError> errors;
  std::vector<IngestError> notes;  // PutResult::note, by file
};

struct IngestProgress : OutcomeCounts {
  uint64_t files_done = 0, files_total = 0;
  uint64_t bytes_done = 0, bytes_total = 0;
  double bytes_per_second = 0;
  double seconds_left = 0;  // negative: unknown
  std::string current;      // source at work
};
using ProgressFunction = std::function<void(const IngestProgress&)>;

// A document handed over as bytes rather than found as a file.
struct PutRequest {
  DocumentInfo info;  // id required; title, source, mime_type optional: derived when ""
  std::string bytes;  // a file of any format that is read: docs/ingestion.md
};

struct PutResult {
  IngestOutcome outcome = IngestOutcome::kFailed;
  std::string document_id;
  std::string duplicate_of;  // id of the document with the same bytes: kDuplicate, kRenamed
  uint64_t revision = 0;
  uint64_t passages = 0;
  uint64_t commit = 0;
  // What a reader should know of it, "" for nothing: pages without text, another document that says
  // nearly the same.
  std::string note;
};

// How pages of the web are fetched: http:// and https:// among the paths.
struct WebOptions {
  bool allow_private = false;  // loopback, private and link-local addresses
  uint64_t max_page_bytes = 32ull << 20;
  std::chrono::milliseconds timeout{60'000};  // for one page, redirects included
  // Where ETag, Last-Modified and hash of pages are kept; "": nowhere, pages are fetched each time.
  std::string cache_dir = {};
};

struct IngestOptions {
  std::string collection = "default";
  std::string source_root;  // document ids are paths relative to it; "": each argument's folder
  uint64_t max_file_bytes = 256ull << 20;
  size_t passage_tokens = 256;  // at most, in the embedder's tokens
  size_t overlap_tokens = 32;   // whole sentences repeated at the start of the next passage; 0: off
  std::vector<std::string> groups;  // given to every document
  std::string password;             // tried on encrypted files; "": none
  std::string parser_path;          // of vade-parse; "": beside this executable
  std::string spool_dir;            // of bytes that wait for OCR; "": that of temporary files
  // Documents whose file lay at or below the paths and has gone are deleted, those of files that
  // have left an archive too. Nothing below a path that is missing or cannot be read.
  bool prune = false;
  // Absolute paths at or below the paths: the run is about these parts alone. Empty: about all.
  std::vector<std::string> only = {};
  WebOptions web = {};
};

class Ingestor {
 public:
  Ingestor(Store* store, Embedder* embedder, IngestOptions options);
  ~Ingestor();

  // Creates the collection when it does not exist. Returns an error only when nothing could be done
  // at all (no such path, store closed, cancelled); else the report has the failures.
  Result<IngestReport> IngestPaths(const std::vector<std::string>& paths,
                                   const ProgressFunction& progress, const Context& ctx);

  // The same for files that come from elsewhere (ingest/file_exchange.h).
  Result<IngestReport> IngestFrom(FileExchange* files, const Context& ctx);

  // One file: one document, or several where it is a container; those in it have ids like
  // "ID!/inner.txt". The result is the first one's, with the passages of all. The error is the
  // file's: INVALID_ARGUMENT when it is empty or cannot be read. Its bytes are let go of once they
  // are read as text: move the request in.
  Result<PutResult> Put(PutRequest request, const Context& ctx);

 private:
  Store* store_;
  Embedder* embedder_;
  IngestOptions options_;
  std::unique_ptr<Jail> jail_, ocr_jail_;
};

}  // namespace vade
