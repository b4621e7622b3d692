// Beside cells.cc the one file that includes FAISS, and that catches what it throws.
//
// FAISS's HNSW asks a DistanceComputer for distances and never sees a vector. Ours answers from
// int8 codes, which takes the place of FAISS's own storage: building is then several times faster
// than over its floats.
#include "index/graph.h"

#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/HNSW.h>

#include <algorithm>
#include <exception>
#include <numeric>
#include <queue>
#include <span>

#include "base/strings.h"
#include "index/graph_walk.h"
#include "kernels/kernels.h"

namespace vade {
namespace {

// Distance = minus the inner product of two rows.
class CodeDistances : public faiss::DistanceComputer {
 public:
  explicit CodeDistances(const VectorRows& rows)
      : rows_(rows), dot_(kernels::Active().distance.dot_i8) {}

  void set_query(const float*) override {}  // nor does FAISS ask for distances to one
  float operator()(idx_t) override { return 0; }
  float symmetric_dis(idx_t i, idx_t j) override {
    const int32_t dot = dot_(rows_.codes + static_cast<size_t>(i) * rows_.stride,
                             rows_.codes + static_cast<size_t>(j) * rows_.stride, rows_.dimension);
    return -static_cast<float>(dot) * rows_.scales[i] * rows_.scales[j];
  }

 private:
  const VectorRows rows_;
  int32_t (*const dot_)(const int8_t*, const int8_t*, size_t);
};

// Upper levels first, as FAISS does: the nodes of a level are reachable before the ones below need
// them. Within a level the order is shuffled by a fixed rule, since neighbours in id are often
// neighbours in space.
std::vector<uint32_t> InsertionOrder(const faiss::HNSW& hnsw, size_t count) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  faiss::RandomGenerator random(789);
  for (size_t i = count; i > 1; --i) {
    std::swap(order[i - 1], order[static_cast<size_t>(random.rand_int(static_cast<int>(i)))]);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return hnsw.levels[a] > hnsw.levels[b]; });
  return order;
}

// The links as FAISS lays them out: all levels of a node one behind the other, -1 for none.
class LinksInTheMaking {
 public:
  explicit LinksInTheMaking(faiss::HNSW* hnsw)
      : hnsw_(hnsw),
        links_(static_cast<size_t>(hnsw->nb_neighbors(0))),
        upper_links_(static_cast<size_t>(hnsw->nb_neighbors(1))) {}

  std::span<const uint32_t> Of(uint32_t slot, uint32_t level) const { return All(slot, level); }
  std::span<uint32_t> All(uint32_t slot, uint32_t level) const {
    static_assert(sizeof(faiss::HNSW::storage_idx_t) == sizeof(uint32_t));
    auto* first = reinterpret_cast<uint32_t*>(hnsw_->neighbors.data()) + hnsw_->offsets[slot];
    if (level == 0) return {first, links_};
    return {first + links_ + (level - 1) * upper_links_, upper_links_};
  }

 private:
  faiss::HNSW* hnsw_;
  size_t links_, upper_links_;
};

// Puts rows into FAISS's structure, with its choice of links, by our walk: FAISS's own asks for one
// distance at a time, and keeps its candidates in three heaps.
class Builder {
 public:
  Builder(faiss::HNSW* hnsw, const VectorRows& rows)
      : hnsw_(*hnsw), rows_(rows), links_(hnsw), distances_(rows), walk_(rows, links_) {}

  void Insert(uint32_t slot) {
    const auto level = static_cast<uint32_t>(hnsw_.levels[slot] - 1);  // FAISS counts from 1
    if (hnsw_.entry_point < 0) {
      hnsw_.entry_point = static_cast<int32_t>(slot);
      hnsw_.max_level = static_cast<int>(level);
      return;
    }
    const auto top = static_cast<uint32_t>(hnsw_.max_level);
    walk_.SetQuery(rows_.codes + slot * rows_.stride);
    SlotScore nearest = walk_.Descend(static_cast<uint32_t>(hnsw_.entry_point), top, level);
    for (uint32_t at = std::min(level, top) + 1; at-- > 0;) {
      const auto& found =
          walk_.SpreadOverAll(nearest, at, static_cast<size_t>(hnsw_.efConstruction));
      nearest = found.front();
      Link(slot, at, found);
    }
    if (level <= top) return;
    hnsw_.entry_point = static_cast<int32_t>(slot);
    hnsw_.max_level = static_cast<int>(level);
  }

 private:
  using Candidate = faiss::HNSW::NodeDistFarther;

