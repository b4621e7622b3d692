// The encoder's arithmetic: every level against the specification (codes and products bit for bit
// where the floats that go in are the same), and the specification against double precision.
#include "kernels/int8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/kernels.h"
#include "tests/kernels/random_tensor.h"

namespace vade::kernels {
namespace {

constexpr float kUntouched = 12345.0f;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
const size_t kLengths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 384, 1000};

// Rows of codes as a level keeps them, and as bytes.
struct Rows {
  std::vector<uint8_t> bytes;
  std::vector<RowScale> scales;
  size_t stride = 0;
};

std::vector<int> CodesOf(const Int8Kernels& kernels, const Rows& rows, size_t row, size_t n) {
  std::vector<int> codes(n);
  for (size_t i = 0; i < n; ++i) {
    const uint8_t* at = rows.bytes.data() + row * rows.stride + i * kernels.code_bytes;
    codes[i] = at[0] | (kernels.code_bytes == 2 ? at[1] << 8 : 0);
  }
  return codes;
}

Rows EmptyRows(const Int8Kernels& kernels, size_t count, size_t n) {
  Rows rows;
  rows.stride = Int8CodeCols(n) * kernels.code_bytes;
  rows.bytes.assign(count * rows.stride, 0xee);
  rows.scales.resize(count);
  return rows;
}

Rows Quantised(const Int8Kernels& kernels, const std::vector<float>& x, size_t n) {
  Rows rows = EmptyRows(kernels, x.size() / n, n);
  for (size_t i = 0; i < rows.scales.size(); ++i) {
    rows.scales[i] = kernels.quantise(x.data() + i * n, n, rows.bytes.data() + i * rows.stride);
  }
  return rows;
}

struct Weights {
  size_t rows, cols;
  std::vector<float> values;
  std::vector<uint8_t> tiles;

  Weights(size_t row_count, size_t col_count, uint32_t seed) : rows(row_count), cols(col_count) {
    values = RandomFloats(rows * cols, seed);
    tiles.resize(Int8MatrixBytes(rows, cols));
    PackInt8Tiles(TensorType::kF32, reinterpret_cast<const uint8_t*>(values.data()), rows, cols, 0,
                  (rows + kTileRows - 1) / kTileRows, tiles.data());
  }
};

// y [tokens, rows] with one more column that must stay untouched.
std::vector<float> Multiply(const Int8Kernels& kernels, const Weights& w, const Rows& x,
                            const float* bias) {
  std::vector<float> y(x.scales.size() * (w.rows + 1), kUntouched);
  kernels.multiply({.tiles = w.tiles.data(),
                    .rows = w.rows,
                    .cols = w.cols,
                    .codes = x.bytes.data(),
                    .code_stride = x.stride,
                    .scales = x.scales.data(),
                    .tokens = x.scales.size(),
                    .bias = bias,
                    .y = y.data(),
                    .y_stride = w.rows + 1});
  for (size_t t = 0; t < x.scales.size(); ++t) {
    EXPECT_EQ(y[t * (w.rows + 1) + w.rows], kUntouched) << t;
  }
  return y;
}

class Int8Level : public testing::TestWithParam<Level> {
 protected:
  void SetUp() override {
    if (!LevelSupported(GetParam()))
      GTEST_SKIP() << "this processor has no " << LevelName(GetParam());
  }
  const Int8Kernels& kernels() const { return TableOf(GetParam()).int8; }
};

TEST_P(Int8Level, CodesAreWithinHalfAStepOfTheirValues) {
  for (const size_t n : kLengths) {
    auto x = RandomFloats(n, 1);
    if (n > 4) x[3] = 40;  // one large value must not take the others out of range
    const Rows rows = Quantised(kernels(), x, n);
    const auto codes = CodesOf(kernels(), rows, 0, Int8CodeCols(n));
    for (size_t i = 0; i < n; ++i) {
      const float value = rows.scales[0].scale * static_cast<float>(codes[i]) - rows.scales[0].offset;
      ASSERT_NEAR(value, x[i], rows.scales[0].scale * 0.501f) << n << " " << i;
    }
    for (size_t i = n; i < codes.size(); ++i) ASSERT_EQ(codes[i], 0) << n;
  }
}

TEST_P(Int8Level, CodesAreThoseOfTheSpecification) {
  for (const size_t n : kLengths) {
    for (const float scale : {1e-20f, 1.0f, 1e6f}) {
      auto x = RandomFloats(n, 2);
      for (float& v : x) v *= scale;
      const Rows expected = Quantised(kInt8Scalar, x, n), got = Quantised(kernels(), x, n);
      EXPECT_EQ(got.scales[0].scale, expected.scales[0].scale);
      EXPECT_EQ(got.scales[0].offset, expected.scales[0].offset);
      EXPECT_EQ(CodesOf(kernels(), got, 0, Int8CodeCols(n)),
                CodesOf(kInt8Scalar, expected, 0, Int8CodeCols(n)))
          << n;
    }
  }
}

TEST_P(Int8Level, ZerosAreZeroAndWhatIsNotFiniteIsNaN) {
  for (const size_t n : {1, 16, 37}) {
    const Rows zeros = Quantised(kernels(), std::vector<float>(n), n);
    EXPECT_EQ(zeros.scales[0].scale, 0);
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      std::vector<float> x(n, 1.0f);
      x[n - 1] = bad;
      const Rows rows = Quantised(kernels(), x, n);
      EXPECT_TRUE(std::isnan(rows.scales[0].scale)) << n << " " << bad;
      std::vector<uint8_t> codes(2 * Int8CodeCols(n));
      EXPECT_TRUE(std::isnan(kernels().softmax_quantise(x.data(), n, 1, codes.data()).scale) ||
                  bad == -kInfinity);
    }
  }
}

