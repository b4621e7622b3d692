// The way of files into the store, as stages on threads of their own: whoever feeds them (reading,
// hashing) | parsing and splitting | embedding, on the caller's thread | storing. Between the
// stages lie queues that are bounded in items and in bytes, so memory does not grow with the number
// of files; a slow stage makes those before it wait.
//
//   Pipeline pipeline({.store = store, .embedder = embedder, .jail = jail}, options, hooks, ctx);
//   RETURN_IF_ERROR(pipeline.Run(feed));  // once
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>

#include "base/context.h"
#include "base/status.h"
#include "base/threads.h"
#include "ingest/byte_budget.h"
#include "ingest/embed_stage.h"
#include "ingest/job.h"
#include "ingest/store_stage.h"

namespace vade {

struct PipelineParts {
  Store* store = nullptr;
  Embedder* embedder = nullptr;
  Jail* jail = nullptr;
};

// Called on one thread of the pipeline's.
struct PipelineHooks {
  StoreStage::Done done;                   // for every document, in order
  std::function<void(const Job&)> stored;  // a part of this document has been stored; may be null
  std::function<void()> failed;  // on any thread, once: the feed is to return soon; may be null
};

class Pipeline {
 public:
  // The next file; nothing at the end. Called on one thread, which waits in the pipeline when the
  // stages behind are slow. Its error ends the run.
  using Feed = std::function<Result<std::optional<IncomingFile>>()>;

  Pipeline(const PipelineParts& parts, const IngestOptions& options, PipelineHooks hooks,
           const Context& ctx);

  // Returns when all that was fed is stored or has failed. An error is about more than a document;
  // what was committed before it stays.
  Status Run(const Feed& feed);

  // Source bytes of the document at work that are stored; called in a hook.
  double bytes_under_way() const { return storing_.bytes_under_way(); }

 private:
  void FeedAll(const Feed& feed);
  void ParseAll();
  Status ParseOne(IncomingFile file);
  Status Split(const std::shared_ptr<Job>& job);
  Status HandOn(Batch batch);
  void EmbedAll();
  void StoreAll();
  Status StoreOne(EmbeddedBatch batch);
  void Stored(uint64_t batches);
  Status Settle();
  void Stop(const Status& why);  // the first error is kept; all queues close

  const PipelineParts parts_;
  const PipelineHooks hooks_;
  const IngestOptions& options_;
  const Context& ctx_;
  BoundedQueue<IncomingFile> files_;
  BoundedQueue<Batch> batches_;
  BoundedQueue<EmbeddedBatch> embedded_;
  ByteBudget file_bytes_;  // of files that wait to be parsed
  ByteBudget text_bytes_;  // of documents from their parser to their commit
  StoreStage storing_;
  EmbedStage embedding_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable stored_;
  uint64_t handed_ = 0;  // batches to embedded_
  uint64_t taken_ = 0;   // those of them that are stored or have failed
  Status failure_;
};

}  // namespace vade
