#include "ingest/pipeline.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "ingest/tables.h"

namespace vade {
namespace {

constexpr size_t kBatchPassages = 32;
constexpr size_t kQueuedFiles = 256, kQueuedScans = 1024, kQueuedBatches = 64;
constexpr size_t kQueuedEmbedded = 32;
constexpr int kMostOcrAtOnce = 4;
constexpr uint64_t kFileBytes = 32ull << 20;
constexpr uint64_t kTextBytes = 64ull << 20;
constexpr uint64_t kSpooledBytes = 4ull << 30;    // of scans that wait in a file
constexpr uint64_t kSpareDiskBytes = 1ull << 30;  // that they leave of its disk
// When no batch comes for so long, those that wait for company are embedded without it: the stage
// before may be waiting for the bytes that they hold.
constexpr std::chrono::milliseconds kWaitForCompany(20);
// The same for documents that wait to be committed together: batches of the embedder come as one.
constexpr std::chrono::milliseconds kWaitForCommits(2);

// PageAt() for places that ascend, without counting again from the start.
class PageCounter {
 public:
  PageCounter(std::string_view text, uint32_t first_page) : text_(text), page_(first_page) {}
  uint32_t PageAt(size_t at) {
    page_ = vade::PageAt(text_.substr(counted_), page_, at - counted_);
    counted_ = at;
    return page_;
  }

 private:
  const std::string_view text_;
  uint32_t page_;
  size_t counted_ = 0;
};

// Questions, and the embedding of passages, come before what these threads do; parsers inherit it.
void GiveWay() { (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 5); }

// What cancels `ctx` itself is seen by those who wait for the parsers, and told by Stop().
Context UntilStopped(const Context& ctx, const CancelSource& stop) {
  const Context stopped = Context().WithTrace(ctx.trace()).WithCancel(stop.token());
  return ctx.deadline() ? stopped.WithDeadline(*ctx.deadline()) : stopped;
}

}  // namespace

int OcrAtOnce() { return std::clamp(UsableCores(), 1, kMostOcrAtOnce); }

Pipeline::Pipeline(const PipelineParts& parts, const IngestOptions& options, PipelineHooks hooks,
                   const Context& ctx)
    : parts_(parts),
      hooks_(std::move(hooks)),
      options_(options),
      ctx_(ctx),
      parse_ctx_(UntilStopped(ctx, stop_)),
      spool_({.directory = options.spool_dir,
              .most_bytes = kSpooledBytes,
              .spare_disk_bytes = kSpareDiskBytes}),
      files_(kQueuedFiles),
      scans_(kQueuedScans),
      batches_(kQueuedBatches),
      embedded_(kQueuedEmbedded),
      file_bytes_(kFileBytes),
      held_scan_bytes_(kFileBytes),
      again_scan_bytes_(kFileBytes),
      text_bytes_(kTextBytes),
      storing_(parts.store, options, parts.embedder->id(), hooks_.done),
      embedding_(parts.store, parts.embedder, options,
                 {.take =
                      [this](EmbeddedBatch batch) {
                        {
                          const std::lock_guard lock(mutex_);
                          ++handed_;
                        }
                        return embedded_.Push(std::move(batch)) ? OkStatus() : Cancelled("closed");
                      },
                  .settle = [this] { return Settle(); }}) {}

Status Pipeline::Run(const Feed& feed) {
  RETURN_IF_ERROR(ctx_.Check());
  std::thread feeding([&] {
    GiveWay();
    FeedAll(feed);
  });
  std::thread parsing([&] {
    GiveWay();
    ParseAll();
  });
  std::thread storing([&] { StoreAll(); });
  EmbedAll();
  feeding.join();
  parsing.join();
  for (std::thread& reader : scan_readers_) reader.join();
  storing.join();
  RETURN_IF_ERROR(failure_);
  return ctx_.Check();
}

void Pipeline::Stop(const Status& why) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = failure_.ok();
    if (first) failure_ = why;
  }
  stop_.Cancel();
  stored_.notify_all();
  scan_done_.notify_all();
  files_.Close();
  scans_.Close();
  batches_.Close();
  embedded_.Close();
  file_bytes_.Close();
  held_scan_bytes_.Close();
  again_scan_bytes_.Close();
  text_bytes_.Close();
  if (first && hooks_.failed) hooks_.failed();
}

