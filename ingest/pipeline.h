// The way of files into the store, as stages on threads of their own: whoever feeds them (reading,
// hashing) | parsing and splitting | embedding, on the caller's thread | storing. Between the
// stages lie queues that are bounded in items and in bytes, so memory does not grow with the number
// of files; a slow stage makes those before it wait.
//
// Files that OCR is to read leave the row: threads of their own parse them, a few at a time, while
// those behind them go on. They come out in the order in which they are done; but a file never
// overtakes one with the same document id.
//
//   Pipeline pipeline({store, embedder, jail, ocr_jail}, options, hooks, ctx);
//   RETURN_IF_ERROR(pipeline.Run(feed));  // once
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "base/threads.h"
#include "ingest/byte_budget.h"
#include "ingest/embed_stage.h"
#include "ingest/job.h"
#include "ingest/scan_spool.h"
#include "ingest/store_stage.h"

namespace vade {

struct PipelineParts {
  Store* store = nullptr;
  Embedder* embedder = nullptr;
  Jail* jail = nullptr;
  Jail* ocr_jail = nullptr;  // with_ocr
};

// How many files OCR reads at a time. Each takes a core and some 200 MB for the page at work.
int OcrAtOnce();

// Called on one thread of the pipeline's.
struct PipelineHooks {
  StoreStage::Done done;                   // for every document, those of a file in order
  std::function<void(const Job&)> stored;  // a part of this document has been stored; may be null
  // On the thread of parsing: this file waits for OCR, and those behind it go on; may be null.
  std::function<void(const IncomingFile&)> put_off;
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
  Status ParseOne(IncomingFile* file, Jail* jail);
  Status PutOff(IncomingFile file);
  Status LetGoOfBytes(IncomingFile* file);
  Status WaitForScanOf(const std::string& document_id);
  void ReadScans();
  Status ReadScan(IncomingFile* file);
  void LaneEnds();
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
  CancelSource stop_;
  const Context parse_ctx_;  // ends with ctx_ and when the run fails
  ScanSpool spool_;          // before scans_, some of which it holds the bytes of
  BoundedQueue<IncomingFile> files_, scans_;
  BoundedQueue<Batch> batches_;
  BoundedQueue<EmbeddedBatch> embedded_;
  ByteBudget file_bytes_;        // of files that wait to be parsed
  ByteBudget held_scan_bytes_;   // of those for OCR that cannot be read again
  ByteBudget again_scan_bytes_;  // of those that were
  ByteBudget text_bytes_;        // of documents from their parser to their commit
  StoreStage storing_;
  EmbedStage embedding_;

  std::mutex handing_on_;  // held by the lane whose file goes through the stages behind
  std::vector<std::thread> scan_readers_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable stored_, scan_done_;
  int lanes_ = 1;                        // of parsing, that have not ended
  std::multiset<std::string> scan_ids_;  // document ids of files for OCR
  uint64_t handed_ = 0;                  // batches to embedded_
  uint64_t taken_ = 0;                   // those of them that are stored or have failed
  Status failure_;
};

}  // namespace vade
