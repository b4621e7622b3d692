// The source records of one collection, in its store. Thread-safe as the store is; owns nothing.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "index/index.h"
#include "ingest/source_record.h"

namespace vade {

// What Store::PutNotes() takes to keep a record, and to forget it. A record is durable with the
// next commit: put before the documents that it names, it is never missing when they are there.
StoreNote NoteOf(const SourceRecord& record);
StoreNote RemovalOf(const SourceRecord& record);

class Ledger {
 public:
  Ledger(Store* store, std::string collection)
      : store_(store), collection_(std::move(collection)) {}

  Result<std::optional<SourceRecord>> Find(std::string_view origin,
                                           std::string_view document_id) const;

  // Of the file `scope` and of all files below it, by origin; "": of all. Ends with the error of
  // `visit`.
  Status Visit(std::string_view scope, const std::function<Status(SourceRecord)>& visit) const;

  // After documents were deleted: what is remembered of those that were put. Files are remembered
  // for as long as they are there.
  Status ForgetPuts(std::span<const std::string> document_ids);

  // Whether the file that `record` is about, with these bytes and read so, gives what is stored
  // already. The documents are those of the record, in its order, without stale ones; nothing for
  // one that failed.
  Result<bool> StillHolds(const SourceRecord& record,
                          std::vector<std::optional<DocumentInfo>>* documents) const;

 private:
  Status VisitPrefix(const std::string& prefix,
                     const std::function<Status(SourceRecord)>& visit) const;

  Store* store_;
  const std::string collection_;
};

}  // namespace vade