void Pipeline::FeedAll(const Feed& feed) {
  for (;;) {
    if (const Status wanted = ctx_.Check(); !wanted.ok()) return Stop(wanted);
    auto file = feed();
    if (!file.ok()) return Stop(file.status());
    if (!*file) break;
    const uint64_t bytes = (*file)->request.bytes.size();
    if (!file_bytes_.Take(bytes) || !files_.Push(*std::move(*file))) return;
  }
  files_.Close();
}

void Pipeline::ParseAll() {
  while (auto file = files_.Pop()) {
    const uint64_t bytes = file->request.bytes.size();
    Status parsed = WaitForScanOf(file->request.info.id);
    if (parsed.ok()) parsed = ParseOne(&*file, parts_.jail);
    file_bytes_.Return(bytes);
    if (!parsed.ok()) return Stop(parsed);
  }
  scans_.Close();
  LaneEnds();
}

void Pipeline::LaneEnds() {
  const std::lock_guard lock(mutex_);
  if (--lanes_ == 0) batches_.Close();
}

// It may wait for long: its bytes are kept where they cannot be had again, in memory as long as
// there is room for them, then in a file. Only where that cannot be written, or is full, do others
// wait.
Status Pipeline::LetGoOfBytes(IncomingFile* file) {
  std::string& bytes = file->request.bytes;
  if (file->read_again) {
    std::string().swap(bytes);
    return OkStatus();
  }
  if (held_scan_bytes_.TryTake(bytes.size())) return OkStatus();
  auto again = spool_.Keep(bytes);
  if (again.ok()) {
    file->read_again = *std::move(again);
    file->size_bytes = bytes.size();
    std::string().swap(bytes);
    return OkStatus();
  }
  return held_scan_bytes_.Take(bytes.size()) ? OkStatus() : Cancelled("closed");
}

// What is to be read by OCR goes to other threads.
Status Pipeline::PutOff(IncomingFile file) {
  RETURN_IF_ERROR(LetGoOfBytes(&file));
  if (hooks_.put_off) hooks_.put_off(file);
  const bool one_more = scan_readers_.size() < static_cast<size_t>(OcrAtOnce());
  {
    const std::lock_guard lock(mutex_);
    scan_ids_.insert(file.request.info.id);
    if (one_more) ++lanes_;
  }
  // They give way as this thread does, whose priority they inherit.
  if (one_more) scan_readers_.emplace_back([this] { ReadScans(); });
  return scans_.Push(std::move(file)) ? OkStatus() : Cancelled("closed");
}

Status Pipeline::WaitForScanOf(const std::string& document_id) {
  std::unique_lock lock(mutex_);
  scan_done_.wait(lock, [&] { return scan_ids_.count(document_id) == 0 || !failure_.ok(); });
  return failure_;
}

void Pipeline::ReadScans() {
  while (auto file = scans_.Pop()) {
    const std::string id = file->request.info.id;
    const Status read = ReadScan(&*file);
    {
      const std::lock_guard lock(mutex_);
      scan_ids_.erase(scan_ids_.find(id));
    }
    scan_done_.notify_all();
    if (!read.ok()) return Stop(read);
  }
  LaneEnds();
}

Status Pipeline::ReadScan(IncomingFile* file) {
  const bool again = file->read_again != nullptr;
  const uint64_t bytes = again ? file->size_bytes : file->request.bytes.size();
  if (again) {
    if (!again_scan_bytes_.Take(bytes)) return Cancelled("closed");
    auto read = file->read_again();
    file->failure = read.status();
    file->hash = "";  // they may be other bytes by now
    if (read.ok()) file->request.bytes = *std::move(read);
  }
  const Status parsed = ParseOne(file, parts_.ocr_jail);
  (again ? again_scan_bytes_ : held_scan_bytes_).Return(bytes);
  return parsed;
}

