// What happens before a store can be used: lock, versions, leftovers, and the first view. Private
// to index/.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/files.h"
#include "index/core.h"

namespace vade {

// Takes the lock of the directory, which it makes when asked to. UNAVAILABLE: another process has
// it.
Result<std::unique_ptr<FileLock>> LockDirectory(const std::string& directory,
                                                bool create_if_missing);

// Opens the database and checks or writes its format version; fills kv, ids, numbers, store id and
// the version.
Status OpenDatabase(StoreCore* core);

// Calls visit(number, record) for each collection of the catalog; ends with the first failure.
Status ForEachCollection(const Kv& kv,
                         const std::function<Status(CollectionId, std::string_view)>& visit);

// Deletes what was staged and never became current.
Status CollectLeftovers(StoreCore* core);

// Brings a store of an earlier format up to this one (migrate.cc). May be cut short: the next open
// begins again.
Status MigrateFormat(StoreCore* core);

// The view of what is there: the truth from the database, segments where they are sound.
Result<std::shared_ptr<const View>> LoadView(StoreCore* core);

// The segments and the tail of one collection (load_vectors.cc). `live` are its current passages,
// in ascending order.
Status LoadVectors(StoreCore* core, const std::vector<LiveRange>& live, uint64_t commit,
                   CollectionState* state);
// Removes folders of collections that are no more.
void RemoveStraySegments(const StoreCore& core, const View& view);

}  // namespace vade
