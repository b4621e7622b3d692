// Every level against plain loops in double precision, over lengths with and without tails, at odd
// addresses; and the promises about order: a row's result does not depend on what is computed
// beside it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/bytes.h"
#include "kernels/kernels.h"

namespace vade::kernels {
namespace {

const size_t kLengths[] = {1,  2,  7,  8,  15,  16,  17,  31,  32,  33,
                           63, 64, 65, 96, 100, 127, 128, 576, 1000};

std::vector<float> Random(size_t n, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> v(n);
  for (float& x : v) x = normal(random);
  return v;
}

class VectorLevel : public testing::TestWithParam<Level> {
 protected:
  void SetUp() override {
    if (!LevelSupported(GetParam()))
      GTEST_SKIP() << "this processor has no " << LevelName(GetParam());
  }
  const VectorKernels& kernels() const { return TableOf(GetParam()).vector; }

  // Runs f on input shifted by one float, so that no vector is aligned, and checks that nothing
  // beyond the n results is written.
  template <typename F>
  std::vector<float> Run(const std::vector<float>& x, F f) {
    std::vector<float> in(x.size() + 1), out(x.size() + 2, -12345.0f);
    std::copy(x.begin(), x.end(), in.begin() + 1);
    f(in.data() + 1, out.data() + 1);
    EXPECT_EQ(out.front(), -12345.0f);
    EXPECT_EQ(out.back(), -12345.0f);
    return {out.begin() + 1, out.end() - 1};
  }
};

TEST_P(VectorLevel, RmsNormIsTheFormula) {
  for (size_t n : kLengths) {
    const auto x = Random(n, 1, 3), w = Random(n, 2);
    const auto y = Run(
        x, [&](const float* in, float* out) { kernels().rms_norm(in, w.data(), 1e-5f, n, out); });
    double squares = 0;
    for (float v : x) squares += static_cast<double>(v) * v;
    const double inverse = 1 / std::sqrt(squares / n + 1e-5);
    for (size_t i = 0; i < n; ++i) ASSERT_NEAR(y[i], x[i] * inverse * w[i], 2e-5) << n << " " << i;
  }
}

TEST_P(VectorLevel, LayerNormIsTheFormula) {
  for (size_t n : kLengths) {
    const auto x = Random(n, 3, 3), w = Random(n, 4), b = Random(n, 5);
    const auto y = Run(x, [&](const float* in, float* out) {
      kernels().layer_norm(in, w.data(), b.data(), 1e-3f, n, out);
    });
    double sum = 0, squares = 0;
    for (float v : x) sum += v;
    const double mean = sum / n;
    for (float v : x) squares += (v - mean) * (v - mean);
    const double inverse = 1 / std::sqrt(squares / n + 1e-3);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_NEAR(y[i], (x[i] - mean) * inverse * w[i] + b[i], 3e-5) << n << " " << i;
    }
  }
}

TEST_P(VectorLevel, AddAddsToWhatIsThere) {
  for (size_t n : kLengths) {
    const auto x = Random(n, 6), y0 = Random(n, 7);
    const auto y = Run(x, [&](const float* in, float* out) {
      std::copy(y0.begin(), y0.end(), out);
      kernels().add(in, n, out);
    });
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], y0[i] + x[i]);
  }
}

TEST_P(VectorLevel, SiluMultiplyHoldsFromTheDeepNegativeToTheLarge) {
  for (size_t n : kLengths) {
    auto gate = Random(n, 8, 10);
    gate[0] = -200;
    if (n > 1) gate[1] = 200;
    const auto up = Random(n, 9);
    const auto y = Run(
        gate, [&](const float* in, float* out) { kernels().silu_multiply(in, up.data(), n, out); });
    for (size_t i = 0; i < n; ++i) {
      const double expected = gate[i] / (1 + std::exp(-static_cast<double>(gate[i]))) * up[i];
      ASSERT_NEAR(y[i], expected, 1e-6 + 1e-6 * std::abs(expected)) << n << " " << i;
    }
  }
}

