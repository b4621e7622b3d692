// A Store that lives in memory: the same contract as OpenStore()'s without files, segments or
// terms. The whole store is one mutex and one map, so that a test sees only the module that it
// tests. Search scans every vector and orders by cosine; term_score counts the question's words
// that the passage holds. Tests make a call fail with FailNext().
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "index/filter.h"
#include "index/index.h"
#include "tests/testing/memory_collection.h"

namespace vade::testing {

class MemoryStore : public Store {
 public:
  struct Counts {
    uint64_t begun = 0, committed = 0, searches = 0, passage_batches = 0;
    size_t largest_batch = 0;
    size_t most_together = 0;  // documents of one CommitTogether()
  };

  explicit MemoryStore(const Clock& clock = SystemClock()) : clock_(clock) {}

  // The next call of `operation` ("begin", "text", "passages", "commit" of one document, "together"
  // of all that are committed at once, "search") after `skip` good ones returns `status`.
  void FailNext(std::string operation, Status status, int skip = 0) {
    std::lock_guard lock(mutex_);
    failures_[std::move(operation)] = {skip, std::move(status)};
  }
  Counts counts() const {
    std::lock_guard lock(mutex_);
    return counts_;
  }

  // The latest one that did not fail before it began.
  SearchRequest last_search() const {
    std::lock_guard lock(mutex_);
    return last_search_;
  }

  Status CreateCollection(const CollectionInfo& info) override {
    std::lock_guard lock(mutex_);
    if (!ValidName(info.name)) {
      return InvalidArgument(
          StrCat("collection name '", info.name, "' is not 1..64 of [A-Za-z0-9_.-]"));
    }
    if (info.dimension < 1) return InvalidArgument("a collection needs a dimension of at least 1");
    if (collections_.count(info.name) > 0) {
      return AlreadyExists(StrCat("collection '", info.name, "' exists already"));
    }
    MemoryCollection& made = collections_[info.name];
    made.info = {.name = info.name,
                 .embedder_id = info.embedder_id,
                 .dimension = info.dimension,
                 .id = next_collection_++};
    Log(++commit_, StoreChange::Kind::kCreateCollection, made.info.id);
    return OkStatus();
  }

