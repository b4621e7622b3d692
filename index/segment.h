// A sealed, immutable set of vectors in a mapped file: codes, float16 vectors and, when there are
// enough of them, a graph. The bytes are described in docs/formats.md, "Vector segments".
//
// A segment is derived: OpenSegment refuses whatever is not exactly right, and the store then makes
// another from RocksDB. Immutable, safe to share between threads.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/files.h"
#include "base/status.h"
#include "index/cells.h"
#include "index/device_slot.h"
#include "index/graph.h"
#include "index/vectors.h"

namespace vade {

using StoreId = std::array<uint8_t, 16>;

// Whose segment a file must be, and the newest state it may know of.
struct SegmentOwner {
  StoreId store_id{};
  uint32_t space = 0;  // of the vectors
  uint32_t dimension = 0;
  uint64_t commit = 0;
};

class Segment {
 public:
  const VectorRows& rows() const { return rows_; }
  const GraphView& graph() const { return graph_; }
  const CellsView& cells() const { return cells_; }
  bool has_graph() const { return graph_.links > 0; }
  bool has_cells() const { return !cells_.centroids.empty(); }
  uint64_t number() const { return number_; }
  // The language of all of its rows, when that is one.
  std::optional<LanguageCode> language() const { return language_; }
  const std::string& path() const { return file_->path(); }
  DeviceSlot* device() const { return &device_; }

 private:
  friend Result<std::shared_ptr<const Segment>> OpenSegment(const std::string&, uint64_t,
                                                            const SegmentOwner&);
  std::unique_ptr<MappedFile> file_;
  uint64_t number_ = 0;
  VectorRows rows_;
  GraphView graph_;
  CellsView cells_;
  std::optional<LanguageCode> language_;
  mutable DeviceSlot device_;
};

// What finds rows without looking at all of them: nothing, a graph or cells.
using SegmentIndex = std::variant<std::monostate, Graph, Cells>;

// How large an index will be. Neither: none.
struct SegmentPlan {
  size_t links = 0;  // of a graph, on level 0
  size_t cells = 0;
};

// Bytes of the file of `count` rows. For plans: upper levels of a graph are a matter of chance.
uint64_t EstimateSegmentBytes(size_t count, size_t dimension, const SegmentPlan& plan);

// RESOURCE_EXHAUSTED when `bytes` more in `directory` would leave too little for the database: what
// is derived must never take the last space of the truth.
Status CheckRoomForDerived(const std::string& directory, uint64_t bytes);

// `rows` have strictly ascending ids; `index` is over the same rows. Durable when it returns.
Status WriteSegment(const std::string& path, const SegmentOwner& owner, const VectorRows& rows,
                    const SegmentIndex& index);

// DATA_LOSS with the reason when the file is not a whole, sane segment of `owner`.
Result<std::shared_ptr<const Segment>> OpenSegment(const std::string& path, uint64_t number,
                                                   const SegmentOwner& owner);

}  // namespace vade
