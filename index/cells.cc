// Beside graph.cc the one file that includes FAISS, and that catches what it throws.
#include "index/cells.h"

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/impl/ProductQuantizer.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <numeric>
#include <random>

#include "base/strings.h"
#include "kernels/kernels.h"

namespace vade {
namespace {

constexpr size_t kBlock = 1024;             // rows that are assigned and coded together
constexpr size_t kPointsOfCell = 32;        // of the sample that centroids are found with
constexpr size_t kPointsOfCodebook = 8192;  // at most
constexpr int kRounds = 8;                  // of k-means

// FAISS divides loops among all processors; the rest of the machine has other work.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

Status CheckStop(const std::atomic<bool>& stop) {
  if (!stop.load(std::memory_order_relaxed)) return OkStatus();
  return Cancelled("the making of a vector segment was stopped");
}

void Floats(const VectorRows& rows, size_t slot, float* out) {
  kernels::Active().vector.from_kv(kernels::KvType::kF16, rows.halves + slot * rows.dimension,
                                   rows.dimension, out);
}

// A seeded sample, so that neighbours in id (often of one document) are not all that is seen.
std::vector<float> Sample(const VectorRows& rows, size_t count) {
  std::vector<uint32_t> order(rows.count);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::minstd_rand(4711));
  count = std::min(count, rows.count);
  std::sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count));
  std::vector<float> sample(count * rows.dimension);
  for (size_t i = 0; i < count; ++i) Floats(rows, order[i], sample.data() + i * rows.dimension);
  return sample;
}

class Builder {
 public:
  Builder(const VectorRows& rows, const std::atomic<bool>& stop)
      : rows_(rows),
        stop_(stop),
        dimension_(rows.dimension),
        padded_(CellParts(rows.dimension) * kCellPart),
        nearest_(static_cast<faiss::Index::idx_t>(rows.dimension)),
        quantizer_(padded_, CellParts(rows.dimension), 8) {}

  Result<Cells> Build() {
    RETURN_IF_ERROR(CheckStop(stop_));
    FindCentroids();
    RETURN_IF_ERROR(CheckStop(stop_));
    RETURN_IF_ERROR(FindCodebook());
    RETURN_IF_ERROR(Assign());
    Arrange();
    return std::move(cells_);
  }

 private:
  static faiss::ClusteringParameters Parameters(size_t points) {
    faiss::ClusteringParameters parameters;
    parameters.niter = kRounds;
    parameters.min_points_per_centroid = 1;  // without FAISS's warnings on the standard error
    parameters.max_points_per_centroid = static_cast<int>(std::max<size_t>(points, 1));
    parameters.seed = 1234;
    return parameters;
  }

  void FindCentroids() {
    const size_t count = CellCount(rows_.count);
    const std::vector<float> sample = Sample(rows_, count * kPointsOfCell);
    const size_t points = sample.size() / dimension_;
    faiss::Clustering clustering(static_cast<int>(dimension_), static_cast<int>(count),
                                 Parameters(points));
    clustering.spherical = true;
    clustering.train(static_cast<faiss::Index::idx_t>(points), sample.data(), nearest_);
    cells_.centroids = clustering.centroids;
    nearest_.reset();
    nearest_.add(static_cast<faiss::Index::idx_t>(count), cells_.centroids.data());
  }

  // The cell of each of `count` vectors, and in their place what is left behind its centroid,
  // padded with zeros.
  std::vector<faiss::Index::idx_t> Divide(const float* vectors, size_t count,
                                          std::vector<float>* left) const {
    std::vector<faiss::Index::idx_t> cells(count);
    std::vector<float> scores(count);
    nearest_.search(static_cast<faiss::Index::idx_t>(count), vectors, 1, scores.data(),
                    cells.data());
    left->assign(count * padded_, 0);
    for (size_t i = 0; i < count; ++i) {
      cells[i] = std::max<faiss::Index::idx_t>(cells[i], 0);  // -1: a vector of NaN
      const float* centroid = cells_.centroids.data() + static_cast<size_t>(cells[i]) * dimension_;
      for (size_t d = 0; d < dimension_; ++d) {
        (*left)[i * padded_ + d] = vectors[i * dimension_ + d] - centroid[d];
      }
    }
    return cells;
  }

