#include "index/walk.h"

#include "kernels/kernels.h"

namespace vade {
namespace {

// Which slots a walk has been to: a bit each, so that those of a whole segment stay in the cache
// (32 KiB at most) and clearing them costs less than a page of codes.
class VisitedSet {
 public:
  void Begin(size_t slots) { bits_.assign((slots + 63) / 64, 0); }
  bool Insert(uint32_t slot) {
    uint64_t& word = bits_[slot / 64];
    const uint64_t bit = uint64_t{1} << (slot % 64);
    const bool fresh = (word & bit) == 0;
    word |= bit;
    return fresh;
  }

 private:
  std::vector<uint64_t> bits_;
};

bool Nearer(const SlotScore& a, const SlotScore& b) { return a.score > b.score; }
bool Farther(const SlotScore& a, const SlotScore& b) { return a.score < b.score; }

class Walk {
 public:
  Walk(const VectorRows& rows, const GraphView& graph, const int8_t* query)
      : rows_(rows),
        graph_(graph),
        query_(query),
        distance_(kernels::Active().distance),
        dots_(graph.links) {}

  // Goes to the nearest node of each upper level, from the top.
  SlotScore Descend() const {
    SlotScore best{Score(graph_.entry), graph_.entry};
    for (uint32_t level = graph_.max_level; level > 0; --level) {
      while (StepTowards(level, &best)) {
      }
    }
    return best;
  }

  // Best-first over level 0. `results_` is a heap with the farthest on top and holds only kept
  // slots; `frontier_` has the nearest on top.
  std::vector<SlotScore> Spread(SlotScore start, const SlotFilter& filter, size_t ef) {
    thread_local VisitedSet visited;
    visited.Begin(rows_.count);
    visited.Insert(start.slot);
    frontier_.push_back(start);
    if (filter.Keeps(start.slot)) results_.push_back(start);
    while (!frontier_.empty()) {
      const SlotScore nearest = frontier_.front();
      if (results_.size() == ef && nearest.score < results_.front().score) break;
      std::pop_heap(frontier_.begin(), frontier_.end(), Farther);
      frontier_.pop_back();
      Expand(nearest.slot, filter, ef, &visited);
    }
    return std::move(results_);
  }

 private:
  float Score(uint32_t slot) const {
    return static_cast<float>(distance_.dot_i8(query_, rows_.codes + size_t{slot} * rows_.stride,
                                               rows_.dimension)) *
           rows_.scales[slot];
  }

  std::span<const uint32_t> UpperLinks(uint32_t slot, uint32_t level) const {
    const size_t list = size_t{graph_.first_upper[slot]} + level - 1;
    return graph_.upper.subspan(list * graph_.upper_links, graph_.upper_links);
  }

  bool StepTowards(uint32_t level, SlotScore* best) const {
    const uint32_t from = best->slot;
    for (uint32_t link : UpperLinks(from, level)) {
      if (link == kNoSlot) break;
      if (const float score = Score(link); score > best->score) *best = {score, link};
    }
    return best->slot != from;
  }

  void Prefetch(uint32_t slot) const {
    const int8_t* row = rows_.codes + size_t{slot} * rows_.stride;
    for (size_t at = 0; at < rows_.stride; at += 64) __builtin_prefetch(row + at);
    __builtin_prefetch(rows_.scales + slot);
  }

  const uint32_t* LinksOf(uint32_t slot) const {
    return graph_.level0.data() + size_t{slot} * graph_.links;
  }

  void Expand(uint32_t from, const SlotFilter& filter, size_t ef, VisitedSet* visited) {
    fresh_.clear();
    for (uint32_t link : std::span(LinksOf(from), graph_.links)) {
      if (link == kNoSlot) break;
      if (!visited->Insert(link)) continue;
      Prefetch(link);
      fresh_.push_back(link);
    }
    // Most often the node that is expanded next.
    if (!frontier_.empty()) __builtin_prefetch(LinksOf(frontier_.front().slot));
    distance_.dot_i8_slots(query_, rows_.codes, rows_.stride, fresh_.data(), fresh_.size(),
                           rows_.dimension, dots_.data());
    for (size_t i = 0; i < fresh_.size(); ++i) {
      const uint32_t slot = fresh_[i];
      Offer({static_cast<float>(dots_[i]) * rows_.scales[slot], slot}, filter, ef);
    }
  }

  void Offer(SlotScore found, const SlotFilter& filter, size_t ef) {
    const bool full = results_.size() == ef;
    if (full && found.score <= results_.front().score) return;
    frontier_.push_back(found);
    std::push_heap(frontier_.begin(), frontier_.end(), Farther);
    if (!filter.Keeps(found.slot)) return;
    if (full) {
      std::pop_heap(results_.begin(), results_.end(), Nearer);
      results_.pop_back();
    }
    results_.push_back(found);
    std::push_heap(results_.begin(), results_.end(), Nearer);
  }

  const VectorRows& rows_;
  const GraphView& graph_;
  const int8_t* query_;
  const kernels::DistanceKernels& distance_;
  std::vector<SlotScore> frontier_, results_;
  std::vector<uint32_t> fresh_;
  std::vector<int32_t> dots_;  // of fresh_
};

}  // namespace

std::vector<SlotScore> WalkGraph(const VectorRows& rows, const GraphView& graph,
                                 const int8_t* query, const SlotFilter& filter, size_t ef) {
  Walk walk(rows, graph, query);
  return walk.Spread(walk.Descend(), filter, ef);
}

}  // namespace vade
