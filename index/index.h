// The knowledge store: collections of documents, their passages, vectors and terms, over RocksDB
// and FAISS.
//
//   ASSIGN_OR_RETURN(auto store, OpenStore(dir, {}));
//   RETURN_IF_ERROR(store->CreateCollection(
//       {.name = "default", .embedder_id = e.id(), .dimension = 384}));
//   ASSIGN_OR_RETURN(auto writer, store->BeginDocument("default", info));
//   RETURN_IF_ERROR(writer->AddText(text));
//   RETURN_IF_ERROR(writer->AddPassages(passages, vectors));     // bounded; nobody sees them yet
//   ASSIGN_OR_RETURN(CommitResult commit, writer->Commit(ctx));  // everybody sees all, durably
//   ASSIGN_OR_RETURN(SearchResult found, store->Search(request, ctx));
//
// Thread rule: every operation may be called from any thread at any time; readers never wait for
// writers. Every search and read runs on one View (index/view.h), so text, vectors and deletions
// agree. A write that returned OK survives the death of the process and of the machine, and is seen
// by every later read. Nothing here assumes that caller and store share memory: a Store could be a
// remote one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/context.h"
#include "base/status.h"
#include "index/passage.h"

namespace vade {

namespace kernels {
class RowScanner;  // row_scanner.h
}

struct CollectionInfo {
  std::string name;         // 1..64 of [A-Za-z0-9_.-], not beginning with '.'
  std::string embedder_id;  // Embedder::id(); vectors of another embedder are refused
  int dimension = 0;
  // What finds the embedder again: how it was called, a name or a path; "": not known.
  std::string embedder_source = {};
  uint32_t id = 0;              // set by the store; never reused, unlike the name
  uint64_t document_count = 0;  // set by the store
  uint64_t passage_count = 0;   // set by the store
};

struct CommitResult {
  uint64_t commit = 0;  // the store's commit number after this write
  uint64_t revision = 0;
  bool created = false;  // false: an earlier revision was replaced
};

// A small fact that whoever fills a collection keeps with it.
struct StoreNote {
  std::string key;    // 1..16384 bytes
  std::string value;  // at most 64 MiB; "" is no note: putting it removes the key
};
// Of the note that keeps a document's tables, whose bytes are ingestion's: it goes along in
// exports.
std::string TablesNoteKey(std::string_view document_id);

// A new revision of one document in the making. Destroying it before Commit() leaves no trace.
class DocumentWriter {
 public:
  virtual ~DocumentWriter() = default;
  // Appends to the document's normalised text, which passages refer to by byte range.
  virtual Status AddText(std::string_view utf8) = 0;
  // `vectors` is [passages.size(), dimension]. ids, document_id and text of the passages are set by
  // the store (text = that range of the document's text, which must have been added already).
  virtual Status AddPassages(std::span<const Passage> passages, std::span<const float> vectors) = 0;
  // A note of the collection, put by the very write that makes the revision current, or not at all.
  virtual Status PutNote(StoreNote note) = 0;
  // The times of its first and of this revision, of the store that it comes from; without them,
  // now.
  virtual void KeepTimes(int64_t created_unix_micros, int64_t updated_unix_micros) = 0;
  virtual Result<CommitResult> Commit(const Context& ctx) = 0;
};

// The documents of a collection as one view has them, by id: whatever is committed later is not
// among them. It holds on to the view, and with it to the bytes of what is deleted meanwhile. One
// thread; gone before its store.
class CollectionReader {
 public:
  virtual ~CollectionReader() = default;
  virtual const CollectionInfo& info() const = 0;
  virtual uint64_t commit() const = 0;  // of the view
  // Nothing at the end. DATA_LOSS here and below: the store is damaged.
  virtual Result<std::optional<DocumentInfo>> NextDocument() = 0;
  // What is kept under that document's TablesNoteKey(); "": nothing.
  virtual Result<std::string> Tables() = 0;
  // The following bytes of that document's text, "" at its end; whole characters.
  virtual Result<std::string> NextText() = 0;
  // Its following passages in order, without their text, with their vectors [n, dimension]; none at
  // the end.
  virtual Result<std::vector<Passage>> NextPassages(std::vector<float>* vectors) = 0;
};

inline constexpr int kMaxNeighbours = 10;

// The question in other words, such as those with what was said before it in a conversation.
struct Wording {
  std::vector<float> vector;  // as SearchRequest::vector
  std::string question;       // its words
  double weight = 1;          // beside 1 for the question as it is; above 0
};

struct SearchRequest {
  std::string collection;
  std::vector<float> vector;  // of the question, unit length
  // Of the embedder that made it. ABORTED when the collection has another one by now; "": not
  // looked at.
  std::string embedder_id = {};
  std::string question;  // its words; "": vectors alone
  int k = 5;             // 1..1000
  std::string filter;    // "": off; the language stands in index/filter.h
  // RFC 3339 or a date; "": now. Documents whose valid_from lies behind it are not found, nor those
  // that a document valid by then supersedes.
  std::string as_of;
  // Groups of the caller. Documents without groups are for everyone; a document with groups is
  // found only when one of them is listed here.
  std::vector<std::string> groups;
  RankingOptions ranking = {};
  // Passages before and behind each hit, of its document, that are joined to it: 0 (off) to
  // kMaxNeighbours. A passage within another hit's range is no hit of its own then.
  int neighbours = 0;
  bool explain = false;  // fills SearchResult::candidates
  // Searched for too: a passage's score is the weighted mean over the question and these, of which
  // each proposes its best (at least 20, at least k). What one does not propose counts as the last
  // of those that it does.
  std::vector<Wording> wordings = {};
};

struct SearchResult {
  uint64_t commit = 0;                     // of the view that was searched
  uint32_t collection = 0;                 // CollectionInfo::id in that view; 0: not known
  std::vector<Hit> hits;                   // best first
  std::vector<Explained> candidates = {};  // all that were compared, best first
};

// Which documents a listing shows.
struct DocumentQuery {
  std::string after = {};   // ids behind this one
  int limit = 100;          // 1 or more
  std::string filter = {};  // "": off; the language stands in index/filter.h
  // As a caller with these groups sees it. Not set: all, for whoever keeps the documents.
  std::optional<std::vector<std::string>> caller_groups = {};
};

struct DocumentPage {
  std::vector<DocumentInfo> documents;  // by id, ascending bytes
  std::string next;                     // pass as `after` for the following page; "" at the end
};

struct Document {
  DocumentInfo info;
  std::string text;
};

// One thing that a commit changed.
struct StoreChange {
  enum class Kind : uint8_t {  // the numbers are those of the log on disk
    kPut = 1,
    kDelete = 2,
    kCreateCollection = 3,
    kDeleteCollection = 4,  // and with it all of its documents
    kReembed = 5,           // its vectors are another embedder's; documents and passages stay
  };
  uint64_t commit = 0;
  Kind kind = Kind::kPut;
  uint32_t collection = 0;  // CollectionInfo::id
  std::string document_id;  // "" when it is about the collection
  bool replaced = false;    // kPut: an earlier revision went
};

struct ChangeList {
  std::vector<StoreChange> changes;  // by commit, ascending; all of a commit or none
  uint64_t through = 0;              // all is listed up to this commit: where to go on from
  bool more = false;                 // there are later ones
  // What happened after the commit asked for is not known: the log begins later, or that commit is
  // not of this store's past (a copy was restored). Nothing is listed; whoever follows the log must
  // start anew from `through`.
  bool trimmed = false;
};

// A consistency report of Verify().
struct VerifyReport {
  uint64_t documents = 0, passages = 0, vectors = 0;
  std::vector<std::string> problems;  // one line each, empty when all agree
};

// A passage whose vector is to be made anew.
struct PassageToEmbed {
  std::string title;  // of the document
  Passage passage;
};

struct ReembedRequest {
  std::string embedder_id;  // the new one's
  int dimension = 0;
  std::string embedder_source = {};  // as in CollectionInfo
  // [passages.size(), dimension], each of unit length; from one thread at a time.
  std::function<Result<std::vector<float>>(std::span<const PassageToEmbed>, const Context&)> embed;
  std::function<void(uint64_t done, uint64_t total)> progress = nullptr;  // in passages
};

struct ReembedReport {
  uint64_t commit = 0;    // since when the collection has the embedder
  uint64_t passages = 0;  // of the collection then
  uint64_t embedded = 0;  // by this call; the others had their vectors from an earlier one
};

class Store {
 public:
  virtual ~Store() = default;

