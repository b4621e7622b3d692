#include "index/cell_search.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace vade {
namespace {

class CellSearch {
 public:
  CellSearch(const Source& source, const Question& question)
      : source_(source),
        cells_(*source.cells),
        vector_(question.vector),
        parts_(CellParts(vector_.size())) {}

  // Codes that score best, of the nearest cells.
  std::vector<Found> Find(const CellSearchOptions& options) {
    MakeTable();
    const std::vector<std::pair<float, uint32_t>> order = NearestCells();
    Head head(options.candidates);
    size_t seen = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i >= options.probes && seen >= options.k) break;
      seen += Look(order[i].second, order[i].first, &head);
    }
    return head.Take();
  }

 private:
  // The product of each entry with its part of the question, so that a code's product is a sum of
  // them.
  void MakeTable() {
    std::vector<float> padded(vector_.begin(), vector_.end());
    padded.resize(parts_ * kCellPart, 0);
    table_.resize(parts_ * kCellEntries);
    for (size_t i = 0; i < table_.size(); ++i) {
      const float* entry = cells_.codebook.data() + i * kCellPart;
      const float* part = padded.data() + i / kCellEntries * kCellPart;
      table_[i] = entry[0] * part[0] + entry[1] * part[1] + entry[2] * part[2] + entry[3] * part[3];
    }
  }

  std::vector<std::pair<float, uint32_t>> NearestCells() const {
    const auto dot = kernels::Active().distance.dot_f32;
    std::vector<std::pair<float, uint32_t>> order(cells_.begins.size() - 1);
    for (uint32_t cell = 0; cell < order.size(); ++cell) {
      const float* centroid = cells_.centroids.data() + cell * vector_.size();
      order[cell] = {dot(vector_.data(), centroid, vector_.size()), cell};
    }
    std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    return order;
  }

  // How many rows of the cell may be found.
  size_t Look(uint32_t cell, float product, Head* head) {
    size_t seen = 0;
    for (uint32_t at = cells_.begins[cell]; at < cells_.begins[cell + 1]; ++at) {
      if (!source_.filter.Keeps(cells_.slots[at])) continue;
      ++seen;
      head->Offer(product + ProductOf(cells_.codes.data() + at * parts_), 0, cells_.slots[at]);
    }
    return seen;
  }

  // Two running sums, so that one addition need not wait for the one before.
  float ProductOf(const uint8_t* code) const {
    float even = 0, odd = 0;
    size_t p = 0;
    for (; p + 2 <= parts_; p += 2) {
      even += table_[p * kCellEntries + code[p]];
      odd += table_[(p + 1) * kCellEntries + code[p + 1]];
    }
    if (p < parts_) even += table_[p * kCellEntries + code[p]];
    return even + odd;
  }

  const Source& source_;
  const CellsView& cells_;
  const std::span<const float> vector_;
  const size_t parts_;
  std::vector<float> table_;  // [parts, entries]
};

}  // namespace

std::vector<SlotScore> SearchCells(const Source& source, const Question& question,
                                   const CellSearchOptions& options) {
  std::vector<uint32_t> slots;
  for (const Found& found : CellSearch(source, question).Find(options)) {
    slots.push_back(found.slot);
  }
  std::sort(slots.begin(), slots.end());  // in the order of the file
  return ScoreByCodes(source.rows, question, slots);
}

}  // namespace vade
