// The encoder's kernels against the scalar level, which is their specification: the same bits for
// the same floats, over shapes with tails, and nothing read or written beside what is theirs.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/cuda/encoder_operations.h"
#include "kernels/kernels.h"
#include "tests/kernels/random_tensor.h"
#include "tests/testing/cuda/memory.h"

namespace vade::kernels::cuda {
namespace {

using vade::testing::DeviceFaults;
using vade::testing::DeviceStream;
using vade::testing::OnDevice;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Rows of codes on the host, with the device's stride, and their scales.
struct Codes {
  std::vector<uint8_t> bytes;
  std::vector<float> scales;
};
bool SameFloat(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }
void ExpectSame(const std::vector<float>& got, const std::vector<float>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(SameFloat(got[i], expected[i])) << i << ": " << got[i] << ", " << expected[i];
  }
}
void ExpectSame(const Codes& got, const Codes& expected) {
  EXPECT_EQ(got.bytes, expected.bytes);
  ExpectSame(got.scales, expected.scales);
}

struct DeviceCodes {
  DeviceCodes(size_t rows, size_t cols)
      : codes(rows * EncoderStride(static_cast<uint32_t>(cols))), scales(2 * rows) {}
  explicit DeviceCodes(const Codes& from) : codes(from.bytes), scales(from.scales) {}
  CodesOut out() const { return {codes.get(), scales.get()}; }
  Codes Read() const { return {codes.Read(), scales.Read()}; }
  OnDevice<uint8_t> codes;
  OnDevice<float> scales;
};

// round(row, codes) for rows of `cols`, by the scalar level.
template <typename F>
Codes ScalarCodes(size_t rows, size_t cols, F round) {
  const size_t stride = EncoderStride(static_cast<uint32_t>(cols));
  Codes all;
  for (size_t row = 0; row < rows; ++row) {
    std::vector<uint8_t> bytes(std::max(stride, Int8CodeCols(cols)));
    const RowScale scale = round(row, bytes.data());
    all.bytes.insert(all.bytes.end(), bytes.begin(), bytes.begin() + static_cast<long>(stride));
    all.scales.insert(all.scales.end(), {scale.scale, scale.offset});
  }
  return all;
}

class EncoderKernels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = vade::testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
    ASSERT_EQ(DeviceFaults(), "");
  }
  void TearDown() override { EXPECT_EQ(DeviceFaults(), ""); }
};

// Rows of every kind that rounding knows: ordinary, zeros, of one sign, with what is no number.
std::vector<float> OddRows(size_t cols, uint32_t seed) {
  auto x = RandomFloats(6 * cols, seed);
  std::fill_n(x.begin() + static_cast<long>(cols), cols, 0.0f);
  for (size_t i = 0; i < cols; ++i) x[2 * cols + i] = std::fabs(x[2 * cols + i]) + 3;
  for (size_t i = 0; i < cols; ++i) x[3 * cols + i] *= -1e4f * static_cast<float>(i);
  x[4 * cols + cols / 2] = kNan;
  x[5 * cols] = -std::numeric_limits<float>::infinity();
  return x;
}

TEST_F(EncoderKernels, RowsAreRoundedToTheCodesOfTheSpecification) {
  for (const size_t cols : {1, 3, 31, 32, 33, 128, 384, 700, 1536}) {
    for (const bool gelu : {false, true}) {
      auto x = OddRows(cols, 1);
      const OnDevice<float> device(x);
      const DeviceCodes out(6, cols);
      RowsToCodes({.x = device.get(),
                   .rows = 6,
                   .cols = static_cast<uint32_t>(cols),
                   .of = gelu ? RowsToCodesArgs::Of::kGelu : RowsToCodesArgs::Of::kRows,
                   .out = out.out()},
                  DeviceStream());
      ASSERT_EQ(DeviceFaults(), "") << cols;
      const Codes expected = ScalarCodes(6, cols, [&](size_t row, uint8_t* codes) {
        float* at = x.data() + row * cols;
        return gelu ? kInt8Scalar.gelu_quantise(at, cols, codes)
                    : kInt8Scalar.quantise(at, cols, codes);
      });
      ExpectSame(out.Read(), expected);
      ExpectSame(device.Read(), x);
    }
  }
}

