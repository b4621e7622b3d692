// What the parts of an open store share: directory, database, numbers, committer. Private to
// index/.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "index/admission.h"
#include "index/commit.h"
#include "index/device_scan.h"
#include "index/index.h"
#include "index/kv.h"
#include "index/segment.h"

namespace vade {

// Hands out numbers that are never reused (docs/formats.md). Thread-safe.
class IdAllocator {
 public:
  IdAllocator(Kv* kv, uint64_t next) : kv_(kv), next_(next), reserved_(next) {}
  // The first of `count` numbers that follow one another.
  Result<uint64_t> Allocate(uint64_t count);
  // Greater than every number that the database may hold.
  uint64_t limit() {
    std::lock_guard lock(mutex_);
    return reserved_;
  }

 private:
  Kv* const kv_;
  std::mutex mutex_;
  uint64_t next_, reserved_;
};

struct StoreCore {
  std::string directory;
  StoreOptions options;
  const Clock* clock = nullptr;
  StoreId store_id{};
  uint32_t format = 0;  // of the database as it was opened
  std::unique_ptr<Kv> kv;
  std::unique_ptr<IdAllocator> ids;
  std::unique_ptr<Committer> committer;
  std::atomic<CollectionId> next_collection{1};
  std::atomic<uint64_t> next_segment{1};
  std::mutex reembed_mutex;  // one collection at a time
  FilterCache filters;
  std::unique_ptr<DeviceScan> device;  // null: no device scans
  std::function<void()> after_commit;  // wakes what works in the background

  std::string DatabaseDirectory() const;
  std::string SegmentDirectory(SpaceId space) const;
  std::string SegmentPath(SpaceId space, uint64_t number) const;
  SegmentOwner OwnerOf(const CollectionState& state, uint64_t commit) const;
};

Status NoCollection(std::string_view name);
// NOT_FOUND when the view has none of that name.
Result<std::shared_ptr<const CollectionState>> FindCollection(const View& view,
                                                              std::string_view name);

// Appends the vector of a passage; false when there is none of the collection's dimension.
Result<bool> AppendVectorOf(const Kv& kv, const KvSnapshot& snapshot, const CollectionState& state,
                            PassageId id, std::vector<float>* vectors);

// A number for a collection or a space; that it is taken goes into the batch.
CollectionId TakeCollectionNumber(StoreCore* core, KvBatch* batch);

// --- steps shared by commits and by the collection of leftovers ----------------------------------
// Adds the deletion of a current revision's keys: d, h, r, v, text, passages, vectors; and the
// records by which its terms are removed, and its bytes leave the files, later on.
void DeleteDocumentContent(const CollectionState& state, const DocumentRecord& record,
                           KvBatch* batch);
// How many words the passages of a current revision have.
Result<uint64_t> CountWords(const Kv& kv, CollectionId c, RevisionKey r);
// Deletes what was staged of a revision that never became current: its terms at once, a bounded
// part at a time, then, by the batch, the rest and the `staged` keys, which told where it all is.
struct StagedPlace {
  CollectionId collection = 0;
  SpaceId space = 0;
};
Status DiscardStaged(Kv* kv, const StagedPlace& place, RevisionKey r, KvBatch* batch);

Result<std::unique_ptr<DocumentWriter>> StageDocument(StoreCore* core, std::string_view collection,
                                                      const DocumentInfo& info);
// Writers of StageDocument().
std::vector<Result<CommitResult>> CommitDocuments(StoreCore* core,
                                                  std::span<DocumentWriter* const> writers,
                                                  const Context& ctx);
Result<std::unique_ptr<CollectionReader>> ReadCollectionOf(const StoreCore& core,
                                                           std::string_view collection);
Result<uint64_t> DeleteDocumentsOf(StoreCore* core, std::string_view collection,
                                   std::span<const std::string> ids, const Context& ctx);
// INVALID_ARGUMENT, with its sizes, when it is too large or has no key.
Status CheckNote(const StoreNote& note);
// What it is: put, or removed where its value is empty.
void AddNote(CollectionId c, const StoreNote& note, KvBatch* batch);
Status PutNotesIn(StoreCore* core, std::string_view collection, std::span<const StoreNote> notes);
Status RemoveNotesIn(StoreCore* core, std::string_view collection, std::string_view document_id,
                     std::span<const std::string> keys);
Result<std::optional<std::string>> GetNoteOf(const StoreCore& core, std::string_view collection,
                                             std::string_view key);
Result<std::vector<StoreNote>> ListNotesOf(const StoreCore& core, std::string_view collection,
                                           std::string_view prefix, std::string_view after,
                                           int limit);
Status CreateCollectionIn(StoreCore* core, const CollectionInfo& info);
Status DeleteCollectionIn(StoreCore* core, std::string_view name);
// Removes the files of a space's segments. Views that still have them mapped keep them.
void RemoveSegments(const StoreCore& core, SpaceId space);
// Adds what a space leaves: the deletion of its vectors, and the record by which their bytes leave
// the files. Its segments are removed once that is written.
void DeleteSpace(SpaceId space, KvBatch* batch);
// The present space of a collection and the one in the making.
std::vector<SpaceId> SpacesOf(const CollectionState& state);
std::set<SpaceId> SpacesOf(const View& view);  // those of all collections

Result<SearchResult> SearchView(StoreCore* core, const View& view, const SearchRequest& request,
                                const Context& ctx);
Result<ChangeList> ChangesOf(const Kv& kv, const View& view, uint64_t after, int limit);
Result<VerifyReport> VerifyStore(const StoreCore& core, const Context& ctx);

// Reads the text of one revision, piece by piece; keeps the last piece.
class TextReader {
 public:
  TextReader(const Kv& kv, KvSnapshot snapshot, CollectionId c, RevisionKey r)
      : kv_(kv), snapshot_(std::move(snapshot)), collection_(c), revision_(r) {}
  // DATA_LOSS when the text has no such range.
  Result<std::string> Read(uint64_t begin, uint64_t length);

 private:
  Status Load(uint64_t piece);
  const Kv& kv_;
  const KvSnapshot snapshot_;
  const CollectionId collection_;
  const RevisionKey revision_;
  uint64_t loaded_ = UINT64_MAX;
  std::string piece_;
};

// The record of a current document, or nothing.
Result<std::optional<DocumentRecord>> ReadDocument(const Kv& kv, const KvSnapshot& snapshot,
                                                   CollectionId c, std::string_view document_id);

}  // namespace vade
