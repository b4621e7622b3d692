// One document on its way through the stages, and the part of it that travels between two stages.
#pragma once

#include <cstdint>
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
#include "ingest/splitter.h"

namespace vade {

struct Job {
  std::string source;  // as the user named it: for messages
  uint64_t source_bytes = 0;
  DocumentInfo info;  // complete but for what the store sets
  std::string text;   // normalised
  std::string embedded_title;
  LanguageCode language = kUnknownLanguage;  // of the text's beginning
  std::optional<DocumentInfo> previous;      // the revision that is current now
  bool unchanged = false;                    // `previous` says the same: nothing to do
  uint32_t first_page = 0;                   // as ParsedDocument has it
  bool ends_file = true;                     // no other document of the file follows
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

// Bytes -> jobs, one for each document that the file holds (an archive and a mail have several):
// parsed, hashed and compared with what the store has. An error is the whole file's.
// INVALID_ARGUMENT: it cannot be read, with a reason that reads behind its name. NOT_FOUND: no such
// collection.
Result<std::vector<PreparedJob>> PrepareJobs(Store* store, Jail* jail, const IngestOptions& options,
                                             PutRequest request, const Context& ctx);

SplitOptions SplitOptionsOf(const IngestOptions& options, const Embedder& embedder);
TokenCounter CounterOf(const Embedder& embedder);  // the embedder outlives it

}  // namespace vade