// The sums of a normalisation are doubles that are added in another order: the floats that come of
// them are the specification's here, and all that follows.
TEST_F(EncoderKernels, NormalisedRowsAreThoseOfTheSpecification) {
  for (const size_t cols : {1, 5, 32, 100, 384, 1024}) {
    const size_t rows = 7;
    auto x = RandomFloats(rows * cols, 2);
    const auto y = RandomFloats(rows * cols, 3), w = RandomFloats(cols, 4),
               b = RandomFloats(cols, 5);
    x[cols] = kNan;
    const OnDevice<float> dx(x), dy(y), dw(w), db(b);
    const DeviceCodes out(rows, cols);
    AddNorm({.y = dy.get(),
             .rows = rows,
             .cols = static_cast<uint32_t>(cols),
             .norm = {dw.get(), db.get(), 1e-5f},
             .x = dx.get(),
             .out = out.out()},
            DeviceStream());
    ASSERT_EQ(DeviceFaults(), "") << cols;
    const Codes expected = ScalarCodes(rows, cols, [&](size_t row, uint8_t* codes) {
      return kInt8Scalar.add_norm_quantise({.y = y.data() + row * cols,
                                            .weight = w.data(),
                                            .bias = b.data(),
                                            .eps = 1e-5f,
                                            .n = cols},
                                           x.data() + row * cols, codes);
    });
    ExpectSame(dx.Read(), x);
    ExpectSame(out.Read(), expected);
  }
}

TEST_F(EncoderKernels, TokensOfEveryTypeAreEmbeddedAndNormalised) {
  for (const TensorType type : kAllTypes) {
    const size_t cols = 256, vocabulary = 5;
    const auto tensor = RandomTensor(type, vocabulary, cols, 6);
    const auto table = DequantizeAll(type, tensor, vocabulary * cols);
    const auto positions = RandomFloats(3 * cols, 7), w = RandomFloats(cols, 8),
               b = RandomFloats(cols, 9);
    const std::vector<int32_t> tokens = {4, 0, 4, 2}, places = {0, 1, 2, 0};
    const OnDevice<uint8_t> dtable(tensor);
    const OnDevice<float> dpositions(positions), dw(w), db(b), x(4 * cols);
    const OnDevice<int32_t> dtokens(tokens), dplaces(places);
    const DeviceCodes out(4, cols);
    EmbedNorm({.type = type,
               .table = dtable.get(),
               .table_bytes = tensor.size(),
               .positions = dpositions.get(),
               .position_count = 3,
               .tokens = dtokens.get(),
               .places = dplaces.get(),
               .rows = 4,
               .cols = cols,
               .norm = {dw.get(), db.get(), 1e-12f},
               .x = x.get(),
               .out = out.out()},
              DeviceStream());
    ASSERT_EQ(DeviceFaults(), "");
    std::vector<float> expected(4 * cols);
    const Codes codes = ScalarCodes(4, cols, [&](size_t row, uint8_t* bytes) {
      float* at = expected.data() + row * cols;
      for (size_t i = 0; i < cols; ++i) {
        at[i] = table[static_cast<size_t>(tokens[row]) * cols + i];
        at[i] += positions[static_cast<size_t>(places[row]) * cols + i];
      }
      return kInt8Scalar.add_norm_quantise(
          {.weight = w.data(), .bias = b.data(), .eps = 1e-12f, .n = cols}, at, bytes);
    });
    ExpectSame(x.Read(), expected);
    ExpectSame(out.Read(), codes);
  }
}

// --- products ------------------------------------------------------------------------------------

struct Packed {
  Packed(size_t row_count, size_t col_count, uint32_t seed) : rows(row_count), cols(col_count) {
    const auto values = RandomFloats(rows * cols, seed);
    tiles.resize(Int8MatrixBytes(rows, cols));
    PackInt8Tiles(TensorType::kF32, reinterpret_cast<const uint8_t*>(values.data()), rows, cols, 0,
                  (rows + kTileRows - 1) / kTileRows, tiles.data());
  }
  size_t rows, cols;
  std::vector<uint8_t> tiles;
};

