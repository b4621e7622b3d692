// Passages with vectors -> documents in the store, one atomic commit a document, and what is
// remembered of their files.
//
//   StoreStage stage(store, options, done);
//   RETURN_IF_ERROR(stage.Take(std::move(batch), ctx));  // a job's batches in order, jobs in order
//
// What fails concerns one document and goes to `done`; an error of Take() is about more: the run is
// over. Destroying a StoreStage drops what is not committed. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "ingest/embed_stage.h"
#include "ingest/ledger.h"
#include "ingest/near_documents.h"

namespace vade {

class StoreStage {
 public:
  using Done = std::function<void(const Job& job, const Result<PutResult>& result)>;

  StoreStage(Store* store, const IngestOptions& options, Done done);

  Status Take(EmbeddedBatch embedded, const Context& ctx);

  // Source bytes of the unfinished document whose passages are stored already: for progress.
  double bytes_under_way() const;

 private:
  struct OpenDocument {
    std::shared_ptr<Job> job;
    std::unique_ptr<DocumentWriter> writer;
    std::string duplicate_of;
    uint64_t passages = 0;      // stored so far
    uint64_t stored_until = 0;  // byte of the text
    Status failure;
  };

  Status Begin(EmbeddedBatch* first);
  Status StageText();
  Status AddPassages(const EmbeddedBatch& embedded);
  Status Commit(const Context& ctx);
  Status Announce(FileTrail* file);
  Status Conclude(const Job& job, const Result<PutResult>& result);

  Store* store_;
  const IngestOptions& options_;
  const Done done_;
  Ledger ledger_;
  NearDocuments near_;
  OpenDocument open_;
};

}  // namespace vade
