#include "service/change_follower.h"

#include <map>
#include <string>

#include "base/strings.h"
#include "ingest/document_tables.h"
#include "ingest/near_documents.h"

namespace vade {
namespace {

constexpr int kChangesAtOnce = 1000;

Status Explain(const Status& status) {
  if (status.ok()) return status;
  return Status(status.code(),
                StrCat("the store has changed, but what was derived from an earlier text "
                       "could not be removed: ",
                       status.message(), "; it is tried again with the next change"));
}

}  // namespace

Status ChangeFollower::Forget(const StoreChange& change, Generator* generator) {
  const bool text_went = change.kind == StoreChange::Kind::kDelete ||
                         change.kind == StoreChange::Kind::kDeleteCollection ||
                         (change.kind == StoreChange::Kind::kPut && change.replaced);
  if (!text_went) return OkStatus();
  const std::string document =
      change.kind == StoreChange::Kind::kDeleteCollection ? "" : change.document_id;
  const Status forgotten = files_->Forget({change.collection, document, change.commit});
  if (generator != nullptr) generator->Forget(change.collection, document);
  return forgotten;
}

// Notes go after a delete, not with it: whoever deleted may have died before they went. Those of a
// document of that name that was put meanwhile stay.
Status ChangeFollower::ForgetNotes(const std::vector<StoreChange>& changes) {
  std::map<uint32_t, std::vector<std::string>> deleted;
  for (const StoreChange& change : changes) {
    if (change.kind == StoreChange::Kind::kDelete)
      deleted[change.collection].push_back(change.document_id);
  }
  if (deleted.empty()) return OkStatus();
  ASSIGN_OR_RETURN(const auto collections, store_->ListCollections());
  for (const CollectionInfo& collection : collections) {
    const auto found = deleted.find(collection.id);
    if (found == deleted.end()) continue;
    RETURN_IF_ERROR(DocumentTables(store_, collection.name).Forget(found->second));
    RETURN_IF_ERROR(NearDocuments(store_, collection.name).Forget(found->second));
  }
  return OkStatus();
}

Status ChangeFollower::CatchUp(Generator* generator) {
  std::lock_guard lock(mutex_);
  for (;;) {
    ASSIGN_OR_RETURN(const ChangeList list,
                     store_->ChangesSince(files_->applied_commit(), kChangesAtOnce));
    if (list.trimmed) {
      const Status forgotten = files_->ForgetEverything(list.through);
      if (generator != nullptr) generator->ForgetAll();
      RETURN_IF_ERROR(Explain(forgotten));
    }
    for (const StoreChange& change : list.changes)
      RETURN_IF_ERROR(Explain(Forget(change, generator)));
    RETURN_IF_ERROR(Explain(ForgetNotes(list.changes)));
    files_->SetAppliedCommit(list.through);
    if (!list.more) return OkStatus();
  }
}

}  // namespace vade
