// The Store of this machine: one process, one data directory. This file is the facade and the plain
// reads; the parts are document_writer.cc, delete_documents.cc, collections.cc, changes.cc,
// notes.cc, search.cc, sealer.cc, term_keeper.cc, eraser.cc, open.cc, verify.cc.
#include <algorithm>

#include "base/strings.h"
#include "index/core.h"
#include "index/eraser.h"
#include "index/filter.h"
#include "index/open.h"
#include "index/reembed.h"
#include "index/sealer.h"
#include "index/term_keeper.h"

namespace vade {
namespace {

constexpr int kMaxPage = 10000;

class LocalStore : public Store {
 public:
  static Result<std::unique_ptr<Store>> Open(const std::string& directory,
                                             const StoreOptions& options);
  ~LocalStore() override {
    eraser_.reset();
    keeper_.reset();
    sealer_.reset();
  }

  Status CreateCollection(const CollectionInfo& info) override {
    return CreateCollectionIn(&core_, info);
  }
  Result<CollectionInfo> GetCollection(std::string_view name) override;
  Result<std::vector<CollectionInfo>> ListCollections() override;
  Status DeleteCollection(std::string_view name) override {
    return DeleteCollectionIn(&core_, name);
  }

  Result<std::unique_ptr<DocumentWriter>> BeginDocument(std::string_view collection,
                                                        const DocumentInfo& info) override {
    return StageDocument(&core_, collection, info);
  }
  std::vector<Result<CommitResult>> CommitTogether(std::span<DocumentWriter* const> writers,
                                                   const Context& ctx) override {
    return CommitDocuments(&core_, writers, ctx);
  }
  Result<std::optional<DocumentInfo>> FindDocument(std::string_view collection,
                                                   std::string_view document_id) override;
  Result<std::optional<DocumentInfo>> FindByHash(std::string_view collection,
                                                 std::string_view content_hash) override;
  Result<Document> GetDocument(std::string_view collection, std::string_view document_id) override;
  Result<DocumentPage> ListDocuments(std::string_view collection,
                                     const DocumentQuery& query) override;
  Result<std::vector<Passage>> GetPassages(std::string_view collection,
                                           std::string_view document_id,
                                           std::vector<float>* vectors) override;
  Result<std::unique_ptr<CollectionReader>> ReadCollection(std::string_view collection) override {
    return ReadCollectionOf(core_, collection);
  }
  Result<uint64_t> DeleteDocuments(std::string_view collection,
                                   std::span<const std::string> document_ids,
                                   const Context& ctx) override {
    return DeleteDocumentsOf(&core_, collection, document_ids, ctx);
  }
  Status PutNotes(std::string_view collection, std::span<const StoreNote> notes) override {
    return PutNotesIn(&core_, collection, notes);
  }
  Status RemoveNotesOf(std::string_view collection, std::string_view document_id,
                       std::span<const std::string> keys) override {
    return RemoveNotesIn(&core_, collection, document_id, keys);
  }
  Result<std::optional<std::string>> GetNote(std::string_view collection,
                                             std::string_view key) override {
    return GetNoteOf(core_, collection, key);
  }
  Result<std::vector<StoreNote>> ListNotes(std::string_view collection, std::string_view prefix,
                                           std::string_view after, int limit) override {
    return ListNotesOf(core_, collection, prefix, after, limit);
  }
  Result<SearchResult> Search(const SearchRequest& request, const Context& ctx) override {
    return SearchView(&core_, *core_.committer->Current(), request, ctx);
  }
  Result<ReembedReport> Reembed(std::string_view collection, const ReembedRequest& request,
                                const Context& ctx) override {
    return ReembedCollection(&core_, sealer_.get(), collection, request, ctx);
  }
  uint64_t commit_number() override { return core_.committer->Current()->commit; }
  Result<ChangeList> ChangesSince(uint64_t commit, int limit) override {
    return ChangesOf(*core_.kv, *core_.committer->Current(), commit, limit);
  }
  Result<VerifyReport> Verify(const Context& ctx) override { return VerifyStore(core_, ctx); }
  Status SealAll(const Context& ctx) override {
    RETURN_IF_ERROR(sealer_->SealAll(ctx));
    return keeper_->Tidy(TermKeeper::Extent::kAll, ctx);
  }
  Status SealDue(const Context& ctx) override {
    RETURN_IF_ERROR(sealer_->SealDue(ctx));
    RETURN_IF_ERROR(keeper_->Tidy(TermKeeper::Extent::kDue, ctx));
    return eraser_->EraseDue(ctx);
  }
  Status Erase(const Context& ctx) override { return eraser_->EraseNow(ctx); }