TEST_P(VectorLevel, GeluIsTheErrorFunctionForm) {
  for (size_t n : kLengths) {
    const auto x = Random(n, 10, 3);
    const auto y = Run(x, [&](const float* in, float* out) { kernels().gelu(in, n, out); });
    for (size_t i = 0; i < n; ++i) {
      const double expected = 0.5 * x[i] * (1 + std::erf(x[i] / std::sqrt(2.0)));
      ASSERT_NEAR(y[i], expected, 2e-6) << n << " at x = " << x[i];
    }
  }
}

TEST_P(VectorLevel, LogSumExpIsThatOfAWideSumWhateverTheLengthAndTheSizes) {
  for (size_t n : {1, 2, 7, 8, 9, 31, 33, 1000, 4099}) {
    for (float shift : {0.0f, 80.0f, -300.0f}) {
      std::vector<float> x(n);
      for (size_t i = 0; i < n; ++i)
        x[i] = shift + 12.0f * std::sin(0.37f * static_cast<float>(i * i % 1013));
      double sum = 0;
      const double maximum = *std::max_element(x.begin(), x.end());
      for (float value : x) sum += std::exp(static_cast<double>(value) - maximum);
      EXPECT_NEAR(kernels().log_sum_exp(x.data(), n), maximum + std::log(sum), 2e-5 + 1e-6 * 300)
          << n << " values about " << shift;
    }
  }
}

TEST_P(VectorLevel, RotateTurnsEachPairByItsAngle) {
  for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
    for (size_t dims : {2, 4, 6, 14, 16, 30, 32, 34, 64, 80, 128}) {
      const size_t half = dims / 2;
      const auto x = Random(dims, 11), angles = Random(half, 12, 2);
      std::vector<float> c(half), s(half);
      for (size_t i = 0; i < half; ++i) c[i] = std::cos(angles[i]), s[i] = std::sin(angles[i]);
      const auto y = Run(x, [&](const float* in, float* out) {
        std::copy(in, in + dims, out);
        kernels().rotate(style, c.data(), s.data(), dims, out);
      });
      for (size_t i = 0; i < half; ++i) {
        const bool interleaved = style == RopeStyle::kInterleaved;
        const size_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : half + i;
        ASSERT_NEAR(y[a], x[a] * c[i] - x[b] * s[i], 1e-6) << dims << " " << i;
        ASSERT_NEAR(y[b], x[a] * s[i] + x[b] * c[i], 1e-6) << dims << " " << i;
      }
    }
  }
}

TEST_P(VectorLevel, HalvesAreRoundedToNearestEvenAndComeBack) {
  for (size_t n : kLengths) {
    auto x = Random(n, 13, 50);
    x[0] = 1e6f;              // beyond the largest half
    if (n > 1) x[1] = 1e-6f;  // below the smallest normal one
    std::vector<uint16_t> halves(n + 1, 0xabcd);
    kernels().to_kv(KvType::kF16, x.data(), n, halves.data());
    EXPECT_EQ(halves[n], 0xabcd);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(halves[i], FloatToHalf(x[i])) << x[i];
    std::vector<float> back(n + 1, 7);
    kernels().from_kv(KvType::kF16, halves.data(), n, back.data());
    EXPECT_EQ(back[n], 7);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(back[i], HalfToFloat(halves[i]));
  }
}

// Bytes of a page beyond the n elements stay as they are.
std::vector<uint8_t> ToBlocks(KvType type, const VectorKernels& kernels,
                              const std::vector<float>& x) {
  std::vector<uint8_t> bytes(1 + KvBytes(type, x.size()) + 1, 0xab);  // at an odd address
  kernels.to_kv(type, x.data(), x.size(), bytes.data() + 1);
  EXPECT_EQ(bytes.front(), 0xab);
  EXPECT_EQ(bytes.back(), 0xab);
  return {bytes.begin() + 1, bytes.end() - 1};
}

