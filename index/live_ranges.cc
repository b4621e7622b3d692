#include "index/live_ranges.h"

#include <algorithm>

namespace vade {
namespace {

constexpr size_t kMaxChunk = 256;

bool BeginsBefore(const LiveRange& a, PassageId id) { return a.range.first < id; }
bool IdBefore(PassageId id, const LiveRange& a) { return id < a.range.first; }

}  // namespace

size_t LiveRanges::ChunkOf(PassageId id) const {
  const auto after = std::upper_bound(chunks_.begin(), chunks_.end(), id,
                                      [](PassageId wanted, const std::shared_ptr<const Chunk>& c) {
                                        return wanted < c->front().range.first;
                                      });
  return after == chunks_.begin() ? 0 : static_cast<size_t>(after - chunks_.begin()) - 1;
}

LiveRanges LiveRanges::Of(const std::vector<LiveRange>& ascending) {
  constexpr size_t kFill = kMaxChunk * 3 / 4;
  LiveRanges ranges;
  for (size_t begin = 0; begin < ascending.size(); begin += kFill) {
    const auto end =
        ascending.begin() + static_cast<std::ptrdiff_t>(std::min(begin + kFill, ascending.size()));
    ranges.chunks_.push_back(
        std::make_shared<const Chunk>(ascending.begin() + static_cast<std::ptrdiff_t>(begin), end));
  }
  return ranges;
}

void LiveRanges::Add(const LiveRange& range) {
  if (chunks_.empty()) {
    chunks_.push_back(std::make_shared<const Chunk>(1, range));
    return;
  }
  const size_t at = ChunkOf(range.range.first);
  auto chunk = std::make_shared<Chunk>(*chunks_[at]);
  chunk->insert(std::upper_bound(chunk->begin(), chunk->end(), range.range.first, IdBefore), range);
  if (chunk->size() > kMaxChunk) {
    // Ids mostly ascend: the full half stays full.
    const auto middle = chunk->begin() + kMaxChunk * 3 / 4;
    chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                   std::make_shared<const Chunk>(middle, chunk->end()));
    chunk->erase(middle, chunk->end());
  }
  chunks_[at] = std::move(chunk);
}

void LiveRanges::Remove(const PassageRange& range) {
  const PassageId last = range.first + (range.count - 1);
  for (size_t at = ChunkOf(range.first); at < chunks_.size();) {
    if (chunks_[at]->front().range.first > last) break;
    auto chunk = std::make_shared<Chunk>(*chunks_[at]);
    chunk->erase(std::lower_bound(chunk->begin(), chunk->end(), range.first, BeginsBefore),
                 std::upper_bound(chunk->begin(), chunk->end(), last, IdBefore));
    if (chunk->empty()) {
      chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      chunks_[at++] = std::move(chunk);
    }
  }
}

const LiveRange* LiveRanges::Find(PassageId id) const {
  if (chunks_.empty()) return nullptr;
  const Chunk& chunk = *chunks_[ChunkOf(id)];
  const auto after = std::upper_bound(chunk.begin(), chunk.end(), id, IdBefore);
  if (after == chunk.begin()) return nullptr;
  const LiveRange& range = *std::prev(after);
  return id - range.range.first < range.range.count ? &range : nullptr;
}

uint64_t LiveRanges::CountFrom(PassageId id) const {
  uint64_t count = 0;
  for (size_t at = chunks_.empty() ? 0 : ChunkOf(id); at < chunks_.size(); ++at) {
    for (const LiveRange& one : *chunks_[at]) {
      if (one.range.first >= id) count += one.range.count;
    }
  }
  return count;
}

std::vector<LiveRange> LiveRanges::All() const {
  std::vector<LiveRange> all;
  for (const auto& chunk : chunks_) all.insert(all.end(), chunk->begin(), chunk->end());
  return all;
}

PassageId LiveRanges::End() const {
  if (chunks_.empty()) return 0;
  const PassageRange& last = chunks_.back()->back().range;
  return last.first + last.count;
}

}  // namespace vade
