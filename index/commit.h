// How writes become visible: one at a time decided, many at a time written, then one new view.
//
// Threads that commit queue up; the first of them takes what has gathered, lets each request add to
// one batch, writes it with one wait for the disk, publishes one view and wakes the others. Every
// request has a commit number of its own. A request that cannot be applied leaves no trace in the
// batch; a batch that cannot be written fails all of its requests and changes nothing.
//
// Thread rule: everything may be called from any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "index/view.h"

namespace vade {

// The next state in the making, as one request sees it. Reads of the database by a request see the
// state before the batch, so requests on the same thing (CommitRequest::subject) never share one.
class CommitEdit {
 public:
  KvBatch& batch() { return batch_; }
  uint64_t commit() const { return next_->commit + 1; }
  int64_t now_unix_micros() const { return now_; }
  void Log(Change change) { changes_.push_back(std::move(change)); }

  // Null when there is no such collection.
  const CollectionState* Find(std::string_view name) const;
  // The state to be changed, copied when first asked for. A request changes it only once nothing of
  // its own can fail any more.
  CollectionState* Mutable(std::string_view name);
  void AddCollection(std::shared_ptr<const CollectionState> state);
  void RemoveCollection(const std::string& name);

 private:
  friend class Committer;
  CommitEdit(const View& current, int64_t now);
  KvBatch batch_;
  std::vector<Change> changes_;
  std::shared_ptr<View> next_;
  std::map<std::string, std::shared_ptr<CollectionState>, std::less<>> mutable_;
  const int64_t now_;
};

struct CommitRequest {
  std::string subject;  // "" shares a batch with nothing
  std::function<Status(CommitEdit&)> apply;
};

class Committer {
 public:
  // Borrows both. `first` is the view at open.
  Committer(Kv* kv, const Clock* clock, std::shared_ptr<const View> first);

  std::shared_ptr<const View> Current() const;

  // Returns once the request is durable and visible (its commit number), or has failed without
  // effect. A request that logs no change is none: nothing is written, and the current number is
  // returned.
  Result<uint64_t> Commit(CommitRequest request);

  // The same for several, in their order: they share batches as those of several threads do.
  std::vector<Result<uint64_t>> CommitAll(std::vector<CommitRequest> requests);

  // Writes what tells readers nothing new (terms moved about, terms of passages that are gone) and
  // republishes the view as of then. False, and nothing written, when the collection is no more.
  Result<bool> Rearrange(CollectionId c, const KvBatch& batch);

  // Between two commits: what `edit` puts into the batch is written, and the view that it may
  // change is published, at the same commit number. `edit` must not wait; when it fails, or writes
  // and changes nothing, nothing happens.
  Status Amend(const std::function<Status(View* view, KvBatch* batch)>& edit,
               Durability durability);

  // Replaces derived parts of the current view, at the same commit number. `edit` must not wait.
  void Republish(const std::function<void(View*)>& edit);

 private:
  struct Pending;
  void Await(std::vector<Pending>* all);
  std::vector<Pending*> TakeGroup();
  void Run(const std::vector<Pending*>& group);
  void Publish(std::shared_ptr<const View> view);

  Kv* const kv_;
  const Clock* const clock_;

  std::mutex queue_mutex_;  // guards queue_ and leading_
  std::condition_variable done_;
  std::deque<Pending*> queue_;
  bool leading_ = false;

  std::mutex edit_mutex_;  // held while the next view is made: by the leader, or Republish

  mutable std::mutex view_mutex_;  // held for the copy of a pointer
  std::shared_ptr<const View> view_;
};

}  // namespace vade
