// Keeps what is derived from documents (the kept keys and values of passages, the notes with a
// document's tables and its sketch) in step with the store: follows its change log and has what was
// replaced or deleted forgotten, in files and in memory. Private to service/.
//
// Thread-safe. Owns nothing.
#pragma once

#include <mutex>
#include <vector>

#include "base/status.h"
#include "generator/block_files.h"
#include "generator/generator.h"
#include "index/index.h"

namespace vade {

class ChangeFollower {
 public:
  ChangeFollower(Store* store, BlockFiles* files) : store_(store), files_(files) {}

  // On return nothing is kept of what the store had replaced or deleted before the call.
  // `generator` may be null: not made yet. An error says what could not be removed; the next call
  // tries again.
  Status CatchUp(Generator* generator);

 private:
  Status Forget(const StoreChange& change, Generator* generator);
  Status ForgetNotes(const std::vector<StoreChange>& changes);

  Store* const store_;
  BlockFiles* const files_;
  std::mutex mutex_;  // one at a time: whoever returns has seen all up to its own commit
};

}  // namespace vade