TEST_P(Int8Level, ProductsHaveTheBitsOfTheSpecification) {
  for (const auto& [rows, cols] : {std::pair<size_t, size_t>{1, 1}, {15, 3}, {16, 32}, {17, 33},
                                   {48, 100}, {64, 384}, {130, 70}, {40, 1536}}) {
    const Weights w(rows, cols, 3);
    const auto bias = RandomFloats(rows, 4);
    for (const size_t tokens : {1, 2, 3, 4, 5, 6, 7, 11, 13, 30, 37}) {
      const auto x = RandomFloats(tokens * cols, 5);
      const auto got = Multiply(kernels(), w, Quantised(kernels(), x, cols), bias.data());
      const auto expected = Multiply(kInt8Scalar, w, Quantised(kInt8Scalar, x, cols), bias.data());
      EXPECT_EQ(got, expected) << rows << " x " << cols << ", " << tokens << " tokens";
    }
    const auto x = RandomFloats(cols, 6);
    EXPECT_EQ(Multiply(kernels(), w, Quantised(kernels(), x, cols), nullptr),
              Multiply(kInt8Scalar, w, Quantised(kInt8Scalar, x, cols), nullptr));
  }
}

TEST_P(Int8Level, ProductsAreNearThoseOfDoublePrecision) {
  const size_t rows = 33, cols = 384, tokens = 7;
  const Weights w(rows, cols, 7);
  const auto bias = RandomFloats(rows, 8), x = RandomFloats(tokens * cols, 9);
  const auto y = Multiply(kernels(), w, Quantised(kernels(), x, cols), bias.data());
  double error = 0, magnitude = 0;
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t row = 0; row < rows; ++row) {
      double sum = bias[row];
      for (size_t c = 0; c < cols; ++c) {
        sum += static_cast<double>(w.values[row * cols + c]) * x[t * cols + c];
      }
      error += std::pow(y[t * (rows + 1) + row] - sum, 2);
      magnitude += sum * sum;
    }
  }
  EXPECT_LT(std::sqrt(error / magnitude), 0.012);
}

TEST_P(Int8Level, TheLargestCodesDoNotOverflow) {
  const size_t cols = 65536;
  std::vector<float> ones(cols, 1.0f);
  std::vector<uint8_t> tiles(Int8MatrixBytes(1, cols));
  PackInt8Tiles(TensorType::kF32, reinterpret_cast<const uint8_t*>(ones.data()), 1, cols, 0, 1,
                tiles.data());
  const Rows x = Quantised(kernels(), ones, cols);
  float y = 0;
  kernels().multiply({.tiles = tiles.data(), .rows = 1, .cols = cols, .codes = x.bytes.data(),
                      .code_stride = x.stride, .scales = x.scales.data(), .tokens = 1, .y = &y,
                      .y_stride = 1});
  EXPECT_NEAR(y, 65536.0f, 1.0f);
}

TEST_P(Int8Level, GeluIsTheErfFormWithinItsTolerance) {
  for (const size_t n : kLengths) {
    auto x = RandomFloats(n, 10);
    for (size_t i = 0; i < n; ++i) x[i] *= i % 3 == 0 ? 8.0f : 1.0f;
    std::vector<float> y = x;
    std::vector<uint8_t> codes(2 * Int8CodeCols(n));
    kernels().gelu_quantise(y.data(), n, codes.data());
    for (size_t i = 0; i < n; ++i) {
      const double expected = 0.5 * x[i] * (1 + std::erf(x[i] / std::sqrt(2.0)));
      ASSERT_NEAR(y[i], expected, 3e-4 * std::max<double>(1.0, std::fabs(x[i]))) << x[i];
    }
    const Rows expected = Quantised(kernels(), y, n);
    EXPECT_TRUE(std::equal(expected.bytes.begin(), expected.bytes.end(), codes.begin())) << n;
  }
}