std::vector<float> FromBlocks(KvType type, const VectorKernels& kernels,
                              const std::vector<uint8_t>& bytes) {
  std::vector<float> x(bytes.size() / KvBytes(type, kKvBlock) * kKvBlock + 1, 7);
  kernels.from_kv(type, bytes.data(), x.size() - 1, x.data());
  EXPECT_EQ(x.back(), 7);
  x.pop_back();
  return x;
}

std::vector<uint8_t> ToQ8(const VectorKernels& kernels, const std::vector<float>& x) {
  return ToBlocks(KvType::kQ8, kernels, x);
}
std::vector<float> FromQ8(const VectorKernels& kernels, const std::vector<uint8_t>& bytes) {
  return FromBlocks(KvType::kQ8, kernels, bytes);
}
std::vector<uint8_t> ToQ4(const VectorKernels& kernels, const std::vector<float>& x) {
  return ToBlocks(KvType::kQ4, kernels, x);
}
std::vector<float> FromQ4(const VectorKernels& kernels, const std::vector<uint8_t>& bytes) {
  return FromBlocks(KvType::kQ4, kernels, bytes);
}

TEST_P(VectorLevel, Q8IsAScaleAndTheNearestBytes) {
  for (float magnitude : {1e-3f, 1.0f, 300.0f, 1e6f}) {
    const auto x = Random(8 * 32, 15, magnitude);
    const auto bytes = ToQ8(kernels(), x);
    const auto back = FromQ8(kernels(), bytes);
    for (size_t block = 0; block < 8; ++block) {
      float largest = 0;
      for (size_t i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(x[block * 32 + i]));
      uint16_t half;
      std::memcpy(&half, bytes.data() + block * kQ8BlockBytes, 2);
      ASSERT_EQ(half, FloatToHalf(largest / 127));
      const float scale = HalfToFloat(half);
      for (size_t i = 0; i < 32; ++i) {
        const auto code = static_cast<int8_t>(bytes[block * kQ8BlockBytes + 2 + i]);
        ASSERT_EQ(back[block * 32 + i], scale * static_cast<float>(code));
        ASSERT_LE(std::fabs(back[block * 32 + i] - x[block * 32 + i]), scale * 0.501f);
      }
    }
  }
}

TEST_P(VectorLevel, Q8HasTheBitsOfTheScalarLevel) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    auto x = Random(4 * 32, 1000 + seed, std::pow(10.0f, static_cast<float>(seed % 16) - 8));
    if (seed % 3 == 0) {  // many ties and the last byte
      for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 255) * 0.5f - 63.5f;
      x[0] = 127;
    }
    const auto bytes = ToQ8(kernels(), x);
    ASSERT_EQ(bytes, ToQ8(kVectorScalar, x)) << seed;
    const auto back = FromQ8(kernels(), bytes), expected = FromQ8(kVectorScalar, bytes);
    ASSERT_EQ(std::memcmp(back.data(), expected.data(), back.size() * sizeof(float)), 0) << seed;
  }
}

TEST_P(VectorLevel, Q8BlocksThatCannotBeHeldAreNanAndTheirNeighboursAreNot) {
  for (float bad : {NAN, -NAN, INFINITY, -INFINITY, 127 * 65520.0f, -1e30f}) {
    for (size_t at : {32, 45, 63}) {
      auto x = Random(3 * 32, 16);
      x[at] = bad;
      const auto bytes = ToQ8(kernels(), x);
      EXPECT_EQ(bytes, ToQ8(kVectorScalar, x)) << bad;
      const auto back = FromQ8(kernels(), bytes);
      for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(std::isnan(back[i]), i / 32 == 1) << i;
    }
  }
}