// The stages behind take one file after the other.
Status Pipeline::ParseOne(IncomingFile* file, Jail* jail) {
  RETURN_IF_ERROR(parse_ctx_.Check());
  ASSIGN_OR_RETURN(const auto jobs, PrepareJobs(parts_.store, jail, options_, file, parse_ctx_));
  if (!jobs) return PutOff(std::move(*file));
  const std::lock_guard lock(handing_on_);
  for (const PreparedJob& one : *jobs) {
    if (one.status.ok() && !one.job->unchanged) {
      RETURN_IF_ERROR(Split(one.job));
      continue;
    }
    std::string().swap(one.job->text);
    RETURN_IF_ERROR(HandOn({one.job, {}, true, true, one.status}));
  }
  return OkStatus();
}

Status Pipeline::Split(const std::shared_ptr<Job>& job) {
  Splitter splitter(job->text, job->info.mime_type, job->info.title,
                    SplitOptionsOf(options_, *parts_.embedder), CounterOf(*parts_.embedder));
  job->embedded_title = splitter.embedded_title();
  job->sketch = SketchOf(job->text);
  job->tables =
      EncodeTables(FindTables(job->text, job->info.mime_type, job->cells), job->info.content_hash);
  std::vector<KnownCell>().swap(job->cells);
  PageCounter pages(job->text, job->first_page);
  Passage next;
  bool more = splitter.Next(&next);
  for (bool first = true;; first = false) {
    Batch batch;
    batch.job = job;
    batch.first = first;
    while (more && batch.passages.size() < kBatchPassages) {
      const std::string_view words =
          std::string_view(job->text).substr(next.begin, next.end - next.begin);
      next.language = LanguageName(DetectLanguage(words, job->language));
      next.page = pages.PageAt(next.begin);
      batch.passages.push_back(std::move(next));
      more = splitter.Next(&next);
    }
    batch.last = !more;
    RETURN_IF_ERROR(HandOn(std::move(batch)));
    if (!more) return OkStatus();
  }
}

Status Pipeline::HandOn(Batch batch) {
  RETURN_IF_ERROR(ctx_.Check());
  const bool taken = !batch.first || text_bytes_.Take(batch.job->text.size());
  return taken && batches_.Push(std::move(batch)) ? OkStatus() : Cancelled("closed");
}

void Pipeline::EmbedAll() {
  Status status;
  while (status.ok() && !batches_.Finished()) {
    auto batch = batches_.PopWithin(kWaitForCompany);
    // Parsers may be at work for long without anything coming.
    status = ctx_.Check();
    if (!status.ok()) break;
    status = batch ? embedding_.Add(*std::move(batch), ctx_) : embedding_.Flush(ctx_);
  }
  if (status.ok()) status = embedding_.Flush(ctx_);
  if (!status.ok()) return Stop(status);
  embedded_.Close();
}

void Pipeline::StoreAll() {
  uint64_t taken = 0;
  while (!embedded_.Finished()) {
    auto batch = storing_.waiting() ? embedded_.PopWithin(kWaitForCommits) : embedded_.Pop();
    const Status stored = batch ? StoreOne(*std::move(batch)) : storing_.Flush(ctx_);
    if (!stored.ok()) return Stop(stored);
    if (batch) ++taken;
    if (!storing_.waiting()) Stored(taken);
  }
  const Status stored = storing_.Flush(ctx_);
  return stored.ok() ? Stored(taken) : Stop(stored);
}

Status Pipeline::StoreOne(EmbeddedBatch batch) {
  const std::shared_ptr<Job> job = batch.batch.job;
  const bool last = batch.batch.last;
  const uint64_t text_bytes = job->text.size();
  RETURN_IF_ERROR(storing_.Take(std::move(batch), ctx_));
  if (last) text_bytes_.Return(text_bytes);
  if (hooks_.stored) hooks_.stored(*job);
  return OkStatus();
}

// So many batches are in the store or have failed.
void Pipeline::Stored(uint64_t batches) {
  {
    const std::lock_guard lock(mutex_);
    taken_ = batches;
  }
  stored_.notify_all();
}

Status Pipeline::Settle() {
  std::unique_lock lock(mutex_);
  stored_.wait(lock, [&] { return taken_ == handed_ || !failure_.ok(); });
  return failure_;
}

}  // namespace vade
