#include "kernels/tensor_type.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/files.h"

namespace vade {
namespace {

constexpr TensorType kAllTypes[] = {
    TensorType::kF32,  TensorType::kF16,  TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0,
    TensorType::kQ5_1, TensorType::kQ8_0, TensorType::kQ2_K, TensorType::kQ3_K, TensorType::kQ4_K,
    TensorType::kQ5_K, TensorType::kQ6_K, TensorType::kBf16};

// The golden files were written by ggml's own quantisers and decoded by gguf-py.
std::string GoldenPath(std::string_view name, std::string_view suffix) {
  return std::string(VADE_SOURCE_DIR "/../shared/golden/dequant/").append(name).append(suffix);
}

class GoldenBlocks : public testing::TestWithParam<TensorType> {};

TEST_P(GoldenBlocks, DecodeToTheGoldenValues) {
  const TensorTypeInfo& info = InfoOf(GetParam());
  const std::string raw_path = GoldenPath(info.name, ".raw");
  if (!FileExists(raw_path))
    GTEST_SKIP() << "no golden blocks of " << info.name << " at " << raw_path;
  const auto raw = ReadFile(raw_path, 1 << 20);
  const auto golden = ReadFile(GoldenPath(info.name, ".f32"), 1 << 20);
  ASSERT_TRUE(raw.ok() && golden.ok());
  std::vector<float> expected(golden->size() / sizeof(float));
  std::memcpy(expected.data(), golden->data(), golden->size());
  ASSERT_EQ(raw->size(), expected.size() / info.block_elements * info.block_bytes);

  std::vector<float> values(expected.size());
  Dequantize(GetParam(), reinterpret_cast<const uint8_t*>(raw->data()), values.size(),
             values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], 1e-6 * std::fabs(expected[i])) << "element " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GoldenBlocks, testing::ValuesIn(kAllTypes),
                         [](const auto& name) { return std::string(InfoOf(name.param).name); });

TEST(TensorType, EveryTypeIsFoundByItsNumberAndNoOtherIs) {
  size_t found = 0;
  for (uint32_t id = 0; id < 100; ++id) found += FindTensorType(id) != nullptr;
  EXPECT_EQ(found, std::size(kAllTypes));
  for (TensorType type : kAllTypes) EXPECT_EQ(InfoOf(type).type, type);
  EXPECT_EQ(FindTensorType(20), nullptr);  // IQ4_NL
  EXPECT_EQ(FindTensorType(0xffffffff), nullptr);
}

// Types without a golden file, by hand: scale 0.5, minimum -1, codes 0 and 31 at either end.
TEST(TensorType, Q51BlockDecodesByHand) {
  uint8_t block[24] = {0x00, 0x38, 0x00, 0xbc, 0x00, 0x00, 0x00, 0x80};
  block[23] = 0xf0;
  float out[32];
  Dequantize(TensorType::kQ5_1, block, 32, out);
  EXPECT_EQ(out[0], -1.0f);
  EXPECT_EQ(out[30], -1.0f);
  EXPECT_EQ(out[31], 0.5f * 31 - 1);
}

// Codes 0, 1, 2, 3 in the first quarter and scale 2 - minimum 3 in the first sixteen.
TEST(TensorType, Q2KBlockDecodesByHand) {
  uint8_t block[84] = {};
  block[0] = 2 | 3 << 4;
  for (int i = 0; i < 4; ++i) block[16 + i] = static_cast<uint8_t>(i);
  block[81] = 0x3c;  // scale 1
  block[83] = 0x38;  // minimum 0.5
  float out[256];
  Dequantize(TensorType::kQ2_K, block, 256, out);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(out[i], 2.0f * static_cast<float>(i) - 1.5f);
  EXPECT_EQ(out[16], 0.0f);
}

// A block of zero bits has stored scales of -32; a set high bit takes the 4 away from a code.
TEST(TensorType, Q3KBlockDecodesByHand) {
  uint8_t block[110] = {};
  block[0] = 1;       // high bit of element 0
  block[32] = 3;      // low bits of element 0
  block[109] = 0x3c;  // scale 1
  float out[256];
  Dequantize(TensorType::kQ3_K, block, 256, out);
  EXPECT_EQ(out[0], -32.0f * 3);
  EXPECT_EQ(out[1], -32.0f * -4);
}

}  // namespace
}  // namespace vade
