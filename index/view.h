// A view: one consistent state of the store, which searches and reads run on.
//
// View = {commit number, RocksDB snapshot, for each collection: sealed segments, the length of the
// append-only tail, which slots are dead, which passages are current, the sets of groups}. Views
// are immutable and shared. A commit makes the next one beside the current one and replaces it, so
// readers never wait, and whoever takes a view after a delete has returned cannot come upon what
// was deleted.
//
// A slot (a row of a segment or of the tail) is not a passage id: rows know their passage's id. A
// slot is dead when its passage is no longer current. Bitmaps of dead slots are copied when a bit
// is to be set.
//
// The functions below change a CollectionState that nobody else sees yet; only the committer calls
// them.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "index/kv.h"
#include "index/language_lift.h"
#include "index/live_ranges.h"
#include "index/records.h"
#include "index/segment.h"
#include "index/vectors.h"
#include "index/versions.h"

namespace vade {

// Bit i set: slot i is dead. Slots beyond the end are alive; null: all are.
using Bitmap = std::vector<uint64_t>;
using SharedBitmap = std::shared_ptr<const Bitmap>;
inline bool IsDead(const Bitmap* dead, size_t slot) {
  return dead && slot / 64 < dead->size() && ((*dead)[slot / 64] >> (slot % 64) & 1);
}

struct SegmentState {
  std::shared_ptr<const Segment> segment;
  SharedBitmap dead;
  size_t dead_count = 0;
};

// Vectors that are in no segment yet. Blocks are shared by successive views: a view reads the first
// `length` slots, the committer writes behind them.
struct Tail {
  struct Block {
    size_t first = 0;                    // slot of its first row
    std::shared_ptr<VectorBuffer> rows;  // as many as it can hold
  };
  std::vector<Block> blocks;
  size_t length = 0;
  SharedBitmap dead;
  size_t dead_count = 0;
};

// Group sets by number; number 0 is "everyone" and empty.
using GroupSets = std::vector<std::vector<std::string>>;

struct CollectionState {
  CollectionId id = 0;
  SpaceId space = 0;                              // of its vectors, segments and tail
  std::shared_ptr<const SpaceRecord> next_space;  // in the making (reembed.h); null: none
  CollectionInfo info;
  std::shared_ptr<const GroupSets> group_sets;
  std::vector<SegmentState> segments;
  Tail tail;
  LanguageSums sums;  // of all live rows
  LiveRanges live;
  uint64_t word_count = 0;                       // of all live passages
  std::shared_ptr<const VersionTable> versions;  // null: no document has any
};

struct View {
  uint64_t commit = 0;
  KvSnapshot snapshot;
  std::map<std::string, std::shared_ptr<const CollectionState>, std::less<>> collections;
};

// Copies the rows behind the tail's end.
void AppendToTail(Tail* tail, const VectorRows& rows);

// The same, for passages that become current: they are counted in the sums.
void AppendPassages(CollectionState* state, const VectorRows& rows);

// The sums of the rows that are alive, from the rows alone.
LanguageSums SumLiveRows(const CollectionState& state);

// Marks the slots of these passages dead, in the tail and in all segments, and takes them off the
// sums and off what is current. Unknown ids are skipped.
void KillPassages(CollectionState* state, std::vector<PassageRange> ranges);

// Marks slots of one segment dead.
void KillSlots(SegmentState* segment, const std::vector<size_t>& slots);

// The tail without its first `count` slots and without dead ones: what is left after sealing them.
Tail TailWithout(const Tail& tail, size_t count);

// Calls visit(rows, slot in rows, alive) for every slot of [0, limit) of the tail, in order.
template <typename F>
void ForEachTailSlot(const Tail& tail, size_t limit, F visit) {
  for (const Tail::Block& block : tail.blocks) {
    const VectorRows rows = block.rows->rows();
    for (size_t i = 0; i < rows.count && block.first + i < limit; ++i) {
      visit(rows, i, !IsDead(tail.dead.get(), block.first + i));
    }
  }
}

}  // namespace vade
