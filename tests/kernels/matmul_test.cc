// Every level against the scalar one (bit for bit: see matmul_scalar.cc), and the scalar one
// against sums in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "kernels/kernels.h"
#include "tests/kernels/random_tensor.h"

namespace vade::kernels {
namespace {

constexpr float kUntouched = 12345.0f;

struct Shape {
  size_t rows, cols;
};

bool FitsType(TensorType type, size_t cols) { return cols % InfoOf(type).block_elements == 0; }

// y [tokens, rows] with one more column that must stay untouched.
std::vector<float> Multiply(const MatmulKernels& kernels, const PackedMatrix& w,
                            const std::vector<float>& x) {
  const auto prepared = PrepareAll(kernels, w.format, x, w.cols);
  const size_t tokens = x.size() / w.cols;
  std::vector<float> y(tokens * (w.rows + 1), kUntouched);
  kernels.multiply(w, 0, w.TileCount(), prepared.data(), tokens, y.data(), w.rows + 1);
  return y;
}

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

// What the products should be, from the packed values and the activations as they are.
struct Reference {
  double value;
  double tolerance;
};

Reference ReferenceOf(const PackedMatrix& w, const std::vector<float>& weights, size_t row,
                      const float* x) {
  Reference reference = {0, 0};
  double magnitude = 0, step_total = 0;
  const size_t block = SamePreparedForm(w.format, Format::kQ4Super) ? 256 : 32;
  float largest = 0;
  for (size_t k = 0; k < w.cols; ++k) {
    if (k % block == 0) {
      largest = 0;
      for (size_t i = k; i < std::min(k + block, w.cols); ++i)
        largest = std::max(largest, std::fabs(x[i]));
    }
    const double product = static_cast<double>(weights[row * w.cols + k]) * x[k];
    reference.value += product;
    magnitude += std::fabs(product);
    const double error =
        std::fabs(weights[row * w.cols + k]) * largest / 254;  // half a step, at worst
    step_total += error * error;
  }
  reference.tolerance = 1e-5 * magnitude + 1e-6;
  if (!SamePreparedForm(w.format, Format::kF32)) reference.tolerance += 4 * std::sqrt(step_total);
  return reference;
}

using Case = std::tuple<Level, TensorType>;

class Matmul : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!LevelSupported(level())) {
      GTEST_SKIP() << "this processor has no " << LevelName(level());
    }
    kernels_ = &TableOf(level()).matmul;
  }
  Level level() const { return std::get<0>(GetParam()); }
  TensorType type() const { return std::get<1>(GetParam()); }

  const MatmulKernels* kernels_ = nullptr;
};

TEST_P(Matmul, ProductsAreThoseOfDoublePrecision) {
  const size_t rows = 17, cols = 768, tokens = 3;
  const OwnedMatrix w(type(), RandomTensor(type(), rows, cols, 10), rows, cols);
  std::vector<float> weights(rows * cols);
  for (size_t row = 0; row < rows; ++row) UnpackRow(w.get(), row, weights.data() + row * cols);
  const auto x = RandomFloats(tokens * cols, 11);
  const auto y = Multiply(*kernels_, w.get(), x);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t row = 0; row < rows; ++row) {
      const Reference expected = ReferenceOf(w.get(), weights, row, x.data() + t * cols);
      ASSERT_NEAR(y[t * (rows + 1) + row], expected.value, expected.tolerance) << t << ", " << row;
    }
  }
}

TEST_P(Matmul, EveryShapeGivesTheBitsOfTheSpecification) {
  for (const Shape& shape : {Shape{1, 32}, Shape{15, 64}, Shape{16, 256}, Shape{17, 512},
                             Shape{100, 896}, Shape{40, 1536}}) {
    if (!FitsType(type(), shape.cols)) continue;
    const OwnedMatrix w(type(), RandomTensor(type(), shape.rows, shape.cols, 20), shape.rows,
                        shape.cols);
    for (size_t tokens : {1, 3, 6, 11, 21}) {
      const auto x = RandomFloats(tokens * shape.cols, 21);
      EXPECT_EQ(Bits(Multiply(*kernels_, w.get(), x)), Bits(Multiply(kMatmulScalar, w.get(), x)))
          << shape.rows << " x " << shape.cols << ", " << tokens << " tokens";
    }
  }
}

