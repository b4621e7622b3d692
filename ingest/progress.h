// Counts what a run has done and tells its caller, at most ten times a second. One thread.
#pragma once

#include <chrono>
#include <string>

#include "ingest/ingest.h"
#include "ingest/job.h"

namespace vade {

void CountOutcome(const Result<PutResult>& result, OutcomeCounts* counts);

class ProgressMeter {
 public:
  ProgressMeter(const ProgressFunction& function, uint64_t files_total, uint64_t bytes_total);

  void DocumentDone(const Job& job, const Result<PutResult>& result);  // a file may have several
  // `bytes_under_way`: of files that are partly done.
  void Report(const std::string& current, double bytes_under_way);
  void ReportEnd();

 private:
  using SteadyClock = std::chrono::steady_clock;
  void Send(double bytes_under_way);

  const ProgressFunction& function_;
  const SteadyClock::time_point start_;
  SteadyClock::time_point last_;
  uint64_t finished_bytes_ = 0;
  IngestProgress progress_;
};

}  // namespace vade
