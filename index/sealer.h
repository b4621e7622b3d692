// Makes segments beside the readers: seals the tail, merges small segments, rewrites half-dead
// ones.
//
// One job at a time: gather the live rows of what is to be replaced, sort them by passage id, take
// the languages apart, build the graphs, write the files, and in one short step put the segments in
// place of their sources, with the slots that died meanwhile marked dead. Readers and writers go on
// all the time.
#pragma once

#include <mutex>
#include <optional>

#include "index/background_worker.h"
#include "index/core.h"

namespace vade {

// Where a row came from, so that its fate can be looked up again at the end.
struct RowOrigin {
  const Segment* segment = nullptr;  // null: the tail
  size_t slot = 0;
};

struct GatheredRows {
  explicit GatheredRows(size_t dimension) : rows(dimension) {}
  VectorBuffer rows;
  std::vector<RowOrigin> origins;  // of rows, same order
};

class Sealer {
 public:
  explicit Sealer(StoreCore* core);  // with a thread when core->options.background

  void Wake() { worker_.Wake(); }
  // Seals every tail and does every merge that is due, on the caller's thread.
  Status SealAll(const Context& ctx);
  // The same for tails that are long enough to be sealed by themselves.
  Status SealDue(const Context& ctx);
  // Seals and merges what is due of a state that nobody else sees, on the caller's thread.
  // `commit`: of the newest view that it knows of.
  Status SealApart(CollectionState* state, uint64_t commit, const Context& ctx);
  // Writes every segment with dead slots anew, without them.
  Status DropDead(const Context& ctx);

 private:
  struct Job;
  struct Made;
  size_t DueTail() const;
  Status SealCollections(size_t tail_at_least, const Context& ctx);
  bool OutgrowsMemory(const CollectionState& state) const;
  SegmentPlan PlanOf(const CollectionState& state, size_t rows) const;
  std::optional<Job> Plan(const CollectionState& state, size_t tail_at_least) const;
  Status SealCollection(const std::string& name, size_t tail_at_least, const Context& ctx);
  Status SealNext(const std::string& name, size_t tail_at_least, bool* done);
  Status DropNext(const std::string& name, const Context& ctx, bool* done);
  Status RunJob(const Job& job);
  Result<Made> MakePart(const Job& job, GatheredRows part);
  Result<std::vector<Made>> MakeParts(const Job& job);
  static void ReplaceIn(CollectionState* state, const Job& job, const std::vector<Made>& all);
  bool Replace(const Job& job, const std::vector<Made>& all);
  bool Overtaken(const Job& job) const;
  Result<std::shared_ptr<const Segment>> MakeSegment(const Job& job, const VectorRows& rows,
                                                     const std::string& path, uint64_t number);

  StoreCore* const core_;
  std::mutex job_mutex_;  // one job at a time
  BackgroundWorker worker_;
};

}  // namespace vade
