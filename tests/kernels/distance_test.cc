// The index's inner products: every level against scalar, for all tails and misalignments.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/bytes.h"
#include "base/strings.h"
#include "kernels/kernels.h"

namespace vade::kernels {
namespace {

struct Case {
  Level level;
  size_t n;
  size_t shift;  // elements by which the inputs are off any alignment
};

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  return StrCat(LevelName(info.param.level), "_n", info.param.n, "_shift", info.param.shift);
}

class Distance : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!LevelSupported(GetParam().level)) {
      GTEST_SKIP() << "this processor has no " << LevelName(GetParam().level);
    }
    level_ = &TableOf(GetParam().level).distance;
  }

  std::vector<int8_t> Codes(size_t count, int least) {
    std::uniform_int_distribution<int> any(least, 127);
    std::vector<int8_t> codes(count);
    for (int8_t& code : codes) code = static_cast<int8_t>(any(random_));
    return codes;
  }
  std::vector<float> Floats(size_t count) {
    std::normal_distribution<float> any;
    std::vector<float> floats(count);
    for (float& x : floats) x = any(random_);
    return floats;
  }
  // Rounding of a sum of n products, whatever its order.
  static float Tolerance(const float* a, const float* b, size_t n) {
    float magnitude = 0;
    for (size_t i = 0; i < n; ++i) magnitude += std::fabs(a[i] * b[i]);
    return 1e-6f * magnitude * std::sqrt(static_cast<float>(n) + 1) + 1e-12f;
  }

  const DistanceKernels* level_ = nullptr;
  std::mt19937 random_{20240607};
};

TEST_P(Distance, IntegerProductEqualsScalarExactly) {
  const auto [level, n, shift] = GetParam();
  const auto a = Codes(n + shift, -127), b = Codes(n + shift, -127);
  EXPECT_EQ(level_->dot_i8(a.data() + shift, b.data() + shift, n),
            kDistanceScalar.dot_i8(a.data() + shift, b.data() + shift, n));
}

TEST_P(Distance, IntegerProductIsExactAtTheExtremes) {
  const auto [level, n, shift] = GetParam();
  for (int8_t x : {-128, 127}) {
    for (int8_t y : {-128, 127}) {
      const std::vector<int8_t> a(n + shift, x), b(n + shift, y);
      EXPECT_EQ(level_->dot_i8(a.data() + shift, b.data() + shift, n),
                static_cast<int32_t>(n) * x * y);
    }
  }
}

TEST_P(Distance, RowsEqualSingleProducts) {
  const auto [level, n, shift] = GetParam();
  const size_t stride = n + 3, count = 7;
  const auto query = Codes(n + shift, -128), rows = Codes(stride * count + shift, -128);
  std::vector<int32_t> dots(count + 1, -1);
  level_->dot_i8_rows(query.data() + shift, rows.data() + shift, stride, count, n, dots.data());
  for (size_t row = 0; row < count; ++row) {
    EXPECT_EQ(dots[row],
              kDistanceScalar.dot_i8(query.data() + shift, rows.data() + shift + row * stride, n))
        << "row " << row;
  }
  EXPECT_EQ(dots[count], -1) << "wrote behind the last row";
}

TEST_P(Distance, RowsByNumberEqualSingleProducts) {
  const auto [level, n, shift] = GetParam();
  const size_t stride = n + 3;
  const auto query = Codes(n + shift, -128), rows = Codes(stride * 9 + shift, -128);
  const std::vector<uint32_t> slots = {8, 0, 3, 3, 7, 1, 5};
  for (size_t count = 0; count <= slots.size(); ++count) {
    std::vector<int32_t> dots(count + 1, -1);
    level_->dot_i8_slots(query.data() + shift, rows.data() + shift, stride, slots.data(), count, n,
                         dots.data());
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(dots[i], kDistanceScalar.dot_i8(query.data() + shift,
                                                rows.data() + shift + slots[i] * stride, n))
          << "row " << slots[i];
    }
    EXPECT_EQ(dots[count], -1) << "wrote behind the last row";
  }
}

TEST_P(Distance, RowsOfNibblesGiveTheSumsOfTheirProducts) {
  const auto [level, n, shift] = GetParam();
  const size_t pieces = (n + 127) / 128, row_bytes = pieces * 64, count = 7;
  std::uniform_int_distribution<int> any(0, 255);
  std::vector<uint8_t> rows(row_bytes * count + shift);
  for (uint8_t& byte : rows) byte = static_cast<uint8_t>(any(random_));
  if (!rows.empty()) std::fill(rows.end() - row_bytes, rows.end(), 0xff);
  auto query = Codes(pieces * 128 + shift, -128);
  for (int8_t next : {127, -128, 0}) {
    std::vector<int32_t> dots(count + 1, -1);
    level_->dot_u4_rows(query.data() + shift, rows.data() + shift, pieces, count, dots.data());
    for (size_t row = 0; row < count; ++row) {
      int32_t sum = 0;
      for (size_t i = 0; i < pieces * 128; ++i) {
        const uint8_t byte = rows[shift + row * row_bytes + i / 128 * 64 + i % 64];
        sum += query[shift + i] * (i % 128 < 64 ? byte & 15 : byte >> 4);
      }
      EXPECT_EQ(dots[row], sum) << "row " << row;
    }
    EXPECT_EQ(dots[count], -1) << "wrote behind the last row";
    std::fill(query.begin(), query.end(), next);
  }
}

TEST_P(Distance, FloatProductIsWithinRoundingOfScalar) {
  const auto [level, n, shift] = GetParam();
  const auto a = Floats(n + shift), b = Floats(n + shift);
  EXPECT_NEAR(level_->dot_f32(a.data() + shift, b.data() + shift, n),
              kDistanceScalar.dot_f32(a.data() + shift, b.data() + shift, n),
              Tolerance(a.data() + shift, b.data() + shift, n));
}

TEST_P(Distance, HalfProductIsWithinRoundingOfScalar) {
  const auto [level, n, shift] = GetParam();
  const auto a = Floats(n + shift), b = Floats(n + shift);
  std::vector<uint16_t> halves;
  std::vector<float> rounded;
  for (float x : b) {
    halves.push_back(FloatToHalf(x));
    rounded.push_back(HalfToFloat(halves.back()));
  }
  EXPECT_NEAR(level_->dot_f16(a.data() + shift, halves.data() + shift, n),
              kDistanceScalar.dot_f32(a.data() + shift, rounded.data() + shift, n),
              Tolerance(a.data() + shift, rounded.data() + shift, n));
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (Level level : kAllLevels) {
    for (size_t n : {0, 1, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 384, 385, 1024}) {
      for (size_t shift : {0, 1}) cases.push_back({level, n, shift});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Levels, Distance, testing::ValuesIn(Cases()), CaseName);

}  // namespace
}  // namespace vade::kernels
