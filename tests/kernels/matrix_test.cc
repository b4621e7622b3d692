#include "kernels/matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "tests/kernels/random_tensor.h"

namespace vade::kernels {
namespace {

struct Shape {
  size_t rows, cols;
};
constexpr Shape kShapes[] = {{1, 256}, {15, 512}, {16, 256}, {17, 768}, {100, 512}};

std::vector<float> UnpackAll(const PackedMatrix& w) {
  std::vector<float> values(w.rows * w.cols);
  for (size_t row = 0; row < w.rows; ++row) UnpackRow(w, row, values.data() + row * w.cols);
  return values;
}

class PackedTensor : public testing::TestWithParam<TensorType> {};

TEST_P(PackedTensor, UnpacksToTheValuesOfTheTensor) {
  const TensorType type = GetParam();
  if (type == TensorType::kQ2_K)
    GTEST_SKIP() << "Q2_K is rounded when packed; another test bounds it";
  for (const Shape& shape : kShapes) {
    const auto tensor = RandomTensor(type, shape.rows, shape.cols, 1);
    const OwnedMatrix w(type, tensor, shape.rows, shape.cols);
    EXPECT_EQ(UnpackAll(w.get()), DequantizeAll(type, tensor, shape.rows * shape.cols))
        << shape.rows << " x " << shape.cols;
  }
}

// Rows of 32 or 64 columns occur in tests and tiny models only, but they are legal.
TEST_P(PackedTensor, OneBlockARowIsEnough) {
  const TensorType type = GetParam();
  const size_t cols = std::max<size_t>(InfoOf(type).block_elements, 32);
  const auto tensor = RandomTensor(type, 3, cols, 2);
  const OwnedMatrix w(type, tensor, 3, cols);
  const auto expected = DequantizeAll(type, tensor, 3 * cols);
  const auto values = UnpackAll(w.get());
  for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], expected[i], 0.1);
}

TEST_P(PackedTensor, TilesPackedAloneGiveTheSameBytes) {
  const TensorType type = GetParam();
  const size_t rows = 50, cols = 512;
  const auto tensor = RandomTensor(type, rows, cols, 3);
  const OwnedMatrix whole(type, tensor, rows, cols);
  const size_t tile_bytes = TileBytes(PackedFormat(type), cols);
  std::vector<uint8_t> alone(whole.get().TileCount() * tile_bytes, 0xee);
  for (size_t tile : {3, 1, 0, 2})
    PackTiles(type, tensor.data(), rows, cols, tile, tile + 1, alone.data());
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), whole.get().data));
}

TEST_P(PackedTensor, TilesAreWholeLines) {
  for (size_t cols : {256, 512, 768, 1280}) {
    EXPECT_EQ(TileBytes(PackedFormat(GetParam()), cols) % 64, 0u);
    EXPECT_EQ(PreparedBytes(PackedFormat(GetParam()), cols) % 64, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, PackedTensor, testing::ValuesIn(kAllTypes),
                         [](const auto& name) { return std::string(InfoOf(name.param).name); });

TEST(PackedMatrix, Q2KIsRoundedToOneIn254OfTheLargestValueOf32) {
  const size_t rows = 17, cols = 512;
  const auto tensor = RandomTensor(TensorType::kQ2_K, rows, cols, 4);
  const OwnedMatrix w(TensorType::kQ2_K, tensor, rows, cols);
  const auto expected = DequantizeAll(TensorType::kQ2_K, tensor, rows * cols);
  const auto values = UnpackAll(w.get());
  for (size_t block = 0; block < values.size(); block += 32) {
    float largest = 0;
    for (size_t i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(expected[block + i]));
    for (size_t i = 0; i < 32; ++i) {
      ASSERT_NEAR(values[block + i], expected[block + i], largest * (1 / 254.0 + 1 / 2048.0));
    }
  }
}

// Bits a weight, so that a change of layout that costs bandwidth is noticed.
TEST(PackedMatrix, FormatsKeepTheSizeOfTheFile) {
  const auto bits = [](TensorType type) {
    return 8.0 * static_cast<double>(TileBytes(PackedFormat(type), 4096)) / (16 * 4096);
  };
  EXPECT_EQ(bits(TensorType::kQ4_0), 4.5);
  EXPECT_EQ(bits(TensorType::kQ4_1), 5.0);
  EXPECT_EQ(bits(TensorType::kQ5_0), 5.5);
  EXPECT_EQ(bits(TensorType::kQ5_1), 6.0);
  EXPECT_EQ(bits(TensorType::kQ8_0), 8.5);
  EXPECT_EQ(bits(TensorType::kQ4_K), 4.5);
  EXPECT_EQ(bits(TensorType::kQ5_K), 5.5);
  EXPECT_EQ(bits(TensorType::kQ6_K), 6.5625);
}

TEST(PackedMatrix, FormatsOfOneBlockSizeShareTheirPreparedForm) {
  EXPECT_TRUE(SamePreparedForm(Format::kQ5Centred, Format::kQ8Block32));
  EXPECT_TRUE(SamePreparedForm(Format::kQ4Super, Format::kQ6Super));
  EXPECT_TRUE(SamePreparedForm(Format::kF32, Format::kBf16));
  EXPECT_FALSE(SamePreparedForm(Format::kQ4Super, Format::kQ4Block32));
  EXPECT_FALSE(SamePreparedForm(Format::kF16, Format::kQ8Block32));
}

// A large float16 scale must not overflow on its way through the packed form.
TEST(PackedMatrix, LargestScalesSurvive) {
  std::vector<uint8_t> tensor(18, 0x80);  // codes 0 and 8: values -8 * scale and 0
  tensor[0] = 0xff;
  tensor[1] = 0x7b;  // 65504
  const OwnedMatrix w(TensorType::kQ4_0, tensor, 1, 32);
  EXPECT_EQ(UnpackAll(w.get())[0], -8.0f * 65504);
}

}  // namespace
}  // namespace vade::kernels