  // Part by part: what FAISS's own training does, but it can be stopped.
  Status FindCodebook() {
    const std::vector<float> sample = Sample(rows_, kPointsOfCodebook);
    const size_t points = sample.size() / dimension_;
    std::vector<float> left, part(points * kCellPart);
    Divide(sample.data(), points, &left);
    for (size_t p = 0; p < CellParts(dimension_); ++p) {
      RETURN_IF_ERROR(CheckStop(stop_));
      for (size_t i = 0; i < points; ++i) {
        std::copy_n(left.data() + i * padded_ + p * kCellPart, kCellPart,
                    part.data() + i * kCellPart);
      }
      faiss::Clustering clustering(kCellPart, kCellEntries, Parameters(points));
      faiss::IndexFlatL2 nearest(kCellPart);
      clustering.train(static_cast<faiss::Index::idx_t>(points), part.data(), nearest);
      quantizer_.set_params(clustering.centroids.data(), static_cast<int>(p));
    }
    cells_.codebook = quantizer_.centroids;
    return OkStatus();
  }

  Status Assign() {
    of_row_.resize(rows_.count);
    codes_.resize(rows_.count * CellParts(dimension_));
    std::vector<float> block(kBlock * dimension_), left;
    for (size_t begin = 0; begin < rows_.count; begin += kBlock) {
      RETURN_IF_ERROR(CheckStop(stop_));
      const size_t count = std::min(kBlock, rows_.count - begin);
      for (size_t i = 0; i < count; ++i) Floats(rows_, begin + i, block.data() + i * dimension_);
      const auto cells = Divide(block.data(), count, &left);
      for (size_t i = 0; i < count; ++i) of_row_[begin + i] = static_cast<uint32_t>(cells[i]);
      quantizer_.compute_codes(left.data(), codes_.data() + begin * CellParts(dimension_), count);
    }
    return OkStatus();
  }

  // By cell.
  void Arrange() {
    const size_t count = cells_.centroids.size() / dimension_, parts = CellParts(dimension_);
    cells_.begins.assign(count + 1, 0);
    for (uint32_t cell : of_row_) ++cells_.begins[cell + 1];
    std::partial_sum(cells_.begins.begin(), cells_.begins.end(), cells_.begins.begin());
    cells_.slots.resize(rows_.count);
    cells_.codes.resize(codes_.size());
    std::vector<uint32_t> next(cells_.begins.begin(), cells_.begins.end() - 1);
    for (uint32_t slot = 0; slot < rows_.count; ++slot) {
      const uint32_t at = next[of_row_[slot]]++;
      cells_.slots[at] = slot;
      std::copy_n(codes_.data() + slot * parts, parts, cells_.codes.data() + at * parts);
    }
  }

  const VectorRows& rows_;
  const std::atomic<bool>& stop_;
  const size_t dimension_, padded_;
  faiss::IndexFlatIP nearest_;  // holds the centroids
  faiss::ProductQuantizer quantizer_;
  std::vector<uint32_t> of_row_;  // the cell of each row
  std::vector<uint8_t> codes_;    // of each row
  Cells cells_;
};

}  // namespace

size_t CellCount(size_t rows) {
  return std::max<size_t>(static_cast<size_t>(2 * std::sqrt(static_cast<double>(rows))), 1);
}

CellsView Cells::view() const { return {centroids, codebook, begins, slots, codes}; }

Result<Cells> BuildCells(const VectorRows& rows, const std::atomic<bool>& stop) {
  if (rows.count < kMinCellRows || rows.count > INT32_MAX) {
    return InvalidArgument(StrCat("cells over ", rows.count, " vectors cannot be made"));
  }
  try {
    const OneThread one_thread;
    return Builder(rows, stop).Build();
  } catch (const std::exception& e) {
    return Internal(StrCat("FAISS could not make cells of ", rows.count, " vectors: ", e.what()));
  }
}

}  // namespace vade