TEST_P(VectorLevel, Q8HoldsTheSmallAndTheLarge) {
  std::vector<float> x(4 * 32);
  x[0] = 127 * 65504.0f;                                  // the largest scale
  for (size_t i = 32; i < 64; ++i) x[i] = -1e-38f;        // rounds to zero
  for (size_t i = 64; i < 96; ++i) x[i] = 127 * 8.9e-8f;  // the scale is rounded down to 2^-24
  x[65] = -x[64];
  const auto bytes = ToQ8(kernels(), x);
  EXPECT_EQ(bytes, ToQ8(kVectorScalar, x));
  const auto back = FromQ8(kernels(), bytes);
  EXPECT_EQ(back[0], x[0]);
  EXPECT_EQ(back[1], 0);
  EXPECT_EQ(back[32], 0);
  EXPECT_EQ(back[64], 127 * 0x1p-24f);
  EXPECT_EQ(back[65], -128 * 0x1p-24f);
  EXPECT_EQ(back[96], 0);
}

// The halves at the head of a block of q4.
struct Q4Head {
  uint16_t scale, minimum;
};
Q4Head HeadOfQ4(const std::vector<uint8_t>& bytes, size_t block) {
  Q4Head head;
  std::memcpy(&head.scale, bytes.data() + block * kQ4BlockBytes, 2);
  std::memcpy(&head.minimum, bytes.data() + block * kQ4BlockBytes + 2, 2);
  return head;
}

TEST_P(VectorLevel, Q4IsAScaleAMinimumAndTheNearestOfSixteenSteps) {
  for (float magnitude : {1e-3f, 1.0f, 300.0f, 1e4f}) {
    for (float offset : {0.0f, 3.0f, -0.5f}) {
      auto x = Random(8 * 32, 17, magnitude);
      for (float& value : x) value += offset * magnitude;
      const auto bytes = ToQ4(kernels(), x);
      const auto back = FromQ4(kernels(), bytes);
      for (size_t i = 0; i < x.size(); ++i) {
        const auto begin = x.begin() + static_cast<ptrdiff_t>(i / 32 * 32);
        const auto [least, most] = std::minmax_element(begin, begin + 32);
        const Q4Head head = HeadOfQ4(bytes, i / 32);
        ASSERT_EQ(head.minimum, FloatToHalf(*least));
        const float minimum = HalfToFloat(head.minimum), scale = HalfToFloat(head.scale);
        ASSERT_EQ(head.scale, FloatToHalf((*most - minimum) / 15));
        const uint8_t pair = bytes[i / 32 * kQ4BlockBytes + 4 + i % 16];
        const int code = i % 32 < 16 ? pair & 15 : pair >> 4;
        ASSERT_EQ(back[i], minimum + scale * static_cast<float>(code));
        // Half a step, what the roundings of the scale add up to in 15 steps, and the minimum's.
        ASSERT_LE(std::fabs(back[i] - x[i]), scale * 0.51f + std::fabs(minimum) * 0x1p-11f);
      }
    }
  }
}

TEST_P(VectorLevel, Q4HasTheBitsOfTheScalarLevel) {
  for (uint32_t seed = 0; seed < 400; ++seed) {
    auto x = Random(4 * 32, 2000 + seed, std::pow(10.0f, static_cast<float>(seed % 13) - 8));
    if (seed % 3 == 0) {  // many ties
      for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 31) * 0.5f;
    }
    if (seed % 5 == 0) {  // far from zero, where the minimum's rounding is many steps
      for (float& value : x) value += seed % 2 ? 3000.0f : -3000.0f;
    }
    const auto bytes = ToQ4(kernels(), x);
    ASSERT_EQ(bytes, ToQ4(kVectorScalar, x)) << seed;
    const auto back = FromQ4(kernels(), bytes), expected = FromQ4(kVectorScalar, bytes);
    ASSERT_EQ(std::memcmp(back.data(), expected.data(), back.size() * sizeof(float)), 0) << seed;
  }
}

TEST_P(VectorLevel, AnyBytesOfQ4AreReadAsTheScalarLevelReadsThem) {
  std::mt19937 random(18);
  for (int run = 0; run < 200; ++run) {
    std::vector<uint8_t> bytes(3 * kQ4BlockBytes);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const auto back = FromQ4(kernels(), bytes), expected = FromQ4(kVectorScalar, bytes);
    for (size_t i = 0; i < back.size(); ++i) {
      ASSERT_EQ(std::isnan(back[i]), std::isnan(expected[i])) << i;
      const bool same = std::isnan(back[i]) || back[i] == expected[i];
      ASSERT_TRUE(same) << i << ": " << back[i] << " and " << expected[i];
    }
  }
}