Codes Rounded(const std::vector<float>& x, size_t cols) {
  return ScalarCodes(x.size() / cols, cols, [&](size_t row, uint8_t* codes) {
    return kInt8Scalar.quantise(x.data() + row * cols, cols, codes);
  });
}
std::vector<float> ScalarProduct(const Packed& w, const Codes& x, const float* bias) {
  std::vector<RowScale> scales;
  for (size_t i = 0; i < x.scales.size(); i += 2) {
    scales.push_back({x.scales[i], x.scales[i + 1]});
  }
  std::vector<float> y(scales.size() * w.rows);
  kInt8Scalar.multiply({.tiles = w.tiles.data(),
                        .rows = w.rows,
                        .cols = w.cols,
                        .codes = x.bytes.data(),
                        .code_stride = EncoderStride(static_cast<uint32_t>(w.cols)),
                        .scales = scales.data(),
                        .tokens = scales.size(),
                        .bias = bias,
                        .y = y.data(),
                        .y_stride = w.rows});
  return y;
}

TEST_F(EncoderKernels, ProductsHaveTheBitsOfTheSpecification) {
  for (const auto& [rows, cols] : {std::pair<size_t, size_t>{1, 1},
                                   {15, 3},
                                   {16, 32},
                                   {17, 33},
                                   {70, 100},
                                   {33, 256},
                                   {20, 290},
                                   {18, 520}}) {
    const Packed w(rows, cols, 10);
    const auto bias = RandomFloats(rows, 11);
    const OnDevice<uint8_t> tiles(w.tiles);
    const OnDevice<float> device_bias(bias);
    for (const size_t tokens : {1, 7, 33}) {
      auto values = RandomFloats(tokens * cols, 12);
      if (tokens == 7) values[3 * cols] = kNan;
      const Codes x = Rounded(values, cols);
      for (const bool biased : {false, true}) {
        const DeviceCodes device(x);
        const OnDevice<float> y(tokens * rows);
        const ProductMatrix matrix = {tiles.get(), static_cast<uint32_t>(rows),
                                      biased ? device_bias.get() : nullptr, 0};
        MultiplyCodes({.cols = static_cast<uint32_t>(cols),
                       .matrices = {&matrix, 1},
                       .codes = device.codes.get(),
                       .scales = device.scales.get(),
                       .tokens = static_cast<uint32_t>(tokens),
                       .y = y.get(),
                       .y_stride = static_cast<uint32_t>(rows)},
                      DeviceStream());
        ASSERT_EQ(DeviceFaults(), "") << rows << " " << cols << " " << tokens;
        ExpectSame(y.Read(), ScalarProduct(w, x, biased ? bias.data() : nullptr));
      }
    }
  }
}

TEST_F(EncoderKernels, MatricesThatShareTheirActivationsStandSideBySide) {
  const size_t cols = 48, tokens = 5;
  const Packed a(20, cols, 13), b(7, cols, 14), c(33, cols, 15);
  const auto bias = RandomFloats(7, 16);
  const OnDevice<uint8_t> da(a.tiles), db(b.tiles), dc(c.tiles);
  const OnDevice<float> dbias(bias), y(std::vector<float>(tokens * 62, 5.0f));
  const Codes x = Rounded(RandomFloats(tokens * cols, 17), cols);
  const DeviceCodes device(x);
  const ProductMatrix matrices[] = {
      {da.get(), 20, nullptr, 0}, {db.get(), 7, dbias.get(), 20}, {dc.get(), 33, nullptr, 27}};
  MultiplyCodes({.cols = cols,
                 .matrices = matrices,
                 .codes = device.codes.get(),
                 .scales = device.scales.get(),
                 .tokens = tokens,
                 .y = y.get(),
                 .y_stride = 62},
                DeviceStream());
  ASSERT_EQ(DeviceFaults(), "");
  const auto ya = ScalarProduct(a, x, nullptr), yb = ScalarProduct(b, x, bias.data()),
             yc = ScalarProduct(c, x, nullptr);
  std::vector<float> expected;
  for (size_t t = 0; t < tokens; ++t) {
    const auto append = [&](const std::vector<float>& of, size_t rows) {
      const auto row = of.begin() + static_cast<long>(t * rows);
      expected.insert(expected.end(), row, row + static_cast<long>(rows));
    };
    append(ya, 20);
    append(yb, 7);
    append(yc, 33);
    expected.insert(expected.end(), 2, 5.0f);
  }
  ExpectSame(y.Read(), expected);
}

