// The specification of int8.h. Levels give the same codes and products wherever the floats that go
// in are the same; sums of floats (the normalisation) may differ in their last bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/int8_math.h"

namespace vade::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

CodeRange RangeOf(const float* x, size_t n) {
  float low = 0, high = 0;
  bool ordered = true;
  for (size_t i = 0; i < n; ++i) {
    ordered &= !std::isnan(x[i]);
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  const float range = high - low;
  if (!ordered || !std::isfinite(range)) return {.scale = {kNan, 0}};
  if (range < kInt8SmallestRange) return {};
  CodeRange codes;
  codes.inverse = kInt8Codes / range;
  codes.zero = std::nearbyint(-low * codes.inverse);
  codes.scale.scale = range / kInt8Codes;
  codes.scale.offset = codes.scale.scale * codes.zero;
  return codes;
}

RowScale Quantise(const float* x, size_t n, uint8_t* codes) {
  const CodeRange range = RangeOf(x, n);
  std::memset(codes, 0, Int8CodeCols(n));
  if (range.inverse == 0) return range.scale;
  for (size_t i = 0; i < n; ++i) {
    const float code = std::nearbyint(std::fma(x[i], range.inverse, range.zero));
    codes[i] = static_cast<uint8_t>(std::clamp(code, 0.0f, kInt8Codes));
  }
  return range.scale;
}

float Gelu(float x) {
  const float limited = std::clamp(x, -kGeluLimit, kGeluLimit);
  const float square = limited * limited;
  float p = kGeluPolynomial.back();
  for (size_t i = kGeluPolynomial.size() - 1; i-- > 0;) p = std::fma(p, square, kGeluPolynomial[i]);
  return x * std::fma(limited, p, 0.5f);
}

RowScale GeluQuantise(float* x, size_t n, uint8_t* codes) {
  // std::clamp lets a NaN through, as the other levels do.
  for (size_t i = 0; i < n; ++i) x[i] = Gelu(x[i]);
  return Quantise(x, n, codes);
}

RowScale AddNormQuantise(const AddNorm& norm, float* x, uint8_t* codes) {
  const size_t n = norm.n;
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) {
    if (norm.y != nullptr) x[i] += norm.y[i];
    sum += x[i];
  }
  const auto mean = static_cast<float>(sum / static_cast<double>(n));
  for (size_t i = 0; i < n; ++i) {
    const double d = x[i] - mean;
    squares += d * d;
  }
  const float inverse =
      1.0f / std::sqrt(static_cast<float>(squares / static_cast<double>(n)) + norm.eps);
  for (size_t i = 0; i < n; ++i) {
    x[i] = std::fma((x[i] - mean) * inverse, norm.weight[i], norm.bias[i]);
  }
  return Quantise(x, n, codes);
}

RowScale SoftmaxQuantise(const float* x, size_t n, float scale, uint8_t* codes) {
  std::memset(codes, 0, Int8CodeCols(n));
  bool ordered = true;
  float highest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < n; ++i) {
    ordered &= !std::isnan(x[i]);
    highest = std::max(highest, x[i]);
  }
  if (!ordered || !std::isfinite(highest)) return {kNan, 0};
  const float factor = scale * kLog2E, shift = -highest * factor;
  int32_t total = 0;
  for (size_t i = 0; i < n; ++i) {
    const float t = std::max(std::fma(x[i], factor, shift), kExp2Lowest);
    const float whole = std::nearbyint(t), f = t - whole;
    float p = kInt8Codes * kExp2Polynomial.back();
    for (size_t k = kExp2Polynomial.size() - 1; k-- > 0;) {
      p = std::fma(p, f, kInt8Codes * kExp2Polynomial[k]);
    }
    const float code = std::nearbyint(std::ldexp(p, static_cast<int>(whole)));
    codes[i] = static_cast<uint8_t>(code);
    total += codes[i];
  }
  return {1.0f / static_cast<float>(total), 0};
}

void Multiply(const Int8Product& p) {
  const size_t tile_bytes = Int8TileBytes(p.cols);
  for (size_t row = 0; row < p.rows; ++row) {
    const uint8_t* tile = p.tiles + row / kTileRows * tile_bytes;
    const size_t in_tile = row % kTileRows;
    float scale, scaled_sum;
    std::memcpy(&scale, tile + 4 * in_tile, 4);
    std::memcpy(&scaled_sum, tile + kInt8SumsOffset + 4 * in_tile, 4);
    const uint8_t* line = tile + kInt8LinesOffset + 4 * in_tile;
    for (size_t t = 0; t < p.tokens; ++t) {
      const uint8_t* codes = p.codes + t * p.code_stride;
      int32_t sum = 0;
      for (size_t c = 0; c < p.cols; ++c) {
        sum += codes[c] * static_cast<int8_t>(line[c / kInt8Step * 64 + c % kInt8Step]);
      }
      const RowScale& x = p.scales[t];
      const float rest = std::fma(-x.offset, scaled_sum, p.bias == nullptr ? 0.0f : p.bias[row]);
      p.y[t * p.y_stride + row] = std::fma(static_cast<float>(sum), scale * x.scale, rest);
    }
  }
}

void PackKeys(const HeadRows& keys, uint8_t* out) {
  std::memset(out, 0, Int8MatrixBytes(keys.count, keys.dim));
  for (size_t i = 0; i < keys.count; ++i) {
    PackInt8Row(keys.first + i * keys.stride, 1, keys.dim, i % kTileRows,
                out + i / kTileRows * Int8TileBytes(keys.dim));
  }
}

void PackValues(const HeadRows& values, uint8_t* out) {
  std::memset(out, 0, Int8MatrixBytes(values.dim, values.count));
  for (size_t i = 0; i < values.dim; ++i) {
    PackInt8Row(values.first + i, values.stride, values.count, i % kTileRows,
                out + i / kTileRows * Int8TileBytes(values.count));
  }
}

}  // namespace

const Int8Kernels kInt8Scalar = {.code_bytes = 1,
                                 .quantise = Quantise,
                                 .gelu_quantise = GeluQuantise,
                                 .add_norm_quantise = AddNormQuantise,
                                 .softmax_quantise = SoftmaxQuantise,
                                 .multiply = Multiply,
                                 .pack_keys = PackKeys,
                                 .pack_values = PackValues};

}  // namespace vade::kernels