  // Of the candidates, as FAISS chooses; -> the first of `links`, the others kNoSlot.
  void Choose(std::priority_queue<Candidate>* candidates, std::span<uint32_t> links) {
    chosen_.clear();
    faiss::HNSW::shrink_neighbor_list(distances_, *candidates, chosen_,
                                      static_cast<int>(links.size()));
    std::fill(links.begin(), links.end(), kNoSlot);
    for (size_t i = 0; i < chosen_.size(); ++i) links[i] = static_cast<uint32_t>(chosen_[i].id);
  }

  void Link(uint32_t slot, uint32_t level, const std::vector<SlotScore>& found) {
    std::priority_queue<Candidate> candidates;
    for (const SlotScore& one : found) {
      candidates.emplace(-one.score * rows_.scales[slot], static_cast<int>(one.slot));
    }
    const std::span<uint32_t> links = links_.All(slot, level);
    Choose(&candidates, links);
    for (uint32_t link : links) {
      if (link == kNoSlot) break;
      LinkBack(link, level, slot);
    }
  }

  // From `from` to `slot`; where `from` is full, to the best of those that it has and `slot`.
  void LinkBack(uint32_t from, uint32_t level, uint32_t slot) {
    const std::span<uint32_t> links = links_.All(from, level);
    if (links.back() == kNoSlot) {
      *std::find(links.begin(), links.end(), kNoSlot) = slot;
      return;
    }
    std::priority_queue<Candidate> candidates;
    const auto add = [&](uint32_t link) {
      candidates.emplace(distances_.symmetric_dis(from, link), static_cast<int>(link));
    };
    add(slot);
    for (uint32_t link : links) add(link);
    Choose(&candidates, links);
  }

  faiss::HNSW& hnsw_;
  const VectorRows& rows_;
  const LinksInTheMaking links_;
  CodeDistances distances_;
  Walk<LinksInTheMaking> walk_;
  std::vector<Candidate> chosen_;
};

Status Insert(faiss::HNSW* hnsw, const VectorRows& rows, const std::atomic<bool>& stop) {
  Builder builder(hnsw, rows);
  size_t done = 0;
  for (uint32_t slot : InsertionOrder(*hnsw, rows.count)) {
    if (done++ % 64 == 0 && stop.load(std::memory_order_relaxed)) {
      return Cancelled("the making of a vector segment was stopped");
    }
    builder.Insert(slot);
  }
  return OkStatus();
}

void CopyLinks(const faiss::HNSW& hnsw, size_t slot, int level, size_t width,
               std::vector<uint32_t>* out) {
  size_t begin = 0, end = 0;
  hnsw.neighbor_range(static_cast<int64_t>(slot), level, &begin, &end);
  size_t copied = 0;
  for (size_t i = begin; i < end && hnsw.neighbors[i] >= 0 && copied < width; ++i, ++copied) {
    out->push_back(static_cast<uint32_t>(hnsw.neighbors[i]));
  }
  out->insert(out->end(), width - copied, kNoSlot);
}

Graph LayOut(const faiss::HNSW& hnsw, size_t count) {
  Graph graph;
  graph.links = static_cast<uint32_t>(hnsw.nb_neighbors(0));
  graph.upper_links = static_cast<uint32_t>(hnsw.nb_neighbors(1));
  graph.entry = static_cast<uint32_t>(hnsw.entry_point);
  graph.max_level = static_cast<uint32_t>(hnsw.max_level);
  graph.levels.resize(count);
  graph.first_upper.assign(count, kNoSlot);
  graph.level0.reserve(count * graph.links);
  for (size_t slot = 0; slot < count; ++slot) {
    const int level = hnsw.levels[slot] - 1;  // FAISS counts levels from 1
    graph.levels[slot] = static_cast<uint8_t>(level);
    CopyLinks(hnsw, slot, 0, graph.links, &graph.level0);
    if (level == 0) continue;
    graph.first_upper[slot] = static_cast<uint32_t>(graph.upper.size() / graph.upper_links);
    for (int l = 1; l <= level; ++l) CopyLinks(hnsw, slot, l, graph.upper_links, &graph.upper);
  }
  return graph;
}

}  // namespace

Result<Graph> BuildGraph(const VectorRows& rows, const GraphOptions& options,
                         const std::atomic<bool>& stop) {
  if (rows.count == 0 || rows.count > INT32_MAX) {
    return InvalidArgument(StrCat("a graph over ", rows.count, " vectors cannot be built"));
  }
  try {
    faiss::HNSW hnsw(options.m);
    hnsw.efConstruction = options.ef_construction;
    hnsw.prepare_level_tab(rows.count);
    RETURN_IF_ERROR(Insert(&hnsw, rows, stop));
    return LayOut(hnsw, rows.count);
  } catch (const std::exception& e) {
    return Internal(
        StrCat("FAISS could not build a graph over ", rows.count, " vectors: ", e.what()));
  }
}

}  // namespace vade