// --- attention -----------------------------------------------------------------------------------

struct AttentionCase {
  size_t heads, head_dim;
  std::vector<uint32_t> lengths;
};

// What Encoder does for a head of a text, by the scalar level.
void ScalarAttend(const AttentionCase& c, const std::vector<float>& qkv, size_t first_row,
                  size_t length, size_t head, std::vector<float>* out) {
  const size_t width = c.heads * c.head_dim, dim = c.head_dim;
  const float* q = qkv.data() + first_row * 3 * width + head * dim;
  std::vector<uint8_t> keys(Int8MatrixBytes(length, dim)), values(Int8MatrixBytes(dim, length));
  kInt8Scalar.pack_keys({q + width, 3 * width, length, dim}, keys.data());
  kInt8Scalar.pack_values({q + 2 * width, 3 * width, length, dim}, values.data());
  std::vector<uint8_t> query(Int8CodeCols(dim)), weights(Int8CodeCols(length));
  std::vector<float> scores(length);
  for (size_t i = 0; i < length; ++i) {
    const RowScale of_query = kInt8Scalar.quantise(q + i * 3 * width, dim, query.data());
    kInt8Scalar.multiply({.tiles = keys.data(),
                          .rows = length,
                          .cols = dim,
                          .codes = query.data(),
                          .code_stride = query.size(),
                          .scales = &of_query,
                          .tokens = 1,
                          .y = scores.data(),
                          .y_stride = length});
    const RowScale of_weights = kInt8Scalar.softmax_quantise(
        scores.data(), length, 1.0f / std::sqrt(static_cast<float>(dim)), weights.data());
    kInt8Scalar.multiply({.tiles = values.data(),
                          .rows = dim,
                          .cols = length,
                          .codes = weights.data(),
                          .code_stride = weights.size(),
                          .scales = &of_weights,
                          .tokens = 1,
                          .y = out->data() + (first_row + i) * width + head * dim,
                          .y_stride = width});
  }
}

void ExpectAttention(const AttentionCase& c, std::vector<float> qkv) {
  const size_t width = c.heads * c.head_dim, rows = qkv.size() / (3 * width);
  std::vector<TextSpan> texts;
  std::vector<float> expected(rows * width);
  uint32_t row = 0, column = 0;
  for (const uint32_t length : c.lengths) {
    texts.push_back(
        {static_cast<int32_t>(row), static_cast<int32_t>(length), static_cast<int32_t>(column)});
    for (size_t head = 0; head < c.heads; ++head) {
      ScalarAttend(c, qkv, row, length, head, &expected);
    }
    row += length;
    column += TextColumns(length);
  }
  const auto items = PlanTexts(c.lengths);
  const size_t pairs = rows * c.heads, stride = EncoderStride(static_cast<uint32_t>(c.head_dim));
  const OnDevice<float> device_qkv(qkv), query_scales(2 * pairs), key_scales(2 * pairs),
      value_scales(2 * width * texts.size()), out(rows * width);
  const OnDevice<uint8_t> queries(pairs * stride), keys(pairs * stride), values(width * column);
  const OnDevice<TextSpan> device_texts(texts);
  const OnDevice<TextQueries> device_items(items);
  const HeadCodes heads = {.heads = static_cast<uint32_t>(c.heads),
                           .head_dim = static_cast<uint32_t>(c.head_dim),
                           .rows = static_cast<uint32_t>(rows),
                           .columns = column,
                           .text_count = static_cast<uint32_t>(texts.size()),
                           .queries = queries.get(),
                           .query_scales = query_scales.get(),
                           .keys = keys.get(),
                           .key_scales = key_scales.get(),
                           .values = values.get(),
                           .value_scales = value_scales.get(),
                           .texts = device_texts.get()};
  PackHeads(device_qkv.get(), heads, DeviceStream());
  AttendTexts({.heads = heads,
               .items = device_items.get(),
               .item_count = static_cast<uint32_t>(items.size()),
               .out = out.get()},
              DeviceStream());
  ASSERT_EQ(DeviceFaults(), "") << c.heads << " x " << c.head_dim;
  ExpectSame(out.Read(), expected);
}

