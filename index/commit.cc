#include "index/commit.h"

#include <algorithm>
#include <set>

#include "base/bytes.h"

namespace vade {
namespace {
constexpr size_t kMaxGroup = 64;
}  // namespace

CommitEdit::CommitEdit(const View& current, int64_t now)
    : next_(std::make_shared<View>(current)), now_(now) {}

const CollectionState* CommitEdit::Find(std::string_view name) const {
  const auto found = next_->collections.find(name);
  return found == next_->collections.end() ? nullptr : found->second.get();
}

CollectionState* CommitEdit::Mutable(std::string_view name) {
  if (const auto copied = mutable_.find(name); copied != mutable_.end())
    return copied->second.get();
  const auto found = next_->collections.find(name);
  if (found == next_->collections.end()) return nullptr;
  auto copy = std::make_shared<CollectionState>(*found->second);
  found->second = copy;
  return (mutable_[found->first] = std::move(copy)).get();
}

void CommitEdit::AddCollection(std::shared_ptr<const CollectionState> state) {
  next_->collections[state->info.name] = std::move(state);
}

void CommitEdit::RemoveCollection(const std::string& name) { next_->collections.erase(name); }

struct Committer::Pending {
  CommitRequest request;
  Status status;
  uint64_t commit = 0;
  bool done = false;
};

Committer::Committer(Kv* kv, const Clock* clock, std::shared_ptr<const View> first)
    : kv_(kv), clock_(clock), view_(std::move(first)) {}

std::shared_ptr<const View> Committer::Current() const {
  std::lock_guard lock(view_mutex_);
  return view_;
}

void Committer::Publish(std::shared_ptr<const View> view) {
  std::lock_guard lock(view_mutex_);
  view_.swap(view);  // the old view is let go outside of the lock, by the caller's pointer
}

Result<uint64_t> Committer::Commit(CommitRequest request) {
  std::vector<CommitRequest> one;
  one.push_back(std::move(request));
  return CommitAll(std::move(one)).front();
}

std::vector<Result<uint64_t>> Committer::CommitAll(std::vector<CommitRequest> requests) {
  std::vector<Pending> all;
  for (CommitRequest& request : requests) all.push_back({std::move(request), {}, 0, false});
  Await(&all);
  std::vector<Result<uint64_t>> outcomes;
  for (const Pending& p : all) {
    outcomes.push_back(p.status.ok() ? Result<uint64_t>(p.commit) : Result<uint64_t>(p.status));
  }
  return outcomes;
}

// Until all are done. Whose request stands at the head of the queue leads the next group.
void Committer::Await(std::vector<Pending>* all) {
  std::unique_lock lock(queue_mutex_);
  for (Pending& pending : *all) queue_.push_back(&pending);
  for (Pending& pending : *all) {
    done_.wait(lock, [&] { return pending.done || (!leading_ && queue_.front() == &pending); });
    if (pending.done) continue;
    leading_ = true;
    const std::vector<Pending*> group = TakeGroup();
    lock.unlock();
    Run(group);
    lock.lock();
    for (Pending* p : group) p->done = true;
    leading_ = false;
    done_.notify_all();
  }
}

// From the front of the queue, as many requests as may share a batch.
std::vector<Committer::Pending*> Committer::TakeGroup() {
  std::vector<Pending*> group;
  std::set<std::string_view> subjects;
  while (!queue_.empty() && group.size() < kMaxGroup) {
    const std::string& subject = queue_.front()->request.subject;
    if (!group.empty() && (subject.empty() || !subjects.insert(subject).second)) break;
    if (group.empty()) subjects.insert(subject);
    group.push_back(queue_.front());
    queue_.pop_front();
    if (subject.empty()) break;
  }
  return group;
}

void Committer::Run(const std::vector<Pending*>& group) {
  std::lock_guard lock(edit_mutex_);
  CommitEdit edit(*Current(), clock_->UnixMicros());
  std::vector<Pending*> applied;
  for (Pending* p : group) {
    edit.batch_.Mark();
    edit.changes_.clear();
    p->status = p->request.apply(edit);
    if (!p->status.ok()) edit.batch_.RollBack();
    p->commit = edit.next_->commit;
    if (!p->status.ok() || edit.changes_.empty()) continue;
    p->commit = ++edit.next_->commit;
    edit.batch_.Put(Family::kChanges, ChangeKey(p->commit), Encode(edit.changes_));
    applied.push_back(p);
  }
  if (applied.empty()) return;
  std::string last;
  AppendFixed(&last, edit.next_->commit);
  edit.batch_.Put(Family::kMeta, "commit", last);
  if (const Status written = kv_->Write(edit.batch_, Durability::kSynced); !written.ok()) {
    for (Pending* p : applied) p->status = written;
    return;
  }
  edit.next_->snapshot = kv_->Snapshot();
  Publish(std::move(edit.next_));
}

Status Committer::Amend(const std::function<Status(View*, KvBatch*)>& edit, Durability durability) {
  std::lock_guard lock(edit_mutex_);
  auto next = std::make_shared<View>(*Current());
  KvBatch batch;
  RETURN_IF_ERROR(edit(next.get(), &batch));
  if (batch.empty()) return OkStatus();
  RETURN_IF_ERROR(kv_->Write(batch, durability));
  next->snapshot = kv_->Snapshot();
  Publish(std::move(next));
  return OkStatus();
}

Result<bool> Committer::Rearrange(CollectionId c, const KvBatch& batch) {
  std::lock_guard lock(edit_mutex_);
  auto next = std::make_shared<View>(*Current());
  const bool exists = std::any_of(next->collections.begin(), next->collections.end(),
                                  [&](const auto& one) { return one.second->id == c; });
  if (!exists) return false;
  RETURN_IF_ERROR(kv_->Write(batch, Durability::kBuffered));
  next->snapshot = kv_->Snapshot();
  Publish(std::move(next));
  return true;
}

void Committer::Republish(const std::function<void(View*)>& edit) {
  std::lock_guard lock(edit_mutex_);
  auto next = std::make_shared<View>(*Current());
  edit(next.get());
  Publish(std::move(next));
}

}  // namespace vade
