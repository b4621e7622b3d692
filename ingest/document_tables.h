// The tables of a collection's documents, kept as notes (docs/formats.md) when they are stored.
// Thread-safe as the store is; owns nothing.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "index/index.h"
#include "ingest/tables.h"

namespace vade {

class DocumentTables {
 public:
  DocumentTables(Store* store, std::string collection)
      : store_(store), collection_(std::move(collection)) {}

  // Adds the note that keeps the tables of a revision that is about to be committed ("": it has
  // none), or removes what was kept of earlier ones.
  Status AddNote(const std::string& document_id, std::string encoded,
                 std::vector<StoreNote>* notes) const;
  // After documents were deleted.
  Status Forget(std::span<const std::string> document_ids);

  // What was kept; where nothing is kept of these bytes (an earlier version stored them, or an
  // import), what their text says. NOT_FOUND: there is no such document.
  Result<std::vector<Table>> Of(const std::string& document_id) const;

 private:
  Store* store_;
  const std::string collection_;
};

}  // namespace vade
