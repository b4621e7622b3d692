#include "service/remote_ingest.h"

#include <algorithm>
#include <utility>

#include "base/files.h"
#include "base/trace.h"
#include "ingest/progress.h"
#include "ingest/sources.h"

namespace vade {
namespace {

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
    // The stages of one file would only blur those of the whole.
    auto put = api_.PutDocument(options_.collection, request, ctx_.WithTrace(nullptr));
    if (put.ok()) return Count(*put);
    RETURN_IF_ERROR(ctx_.Check());
    return StopsAll(put.status().code()) ? Result<uint64_t>(put.status())
                                         : Refuse(file, put.status());
  }

  // What the next file would meet as well.
  static bool StopsAll(StatusCode code) {
    return code == StatusCode::kUnavailable || code == StatusCode::kNotFound ||
           code == StatusCode::kFailedPrecondition || code == StatusCode::kUnimplemented;
  }

  uint64_t Refuse(const SourceFile& file, const Status& why) {
    report_.errors.push_back({file.path, why.message()});
    ++report_.failed;
    return 0;
  }

  uint64_t Count(const PutResult& put) {
    switch (put.outcome) {
      case IngestOutcome::kCreated:
        ++report_.created;
        break;
      case IngestOutcome::kUpdated:
        ++report_.updated;
        break;
      case IngestOutcome::kUnchanged:
        ++report_.unchanged;
        return 0;
      case IngestOutcome::kDuplicate:
        ++report_.duplicate;
        break;
      case IngestOutcome::kFailed:
        ++report_.failed;
        return 0;
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
  const TraceSpan span(ctx, "ingest");
  ASSIGN_OR_RETURN(const SourceList sources, ListSources(paths, options, ctx));
  Carrier carrier(api, max_put_bytes, options, ctx);
  RETURN_IF_ERROR(carrier.PutAll(sources, progress));
  return carrier.TakeReport();
}

}  // namespace vade
