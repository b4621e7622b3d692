// Deleting documents: the keys go, the slots die, and only then does the caller hear that it is
// done.
#include <algorithm>

#include "base/strings.h"
#include "index/core.h"

namespace vade {
namespace {

// Documents deleted by one commit. Its batch grows with their passages too: those of short ranges
// go key by key.
constexpr size_t kDocumentsPerCommit = 256;

Result<std::vector<DocumentRecord>> ReadAll(const Kv& kv, CollectionId c,
                                            std::span<const std::string> ids) {
  std::vector<DocumentRecord> records;
  for (const std::string& id : ids) {
    ASSIGN_OR_RETURN(auto record, ReadDocument(kv, nullptr, c, id));
    if (record) records.push_back(std::move(*record));
  }
  return records;
}

// The collection that the caller meant: its name may by now be another one's.
struct Target {
  std::string name;
  CollectionId id = 0;
};

Status ApplyDelete(const StoreCore& core, const Target& collection,
                   std::span<const std::string> ids, CommitEdit& edit, uint64_t* deleted) {
  *deleted = 0;
  const CollectionState* state = edit.Find(collection.name);
  const CollectionId c = collection.id;
  if (!state || state->id != c) return OkStatus();  // deleted meanwhile, with all of its documents
  ASSIGN_OR_RETURN(const std::vector<DocumentRecord> records, ReadAll(*core.kv, c, ids));
  if (records.empty()) return OkStatus();
  uint64_t words = 0;
  for (const DocumentRecord& record : records) {
    ASSIGN_OR_RETURN(const uint64_t some, CountWords(*core.kv, c, record.revision_key));
    words += some;
  }
  *deleted = records.size();
  CollectionState* next = edit.Mutable(collection.name);
  std::vector<PassageRange> ranges;
  for (const DocumentRecord& record : records) {
    DeleteDocumentContent(*next, record, &edit.batch());
    ranges.insert(ranges.end(), record.ranges.begin(), record.ranges.end());
    next->info.passage_count -= record.info.passage_count;
    --next->info.document_count;
    UpdateVersions(next, record.info.id, std::nullopt);
    edit.Log({ChangeKind::kDelete, c, 0, record.revision_key, record.info.id});
  }
  next->word_count -= words;
  KillPassages(next, std::move(ranges));
  return OkStatus();
}

}  // namespace

Result<uint64_t> DeleteDocumentsOf(StoreCore* core, std::string_view collection,
                                   std::span<const std::string> document_ids, const Context& ctx) {
  ASSIGN_OR_RETURN(const auto state, FindCollection(*core->committer->Current(), collection));
  std::vector<std::string> ids(document_ids.begin(), document_ids.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const Target target{std::string(collection), state->id};
  uint64_t total = 0;
  for (size_t begin = 0; begin < ids.size(); begin += kDocumentsPerCommit) {
    RETURN_IF_ERROR(ctx.Check());
    const auto some =
        std::span(ids).subspan(begin, std::min(kDocumentsPerCommit, ids.size() - begin));
    uint64_t deleted = 0;
    // A delete of one document may travel with writes of others.
    const std::string subject = some.size() == 1 ? StrCat(target.id, "/", some[0]) : "";
    const auto committed =
        core->committer->Commit({subject, [&](CommitEdit& edit) {
                                   return ApplyDelete(*core, target, some, edit, &deleted);
                                 }});
    if (!committed.ok()) return committed.status();
    total += deleted;
  }
  if (total > 0) core->after_commit();
  return total;
}

}  // namespace vade
