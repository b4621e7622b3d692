#include "index/view.h"

#include <algorithm>

namespace vade {
namespace {

constexpr size_t kMinBlockRows = 16, kMaxBlockRows = 1024;

// Blocks grow with the tail, so that many small collections stay small.
void AddBlock(Tail* tail, size_t dimension) {
  Tail::Block block{tail->length, std::make_shared<VectorBuffer>(dimension)};
  block.rows->Resize(std::clamp(tail->length, kMinBlockRows, kMaxBlockRows));
  tail->blocks.push_back(std::move(block));
}

void AppendRow(Tail* tail, const VectorRows& rows, size_t slot) {
  if (tail->blocks.empty() ||
      tail->length == tail->blocks.back().first + tail->blocks.back().rows->size()) {
    AddBlock(tail, rows.dimension);
  }
  const Tail::Block& last = tail->blocks.back();
  last.rows->SetRow(tail->length - last.first, rows, slot);
  ++tail->length;
}

// A copy of `dead` that has room for `slots`.
std::shared_ptr<Bitmap> CopyBitmap(const SharedBitmap& dead, size_t slots) {
  auto copy = dead ? std::make_shared<Bitmap>(*dead) : std::make_shared<Bitmap>();
  if (copy->size() < (slots + 63) / 64) copy->resize((slots + 63) / 64);
  return copy;
}

// Sets bits in a copy that is made when the first one is to be set.
class BitSetter {
 public:
  BitSetter(SharedBitmap* dead, size_t* dead_count, size_t slots)
      : dead_(dead), dead_count_(dead_count), slots_(slots) {}
  ~BitSetter() {
    if (copy_) *dead_ = std::move(copy_);
  }
  // False when it was set already.
  bool Set(size_t slot) {
    if (IsDead(copy_ ? copy_.get() : dead_->get(), slot)) return false;
    if (!copy_) copy_ = CopyBitmap(*dead_, slots_);
    (*copy_)[slot / 64] |= uint64_t{1} << (slot % 64);
    ++*dead_count_;
    return true;
  }

 private:
  SharedBitmap* dead_;
  size_t* dead_count_;
  size_t slots_;
  std::shared_ptr<Bitmap> copy_;
};

// `ranges` ascend and do not overlap.
bool Contains(const std::vector<PassageRange>& ranges, PassageId id) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), id,
                                [](PassageId a, const PassageRange& r) { return a < r.first; });
  return after != ranges.begin() && id - std::prev(after)->first < std::prev(after)->count;
}

void KillInSegment(SegmentState* state, const std::vector<PassageRange>& ranges,
                   LanguageSums* sums) {
  const VectorRows& rows = state->segment->rows();
  BitSetter bits(&state->dead, &state->dead_count, rows.count);
  for (const PassageRange& range : ranges) {
    const PassageId* end = rows.ids + rows.count;
    for (const PassageId* id = std::lower_bound(rows.ids, end, range.first);
         id != end && *id - range.first < range.count; ++id) {
      const size_t slot = static_cast<size_t>(id - rows.ids);
      if (bits.Set(slot)) sums->Subtract(rows, slot);
    }
  }
}

}  // namespace

void AppendToTail(Tail* tail, const VectorRows& rows) {
  for (size_t slot = 0; slot < rows.count; ++slot) AppendRow(tail, rows, slot);
}

void AppendPassages(CollectionState* state, const VectorRows& rows) {
  AppendToTail(&state->tail, rows);
  for (size_t slot = 0; slot < rows.count; ++slot) state->sums.Add(rows, slot);
}

LanguageSums SumLiveRows(const CollectionState& state) {
  LanguageSums sums;
  for (const SegmentState& s : state.segments) {
    const VectorRows& rows = s.segment->rows();
    for (size_t slot = 0; slot < rows.count; ++slot) {
      if (!IsDead(s.dead.get(), slot)) sums.Add(rows, slot);
    }
  }
  ForEachTailSlot(state.tail, state.tail.length, [&](const VectorRows& rows, size_t i, bool alive) {
    if (alive) sums.Add(rows, i);
  });
  return sums;
}

void KillPassages(CollectionState* state, std::vector<PassageRange> ranges) {
  if (ranges.empty()) return;
  for (const PassageRange& range : ranges) state->live.Remove(range);
  std::sort(ranges.begin(), ranges.end(),
            [](const PassageRange& a, const PassageRange& b) { return a.first < b.first; });
  for (SegmentState& segment : state->segments) KillInSegment(&segment, ranges, &state->sums);
  BitSetter bits(&state->tail.dead, &state->tail.dead_count, state->tail.length);
  size_t slot = 0;
  ForEachTailSlot(state->tail, state->tail.length, [&](const VectorRows& rows, size_t i, bool) {
    if (Contains(ranges, rows.ids[i]) && bits.Set(slot)) state->sums.Subtract(rows, i);
    ++slot;
  });
}

void KillSlots(SegmentState* segment, const std::vector<size_t>& slots) {
  BitSetter bits(&segment->dead, &segment->dead_count, segment->segment->rows().count);
  for (size_t slot : slots) bits.Set(slot);
}

Tail TailWithout(const Tail& tail, size_t count) {
  Tail rest;
  size_t slot = 0;
  ForEachTailSlot(tail, tail.length, [&](const VectorRows& rows, size_t i, bool alive) {
    if (slot++ >= count && alive) AppendRow(&rest, rows, i);
  });
  return rest;
}

}  // namespace vade