 private:
  // One consistent state of one collection, for a read.
  struct Reading {
    std::shared_ptr<const View> view;
    std::shared_ptr<const CollectionState> state;
  };
  Result<Reading> Begin(std::string_view collection) const;
  Result<DocumentRecord> RequireDocument(const Reading& reading, std::string_view collection,
                                         std::string_view document_id) const;
  Result<Passage> ReadPassage(const Reading& reading, const DocumentRecord& record, PassageId id,
                              TextReader* text) const;
  Status AppendVector(const Reading& reading, PassageId id, std::vector<float>* vectors) const;

  std::unique_ptr<FileLock> lock_;  // released last
  StoreCore core_;
  std::unique_ptr<Sealer> sealer_;
  std::unique_ptr<TermKeeper> keeper_;
  std::unique_ptr<Eraser> eraser_;
};

Status ValidateOptions(const StoreOptions& options) {
  if (options.hnsw_m < 2 || options.hnsw_m > 128 || options.hnsw_ef_construction < 1 ||
      options.hnsw_ef_search < 1 || options.max_segment_rows < 1) {
    return InvalidArgument(
        "store options: hnsw_m must be 2 to 128, the ef values and max_segment_rows at least 1");
  }
  return OkStatus();
}

Result<std::unique_ptr<Store>> LocalStore::Open(const std::string& directory,
                                                const StoreOptions& options) {
  RETURN_IF_ERROR(ValidateOptions(options));
  auto store = std::make_unique<LocalStore>();
  ASSIGN_OR_RETURN(store->lock_, LockDirectory(directory, options.create_if_missing));
  StoreCore& core = store->core_;
  core.directory = directory;
  core.options = options;
  core.clock = options.clock ? options.clock : &SystemClock();
  if (options.scanner) {
    core.device = std::make_unique<DeviceScan>(options.scanner, options.scan_on_device_from);
  }
  RETURN_IF_ERROR(OpenDatabase(&core));
  RETURN_IF_ERROR(CollectLeftovers(&core));
  RETURN_IF_ERROR(MigrateFormat(&core));
  ASSIGN_OR_RETURN(auto view, LoadView(&core));
  core.committer = std::make_unique<Committer>(core.kv.get(), core.clock, std::move(view));
  store->sealer_ = std::make_unique<Sealer>(&core);
  store->keeper_ = std::make_unique<TermKeeper>(&core);
  store->eraser_ = std::make_unique<Eraser>(&core, store->sealer_.get(), store->keeper_.get());
  core.after_commit = [sealer = store->sealer_.get(), keeper = store->keeper_.get(),
                       eraser = store->eraser_.get()] {
    sealer->Wake();
    keeper->Wake();
    eraser->Note();
  };
  return std::unique_ptr<Store>(std::move(store));
}

Result<LocalStore::Reading> LocalStore::Begin(std::string_view collection) const {
  Reading reading{core_.committer->Current(), nullptr};
  ASSIGN_OR_RETURN(reading.state, FindCollection(*reading.view, collection));
  return reading;
}

Result<CollectionInfo> LocalStore::GetCollection(std::string_view name) {
  ASSIGN_OR_RETURN(const Reading reading, Begin(name));
  return reading.state->info;
}

Result<std::vector<CollectionInfo>> LocalStore::ListCollections() {
  const auto view = core_.committer->Current();
  std::vector<CollectionInfo> infos;
  for (const auto& [name, state] : view->collections) infos.push_back(state->info);
  return infos;
}

Result<std::optional<DocumentInfo>> LocalStore::FindDocument(std::string_view collection,
                                                             std::string_view document_id) {
  ASSIGN_OR_RETURN(const Reading reading, Begin(collection));
  ASSIGN_OR_RETURN(auto record,
                   ReadDocument(*core_.kv, reading.view->snapshot, reading.state->id, document_id));
  if (!record) return std::optional<DocumentInfo>();
  return std::optional<DocumentInfo>(std::move(record->info));
}

Result<std::optional<DocumentInfo>> LocalStore::FindByHash(std::string_view collection,
                                                           std::string_view content_hash) {
  ASSIGN_OR_RETURN(const Reading reading, Begin(collection));
  if (content_hash.size() > 255) return std::optional<DocumentInfo>();
  const std::string prefix = HashPrefix(reading.state->id, content_hash);
  const auto scan =
      core_.kv->Scan(Family::kDocuments, prefix, PrefixEnd(prefix), reading.view->snapshot);
  RETURN_IF_ERROR(scan->status());
  if (!scan->Valid()) return std::optional<DocumentInfo>();
  ASSIGN_OR_RETURN(auto record, ReadDocument(*core_.kv, reading.view->snapshot, reading.state->id,
                                             scan->key().substr(prefix.size())));
  if (!record)
    return DataLoss("a content hash names a document that is not there; run vade verify");
  return std::optional<DocumentInfo>(std::move(record->info));
}

Result<DocumentRecord> LocalStore::RequireDocument(const Reading& reading,
                                                   std::string_view collection,
                                                   std::string_view document_id) const {
  ASSIGN_OR_RETURN(auto record,
                   ReadDocument(*core_.kv, reading.view->snapshot, reading.state->id, document_id));
  if (record) return std::move(*record);
  return NotFound(StrCat("collection '", collection, "' has no document '", document_id,
                         "'; vade docs list shows what there is"));
}

Result<Document> LocalStore::GetDocument(std::string_view collection,
                                         std::string_view document_id) {
  ASSIGN_OR_RETURN(const Reading reading, Begin(collection));
  ASSIGN_OR_RETURN(DocumentRecord record, RequireDocument(reading, collection, document_id));
  TextReader reader(*core_.kv, reading.view->snapshot, reading.state->id, record.revision_key);
  ASSIGN_OR_RETURN(std::string text, reader.Read(0, record.info.text_bytes));
  return Document{std::move(record.info), std::move(text)};
}

Result<DocumentPage> LocalStore::ListDocuments(std::string_view collection,
                                               const DocumentQuery& query) {
  ASSIGN_OR_RETURN(const Reading reading, Begin(collection));
  if (query.limit < 1)
    return InvalidArgument(StrCat("a page of ", query.limit, " documents; ask for at least 1"));
  std::optional<Filter> filter;
  if (!query.filter.empty()) {
    ASSIGN_OR_RETURN(filter, Filter::Parse(query.filter));
  }
  const auto shown = [&](const DocumentInfo& info) {
    return (!query.caller_groups || MaySee(info.groups, *query.caller_groups)) &&
           (!filter || filter->Keeps(info));
  };
  const size_t most = static_cast<size_t>(std::min(query.limit, kMaxPage));
  const std::string prefix = FamilyPrefix(reading.state->id, 'd');
  const std::string begin = query.after.empty() ? prefix : prefix + query.after + '\0';
  const auto scan =
      core_.kv->Scan(Family::kDocuments, begin, PrefixEnd(prefix), reading.view->snapshot);
  DocumentPage page;
  for (; scan->Valid(); scan->Next()) {
    ASSIGN_OR_RETURN(DocumentRecord record,
                     DecodeDocument(scan->key().substr(prefix.size()), scan->value()));
    if (!shown(record.info)) continue;
    if (page.documents.size() == most) {
      page.next = page.documents.back().id;
      break;
    }
    page.documents.push_back(std::move(record.info));
  }
  RETURN_IF_ERROR(scan->status());
  return page;
}

Result<Passage> LocalStore::ReadPassage(const Reading& reading, const DocumentRecord& record,
                                        PassageId id, TextReader* text) const {
  ASSIGN_OR_RETURN(
      const auto bytes,
      core_.kv->Get(Family::kPassages, PassageKey(reading.state->id, id), reading.view->snapshot));
  if (!bytes) return DataLoss(StrCat("passage ", id, " is missing; run vade verify"));
  ASSIGN_OR_RETURN(PassageRecord passage, DecodePassage(*bytes));
  ASSIGN_OR_RETURN(std::string words, text->Read(passage.begin, passage.length));
  return PassageOf(id, record.info.id, std::move(passage), std::move(words));
}

Status LocalStore::AppendVector(const Reading& reading, PassageId id,
                                std::vector<float>* vectors) const {
  ASSIGN_OR_RETURN(const bool found,
                   AppendVectorOf(*core_.kv, reading.view->snapshot, *reading.state, id, vectors));
  if (!found) return DataLoss(StrCat("passage ", id, " has no vector; run vade verify"));
  return OkStatus();
}

Result<std::vector<Passage>> LocalStore::GetPassages(std::string_view collection,
                                                     std::string_view document_id,
                                                     std::vector<float>* vectors) {
  ASSIGN_OR_RETURN(const Reading reading, Begin(collection));
  ASSIGN_OR_RETURN(const DocumentRecord record, RequireDocument(reading, collection, document_id));
  TextReader text(*core_.kv, reading.view->snapshot, reading.state->id, record.revision_key);
  std::vector<Passage> passages;
  if (vectors) vectors->clear();
  for (const PassageRange& range : record.ranges) {
    for (uint64_t i = 0; i < range.count; ++i) {
      ASSIGN_OR_RETURN(Passage passage, ReadPassage(reading, record, range.first + i, &text));
      passages.push_back(std::move(passage));
      if (vectors) RETURN_IF_ERROR(AppendVector(reading, range.first + i, vectors));
    }
  }
  return passages;
}

}  // namespace

Result<std::unique_ptr<Store>> OpenStore(const std::string& directory,
                                         const StoreOptions& options) {
  return LocalStore::Open(directory, options);
}

}  // namespace vade
