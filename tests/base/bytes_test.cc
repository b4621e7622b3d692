#include "base/bytes.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/strings.h"

namespace vade {
namespace {

TEST(ByteReader, ReadsWhatTheAppendersWrite) {
  std::string bytes;
  AppendFixed<uint32_t>(&bytes, 0x01020304);
  AppendVarint(&bytes, 300);
  AppendString(&bytes, "text");
  AppendFixed(&bytes, 1.5f);
  ByteReader reader(bytes);
  uint32_t number = 0;
  uint64_t varint = 0;
  std::string_view text;
  float real = 0;
  ASSERT_TRUE(reader.Read(&number) && reader.ReadVarint(&varint) && reader.ReadString(&text) &&
              reader.Read(&real));
  EXPECT_EQ(number, 0x01020304u);
  EXPECT_EQ(varint, 300u);
  EXPECT_EQ(text, "text");
  EXPECT_EQ(real, 1.5f);
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(ByteReader, FixedNumbersAreLittleEndian) {
  std::string bytes;
  AppendFixed<uint32_t>(&bytes, 0x01020304);
  EXPECT_EQ(Hex(bytes), "04030201");
}

TEST(ByteReader, EveryTruncationIsRefused) {
  std::string whole;
  AppendString(&whole, std::string(200, 'x'));
  for (size_t size = 0; size < whole.size(); ++size) {
    ByteReader reader(std::string_view(whole).substr(0, size));
    std::string_view text;
    EXPECT_FALSE(reader.ReadString(&text)) << size;
  }
}

TEST(ByteReader, HugeLengthIsRefused) {
  std::string bytes;
  AppendVarint(&bytes, std::numeric_limits<uint64_t>::max());
  bytes += "abc";
  ByteReader reader(bytes);
  std::string_view text;
  EXPECT_FALSE(reader.ReadString(&text));
  ByteReader other(std::string_view("abc"));
  EXPECT_FALSE(other.Skip(std::numeric_limits<size_t>::max()));
  EXPECT_TRUE(other.Skip(3));
  uint8_t byte = 0;
  EXPECT_FALSE(other.Read(&byte));
}

TEST(ByteReader, VarintsComeBackAtEveryLength) {
  for (int bits = 0; bits < 64; ++bits) {
    for (uint64_t value : {uint64_t{1} << bits, (uint64_t{1} << bits) - 1, ~uint64_t{0} >> bits}) {
      std::string bytes;
      AppendVarint(&bytes, value);
      ByteReader reader(bytes);
      uint64_t back = 0;
      ASSERT_TRUE(reader.ReadVarint(&back));
      EXPECT_EQ(back, value);
      EXPECT_EQ(reader.remaining(), 0u);
    }
  }
}

TEST(ByteReader, VarintThatOverflows64BitsIsRefused) {
  uint64_t value = 0;
  EXPECT_FALSE(ByteReader(std::string(9, '\xff') + '\x02').ReadVarint(&value));
  EXPECT_FALSE(ByteReader(std::string(10, '\x80') + '\x01').ReadVarint(&value));
}

TEST(Keys, ByteOrderIsNumberOrder) {
  const uint64_t numbers[] = {0, 1, 255, 256, uint64_t{1} << 32, ~uint64_t{0}};
  std::string before;
  for (uint64_t number : numbers) {
    std::string key;
    AppendKey64(&key, number);
    EXPECT_EQ(ParseKey64(key), number);
    EXPECT_LT(before, key);
    before = key;
  }
}

TEST(Hashes, Sha256OfThePublishedExamples) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hashes, ChecksumIsThatOfXxh3AndChangesWithEveryBit) {
  EXPECT_EQ(Checksum64(std::string_view("")), 0x2d06800538d394c2u);  // files on disk depend on it
  const std::string bytes(100, 'a');
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    EXPECT_NE(Checksum64(std::string_view(changed)), Checksum64(std::string_view(bytes)));
  }
}

// Independent of the code under test: straight from the definition of the format.
double DefinitionOfHalf(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const double fraction = half & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

TEST(Half, EveryFiniteHalfReadsAsItsDefinitionAndComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if ((half & 0x7c00) == 0x7c00) continue;
    const float value = HalfToFloat(half);
    ASSERT_EQ(value, static_cast<float>(DefinitionOfHalf(half))) << bits;
    ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0) << bits;
    ASSERT_EQ(FloatToHalf(value), half) << bits;
  }
}

TEST(Half, MidpointsGoToTheEvenNeighbour) {
  for (uint16_t half = 0; half < 0x7bff; ++half) {
    const double low = DefinitionOfHalf(half), high = DefinitionOfHalf(half + 1);
    const auto middle = static_cast<float>((low + high) / 2);  // exact in a float
    const uint16_t even = half % 2 == 0 ? half : half + 1;
    ASSERT_EQ(FloatToHalf(middle), even) << half;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 1e9f)), half + 1) << half;
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), half) << half;
    ASSERT_EQ(FloatToHalf(-middle), even | 0x8000) << half;
  }
}

TEST(Half, LargeNumbersBecomeInfinity) {
  EXPECT_EQ(FloatToHalf(65504.0f), 0x7bff);
  EXPECT_EQ(FloatToHalf(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(FloatToHalf(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(HalfToFloat(0xfc00), -std::numeric_limits<float>::infinity());
}

TEST(Half, NumbersTooSmallBecomeZeroOfTheirSign) {
  EXPECT_EQ(FloatToHalf(0x1p-25f), 0);  // the midpoint to the smallest half goes to even
  EXPECT_EQ(FloatToHalf(-0x1p-26f), 0x8000);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Half, EveryNanStaysOne) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if ((half & 0x7c00) != 0x7c00 || (half & 0x3ff) == 0) continue;
    ASSERT_TRUE(std::isnan(HalfToFloat(half))) << bits;
  }
  const uint16_t half = FloatToHalf(std::bit_cast<float>(0x7f800001u));  // no payload bit survives
  EXPECT_TRUE(std::isnan(HalfToFloat(half)));
  EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(-std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace
}  // namespace vade