TEST_P(VectorLevel, Q4BlocksThatCannotBeHeldAreNanAndTheirNeighboursAreNot) {
  for (float bad : {NAN, -NAN, INFINITY, -INFINITY, -65520.0f, 15 * 65520.0f + 10, 1e30f, -3e38f}) {
    for (size_t at : {32, 45, 63}) {
      auto x = Random(3 * 32, 16);
      x[at] = bad;
      const auto bytes = ToQ4(kernels(), x);
      EXPECT_EQ(bytes, ToQ4(kVectorScalar, x)) << bad;
      const auto back = FromQ4(kernels(), bytes);
      for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(std::isnan(back[i]), i / 32 == 1) << i;
    }
  }
}

TEST_P(VectorLevel, Q4HoldsWhatIsTheSameTheSmallAndTheLarge) {
  std::vector<float> x(6 * 32);
  for (size_t i = 0; i < 32; ++i) x[i] = i % 2 ? 0.0f : -0.0f;  // all zero, of either sign
  for (size_t i = 32; i < 64; ++i) x[i] = 2.5f;                 // one value
  for (size_t i = 64; i < 96; ++i) x[i] = 2049;                 // one that no half has
  for (size_t i = 96; i < 128; ++i) x[i] = i % 2 ? 1e-38f : -1e-38f;
  for (size_t i = 128; i < 160; ++i) x[i] = i % 2 ? 0 : 15 * 8.9e-8f;  // the scale: 2^-24
  x[160] = -65504, x[161] = 65504;
  const auto bytes = ToQ4(kernels(), x);
  EXPECT_EQ(bytes, ToQ4(kVectorScalar, x));
  const auto back = FromQ4(kernels(), bytes);
  for (size_t i = 0; i < 32; ++i) ASSERT_FALSE(back[i] != 0 || std::signbit(back[i])) << i;
  for (size_t i = 32; i < 64; ++i) ASSERT_EQ(back[i], 2.5f);
  for (size_t i = 64; i < 96; ++i) ASSERT_NEAR(back[i], 2049, 1);
  for (size_t i = 96; i < 128; ++i) ASSERT_EQ(back[i], 0);
  for (size_t i = 128; i < 160; ++i) ASSERT_EQ(back[i], i % 2 ? 0 : 15 * 0x1p-24f);
  EXPECT_EQ(back[160], -65504);
  EXPECT_NEAR(back[161], 65504, 65504 * 0x1p-10);
}

TEST(KvType, IsFoundByTheNameThatItPrintsAndTellsItsBytes) {
  for (KvType type : kAllKvTypes) EXPECT_EQ(ParseKvType(KvTypeName(type)), type);
  EXPECT_EQ(ParseKvType("q5"), std::nullopt);
  EXPECT_EQ(ParseKvType("unknown"), std::nullopt);
  EXPECT_EQ(KvBytes(KvType::kF32, 64), 256u);
  EXPECT_EQ(KvBytes(KvType::kF16, 64), 128u);
  EXPECT_EQ(KvBytes(KvType::kQ8, 64), 68u);
  EXPECT_EQ(KvBytes(KvType::kQ4, 64), 40u);
}

TEST_P(VectorLevel, Float32PagesKeepEveryBit) {
  const auto x = Random(33, 14);
  std::vector<float> page(33), back(33);
  kernels().to_kv(KvType::kF32, x.data(), x.size(), page.data());
  kernels().from_kv(KvType::kF32, page.data(), x.size(), back.data());
  EXPECT_EQ(back, x);
}

// --- attention -----------------------------------------------------------------------------------

struct AttentionCase {
  size_t queries, keys, dim;
  std::vector<float> q, k, v;
  std::vector<uint32_t> visible;

