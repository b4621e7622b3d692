#include "ingest/progress.h"

#include <algorithm>

namespace vade {
namespace {

constexpr std::chrono::milliseconds kInterval(100);
// Before that the rate says little.
constexpr double kSecondsToTrust = 0.5;

}  // namespace

void CountOutcome(const Result<PutResult>& result, OutcomeCounts* counts) {
  const IngestOutcome outcome = result.ok() ? result->outcome : IngestOutcome::kFailed;
  switch (outcome) {
    case IngestOutcome::kCreated: ++counts->created; break;
    case IngestOutcome::kUpdated: ++counts->updated; break;
    case IngestOutcome::kDuplicate: ++counts->duplicate; break;
    case IngestOutcome::kRenamed: ++counts->renamed; break;
    case IngestOutcome::kUnchanged: ++counts->unchanged; return;
    case IngestOutcome::kFailed: ++counts->failed; return;
  }
  counts->passages += result->passages;
}

ProgressMeter::ProgressMeter(const ProgressFunction& function, uint64_t files_total,
                             uint64_t bytes_total)
    : function_(function), start_(SteadyClock::now()), last_(start_ - kInterval) {
  progress_.files_total = files_total;
  progress_.bytes_total = bytes_total;
  progress_.seconds_left = -1;
}

void ProgressMeter::DocumentDone(const Job& job, const Result<PutResult>& result) {
  if (job.ends_file) ++progress_.files_done;
  finished_bytes_ += job.source_bytes;
  CountOutcome(result, &progress_);
}

void ProgressMeter::Report(const std::string& current, double bytes_under_way) {
  if (!function_ || SteadyClock::now() - last_ < kInterval) return;
  progress_.current = current;
  Send(bytes_under_way);
}

void ProgressMeter::ReportEnd() {
  if (!function_) return;
  progress_.current.clear();
  Send(0);
}

void ProgressMeter::Send(double bytes_under_way) {
  last_ = SteadyClock::now();
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  // A file may have grown or shrunk since it was listed.
  progress_.bytes_done =
      std::min(finished_bytes_ + static_cast<uint64_t>(bytes_under_way), progress_.bytes_total);
  progress_.bytes_per_second =
      seconds > 0 ? static_cast<double>(progress_.bytes_done) / seconds : 0;
  const uint64_t left = progress_.bytes_total - progress_.bytes_done;
  const bool known = progress_.bytes_per_second > 0 && seconds >= kSecondsToTrust;
  progress_.seconds_left = left == 0 ? 0
                           : known   ? static_cast<double>(left) / progress_.bytes_per_second
                                     : -1;
  function_(progress_);
}

}  // namespace vade
