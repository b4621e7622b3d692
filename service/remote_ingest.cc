#include "service/remote_ingest.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/trace.h"
#include "ingest/progress.h"
#include "ingest/sources.h"

namespace vade {
namespace {

constexpr int kRetries = 3;
constexpr std::chrono::seconds kRetryAfter(1);

class Carrier {
 public:
  Carrier(Api& api, uint64_t max_put_bytes, const IngestOptions& options, const Context& ctx)
      : api_(api),
        max_bytes_(std::min(max_put_bytes, options.max_file_bytes)),
        options_(options),
        ctx_(ctx) {}

  Status PutAll(const SourceList& sources, const ProgressFunction& progress) {
    report_.errors = sources.errors;
    report_.failed = sources.errors.size();
    ProgressMeter meter(progress, sources.files.size(), sources.total_bytes);
    for (const SourceFile& file : sources.files) {
      RETURN_IF_ERROR(ctx_.Check());
      meter.Report(file.path, 0);
      ASSIGN_OR_RETURN(const uint64_t passages, PutOne(file));
      meter.FileDone(file.size_bytes, passages);
    }
    meter.ReportEnd();
    return OkStatus();
  }

  IngestReport TakeReport() { return std::move(report_); }

 private:
  // How many passages were stored. An error is one that stops everything.
  Result<uint64_t> PutOne(const SourceFile& file) {
    auto bytes = ReadFile(file.path, max_bytes_);
    if (!bytes.ok()) return Refuse(file, bytes.status());
    PutRequest request;
    request.info.id = file.document_id;
    request.info.source = file.document_id;
    request.info.groups = options_.groups;
    request.bytes = std::move(bytes).value();
    auto put = PutPatiently(request);
    if (put.ok()) return Count(*put);
    RETURN_IF_ERROR(ctx_.Check());
    return StopsAll(put.status().code()) ? Result<uint64_t>(put.status())
                                         : Refuse(file, put.status());
  }

  // A service that is busy is asked again: that says nothing about the file.
  Result<PutResult> PutPatiently(const PutRequest& request) {
    // The stages of one file would only blur those of the whole.
    const Context ctx = ctx_.WithTrace(nullptr);
    auto put = api_.PutDocument(options_.collection, request, ctx);
    for (int i = 0; i < kRetries && put.status().code() == StatusCode::kResourceExhausted; ++i) {
      RETURN_IF_ERROR(Pause());
      put = api_.PutDocument(options_.collection, request, ctx);
    }
    return put;
  }

  Status Pause() const {
    const auto end = std::chrono::steady_clock::now() + kRetryAfter;
    while (std::chrono::steady_clock::now() < end) {
      RETURN_IF_ERROR(ctx_.Check());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return ctx_.Check();
  }

  // What the next file would meet as well: as the committer of ingest/ sees it, a code that is not
  // the file's own. A document that is too large for a message is OUT_OF_RANGE
  // (service/remote_api.cc).
  static bool StopsAll(StatusCode code) {
    switch (code) {
      case StatusCode::kUnavailable:
      case StatusCode::kNotFound:
      case StatusCode::kFailedPrecondition:
      case StatusCode::kUnimplemented:
      case StatusCode::kResourceExhausted:
      case StatusCode::kInternal:
      case StatusCode::kDataLoss: return true;
      default: return false;
    }
  }

  uint64_t Refuse(const SourceFile& file, const Status& why) {
    report_.errors.push_back({file.path, why.message()});
    ++report_.failed;
    return 0;
  }

  uint64_t Count(const PutResult& put) {
    switch (put.outcome) {
      case IngestOutcome::kCreated: ++report_.created; break;
      case IngestOutcome::kUpdated: ++report_.updated; break;
      case IngestOutcome::kUnchanged: ++report_.unchanged; return 0;
      case IngestOutcome::kDuplicate: ++report_.duplicate; break;
      case IngestOutcome::kFailed: ++report_.failed; return 0;
    }
    report_.passages += put.passages;
    return put.passages;
  }

  Api& api_;
  const uint64_t max_bytes_;
  const IngestOptions& options_;
  const Context& ctx_;
  IngestReport report_;
};

}  // namespace

Result<IngestReport> IngestThrough(Api& api, uint64_t max_put_bytes,
                                   const std::vector<std::string>& paths,
                                   const IngestOptions& options, const ProgressFunction& progress,
                                   const Context& ctx) {
  const IngestOptions defaults;
  if (options.passage_tokens != defaults.passage_tokens ||
      options.overlap_tokens != defaults.overlap_tokens) {
    return Unimplemented(
        "the size of passages cannot be set through a service; leave it at its default");
  }
  if (!options.password.empty() || !options.parser_path.empty()) {
    return Unimplemented(
        "--password and --parser do not reach a service; stop it and ingest into its directory");
  }
  const TraceSpan span(ctx, "ingest");
  ASSIGN_OR_RETURN(const SourceList sources, ListSources(paths, options, ctx));
  Carrier carrier(api, max_put_bytes, options, ctx);
  RETURN_IF_ERROR(carrier.PutAll(sources, progress));
  return carrier.TakeReport();
}

}  // namespace vade