TEST_P(Matmul, PreparedRowsHaveTheBytesOfTheSpecification) {
  const size_t cols = 512;
  auto x = RandomFloats(cols, 30);
  for (size_t i = 0; i < 256; ++i) x[i] *= 1e4f;
  x[300] = 0.5f;  // ties and exact halves of a step
  for (Format format : {Format::kQ8Block32, Format::kQ4Super, Format::kF32}) {
    EXPECT_EQ(PrepareAll(*kernels_, format, x, cols), PrepareAll(kMatmulScalar, format, x, cols));
  }
}

TEST_P(Matmul, ATokenAloneGivesTheBitsItGivesInAnyBatch) {
  const size_t rows = 33, cols = 1024;
  const OwnedMatrix w(type(), RandomTensor(type(), rows, cols, 40), rows, cols);
  const size_t most = 200;
  const auto x = RandomFloats(most * cols, 41);
  const size_t stride = rows + 1;
  std::vector<float> alone;
  for (size_t t = 0; t < most; ++t) {
    const std::vector<float> one(x.begin() + static_cast<long>(t * cols),
                                 x.begin() + static_cast<long>((t + 1) * cols));
    const auto y = Multiply(*kernels_, w.get(), one);
    alone.insert(alone.end(), y.begin(), y.end());
  }
  for (size_t tokens : {2, 3, 4, 5, 7, 8, 16, 17, 63, 64, 65, 131, 200}) {
    const std::vector<float> some(x.begin(), x.begin() + static_cast<long>(tokens * cols));
    const std::vector<float> expected(alone.begin(),
                                      alone.begin() + static_cast<long>(tokens * stride));
    EXPECT_EQ(Bits(Multiply(*kernels_, w.get(), some)), Bits(expected)) << tokens << " tokens";
  }
}

TEST_P(Matmul, TileRangesGiveTheBitsOfTheWhole) {
  const size_t rows = 70, cols = 512;  // 5 tiles, the last with 6 rows
  const OwnedMatrix w(type(), RandomTensor(type(), rows, cols, 50), rows, cols);
  for (size_t tokens : {1, 9}) {
    const auto x = RandomFloats(tokens * cols, 51);
    const auto prepared = PrepareAll(*kernels_, w.get().format, x, cols);
    std::vector<float> parts(tokens * (rows + 1), kUntouched);
    for (const auto& [begin, end] : {std::pair{3, 5}, {0, 1}, {1, 1}, {1, 3}}) {
      kernels_->multiply(w.get(), static_cast<size_t>(begin), static_cast<size_t>(end),
                         prepared.data(), tokens, parts.data(), rows + 1);
    }
    EXPECT_EQ(Bits(parts), Bits(Multiply(*kernels_, w.get(), x)));
  }
}

TEST_P(Matmul, PaddingRowsAndNeighboursAreNotWritten) {
  const size_t rows = 5, cols = 256, tokens = 6;
  const OwnedMatrix w(type(), RandomTensor(type(), rows, cols, 60), rows, cols);
  const auto y = Multiply(*kernels_, w.get(), RandomFloats(tokens * cols, 61));
  for (size_t t = 0; t < tokens; ++t) {
    EXPECT_EQ(y[t * (rows + 1) + rows], kUntouched);
    EXPECT_NE(y[t * (rows + 1) + rows - 1], kUntouched);
  }
}