  // ALREADY_EXISTS when the name is taken (whatever the embedder).
  virtual Status CreateCollection(const CollectionInfo& info) = 0;
  virtual Result<CollectionInfo> GetCollection(std::string_view name) = 0;  // NOT_FOUND
  virtual Result<std::vector<CollectionInfo>> ListCollections() = 0;
  virtual Status DeleteCollection(std::string_view name) = 0;

  virtual Result<std::unique_ptr<DocumentWriter>> BeginDocument(std::string_view collection,
                                                                const DocumentInfo& info) = 0;
  // Commits several documents of this store's writers with few waits for the disk: the outcome of
  // each, in their order. Each becomes current whole or not at all, by itself.
  virtual std::vector<Result<CommitResult>> CommitTogether(std::span<DocumentWriter* const> writers,
                                                           const Context& ctx) {
    std::vector<Result<CommitResult>> outcomes;
    for (DocumentWriter* writer : writers) outcomes.push_back(writer->Commit(ctx));
    return outcomes;
  }
  // Nothing when there is no such document. NOT_FOUND only for the collection.
  virtual Result<std::optional<DocumentInfo>> FindDocument(std::string_view collection,
                                                           std::string_view document_id) = 0;
  // A current document of the collection with this content hash, if any: for duplicates.
  virtual Result<std::optional<DocumentInfo>> FindByHash(std::string_view collection,
                                                         std::string_view content_hash) = 0;
  virtual Result<Document> GetDocument(std::string_view collection,
                                       std::string_view document_id) = 0;
  virtual Result<DocumentPage> ListDocuments(std::string_view collection,
                                             const DocumentQuery& query) = 0;
  // Passages of one current document in order, with their vectors [n, dimension] when asked for.
  virtual Result<std::vector<Passage>> GetPassages(std::string_view collection,
                                                   std::string_view document_id,
                                                   std::vector<float>* vectors) = 0;
  virtual Result<std::unique_ptr<CollectionReader>> ReadCollection(std::string_view collection) = 0;
  // Unknown ids are skipped. Returns how many were deleted; after that no read yields their text.
  virtual Result<uint64_t> DeleteDocuments(std::string_view collection,
                                           std::span<const std::string> document_ids,
                                           const Context& ctx) = 0;

