// Takes the bytes of what was deleted or replaced out of the files: terms, tables and log of the
// database, vector segments.
//
// Each commit that removes something leaves a `gone` record in its batch; a run reads them, cleans
// the terms, rewrites segments with dead slots, flushes and compacts the ranges, and then removes
// the records that it has done. A run that dies is begun again. The first record since the last run
// sets the time by which its bytes must be gone (`erase_by`), on the store's clock.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "index/background_worker.h"
#include "index/core.h"
#include "index/sealer.h"
#include "index/term_keeper.h"

namespace vade {

class Eraser {
 public:
  Eraser(StoreCore* core, Sealer* sealer, TermKeeper* keeper);

  // After a commit: sets the time when something is gone now.
  void Note();
  // On the caller's thread: all that was removed before the call leaves the files. UNAVAILABLE when
  // a long read holds on to them.
  Status EraseNow(const Context& ctx);
  // The same, once the time has come.
  Status EraseDue(const Context& ctx);

 private:
  struct Gone;
  struct KeyRange;
  Status RunInBackground();
  Result<std::vector<Gone>> ReadGone() const;
  bool IsNoted();
  Result<bool> IsDue();
  Status Erase(const std::vector<Gone>& gone, const Context& ctx);
  static void AddRangesOf(const Gone& gone, const View& view, std::vector<KeyRange>* ranges);
  Status Compact(const std::vector<Gone>& gone, const Context& ctx);
  Status Forget(const std::vector<Gone>& gone);

  StoreCore* const core_;
  Sealer* const sealer_;
  TermKeeper* const keeper_;
  std::mutex run_mutex_;   // one run at a time
  std::mutex note_mutex_;  // guards noted_
  bool noted_ = false;     // erase_by stands in the database
  BackgroundWorker worker_;
};

}  // namespace vade
