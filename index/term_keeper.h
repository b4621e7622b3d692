// Keeps the terms in order beside readers and writers: removes those of passages that are gone, and
// joins small neighbouring blocks of postings, so that a term is read in few.
//
// Writers only ever add blocks; this alone changes and removes them, one job at a time, in batches
// that leave everything true if the process dies between two of them. Readers stay with the
// snapshot of their view.
#pragma once

#include <mutex>

#include "index/background_worker.h"
#include "index/core.h"

namespace vade {

class TermKeeper {
 public:
  explicit TermKeeper(StoreCore* core);  // with a thread when core->options.background

  void Wake() { worker_.Wake(); }
  // What is due now, on the caller's thread; kAll: blocks are joined however few are new.
  enum class Extent { kDue, kAll };
  Status Tidy(Extent extent, const Context& ctx);
  // Only removes the terms of what is gone.
  Status Clean(const Context& ctx);

 private:
  Status TidyDue();
  Status Continue(const Context& ctx) const;
  Status CleanAll(const Context& ctx);
  Status CleanRecord(const std::string& key, const Context& ctx);
  Result<bool> IsMergeDue(const CollectionState& state, Extent extent) const;
  Status Merge(const CollectionState& state, const Context& ctx);

  StoreCore* const core_;
  std::mutex job_mutex_;  // one job at a time
  BackgroundWorker worker_;
};

}  // namespace vade
