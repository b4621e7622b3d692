// The walk of a graph towards a query, for whatever lays out its links: a segment's, and those of a
// graph that is being made. Private to walk.cc and graph.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "index/vectors.h"
#include "index/walk.h"
#include "kernels/kernels.h"

namespace vade {

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

inline bool Nearer(const SlotScore& a, const SlotScore& b) { return a.score > b.score; }
inline bool Farther(const SlotScore& a, const SlotScore& b) { return a.score < b.score; }

// `Links` has std::span<const uint32_t> Of(uint32_t slot, uint32_t level) const: the links of a
// node, ended by kNoSlot where there are fewer than fit.
template <typename Links>
class Walk {
 public:
  Walk(const VectorRows& rows, const Links& links)
      : rows_(rows), links_(links), distance_(kernels::Active().distance) {}

  // As many codes as the rows' dimension; a scale of the query changes no order.
  void SetQuery(const int8_t* query) { query_ = query; }

  // Goes from `entry` to the nearest node of each level above `level`, from the top.
  SlotScore Descend(uint32_t entry, uint32_t top, uint32_t level) const {
    SlotScore best{Score(entry), entry};
    for (; top > level; --top) {
      while (StepTowards(top, &best)) {
      }
    }
    return best;
  }

  // Best-first over a level, of whose slots all may be found: one list of the best so far, in their
  // order, whose best that is not expanded yet comes next. The same nodes are expanded as by
  // Spread(), and a place in a short list costs less than two in heaps.
  std::vector<SlotScore>& SpreadOverAll(SlotScore start, uint32_t level, size_t ef) {
    VisitedSet& visited = VisitedFrom(start.slot);
    results_.reserve(ef + 1);
    results_.assign(1, start);
    expanded_.assign(ef + 1, 0);
    for (size_t next = 0; next < results_.size();) {
      if (expanded_[next]) {
        ++next;
        continue;
      }
      expanded_[next] = 1;
      FindFresh(links_.Of(results_[next].slot, level), &visited);
      ScoreFresh();
      for (size_t i = 0; i < fresh_.size(); ++i) {
        next = std::min(next, Insert({ScoreOf(i), fresh_[i]}, ef));
      }
    }
    return results_;
  }

  // Best-first over level 0. `results_` is a heap with the farthest on top and holds only kept
  // slots; `frontier_` has the nearest on top.
  std::vector<SlotScore>& Spread(SlotScore start, const SlotFilter& filter, size_t ef) {
    VisitedSet& visited = VisitedFrom(start.slot);
    frontier_.assign(1, start);
    results_.clear();
    if (filter.Keeps(start.slot)) results_.push_back(start);
    while (!frontier_.empty()) {
      const SlotScore nearest = frontier_.front();
      if (results_.size() == ef && nearest.score < results_.front().score) break;
      std::pop_heap(frontier_.begin(), frontier_.end(), Farther);
      frontier_.pop_back();
      Expand(nearest.slot, filter, ef, &visited);
    }
    return results_;
  }

 private:
  // Kept for the thread's next walk: its bits are as many as the slots.
  VisitedSet& VisitedFrom(uint32_t slot) const {
    thread_local VisitedSet visited;
    visited.Begin(rows_.count);
    visited.Insert(slot);
    return visited;
  }

  float Score(uint32_t slot) const {
    return static_cast<float>(distance_.dot_i8(query_, rows_.codes + size_t{slot} * rows_.stride,
                                               rows_.dimension)) *
           rows_.scales[slot];
  }

  bool StepTowards(uint32_t level, SlotScore* best) const {
    const uint32_t from = best->slot;
    for (uint32_t link : links_.Of(from, level)) {
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

  // Neighbours that the walk has not been to -> fresh_.
  void FindFresh(std::span<const uint32_t> links, VisitedSet* visited) {
    fresh_.clear();
    for (uint32_t link : links) {
      if (link == kNoSlot) break;
      if (!visited->Insert(link)) continue;
      Prefetch(link);
      fresh_.push_back(link);
    }
  }

  void ScoreFresh() {
    dots_.resize(std::max(dots_.size(), fresh_.size()));
    distance_.dot_i8_slots(query_, rows_.codes, rows_.stride, fresh_.data(), fresh_.size(),
                           rows_.dimension, dots_.data());
  }
  float ScoreOf(size_t fresh) const {
    return static_cast<float>(dots_[fresh]) * rows_.scales[fresh_[fresh]];
  }

  void Expand(uint32_t from, const SlotFilter& filter, size_t ef, VisitedSet* visited) {
    FindFresh(links_.Of(from, 0), visited);
    // Most often the node that is expanded next.
    if (!frontier_.empty()) __builtin_prefetch(links_.Of(frontier_.front().slot, 0).data());
    ScoreFresh();
    for (size_t i = 0; i < fresh_.size(); ++i) Offer({ScoreOf(i), fresh_[i]}, filter, ef);
  }

  // Into the ordered results_, of which `ef` are kept; returns where it is, or SIZE_MAX.
  size_t Insert(SlotScore found, size_t ef) {
    if (results_.size() == ef && found.score <= results_.back().score) return SIZE_MAX;
    const auto place = std::upper_bound(results_.begin(), results_.end(), found, Nearer);
    const auto at = static_cast<size_t>(place - results_.begin());
    results_.insert(place, found);
    std::memmove(&expanded_[at + 1], &expanded_[at], results_.size() - 1 - at);
    expanded_[at] = 0;
    if (results_.size() > ef) results_.pop_back();
    return at;
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

  const VectorRows rows_;
  const Links links_;
  const int8_t* query_ = nullptr;
  const kernels::DistanceKernels& distance_;
  std::vector<SlotScore> frontier_, results_;
  std::vector<uint32_t> fresh_;
  std::vector<int32_t> dots_;      // of fresh_
  std::vector<uint8_t> expanded_;  // of results_, by SpreadOverAll()
};

}  // namespace vade