  Result<CollectionInfo> GetCollection(std::string_view name) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(name));
    return Describe(*found);
  }

  Result<std::vector<CollectionInfo>> ListCollections() override {
    std::lock_guard lock(mutex_);
    std::vector<CollectionInfo> all;
    for (const auto& [name, collection] : collections_) all.push_back(Describe(collection));
    return all;
  }

  Status DeleteCollection(std::string_view name) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(name));
    Log(++commit_, StoreChange::Kind::kDeleteCollection, found->info.id);
    collections_.erase(collections_.find(name));
    return OkStatus();
  }

  Result<std::unique_ptr<DocumentWriter>> BeginDocument(std::string_view collection,
                                                        const DocumentInfo& info) override {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(TakeFailure("begin"));
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    if (info.id.empty()) return InvalidArgument("a document needs an id");
    ++counts_.begun;
    return std::unique_ptr<DocumentWriter>(
        new Writer(this, std::string(collection), info, found->info.dimension));
  }

  std::vector<Result<CommitResult>> CommitTogether(std::span<DocumentWriter* const> writers,
                                                   const Context& ctx) override {
    {
      std::lock_guard lock(mutex_);
      counts_.most_together = std::max(counts_.most_together, writers.size());
      if (const Status failure = TakeFailure("together"); !failure.ok()) {
        return {writers.size(), failure};
      }
    }
    return Store::CommitTogether(writers, ctx);
  }

  Result<std::optional<DocumentInfo>> FindDocument(std::string_view collection,
                                                   std::string_view document_id) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    auto at = found->documents.find(document_id);
    return at == found->documents.end() ? std::optional<DocumentInfo>() : at->second.info;
  }

  Result<std::optional<DocumentInfo>> FindByHash(std::string_view collection,
                                                 std::string_view content_hash) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    for (const auto& [id, stored] : found->documents) {
      if (stored.info.content_hash == content_hash) return std::optional(stored.info);
    }
    return std::optional<DocumentInfo>();
  }

  Result<Document> GetDocument(std::string_view collection, std::string_view document_id) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryDocument * stored, FindStored(collection, document_id));
    return Document{stored->info, stored->text};
  }

  Result<DocumentPage> ListDocuments(std::string_view collection,
                                     const DocumentQuery& query) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    if (query.limit < 1) return InvalidArgument("limit must be at least 1");
    std::optional<Filter> filter;
    if (!query.filter.empty()) {
      ASSIGN_OR_RETURN(filter, Filter::Parse(query.filter));
    }
    DocumentPage page;
    for (auto at = found->documents.upper_bound(query.after); at != found->documents.end(); ++at) {
      const DocumentInfo& info = at->second.info;
      if (query.caller_groups && !MayRead(info, *query.caller_groups)) continue;
      if (filter && !filter->Keeps(info)) continue;
      if (page.documents.size() == static_cast<size_t>(query.limit)) {
        page.next = page.documents.back().id;
        break;
      }
      page.documents.push_back(at->second.info);
    }
    return page;
  }

  Result<std::vector<Passage>> GetPassages(std::string_view collection,
                                           std::string_view document_id,
                                           std::vector<float>* vectors) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryDocument * stored, FindStored(collection, document_id));
    if (vectors != nullptr) *vectors = stored->vectors;
    return stored->passages;
  }

  Result<std::unique_ptr<CollectionReader>> ReadCollection(std::string_view collection) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    return std::unique_ptr<CollectionReader>(
        std::make_unique<MemoryReader>(*found, Describe(*found), commit_));
  }

  Result<uint64_t> DeleteDocuments(std::string_view collection,
                                   std::span<const std::string> document_ids,
                                   const Context& ctx) override {
    RETURN_IF_ERROR(ctx.Check());
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    uint64_t deleted = 0;
    for (const std::string& id : document_ids) {
      if (found->documents.erase(id) == 0) continue;
      ++deleted;
      Log(commit_ + 1, StoreChange::Kind::kDelete, found->info.id, id);
    }
    if (deleted > 0) ++commit_;
    return deleted;
  }

  Status PutNotes(std::string_view collection, std::span<const StoreNote> notes) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    KeepNotes(notes, found);
    return OkStatus();
  }
  Status RemoveNotesOf(std::string_view collection, std::string_view document_id,
                       std::span<const std::string> keys) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    if (found->documents.count(std::string(document_id)) > 0) return OkStatus();
    for (const std::string& key : keys) found->notes.erase(key);
    return OkStatus();
  }
  Result<std::optional<std::string>> GetNote(std::string_view collection,
                                             std::string_view key) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    const auto at = found->notes.find(key);
    return at == found->notes.end() ? std::optional<std::string>() : at->second;
  }
  Result<std::vector<StoreNote>> ListNotes(std::string_view collection, std::string_view prefix,
                                           std::string_view after, int limit) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    std::vector<StoreNote> notes;
    for (auto at = found->notes.lower_bound(prefix);
         at != found->notes.end() && at->first.starts_with(prefix) &&
         notes.size() < static_cast<size_t>(limit);
         ++at) {
      if (after.empty() || at->first > after) notes.push_back({at->first, at->second});
    }
    return notes;
  }

  Result<SearchResult> Search(const SearchRequest& request, const Context& ctx) override {
    RETURN_IF_ERROR(ctx.Check());
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(TakeFailure("search"));
    ++counts_.searches;
    last_search_ = request;
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(request.collection));
    RETURN_IF_ERROR(CheckRequest(request, found->info));
    const int64_t time =
        request.as_of.empty() ? clock_.UnixMicros() : ParseRfc3339(request.as_of).value();
    SearchResult result{.commit = commit_, .collection = found->info.id, .hits = {}};
    std::optional<Filter> filter;
    if (!request.filter.empty()) {
      ASSIGN_OR_RETURN(filter, Filter::Parse(request.filter));
    }
    for (const auto& [id, stored] : found->documents) {
      if (filter && !filter->Keeps(stored.info)) continue;
      if (IsHidden(*found, stored.info, time)) continue;
      if (MayRead(stored.info, request.groups)) ScorePassages(stored, request, &result.hits);
    }
    std::stable_sort(result.hits.begin(), result.hits.end(),
                     [](const Hit& a, const Hit& b) { return a.score > b.score; });
    for (size_t i = 0; request.explain && i < result.hits.size(); ++i) {
      const Hit& hit = result.hits[i];
      result.candidates.push_back({.passage_id = hit.passage.id,
                                   .document_id = hit.passage.document_id,
                                   .dense_rank = static_cast<uint32_t>(i + 1),
                                   .term_rank = 0,
                                   .dense_score = hit.dense_score,
                                   .term_score = hit.term_score,
                                   .score = hit.score,
                                   .cut = i < static_cast<size_t>(request.k) ? "" : "rank"});
    }
    if (result.hits.size() > static_cast<size_t>(request.k)) result.hits.resize(request.k);
    return result;
  }

  uint64_t commit_number() override {
    std::lock_guard lock(mutex_);
    return commit_;
  }

  Result<ChangeList> ChangesSince(uint64_t commit, int limit) override {
    std::lock_guard lock(mutex_);
    if (limit < 1) return InvalidArgument("limit must be at least 1");
    ChangeList list;
    list.through = commit_;
    list.trimmed = commit > commit_ || commit < forgotten_;
    for (const StoreChange& change : log_) {
      if (list.trimmed || change.commit <= commit) continue;
      const bool next_commit = list.changes.empty() || list.changes.back().commit < change.commit;
      if (next_commit && list.changes.size() >= static_cast<size_t>(limit)) {
        list.more = true;
        list.through = list.changes.back().commit;
        break;
      }
      list.changes.push_back(change);
    }
    return list;
  }
  // Trims the change log up to the present.
  void ForgetChanges() {
    std::lock_guard lock(mutex_);
    forgotten_ = commit_;
    log_.clear();
  }

  Result<VerifyReport> Verify(const Context& ctx) override {
    RETURN_IF_ERROR(ctx.Check());
    std::lock_guard lock(mutex_);
    VerifyReport report;
    for (const auto& [name, collection] : collections_) {
      for (const auto& [id, stored] : collection.documents) {
        ++report.documents;
        report.passages += stored.passages.size();
        report.vectors += stored.vectors.size() / static_cast<size_t>(collection.info.dimension);
      }
    }
    return report;
  }

  Result<ReembedReport> Reembed(std::string_view collection, const ReembedRequest& request,
                                const Context& ctx) override {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    ReembedReport report;
    for (auto& [id, stored] : found->documents) {
      std::vector<PassageToEmbed> passages;
      for (const Passage& passage : stored.passages)
        passages.push_back({stored.info.title, passage});
      ASSIGN_OR_RETURN(stored.vectors, request.embed(passages, ctx));
      report.embedded += passages.size();
    }
    found->info.embedder_id = request.embedder_id;
    found->info.dimension = request.dimension;
    Log(++commit_, StoreChange::Kind::kReembed, found->info.id);
    report.commit = commit_;
    report.passages = report.embedded;
    return report;
  }

  Status Erase(const Context& ctx) override {
    ++erased;
    return ctx.Check();
  }
  std::atomic<int> erased{0};  // how often it was asked to
  Status SealAll(const Context& ctx) override { return ctx.Check(); }
  Status SealDue(const Context& ctx) override {
    ++seals_due;
    return ctx.Check();
  }
  std::atomic<int> seals_due{0};  // how often it was asked to

 private:
  struct Failure {
    int skip = 0;
    Status status;
  };

  class Writer : public DocumentWriter {
   public:
    Writer(MemoryStore* store, std::string collection, const DocumentInfo& info, int dimension)
        : store_(store), collection_(std::move(collection)), dimension_(dimension) {
      staged_.info = info;
    }

    Status AddText(std::string_view utf8) override {
      RETURN_IF_ERROR(store_->LockedFailure("text"));
      if (committed_) return FailedPrecondition("the document is committed already");
      if (!IsValidUtf8(utf8)) {
        return InvalidArgument("the text is not valid UTF-8");
      }
      staged_.text.append(utf8);
      return OkStatus();
    }

    Status AddPassages(std::span<const Passage> passages, std::span<const float> vectors) override {
      RETURN_IF_ERROR(store_->LockedFailure("passages"));
      if (committed_) return FailedPrecondition("the document is committed already");
      if (vectors.size() != passages.size() * static_cast<size_t>(dimension_)) {
        return InvalidArgument(StrCat("document '", staged_.info.id, "': ", passages.size(),
                                      " passages with ", vectors.size(), " numbers; expected ",
                                      dimension_, " for each"));
      }
      for (const Passage& passage : passages) RETURN_IF_ERROR(Stage(passage));
      staged_.vectors.insert(staged_.vectors.end(), vectors.begin(), vectors.end());
      store_->NoteBatch(passages.size());
      return OkStatus();
    }

    Status PutNote(StoreNote note) override {
      staged_.notes.push_back(std::move(note));
      return OkStatus();
    }

    void KeepTimes(int64_t created, int64_t updated) override {
      staged_.created = created;
      staged_.updated = updated;
    }

    Result<CommitResult> Commit(const Context& ctx) override {
      RETURN_IF_ERROR(ctx.Check());
      RETURN_IF_ERROR(store_->LockedFailure("commit"));
      if (committed_) return FailedPrecondition("the document is committed already");
      committed_ = true;
      return store_->Publish(collection_, std::move(staged_));
    }

   private:
    Status Stage(const Passage& passage) {
      const std::string& text = staged_.text;
      const bool sane = passage.begin <= passage.end && passage.end <= text.size() &&
                        FloorToCodePoint(text, passage.begin) == passage.begin &&
                        FloorToCodePoint(text, passage.end) == passage.end;
      if (!sane) {
        return InvalidArgument(StrCat("document '", staged_.info.id, "': a passage [",
                                      passage.begin, ",", passage.end, ") that is outside"));
      }
      Passage& stored = staged_.passages.emplace_back(passage);
      stored.document_id = staged_.info.id;
      stored.text = text.substr(passage.begin, passage.end - passage.begin);
      return OkStatus();
    }

    MemoryStore* store_;
    std::string collection_;
    int dimension_;
    MemoryDocument staged_;
    bool committed_ = false;
  };

  Result<MemoryCollection*> Find(std::string_view name) {
    auto at = collections_.find(name);
    if (at == collections_.end()) return NotFound(StrCat("collection '", name, "' does not exist"));
    return &at->second;
  }

  Result<MemoryDocument*> FindStored(std::string_view collection, std::string_view document_id) {
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    auto at = found->documents.find(document_id);
    if (at == found->documents.end())
      return NotFound(StrCat("document '", document_id, "' does not exist"));
    return &at->second;
  }

  Status TakeFailure(const std::string& operation) {
    auto at = failures_.find(operation);
    if (at == failures_.end() || at->second.skip-- > 0) return OkStatus();
    Status status = at->second.status;
    failures_.erase(at);
    return status;
  }
  Status LockedFailure(const std::string& operation) {
    std::lock_guard lock(mutex_);
    return TakeFailure(operation);
  }
  void NoteBatch(size_t passages) {
    std::lock_guard lock(mutex_);
    ++counts_.passage_batches;
    counts_.largest_batch = std::max(counts_.largest_batch, passages);
  }

  void Log(uint64_t commit, StoreChange::Kind kind, uint32_t collection,
           const std::string& document_id = "", bool replaced = false) {
    log_.push_back({commit, kind, collection, document_id, replaced});
  }

  Result<CommitResult> Publish(const std::string& collection, MemoryDocument staged) {
    std::lock_guard lock(mutex_);
    ASSIGN_OR_RETURN(MemoryCollection * found, Find(collection));
    auto at = found->documents.find(staged.info.id);
    const bool created = at == found->documents.end();
    for (Passage& passage : staged.passages) passage.id = next_id_++;
    const int64_t now = clock_.UnixMicros();
    staged.info.revision = created ? 1 : at->second.info.revision + 1;
    staged.info.commit = ++commit_;
    staged.info.passage_count = staged.passages.size();
    staged.info.text_bytes = staged.text.size();
    staged.info.created_unix_micros =
        staged.created.value_or(created ? now : at->second.info.created_unix_micros);
    staged.info.updated_unix_micros = staged.updated.value_or(now);
    const CommitResult result{
        .commit = commit_, .revision = staged.info.revision, .created = created};
    ++counts_.committed;
    const std::string id = staged.info.id;
    Log(commit_, StoreChange::Kind::kPut, found->info.id, id, !created);
    KeepNotes(std::exchange(staged.notes, {}), found);
    found->documents[id] = std::move(staged);
    return result;
  }

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, MemoryCollection, std::less<>> collections_;
  std::map<std::string, Failure> failures_;
  Counts counts_;
  SearchRequest last_search_;
  uint64_t commit_ = 0, forgotten_ = 0;
  std::vector<StoreChange> log_;  // of the commits after forgotten_
  uint32_t next_collection_ = 1;
  PassageId next_id_ = 1;
};

}  // namespace vade::testing
