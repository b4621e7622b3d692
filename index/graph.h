// The navigable small-world graph over a segment's rows: built by FAISS, laid out and walked by us.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "index/vectors.h"

namespace vade {

inline constexpr uint32_t kNoSlot = 0xffffffff;  // ends a list of links; no upper list
inline constexpr uint32_t kMaxGraphLevel = 32;

// Borrowed graph: docs/formats.md, "Vector segments".
struct GraphView {
  uint32_t links = 0;        // a node on level 0; 0: there is no graph
  uint32_t upper_links = 0;  // a node on each level above
  uint32_t entry = 0;
  uint32_t max_level = 0;
  std::span<const uint8_t> levels;        // [count]
  std::span<const uint32_t> first_upper;  // [count], kNoSlot for a node of level 0
  std::span<const uint32_t> level0;       // [count, links]
  std::span<const uint32_t> upper;        // [lists, upper_links]
};

struct Graph {
  uint32_t links = 0, upper_links = 0, entry = 0, max_level = 0;
  std::vector<uint8_t> levels;
  std::vector<uint32_t> first_upper, level0, upper;
  GraphView view() const {
    return {links, upper_links, entry, max_level, levels, first_upper, level0, upper};
  }
};

struct GraphOptions {
  int m = 16;  // links a node above level 0; twice as many on level 0
  int ef_construction = 128;
};

// Single-threaded and deterministic. CANCELLED once `stop` is true; INTERNAL when FAISS fails.
Result<Graph> BuildGraph(const VectorRows& rows, const GraphOptions& options,
                         const std::atomic<bool>& stop);

}  // namespace vade
