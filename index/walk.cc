#include "index/walk.h"

#include "index/graph_walk.h"

namespace vade {
namespace {

class LinksOfView {
 public:
  explicit LinksOfView(const GraphView& graph) : graph_(graph) {}
  std::span<const uint32_t> Of(uint32_t slot, uint32_t level) const {
    if (level == 0) return {graph_.level0.data() + size_t{slot} * graph_.links, graph_.links};
    const size_t list = size_t{graph_.first_upper[slot]} + level - 1;
    return graph_.upper.subspan(list * graph_.upper_links, graph_.upper_links);
  }

 private:
  const GraphView& graph_;
};

}  // namespace

std::vector<SlotScore> WalkGraph(const VectorRows& rows, const GraphView& graph,
                                 const int8_t* query, const SlotFilter& filter, size_t ef) {
  Walk walk(rows, LinksOfView(graph));
  walk.SetQuery(query);
  const SlotScore start = walk.Descend(graph.entry, graph.max_level, 0);
  if (filter.any_dead() || filter.restricted()) return std::move(walk.Spread(start, filter, ef));
  return std::move(walk.SpreadOverAll(start, 0, ef));
}

}  // namespace vade
