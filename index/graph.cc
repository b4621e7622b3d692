// Beside cells.cc the one file that includes FAISS, and that catches what it throws.
//
// FAISS's HNSW asks a DistanceComputer for distances and never sees a vector. Ours answers from
// int8 codes, which takes the place of FAISS's own storage: building is then several times faster
// than over its floats.
#include "index/graph.h"

#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/HNSW.h>
#include <omp.h>

#include <algorithm>
#include <exception>
#include <numeric>

#include "base/strings.h"
#include "kernels/kernels.h"

namespace vade {
namespace {

// Distance = minus the inner product of two rows. The query is always a row.
class CodeDistances : public faiss::DistanceComputer {
 public:
  explicit CodeDistances(const VectorRows& rows)
      : rows_(rows), dot_(kernels::Active().distance.dot_i8) {}

  void SetRow(size_t row) { row_ = static_cast<idx_t>(row); }
  void set_query(const float*) override {}  // rows are set by number
  float operator()(idx_t i) override { return symmetric_dis(row_, i); }
  float symmetric_dis(idx_t i, idx_t j) override {
    const int32_t dot = dot_(rows_.codes + static_cast<size_t>(i) * rows_.stride,
                             rows_.codes + static_cast<size_t>(j) * rows_.stride, rows_.dimension);
    return -static_cast<float>(dot) * rows_.scales[i] * rows_.scales[j];
  }

 private:
  const VectorRows rows_;
  int32_t (*const dot_)(const int8_t*, const int8_t*, size_t);
  idx_t row_ = 0;
};

// FAISS locks each node while it links it.
class NodeLocks {
 public:
  explicit NodeLocks(size_t count) : locks_(count) {
    for (omp_lock_t& lock : locks_) omp_init_lock(&lock);
  }
  ~NodeLocks() {
    for (omp_lock_t& lock : locks_) omp_destroy_lock(&lock);
  }
  NodeLocks(const NodeLocks&) = delete;
  NodeLocks& operator=(const NodeLocks&) = delete;
  std::vector<omp_lock_t>& locks() { return locks_; }

 private:
  std::vector<omp_lock_t> locks_;
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

Status Insert(faiss::HNSW* hnsw, const VectorRows& rows, const std::atomic<bool>& stop) {
  CodeDistances distances(rows);
  NodeLocks locks(rows.count);
  faiss::VisitedTable visited(static_cast<int>(rows.count));
  size_t done = 0;
  for (uint32_t slot : InsertionOrder(*hnsw, rows.count)) {
    if (done++ % 64 == 0 && stop.load(std::memory_order_relaxed)) {
      return Cancelled("the making of a vector segment was stopped");
    }
    distances.SetRow(slot);
    hnsw->add_with_locks(distances, hnsw->levels[slot] - 1, static_cast<int>(slot), locks.locks(),
                         visited);
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