std::vector<float> RandomHeads(const AttentionCase& c, uint32_t seed) {
  const uint32_t rows = std::accumulate(c.lengths.begin(), c.lengths.end(), 0u);
  auto qkv = RandomFloats(rows * 3 * c.heads * c.head_dim, seed);
  for (float& x : qkv) x *= 3;  // so that some keys weigh much more than others
  return qkv;
}

TEST_F(EncoderKernels, AttentionHasTheBitsOfTheSpecificationForTextsOfAllLengths) {
  const AttentionCase cases[] = {
      {1, 8, {1}},       {3, 8, {2, 1, 7, 8, 9}}, {2, 32, {33, 5, 16, 31, 32}},
      {1, 64, {40, 70}}, {2, 100, {19}},          {1, 160, {35, 3}}};
  for (const AttentionCase& c : cases) ExpectAttention(c, RandomHeads(c, 18));
}

TEST_F(EncoderKernels, WhatIsNoNumberStaysInItsText) {
  const AttentionCase c = {2, 16, {10, 34, 6}};
  const size_t width = 32;
  for (const size_t part : {0, 1, 2}) {  // of a query, a key, a value
    auto qkv = RandomHeads(c, 19);
    qkv[(12 * 3 + part) * width + 17] = kNan;
    qkv[(13 * 3 + part) * width + 3] = std::numeric_limits<float>::infinity();
    ExpectAttention(c, qkv);
  }
}

TEST_F(EncoderKernels, TextsBecomeUnitVectorsOfTheirRows) {
  for (const size_t cols : {3, 32, 384}) {
    const std::vector<TextSpan> texts = {{0, 1, 0}, {1, 9, 0}, {10, 3, 0}};
    auto x = RandomFloats(13 * cols, 20);
    std::fill(x.begin() + static_cast<long>(10 * cols), x.end(), 0.0f);
    const OnDevice<float> device(x), out(3 * cols);
    const OnDevice<TextSpan> device_texts(texts);
    for (const bool mean : {true, false}) {
      PoolTexts({.x = device.get(),
                 .rows = 13,
                 .cols = static_cast<uint32_t>(cols),
                 .texts = device_texts.get(),
                 .text_count = 3,
                 .pool = mean ? PoolTextsArgs::Pool::kMean : PoolTextsArgs::Pool::kFirst,
                 .out = out.get()},
                DeviceStream());
      ASSERT_EQ(DeviceFaults(), "");
      const auto got = out.Read();
      for (size_t text = 0; text < texts.size(); ++text) {
        std::vector<double> sum(cols);
        const int32_t rows = mean ? texts[text].rows : 1;
        double squares = 0;
        for (size_t k = 0; k < cols; ++k) {
          for (int32_t row = 0; row < rows; ++row) {
            sum[k] += x[static_cast<size_t>(texts[text].first_row + row) * cols + k];
          }
          squares += sum[k] * sum[k];
        }
        for (size_t k = 0; k < cols; ++k) {
          const double expected = squares == 0 ? 0 : sum[k] / std::sqrt(squares);
          ASSERT_NEAR(got[text * cols + k], expected, 1e-6) << text << " " << k;
        }
      }
    }
  }
}

}  // namespace
}  // namespace vade::kernels::cuda