TEST_P(Int8Level, AddNormIsTheFormula) {
  for (const size_t n : kLengths) {
    const auto x0 = RandomFloats(n, 11), y = RandomFloats(n, 12), w = RandomFloats(n, 13),
               b = RandomFloats(n, 14);
    for (const bool adds : {false, true}) {
      std::vector<float> x = x0;
      Rows rows = EmptyRows(kernels(), 1, n);
      rows.scales[0] = kernels().add_norm_quantise(
          {.y = adds ? y.data() : nullptr, .weight = w.data(), .bias = b.data(), .eps = 1e-3f,
           .n = n},
          x.data(), rows.bytes.data());
      double sum = 0, squares = 0;
      const auto value = [&](size_t i) { return static_cast<double>(x0[i]) + (adds ? y[i] : 0); };
      for (size_t i = 0; i < n; ++i) sum += value(i);
      for (size_t i = 0; i < n; ++i) squares += std::pow(value(i) - sum / n, 2);
      for (size_t i = 0; i < n; ++i) {
        const double expected =
            (value(i) - sum / n) / std::sqrt(squares / n + 1e-3) * w[i] + b[i];
        ASSERT_NEAR(x[i], expected, 1e-4) << n << " " << i;
      }
      const Rows expected = Quantised(kernels(), x, n);
      EXPECT_EQ(rows.bytes, expected.bytes) << n;
    }
  }
}

TEST_P(Int8Level, SoftmaxCodesSumToOneAndAreThoseOfTheSpecification) {
  for (const size_t n : kLengths) {
    auto x = RandomFloats(n, 15);
    for (float& v : x) v *= 20;
    Rows rows = EmptyRows(kernels(), 1, n), expected = EmptyRows(kInt8Scalar, 1, n);
    rows.scales[0] = kernels().softmax_quantise(x.data(), n, 0.25f, rows.bytes.data());
    expected.scales[0] = kInt8Scalar.softmax_quantise(x.data(), n, 0.25f, expected.bytes.data());
    const auto codes = CodesOf(kernels(), rows, 0, Int8CodeCols(n));
    EXPECT_EQ(codes, CodesOf(kInt8Scalar, expected, 0, Int8CodeCols(n)));
    EXPECT_EQ(rows.scales[0].scale, expected.scales[0].scale);
    double total = 0;
    const float highest = *std::max_element(x.begin(), x.end());
    for (const float v : x) total += std::exp(0.25 * (v - highest));
    for (size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(codes[i] * rows.scales[0].scale, std::exp(0.25 * (x[i] - highest)) / total,
                  0.01)
          << n << " " << i;
    }
    EXPECT_NEAR(std::accumulate(codes.begin(), codes.end(), 0) * rows.scales[0].scale, 1, 1e-5);
  }
}

TEST_P(Int8Level, HeadsArePackedAsTheSpecificationDoes) {
  for (const size_t dim : {4, 6, 16, 32, 64, 72}) {
    for (const size_t count : {1, 3, 8, 15, 16, 21, 64}) {
      const size_t stride = dim + 5;
      auto x = RandomFloats(count * stride, 16);
      if (count == 21) x[stride] = kNan;
      if (count == 8) std::fill(x.begin(), x.begin() + static_cast<ptrdiff_t>(dim), 0.0f);
      const HeadRows head = {x.data(), stride, count, dim};
      std::vector<uint8_t> keys(Int8MatrixBytes(count, dim), 0xee), expected_keys(keys.size());
      kernels().pack_keys(head, keys.data());
      kInt8Scalar.pack_keys(head, expected_keys.data());
      std::vector<uint8_t> values(Int8MatrixBytes(dim, count), 0xee), expected(values.size());
      kernels().pack_values(head, values.data());
      kInt8Scalar.pack_values(head, expected.data());
      if (count == 21) {  // which NaN it is does not matter
        float scale;
        std::memcpy(&scale, keys.data() + 4, 4);
        EXPECT_TRUE(std::isnan(scale));
        continue;
      }
      EXPECT_EQ(keys, expected_keys) << dim << " " << count;
      EXPECT_EQ(values, expected) << dim << " " << count;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, Int8Level,
                         testing::ValuesIn(kAllLevels),
                         [](const auto& level) { return std::string(LevelName(level.param)); });

TEST(Int8, PackedRowsOfEveryTypeAreWithinHalfAStep) {
  for (const TensorType type : kAllTypes) {
    const size_t rows = 19, cols = 256;
    const auto tensor = RandomTensor(type, rows, cols, 17);
    const auto values = DequantizeAll(type, tensor, rows * cols);
    std::vector<uint8_t> tiles(Int8MatrixBytes(rows, cols));
    PackInt8Tiles(type, tensor.data(), rows, cols, 0, 2, tiles.data());
    const PackedMatrix w = {Format::kInt8Rows, rows, cols, tiles.data()};
    ASSERT_EQ(w.TileCount() * w.TileBytes(), tiles.size());
    std::vector<float> row(cols);
    for (size_t r = 0; r < rows; ++r) {
      UnpackRow(w, r, row.data());
      float largest = 0;
      for (size_t c = 0; c < cols; ++c) largest = std::max(largest, std::fabs(values[r * cols + c]));
      for (size_t c = 0; c < cols; ++c) {
        ASSERT_NEAR(row[c], values[r * cols + c], largest / 127 * 0.501f + 1e-12f);
      }
    }
  }
}

}  // namespace
}  // namespace vade::kernels
