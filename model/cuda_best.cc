// The greatest logits of the GPU's rows: some kilobytes go to the host instead of all logits.
#include <algorithm>
#include <cstring>
#include <functional>

#include "model/cuda_backend.h"

namespace vade {

namespace cuda = kernels::cuda;

namespace {

// What the kernels find, as it lies in the results: keys, sums, then whether all is finite.
struct Layout {
  Layout(uint64_t rows, uint64_t chunks, uint64_t count)
      : sums(rows * count * sizeof(uint64_t)),
        finite(sums + 2 * rows * chunks * sizeof(float)),
        bytes(finite + rows * chunks * sizeof(uint32_t)) {}
  uint64_t sums, finite, bytes;
};

template <typename T>
T At(const std::vector<uint8_t>& bytes, uint64_t offset, uint64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + offset + i * sizeof(T), sizeof(T));
  return value;
}

BestLogits RowOf(const std::vector<uint8_t>& results, const Layout& layout, uint64_t row,
                 uint64_t chunks, uint64_t count) {
  BestLogits best;
  best.finite = true;
  for (uint64_t chunk = row * chunks; chunk < (row + 1) * chunks; ++chunk) {
    best.finite = best.finite && At<uint32_t>(results, layout.finite, chunk) != 0;
    best.sum += At<float>(results, layout.sums, 2 * chunk);
    best.tempered_sum += At<float>(results, layout.sums, 2 * chunk + 1);
  }
  std::vector<uint64_t> keys;
  for (uint64_t i = row * count; i < (row + 1) * count; ++i) {
    const auto key = At<uint64_t>(results, 0, i);
    if (key != 0) keys.push_back(key);
  }
  std::ranges::sort(keys, std::greater());
  for (uint64_t key : keys) best.best.emplace_back(cuda::BestToken(key), cuda::BestLogit(key));
  return best;
}

}  // namespace

uint32_t CudaBackend::MaxBest(int width) const {
  return cuda::CanFindBest(static_cast<uint32_t>(width)) ? cuda::kMaxBest : 0;
}

Result<std::vector<BestLogits>> CudaBackend::FindBest(const BestArgs& args) {
  if (args.rows.empty()) return std::vector<BestLogits>();
  std::lock_guard lock(mutex_);
  const auto rows = static_cast<uint32_t>(args.rows.size());
  const auto width = static_cast<uint32_t>(args.width);
  VADE_CHECK(args.count > 0 && args.count <= MaxBest(args.width) &&
                 args.temperatures.size() == args.rows.size(),
             "who asks for the greatest has asked how many there may be");
  const uint64_t chunks = cuda::PlanBest(rows, width, args.count).chunks;
  const uint32_t last = static_cast<uint32_t>(*std::ranges::max_element(args.rows)) + 1;
  const Layout layout(rows, chunks, args.count);

  RETURN_IF_ERROR(staging_.MakeRoom(2 * CudaStaging::Rounded(rows * sizeof(float))));
  ASSIGN_OR_RETURN(const int32_t* device_rows, staging_.Put("best rows", args.rows));
  ASSIGN_OR_RETURN(const float* temperatures, staging_.Put("temperatures", args.temperatures));
  const uint64_t chunk_keys = rows * chunks * args.count * sizeof(uint64_t);
  ASSIGN_OR_RETURN(uint8_t * scratch, ScratchBytes(kBestKeys, chunk_keys + rows * sizeof(float)));
  ASSIGN_OR_RETURN(uint8_t * results, ScratchBytes(kResults, layout.bytes));
  cuda::BestLogits({.logits = Floats(args.logits, uint64_t{last} * width),
                    .logit_rows = last,
                    .width = width,
                    .rows = device_rows,
                    .row_count = rows,
                    .count = args.count,
                    .temperatures = temperatures,
                    .chunk_keys = reinterpret_cast<uint64_t*>(scratch),
                    .keys = reinterpret_cast<uint64_t*>(results),
                    .greatest = reinterpret_cast<float*>(scratch + chunk_keys),
                    .finite = reinterpret_cast<uint32_t*>(results + layout.finite),
                    .sums = reinterpret_cast<float*>(results + layout.sums)},
                   device_->stream());
  std::vector<uint8_t> bytes(layout.bytes);
  RETURN_IF_ERROR(ReadBack(results, bytes));
  std::vector<BestLogits> found;
  for (uint64_t row = 0; row < rows; ++row) {
    found.push_back(RowOf(bytes, layout, row, chunks, args.count));
    found.back().vocab_size = args.width;
  }
  return found;
}

}  // namespace vade
