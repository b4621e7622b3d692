// One run of ingestion over files, wherever they come from: what is remembered of them, the
// pipeline, the report, and what is to go.
//
//   IngestRun run({store, embedder, jail}, options, files, ctx);
//   RETURN_IF_ERROR(run.Begin());
//   RETURN_IF_ERROR(files->Plan(&run));
//   RETURN_IF_ERROR(run.Feed());
//   RETURN_IF_ERROR(run.Prune());
//   use(run.report());
#pragma once

#include <string>

#include "base/context.h"
#include "base/status.h"
#include "ingest/ingest.h"
#include "ingest/ledger.h"
#include "ingest/pipeline.h"
#include "ingest/prune.h"

namespace vade {

class FileExchange;

class IngestRun {
 public:
  // Nothing is owned; all of it outlives the run.
  IngestRun(const PipelineParts& parts, const IngestOptions& options, FileExchange* files,
            const Context& ctx);

  // Makes the collection when it does not exist.
  Status Begin();
  // Fills in what is remembered of a file of which origin, id and hash are set, and whether it is
  // as it was. Thread-safe.
  Status Recall(IncomingFile* file) const;
  // All files through the pipeline.
  Status Feed();
  // With options.prune: deletes what is to go.
  Status Prune();

  const Ledger& ledger() const { return ledger_; }
  Pruner& pruner() { return pruner_; }
  IngestReport& report() { return report_; }

 private:
  void Conclude(const Job& job, const Result<PutResult>& result);
  std::string NoteOn(const Job& job, const PutResult& result) const;

  const PipelineParts parts_;
  const IngestOptions& options_;
  FileExchange* const files_;
  const Context& ctx_;
  Ledger ledger_;
  Pruner pruner_;
  IngestReport report_;
};

// FAILED_PRECONDITION: it was made with another embedder.
Status EnsureCollection(Store* store, const Embedder& embedder, const std::string& name);

}  // namespace vade