TEST_P(Matmul, FloatPointersNeedNoAlignment) {
  const size_t rows = 20, cols = 256;
  const OwnedMatrix w(type(), RandomTensor(type(), rows, cols, 70), rows, cols);
  const auto x = RandomFloats(cols, 71);
  const auto expected = Multiply(*kernels_, w.get(), x);
  std::vector<float> shifted_x(cols + 1), shifted_y(rows + 1);
  std::copy(x.begin(), x.end(), shifted_x.begin() + 1);
  std::vector<uint8_t> prepared(PreparedBytes(w.get().format, cols) + 4);
  kernels_->prepare(w.get().format, shifted_x.data() + 1, cols, prepared.data() + 4);
  kernels_->multiply(w.get(), 0, 2, prepared.data() + 4, 1, shifted_y.data() + 1, rows);
  for (size_t row = 0; row < rows; ++row) ASSERT_EQ(shifted_y[row + 1], expected[row]);
}

TEST_P(Matmul, ZerosGiveZeros) {
  const size_t rows = 16, cols = 512;
  const OwnedMatrix w(type(), RandomTensor(type(), rows, cols, 80), rows, cols);
  for (float tiny : {0.0f, -0.0f, 1e-42f}) {  // below the smallest maximum: 127 / 1e-42 is infinite
    const auto y = Multiply(*kernels_, w.get(), std::vector<float>(cols, tiny));
    for (size_t row = 0; row < rows; ++row) EXPECT_NEAR(y[row], 0, 1e-38);
  }
}

TEST_P(Matmul, ValuesThatAreNotFiniteStayVisibleAndHarmOnlyTheirToken) {
  const size_t rows = 16, cols = 512;
  const OwnedMatrix w(type(), RandomTensor(type(), rows, cols, 90), rows, cols);
  const auto clean = RandomFloats(6 * cols, 91);
  const auto expected = Multiply(*kernels_, w.get(), clean);
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    auto x = clean;
    x[2 * cols + 300] = bad;
    const auto y = Multiply(*kernels_, w.get(), x);
    for (size_t i = 0; i < y.size(); ++i) {
      if (i / (rows + 1) != 2 || i % (rows + 1) == rows) {
        ASSERT_EQ(y[i], expected[i]);
      } else {
        ASSERT_FALSE(std::isfinite(y[i]));
      }
    }
  }
}

// Codes and activations at their extremes: what 16-bit intermediate sums have to hold.
TEST_P(Matmul, ExtremesDoNotSaturate) {
  if (InfoOf(type()).block_elements == 1) GTEST_SKIP() << "no codes";
  const size_t rows = 16, cols = 512;
  for (int byte : {0xff, 0x80, 0x7f, 0x00}) {
    auto tensor = RandomTensor(type(), rows, cols, 100);
    const TensorTypeInfo& info = InfoOf(type());
    const size_t block_bytes = InfoOf(type()).block_bytes;
    for (size_t i = 0; i < tensor.size(); ++i) {
      const auto in_block = static_cast<int>(i % block_bytes);
      const bool is_half = (info.scale_at >= 0 && in_block / 2 * 2 == info.scale_at) ||
                           (info.minimum_at >= 0 && in_block / 2 * 2 == info.minimum_at);
      if (!is_half) tensor[i] = static_cast<uint8_t>(byte);
    }
    const OwnedMatrix w(type(), tensor, rows, cols);
    for (float sign : {1.0f, -1.0f}) {
      for (size_t tokens : {1, 8}) {
        const std::vector<float> x(tokens * cols, sign);
        EXPECT_EQ(Bits(Multiply(*kernels_, w.get(), x)), Bits(Multiply(kMatmulScalar, w.get(), x)));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, Matmul,
                         testing::Combine(testing::ValuesIn(kAllLevels),
                                          testing::ValuesIn(kAllTypes)),
                         [](const auto& name) {
                           return std::string(LevelName(std::get<0>(name.param))) + "_" +
                                  std::string(InfoOf(std::get<1>(name.param)).name);
                         });

}  // namespace
}  // namespace vade::kernels
