// Makes segments beside the readers: seals the tail, merges small segments, rewrites half-dead
// ones.
//
// One job at a time: gather the live rows of what is to be replaced, sort them by passage id, build
// the graph, write the file, and in one short step put the segment in place of its sources, with
// the slots that died meanwhile marked dead. Readers and writers go on all the time.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "index/core.h"

namespace vade {

class Sealer {
 public:
  // Starts the thread when core->options.background. Stops and joins it in the destructor.
  explicit Sealer(StoreCore* core);
  ~Sealer();

  void Wake();
  // Seals every tail and does every merge that is due, on the caller's thread.
  Status SealAll(const Context& ctx);
  // The same for tails that are long enough to be sealed by themselves.
  Status SealDue(const Context& ctx);

 private:
  struct Job;
  void Loop();
  bool WaitForWork();
  void WaitToRetry();
  size_t DueTail() const;
  Status SealCollections(size_t tail_at_least, const Context& ctx);
  std::optional<Job> Plan(const CollectionState& state, size_t tail_at_least) const;
  Status SealCollection(const std::string& name, size_t tail_at_least, const Context& ctx);
  Status SealNext(const std::string& name, size_t tail_at_least, bool* done);
  Status RunJob(const Job& job);
  Result<std::shared_ptr<const Segment>> MakeSegment(const Job& job, const VectorRows& rows,
                                                     const std::string& path, uint64_t number);

  StoreCore* const core_;
  std::mutex job_mutex_;  // one job at a time
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool woken_ = true;  // what the last process left undone
  std::thread thread_;
};

}  // namespace vade