  // Notes of a collection live and die with it and change no view; of all of them only documents'
  // tables travel in exports. A note that was put is durable together with the next commit: never
  // after it.
  virtual Status PutNotes(std::string_view collection, std::span<const StoreNote> notes) = 0;
  // Removes the notes of these keys, which a deleted document left; nothing while a document of
  // that id is current.
  virtual Status RemoveNotesOf(std::string_view collection, std::string_view document_id,
                               std::span<const std::string> keys) = 0;
  virtual Result<std::optional<std::string>> GetNote(std::string_view collection,
                                                     std::string_view key) = 0;
  // Those whose keys begin with `prefix`, behind the key `after` ("": from the first), by key.
  virtual Result<std::vector<StoreNote>> ListNotes(std::string_view collection,
                                                   std::string_view prefix, std::string_view after,
                                                   int limit) = 0;

  // Takes the bytes of all that was deleted or replaced out of the files of the directory, and
  // returns once they are gone: from the database with its log, and from the segments. What names
  // the deletion stays (document ids in the change log). UNAVAILABLE when a long read holds on to
  // them; they are still due then.
  virtual Status Erase(const Context& ctx) = 0;

  virtual Result<SearchResult> Search(const SearchRequest& request, const Context& ctx) = 0;

  // Makes the collection's vectors by another embedder, from the stored text, and puts them in the
  // place of the present ones in one commit (docs/reembed.md). Everybody goes on reading and
  // writing meanwhile. What is done is kept when the call ends early or the process dies: the next
  // one with the same embedder goes on there. Nothing is done when the collection has that embedder
  // already. UNAVAILABLE: another call is at work. INVALID_ARGUMENT: vectors that are none.
  virtual Result<ReembedReport> Reembed(std::string_view collection, const ReembedRequest& request,
                                        const Context& ctx) = 0;

