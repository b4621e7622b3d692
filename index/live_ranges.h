// Which passages of a collection are current, and who may see them: ranges of ids, each of one
// revision, in ascending order.
//
// Copies share their chunks, so a view keeps its own at the price of one chunk a change. Changed by
// the committer alone, on a copy that nobody else sees yet; read by any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "index/records.h"

namespace vade {

struct LiveRange {
  PassageRange range;
  GroupSetId group_set = 0;
  friend bool operator==(const LiveRange&, const LiveRange&) = default;
};

class LiveRanges {
 public:
  static LiveRanges Of(const std::vector<LiveRange>& ascending);
  void Add(const LiveRange& range);
  // Every range that begins within it.
  void Remove(const PassageRange& range);
  // Null when the passage is not current.
  const LiveRange* Find(PassageId id) const;
  uint64_t CountFrom(PassageId id) const;  // passages of ranges that begin at `id` or behind it
  std::vector<LiveRange> All() const;      // ascending
  PassageId End() const;                   // greater than every current passage

 private:
  friend class LiveCursor;
  using Chunk = std::vector<LiveRange>;  // never empty
  size_t ChunkOf(PassageId id) const;    // the last that begins at or before it, else the first
  std::vector<std::shared_ptr<const Chunk>> chunks_;
};

// Looks up one id after the other; cheap where they ascend. Borrows the ranges.
class LiveCursor {
 public:
  explicit LiveCursor(const LiveRanges& ranges) : ranges_(&ranges) {}
  const LiveRange* Find(PassageId id) {
    if (at_ && id - at_->range.first < at_->range.count) return at_;
    return at_ = ranges_->Find(id);
  }

 private:
  const LiveRanges* ranges_;
  const LiveRange* at_ = nullptr;
};

}  // namespace vade
