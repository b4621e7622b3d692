// The greatest logits of the GPU's rows: some kilobytes go to the host instead of all logits.
#include <algorithm>
#include <cstring>
#include <functional>

#include "model/cuda_backend.h"

namespace vade {

namespace cuda = kernels::cuda;

namespace {

// What the kernels find, as it lies in the results: keys, weights, sums, whether all is finite,
// then the logits of what is set apart.
struct Layout {
  Layout(uint64_t rows, uint64_t chunks, const Backend::BestArgs& args, uint64_t apart_count)
      : weights(rows * args.count * sizeof(uint64_t)),
        sums(weights + (args.weights ? rows * chunks * sizeof(double) : 0)),
        finite(sums + 2 * rows * chunks * sizeof(float)),
        apart(finite + rows * chunks * sizeof(uint32_t)),
        bytes(apart + apart_count * sizeof(float)) {}
  uint64_t weights, sums, finite, apart, bytes;
};

// The rows' tokens that are set apart, as ApartArgs::lists; rows of one item share theirs.
struct ApartLists {
  explicit ApartLists(const Backend::BestArgs& args) {
    if (std::ranges::all_of(args.apart, [](auto& tokens) { return tokens.empty(); })) return;
    VADE_CHECK(args.apart.size() == args.rows.size(), "what is set apart is said for each row");
    words.resize(3 * args.rows.size());
    std::span<const int32_t> last;
    for (size_t row = 0; row < args.rows.size(); ++row) {
      const std::span<const int32_t> tokens = args.apart[row];
      if (row == 0 || tokens.data() != last.data() || tokens.size() != last.size()) {
        words[3 * row] = static_cast<int32_t>(words.size());
        words.insert(words.end(), tokens.begin(), tokens.end());
      } else {
        words[3 * row] = words[3 * (row - 1)];
      }
      words[3 * row + 1] = words[3 * row] + static_cast<int32_t>(tokens.size());
      words[3 * row + 2] = static_cast<int32_t>(count);
      count += static_cast<uint32_t>(tokens.size());
      last = tokens;
    }
  }
  std::vector<int32_t> words;  // empty: there are none
  uint32_t count = 0;          // of logits
};

template <typename T>
T At(const std::vector<uint8_t>& bytes, uint64_t offset, uint64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + offset + i * sizeof(T), sizeof(T));
  return value;
}

BestLogits RowOf(const std::vector<uint8_t>& results, const Layout& layout, uint64_t row,
                 uint64_t chunks, const Backend::BestArgs& args) {
  const uint64_t count = args.count;
  BestLogits best;
  best.finite = true;
  for (uint64_t chunk = row * chunks; chunk < (row + 1) * chunks; ++chunk) {
    best.finite = best.finite && At<uint32_t>(results, layout.finite, chunk) != 0;
    best.sum += At<float>(results, layout.sums, 2 * chunk);
    best.tempered_sum += At<float>(results, layout.sums, 2 * chunk + 1);
    if (args.weights) best.weights.push_back(At<double>(results, layout.weights, chunk));
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

std::vector<std::pair<int32_t, float>> ApartOf(const std::vector<uint8_t>& results,
                                               const Layout& layout, const ApartLists& lists,
                                               uint64_t row) {
  std::vector<std::pair<int32_t, float>> apart;
  if (lists.words.empty()) return apart;
  const int32_t* words = lists.words.data() + 3 * row;
  for (int32_t i = 0; i < words[1] - words[0]; ++i) {
    apart.emplace_back(lists.words[static_cast<size_t>(words[0] + i)],
                       At<float>(results, layout.apart, static_cast<uint64_t>(words[2] + i)));
  }
  return apart;
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
  const cuda::BestPlan plan = cuda::PlanBest(rows, width, args.count);
  const uint64_t chunks = plan.chunks;
  const uint32_t last = static_cast<uint32_t>(*std::ranges::max_element(args.rows)) + 1;
  const ApartLists lists(args);
  const Layout layout(rows, chunks, args, lists.count);

  RETURN_IF_ERROR(staging_.MakeRoom(2 * CudaStaging::Rounded(rows * sizeof(double)) +
                                    CudaStaging::Rounded(lists.words.size() * sizeof(int32_t))));
  ASSIGN_OR_RETURN(const int32_t* device_rows, staging_.Put("best rows", args.rows));
  ASSIGN_OR_RETURN(const double* temperatures, staging_.Put("temperatures", args.temperatures));
  const uint64_t chunk_keys = rows * chunks * args.count * sizeof(uint64_t);
  const uint64_t greatest = chunk_keys, apart_greatest = greatest + rows * sizeof(float);
  const uint64_t marks = apart_greatest + rows * sizeof(float);
  const uint64_t mark_bytes = lists.words.empty() ? 0 : rows * cuda::MarkWords(width) * 4ull;
  ASSIGN_OR_RETURN(uint8_t * scratch, ScratchBytes(kBestKeys, marks + mark_bytes));
  ASSIGN_OR_RETURN(uint8_t * results, ScratchBytes(kResults, layout.bytes));
  cuda::ApartArgs apart;
  if (!lists.words.empty()) {
    ASSIGN_OR_RETURN(apart.lists, staging_.Put("apart", std::span<const int32_t>(lists.words)));
    apart.list_words = static_cast<uint32_t>(lists.words.size());
    apart.value_count = lists.count;
    apart.values = reinterpret_cast<float*>(results + layout.apart);
    apart.marks = reinterpret_cast<uint32_t*>(scratch + marks);
    apart.greatest = reinterpret_cast<float*>(scratch + apart_greatest);
  }
  cuda::BestLogits(
      {.logits = Floats(args.logits, uint64_t{last} * width),
       .logit_rows = last,
       .width = width,
       .rows = device_rows,
       .row_count = rows,
       .count = args.count,
       .temperatures = temperatures,
       .chunk_keys = reinterpret_cast<uint64_t*>(scratch),
       .keys = reinterpret_cast<uint64_t*>(results),
       .greatest = reinterpret_cast<float*>(scratch + greatest),
       .finite = reinterpret_cast<uint32_t*>(results + layout.finite),
       .sums = reinterpret_cast<float*>(results + layout.sums),
       .weights = args.weights ? reinterpret_cast<double*>(results + layout.weights) : nullptr,
       .apart = apart},
      device_->stream());
  std::vector<uint8_t> bytes(layout.bytes);
  RETURN_IF_ERROR(ReadBack(results, bytes));
  std::vector<BestLogits> found;
  for (uint64_t row = 0; row < rows; ++row) {
    found.push_back(RowOf(bytes, layout, row, chunks, args));
    found.back().part_tokens = args.weights ? static_cast<int>(plan.chunk_values) : 0;
    found.back().apart = ApartOf(bytes, layout, lists, row);
    found.back().vocab_size = args.width;
  }
  return found;
}

}  // namespace vade
