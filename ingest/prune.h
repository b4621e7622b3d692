// Documents whose file has gone, or that their file no longer holds, leave the store.
//
// A document goes only when it is still what was made of that file (nobody put something else under
// its id since) and no other file that is remembered has it too.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "ingest/ledger.h"

namespace vade {

class Pruner {
 public:
  Pruner(Store* store, std::string collection)
      : store_(store), collection_(collection), ledger_(store, std::move(collection)) {}

  // The file has gone; `record` is what is remembered of it.
  void FileHasGone(const SourceRecord& record);
  // The file is there; its stale documents are to go.
  void FileIsThere(const SourceRecord& record);

  // Whether this document goes, should nothing hold it back.
  bool Goes(const std::string& document_id) const { return digests_.count(document_id) > 0; }

  // How many documents were deleted. Died in between, it is done again by the next run.
  Result<uint64_t> Run(const Context& ctx);

 private:
  void Doom(const MadeDocument& made) { digests_[made.id].insert(made.digest); }
  Status SpareWhatOthersHave();
  Result<uint64_t> Delete(const Context& ctx);
  Status Forget();

  Store* store_;
  const std::string collection_;
  Ledger ledger_;
  std::map<std::string, std::set<uint64_t>> digests_;  // by id of a document that is to go
  std::map<std::string, SourceRecord> gone_, there_;   // by key
};

}  // namespace vade
