#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/status.h"
#include "kernels/int8_math.h"

namespace vade::kernels {
namespace {

// The largest magnitude; NaN when one of them is not finite.
float LargestOf(const float* x, size_t stride, size_t cols) {
  float largest = 0;
  for (size_t c = 0; c < cols; ++c) {
    const float magnitude = std::fabs(x[c * stride]);
    if (!std::isfinite(magnitude)) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, magnitude);
  }
  return largest;
}

}  // namespace

void PackInt8Row(const float* x, size_t stride, size_t cols, size_t row, uint8_t* tile) {
  const float largest = LargestOf(x, stride, cols);
  const float scale = largest / kInt8Weights;
  const float inverse = largest > kInt8SmallestRange ? kInt8Weights / largest : 0.0f;
  int32_t sum = 0;
  uint8_t* line = tile + kInt8LinesOffset + 4 * row;
  for (size_t c = 0; c < cols; ++c) {
    const auto code = static_cast<int8_t>(inverse == 0 ? 0 : std::nearbyint(x[c * stride] * inverse));
    sum += code;
    line[c / kInt8Step * 64 + c % kInt8Step] = static_cast<uint8_t>(code);
  }
  const float scaled_sum = scale * static_cast<float>(sum);
  std::memcpy(tile + 4 * row, &scale, 4);
  std::memcpy(tile + kInt8SumsOffset + 4 * row, &scaled_sum, 4);
}

void UnpackInt8Row(const uint8_t* tile, size_t row, size_t cols, float* out) {
  float scale;
  std::memcpy(&scale, tile + 4 * row, 4);
  const uint8_t* line = tile + kInt8LinesOffset + 4 * row;
  for (size_t c = 0; c < cols; ++c) {
    const auto code = static_cast<int8_t>(line[c / kInt8Step * 64 + c % kInt8Step]);
    out[c] = scale * static_cast<float>(code);
  }
}

void PackInt8Tiles(TensorType type, const uint8_t* tensor, size_t rows, size_t cols,
                   size_t tile_begin, size_t tile_end, uint8_t* out) {
  const TensorTypeInfo& info = InfoOf(type);
  VADE_CHECK(cols % info.block_elements == 0 && cols <= kInt8MaxCols,
             "readers admit only rows of whole blocks and of a bounded length");
  const size_t row_bytes = cols / info.block_elements * info.block_bytes;
  std::vector<float> values(cols);
  for (size_t tile = tile_begin; tile < tile_end; ++tile) {
    uint8_t* tile_out = out + tile * Int8TileBytes(cols);
    std::memset(tile_out, 0, Int8TileBytes(cols));
    const size_t first = tile * kTileRows;
    for (size_t row = 0; row < std::min(kTileRows, rows - first); ++row) {
      Dequantize(type, tensor + (first + row) * row_bytes, cols, values.data());
      PackInt8Row(values.data(), 1, cols, row, tile_out);
    }
  }
}

}  // namespace vade::kernels
