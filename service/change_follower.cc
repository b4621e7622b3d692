#include "service/change_follower.h"

#include "base/strings.h"

namespace vade {
namespace {

constexpr int kChangesAtOnce = 1000;

Status Explain(const Status& status) {
  if (status.ok()) return status;
  return Status(status.code(),
                StrCat("the store has changed, but a file that was derived from an earlier text "
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
    files_->SetAppliedCommit(list.through);
    if (!list.more) return OkStatus();
  }
}

}  // namespace vade
