// One run of ingestion over files, wherever they come from: what is remembered of them, the
// pipeline, the report, and what is to go.
//
//   IngestRun run({store, embedder, jail}, options, on_document, ctx);
//   RETURN_IF_ERROR(run.Begin());
//   run.pruner().FileHasGone(record);             // any number, before Feed()
//   RETURN_IF_ERROR(run.Feed(next_file));         // `next_file` calls run.Recall() for each
//   RETURN_IF_ERROR(run.Prune());
//   use(run.report());
#pragma once

#include <functional>

#include "base/context.h"
#include "base/status.h"
#include "ingest/ingest.h"
#include "ingest/ledger.h"
#include "ingest/pipeline.h"
#include "ingest/prune.h"

namespace vade {

class IngestRun {
 public:
  // For every document, in order, on one thread; `result` as it is counted in the report.
  using OnDocument = std::function<void(const Job& job, const Result<PutResult>& result)>;
  // A part of a document has been stored, and how many source bytes of it so far; may be null.
  using OnProgress = std::function<void(const Job& job, double bytes_under_way)>;

  IngestRun(const PipelineParts& parts, const IngestOptions& options, OnDocument on_document,
            const Context& ctx);

  // Makes the collection when it does not exist.
  Status Begin();
  // Fills in what is remembered of a file of which origin, id and hash are set, and whether it is
  // as it was. Thread-safe.
  Status Recall(IncomingFile* file) const;
  Status Feed(const Pipeline::Feed& feed, const OnProgress& on_progress);
  // With options.prune: deletes what is to go.
  Status Prune();

  const Ledger& ledger() const { return ledger_; }
  Pruner& pruner() { return pruner_; }
  IngestReport& report() { return report_; }

 private:
  void Conclude(const Job& job, const Result<PutResult>& result);

  const PipelineParts parts_;
  const IngestOptions& options_;
  const OnDocument on_document_;
  const Context& ctx_;
  Ledger ledger_;
  Pruner pruner_;
  IngestReport report_;
};

// FAILED_PRECONDITION: it was made with another embedder.
Status EnsureCollection(Store* store, const Embedder& embedder, const std::string& name);

}  // namespace vade
