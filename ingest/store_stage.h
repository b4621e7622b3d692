// Passages with vectors -> documents in the store, one atomic commit a document, and what is
// remembered of their files. Small documents wait for each other, a moment at most, and are
// committed with one wait for the disk.
//
//   StoreStage stage(store, options, done);
//   RETURN_IF_ERROR(stage.Take(std::move(batch), ctx));  // a job's batches in order, jobs in order
//   if (nothing_more_comes_at_once) RETURN_IF_ERROR(stage.Flush(ctx));
//
// `done` hears of a document once it is committed, in the order of the jobs. What fails concerns
// one document and goes to `done`; an error of Take() is about more: the run is over. Destroying a
// StoreStage drops what is not committed. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "ingest/document_tables.h"
#include "ingest/embed_stage.h"
#include "ingest/near_documents.h"

namespace vade {

class StoreStage {
 public:
  using Done = std::function<void(const Job& job, const Result<PutResult>& result)>;

  // `embedder_id` is that of the vectors to come.
  StoreStage(Store* store, const IngestOptions& options, std::string embedder_id, Done done);

  Status Take(EmbeddedBatch embedded, const Context& ctx);

  // Commits the documents that wait.
  Status Flush(const Context& ctx);
  bool waiting() const { return !waiting_.empty(); }

  // Source bytes of the unfinished document whose passages are stored already: for progress.
  double bytes_under_way() const;

 private:
  using SteadyClock = std::chrono::steady_clock;

  struct OpenDocument {
    std::shared_ptr<Job> job;
    std::unique_ptr<DocumentWriter> writer;
    std::string duplicate_of;
    uint64_t passages = 0;      // stored so far
    uint64_t stored_until = 0;  // byte of the text
    Status failure;
    std::optional<Result<PutResult>> result;  // known: there is nothing to commit
  };

  Status Begin(EmbeddedBatch* first, const Context& ctx);
  Status CheckEmbedder() const;
  Status StageText();
  Status StageNotes();
  Status AddPassages(const EmbeddedBatch& embedded);
  Status End(const Context& ctx);
  Status Settle(const std::shared_ptr<Job>& job, Result<PutResult> result, const Context& ctx);
  Status Wait(OpenDocument document, const Context& ctx);
  bool HasWaitedLong() const;
  void Announce(FileTrail* file);
  Status PutNotes();
  Status Commit(std::vector<OpenDocument>* documents, const Context& ctx);
  void Conclude(const Job& job, const Result<PutResult>& result);

  Store* store_;
  const IngestOptions& options_;
  const std::string embedder_id_;
  const Done done_;
  const NearDocuments near_;
  const DocumentTables tables_;
  OpenDocument open_;
  std::vector<OpenDocument> waiting_;  // staged whole, or without anything to commit
  uint64_t waiting_passages_ = 0;
  SteadyClock::time_point oldest_;  // since when the first one waits
  // Records of files: to be put before the next commit, and what is to be put after it, in one
  // write instead of many.
  std::vector<StoreNote> notes_;
};

}  // namespace vade
