// Keeps the terms in order beside readers and writers: removes those of passages that are gone, and
// joins small neighbouring blocks of postings, so that a term is read in few.
//
// Writers only ever add blocks; this alone changes and removes them, one job at a time, in batches
// that leave everything true if the process dies between two of them. Readers stay with the
// snapshot of their view.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "index/core.h"

namespace vade {

class TermKeeper {
 public:
  // Starts the thread when core->options.background. Stops and joins it in the destructor.
  explicit TermKeeper(StoreCore* core);
  ~TermKeeper();

  void Wake();
  // What is due now, on the caller's thread; kAll: blocks are joined however few are new.
  enum class Extent { kDue, kAll };
  Status Tidy(Extent extent, const Context& ctx);

 private:
  void Loop();
  void WaitToRetry();
  Status Continue(const Context& ctx) const;
  Status CleanAll(const Context& ctx);
  Status CleanRecord(const std::string& key, const Context& ctx);
  Result<bool> IsMergeDue(const CollectionState& state, Extent extent) const;
  Status Merge(const CollectionState& state, const Context& ctx);

  StoreCore* const core_;
  std::mutex job_mutex_;  // one job at a time
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool woken_ = true;  // what the last process left undone
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace vade
