// What a transformer does besides matrix products: the specification that every level is tested
// against. Sums run from index 0 upwards in one chain; attention is described above attend().
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "kernels/q4_range.h"

namespace vade::kernels {
namespace {

void RmsNorm(const float* x, const float* weight, float eps, size_t n, float* y) {
  float squares = 0;
  for (size_t i = 0; i < n; ++i) squares += x[i] * x[i];
  const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
  for (size_t i = 0; i < n; ++i) y[i] = x[i] * inverse * weight[i];
}

void LayerNorm(const float* x, const float* weight, const float* bias, float eps, size_t n,
               float* y) {
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += x[i];
  const float mean = sum / static_cast<float>(n);
  float squares = 0;
  for (size_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
  for (size_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * inverse * weight[i] + bias[i];
}

void Add(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] += x[i];
}

void SiluMultiply(const float* gate, const float* up, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void Gelu(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = 0.5f * x[i] * (1.0f + std::erf(x[i] * 0.70710678f));
}

float LogSumExp(const float* x, size_t n) {
  const float maximum = *std::max_element(x, x + n);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += std::exp(x[i] - maximum);
  return maximum + static_cast<float>(std::log(sum));
}

void Rotate(RopeStyle style, const float* cos, const float* sin, size_t dims, float* x) {
  const size_t half = dims / 2;
  for (size_t i = 0; i < half; ++i) {
    const size_t a = style == RopeStyle::kInterleaved ? 2 * i : i;
    const size_t b = style == RopeStyle::kInterleaved ? 2 * i + 1 : i + half;
    const float first = x[a], second = x[b];
    x[a] = first * cos[i] - second * sin[i];
    x[b] = first * sin[i] + second * cos[i];
  }
}

constexpr uint16_t kHalfInfinity = 0x7c00, kHalfNan = 0x7e00;

void ToF16(const float* x, size_t n, uint8_t* out) {
  for (size_t i = 0; i < n; ++i) {
    const uint16_t half = FloatToHalf(x[i]);
    std::memcpy(out + 2 * i, &half, sizeof(half));
  }
}

// Of 32 values: largest magnitude / 127 as float16 bits, or NaN where that is not finite.
uint16_t Q8Scale(const float* x) {
  float largest = 0;
  for (size_t i = 0; i < kKvBlock; ++i) {
    if (!std::isfinite(x[i])) return kHalfNan;
    largest = std::max(largest, std::fabs(x[i]));
  }
  const uint16_t half = FloatToHalf(largest / 127.0f);
  return half < kHalfInfinity ? half : kHalfNan;
}

void ToQ8(const float* x, size_t n, uint8_t* out) {
  for (size_t begin = 0; begin < n; begin += kKvBlock, x += kKvBlock, out += kQ8BlockBytes) {
    const uint16_t half = Q8Scale(x);
    std::memset(out, 0, kQ8BlockBytes);
    std::memcpy(out, &half, sizeof(half));
    if (half == 0 || half == kHalfNan) continue;
    // By the scale as it will be read. Only one that is subnormal as float16 can push a code beyond
    // a byte.
    const float inverse = 1.0f / HalfToFloat(half);
    for (size_t i = 0; i < kKvBlock; ++i) {
      const float code = std::clamp(std::nearbyint(x[i] * inverse), -128.0f, 127.0f);
      out[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(code));
    }
  }
}

Q4Range RangeOfQ4(const float* x) {
  float least = x[0], most = x[0];
  for (size_t i = 0; i < kKvBlock; ++i) {
    if (!std::isfinite(x[i])) return {};
    least = std::min(least, x[i]);
    most = std::max(most, x[i]);
  }
  return Q4RangeOf(least, most);
}

void ToQ4(const float* x, size_t n, uint8_t* out) {
  for (size_t begin = 0; begin < n; begin += kKvBlock, x += kKvBlock, out += kQ4BlockBytes) {
    const Q4Range range = RangeOfQ4(x);
    std::memset(out, 0, kQ4BlockBytes);
    std::memcpy(out, &range.scale, sizeof(range.scale));
    std::memcpy(out + 2, &range.minimum, sizeof(range.minimum));
    if (range.scale == 0 || range.scale == kHalfNan) continue;
    // By both as they will be read.
    const float minimum = HalfToFloat(range.minimum), inverse = 1.0f / HalfToFloat(range.scale);
    for (size_t i = 0; i < kKvBlock; ++i) {
      const float code = std::clamp(std::nearbyint((x[i] - minimum) * inverse), 0.0f, 15.0f);
      out[4 + i % 16] |= static_cast<uint8_t>(static_cast<int>(code) << (i < 16 ? 0 : 4));
    }
  }
}

void ToKv(KvType type, const float* x, size_t n, void* out) {
  switch (type) {
    case KvType::kF32: std::memcpy(out, x, n * sizeof(float)); break;
    case KvType::kF16: ToF16(x, n, static_cast<uint8_t*>(out)); break;
    case KvType::kQ8: ToQ8(x, n, static_cast<uint8_t*>(out)); break;
    case KvType::kQ4: ToQ4(x, n, static_cast<uint8_t*>(out)); break;
  }
}

void FromF16(const uint8_t* x, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) {
    uint16_t half;
    std::memcpy(&half, x + 2 * i, sizeof(half));
    out[i] = HalfToFloat(half);
  }
}

void FromQ8(const uint8_t* x, size_t n, float* out) {
  for (size_t begin = 0; begin < n; begin += kKvBlock, x += kQ8BlockBytes, out += kKvBlock) {
    uint16_t half;
    std::memcpy(&half, x, sizeof(half));
    const float scale = HalfToFloat(half);
    for (size_t i = 0; i < kKvBlock; ++i) {
      out[i] = static_cast<float>(static_cast<int8_t>(x[2 + i])) * scale;
    }
  }
}

// A code times a scale is exact, so a level may add in the same step.
void FromQ4(const uint8_t* x, size_t n, float* out) {
  for (size_t begin = 0; begin < n; begin += kKvBlock, x += kQ4BlockBytes, out += kKvBlock) {
    uint16_t halves[2];
    std::memcpy(halves, x, sizeof(halves));
    const float scale = HalfToFloat(halves[0]), minimum = HalfToFloat(halves[1]);
    for (size_t i = 0; i < kKvBlock; ++i) {
      const int code = i < 16 ? x[4 + i] & 15 : x[4 + i - 16] >> 4;
      out[i] = static_cast<float>(code) * scale + minimum;
    }
  }
}

void FromKv(KvType type, const void* x, size_t n, float* out) {
  switch (type) {
    case KvType::kF32: std::memcpy(out, x, n * sizeof(float)); break;
    case KvType::kF16: FromF16(static_cast<const uint8_t*>(x), n, out); break;
    case KvType::kQ8: FromQ8(static_cast<const uint8_t*>(x), n, out); break;
    case KvType::kQ4: FromQ4(static_cast<const uint8_t*>(x), n, out); break;
  }
}

float Score(const float* query, const float* key, const AttentionArgs& args) {
  float dot = 0;
  for (size_t i = 0; i < args.head_dim; ++i) dot += query[i] * key[i];
  return dot * args.scale;
}

// One query row: softmax in one pass over tiles of keys. Whenever a tile raises the maximum, what
// was summed before is scaled down. A key beyond the row's last one has no part in any sum.
void AttendRow(const AttentionArgs& args, const float* query, size_t visible, float* out) {
  float maximum = -INFINITY, total = 0;
  std::fill_n(out, args.head_dim, 0.0f);
  for (size_t begin = 0; begin < visible; begin += kAttentionTile) {
    const size_t count = std::min(kAttentionTile, visible - begin);
    float scores[kAttentionTile];
    float raised = maximum;
    for (size_t j = 0; j < count; ++j) {
      scores[j] = Score(query, args.keys + (begin + j) * args.head_dim, args);
      raised = std::max(raised, scores[j]);
    }
    if (raised > maximum) {
      const float factor = std::exp(maximum - raised);
      for (size_t i = 0; i < args.head_dim; ++i) out[i] *= factor;
      total *= factor;
      maximum = raised;
    }
    for (size_t j = 0; j < count; ++j) {
      const float weight = std::exp(scores[j] - maximum);
      const float* value = args.values + (begin + j) * args.head_dim;
      for (size_t i = 0; i < args.head_dim; ++i) out[i] += weight * value[i];
      total += weight;
    }
  }
  const float inverse = 1.0f / total;
  for (size_t i = 0; i < args.head_dim; ++i) out[i] *= inverse;
}

void Attend(const AttentionArgs& args) {
  for (size_t q = 0; q < args.query_count; ++q) {
    AttendRow(args, args.queries + q * args.query_stride, args.visible[q],
              args.out + q * args.out_stride);
  }
}

}  // namespace

const VectorKernels kVectorScalar = {RmsNorm,   LayerNorm, Add,  SiluMultiply, Gelu,
                                     LogSumExp, Rotate,    ToKv, FromKv,       Attend};

}  // namespace vade::kernels