  AttentionCase(size_t query_count, size_t key_count, size_t head_dim, float scale)
      : queries(query_count),
        keys(key_count),
        dim(head_dim),
        q(Random(query_count * head_dim, 21, scale)),
        k(Random(key_count * head_dim, 22)),
        v(Random(key_count * head_dim, 23)),
        visible(query_count) {
    std::mt19937 random(24);
    for (auto& n : visible) n = 1 + random() % key_count;
    visible.back() = static_cast<uint32_t>(key_count);
  }

  AttentionArgs Args(size_t first, size_t count, float* out) const {
    return {.queries = q.data() + first * dim,
            .query_count = count,
            .query_stride = dim,
            .keys = k.data(),
            .values = v.data(),
            .visible = visible.data() + first,
            .head_dim = dim,
            .scale = 0.3f,
            .out = out,
            .out_stride = dim};
  }

  std::vector<double> Exact(size_t row) const {
    std::vector<double> scores(visible[row]), out(dim);
    double highest = -1e300, total = 0;
    for (size_t j = 0; j < scores.size(); ++j) {
      for (size_t i = 0; i < dim; ++i)
        scores[j] += static_cast<double>(q[row * dim + i]) * k[j * dim + i];
      scores[j] *= 0.3f;
      highest = std::max(highest, scores[j]);
    }
    for (size_t j = 0; j < scores.size(); ++j) {
      const double w = std::exp(scores[j] - highest);
      for (size_t i = 0; i < dim; ++i) out[i] += w * v[j * dim + i];
      total += w;
    }
    for (double& x : out) x /= total;
    return out;
  }
};

TEST_P(VectorLevel, AttendIsTheSoftmaxOfVisibleKeys) {
  for (size_t dim : {8, 16, 20, 32, 64, 80, 96, 100, 128, 256}) {
    for (size_t keys : {1, 3, 31, 32, 33, 70, 200}) {
      for (float scale : {0.1f, 5.0f}) {
        const AttentionCase c(5, keys, dim, scale);
        std::vector<float> out(c.queries * dim, -1);
        kernels().attend(c.Args(0, c.queries, out.data()));
        for (size_t row = 0; row < c.queries; ++row) {
          const auto exact = c.Exact(row);
          for (size_t i = 0; i < dim; ++i) {
            ASSERT_NEAR(out[row * dim + i], exact[i], 5e-5) << dim << " " << keys << " row " << row;
          }
        }
      }
    }
  }
}

TEST_P(VectorLevel, AttendingARowAloneGivesTheBitsOfTheBatch) {
  for (size_t dim : {16, 20, 64, 128}) {
    const AttentionCase c(37, 150, dim, 2);
    std::vector<float> batch(c.queries * dim), alone(dim);
    kernels().attend(c.Args(0, c.queries, batch.data()));
    for (size_t row = 0; row < c.queries; ++row) {
      kernels().attend(c.Args(row, 1, alone.data()));
      ASSERT_EQ(std::memcmp(alone.data(), batch.data() + row * dim, dim * sizeof(float)), 0)
          << "row " << row << " of head size " << dim;
    }
  }
}

TEST_P(VectorLevel, AttendNeverReadsBeyondTheKeysThatAreVisible) {
  AttentionCase c(3, 40, 64, 1);
  c.visible = {5, 5, 33};
  std::vector<float> before(3 * 64), after(3 * 64);
  kernels().attend(c.Args(0, 3, before.data()));
  for (size_t i = 33 * 64; i < c.k.size(); ++i) c.k[i] = c.v[i] = NAN;
  kernels().attend(c.Args(0, 3, after.data()));
  EXPECT_EQ(before, after);
  for (size_t i = 5 * 64; i < 33 * 64; ++i) c.k[i] = c.v[i] = INFINITY;
  kernels().attend(c.Args(0, 3, after.data()));
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 2 * 64, after.begin()));
}

INSTANTIATE_TEST_SUITE_P(Levels, VectorLevel, testing::ValuesIn(kAllLevels),
                         [](const auto& level) { return std::string(LevelName(level.param)); });

}  // namespace
}  // namespace vade::kernels