  virtual uint64_t commit_number() = 0;
  // What the commits after `commit` changed, in the state of one view: for whoever keeps something
  // derived from documents. Ends with the commit that brings the list to `limit` (1 or more).
  virtual Result<ChangeList> ChangesSince(uint64_t commit, int limit) = 0;
  // Compares text, vectors, terms and derived files; checks every invariant of docs/formats.md.
  virtual Result<VerifyReport> Verify(const Context& ctx) = 0;
  // Seals the tails of all collections into segments now (they seal by themselves when long
  // enough).
  virtual Status SealAll(const Context& ctx) = 0;
  // Does now what the background would do: seals tails that are long enough, merges what is due,
  // removes the terms of what was deleted, erases what must be gone by now. For a process that
  // opened without a background and has written much; what it leaves undone waits for the next one.
  virtual Status SealDue(const Context& ctx) { return ctx.Check(); }
};

struct StoreOptions {
  bool create_if_missing = true;
  uint64_t block_cache_bytes = 64ull << 20;
  size_t seal_tail_at = 8192;  // vectors in the tail that start the making of a segment; 0: never
  // A scan of fewer bytes of codes reads them alone, four bits of each first where there are more:
  // few lie in the caches, and are scored sooner than twice in part.
  size_t nibbles_from_bytes = 4 << 20;
  size_t flat_below = 4096;  // sealed segments smaller than this are scanned rather than walked
  int hnsw_m = 16;           // links a node
  int hnsw_ef_construction = 128;
  int hnsw_ef_search = 64;  // candidates kept in the walk; recall against speed
  // Collections whose codes and graphs would take more than this get cells instead (index/cells.h),
  // which need a fifth of the memory and find a little less surely; 0: half of the machine's
  // memory.
  uint64_t graph_bytes = 0;
  // Segments are not merged, and a tail is not sealed, beyond this many vectors in one: it bounds
  // the memory of the making, about 6 bytes a dimension and 500 bytes for each.
  size_t max_segment_rows = 256 << 10;
  // New passages, also a quarter of all, that start the joining of terms' small blocks; 0: never.
  size_t merge_terms_at = 4096;
  std::chrono::milliseconds seal_retry_after{30000};  // after sealing or merging failed
  // Bytes of what was deleted or replaced leave the files within this time of the store's clock; 0:
  // only when Erase() is called.
  std::chrono::seconds erase_within{3600};
  // Where the database's files are: a file system known to RocksDB by that name; "": the machine's.
  // For tests that lose what was not synced.
  std::string file_system = {};
  bool compress = true;  // tables of the database; off for tests that look for bytes
  // Searches the rows of segments in the place of a scan or a walk, once they are
  // `scan_on_device_from` or more: exactly, as flat_below without an end. What it fails at is done
  // here. Null: none.
  std::shared_ptr<kernels::RowScanner> scanner = nullptr;
  // Below it launches and copies, some 40 microseconds, are longer than a scan here takes.
  size_t scan_on_device_from = 8192;
  // false: no threads, and vectors and terms are merged only in SealAll() and SealDue(). For short
  // visits.
  bool background = true;
  const Clock* clock = nullptr;  // null: SystemClock()
};

// The collection of that name; made when there is none. Its embedder may be another one.
Result<CollectionInfo> FindOrCreateCollection(Store* store, const CollectionInfo& info);

// Whether the owners said the same of both: content and description.
bool SaysTheSame(const DocumentInfo& a, const DocumentInfo& b);

// INVALID_ARGUMENT, naming the column, when this is no filter expression.
Status CheckFilter(std::string_view filter);

// Opens the data directory. UNAVAILABLE: another process has it open (the message says how to talk
// to that one). FAILED_PRECONDITION: it was written by a newer version. DATA_LOSS: damaged, with
// the file.
Result<std::unique_ptr<Store>> OpenStore(const std::string& directory, const StoreOptions& options);

}  // namespace vade
