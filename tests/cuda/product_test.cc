// Matrix products on the device, bit for bit what the scalar specification gives slice by slice, on
// both paths and whatever is multiplied beside.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <numeric>

#include "kernels/cuda/operations.h"
#include "tests/kernels/random_tensor.h"
#include "tests/testing/cuda/memory.h"

namespace vade::kernels::cuda {
namespace {

using vade::testing::DeviceFaults;
using vade::testing::DeviceStream;
using vade::testing::OnDevice;

constexpr float kUntouched = 12345.0f;

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits(values.size());
  if (!values.empty()) std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

std::vector<uint8_t> BytesOf(const PackedMatrix& w) {
  return {w.data, w.data + PackedBytes(w.format, w.rows, w.cols)};
}

// The specification, slice by slice: columns outside of a slice are zeros, which add nothing.
std::vector<float> Expected(const PackedMatrix& w, const std::vector<float>& x) {
  const size_t tokens = x.size() / w.cols;
  const uint32_t units = UnitCount(w.format, w.cols), slices = SliceCount(units);
  std::vector<float> y(tokens * w.rows), part(tokens * w.rows);
  for (uint32_t s = 0; s < slices; ++s) {
    const size_t begin = SliceBegin(units, slices, s) * UnitCols(w.format);
    const size_t end = SliceBegin(units, slices, s + 1) * UnitCols(w.format);
    auto masked = x;
    for (size_t i = 0; i < masked.size(); ++i) {
      if (i % w.cols < begin || i % w.cols >= end) masked[i] = 0;
    }
    const auto prepared = PrepareAll(kMatmulScalar, w.format, masked, w.cols);
    kMatmulScalar.multiply(w, 0, w.TileCount(), prepared.data(), tokens, part.data(), w.rows);
    for (size_t i = 0; i < y.size(); ++i) y[i] += part[i];
  }
  return y;
}

using Path = void (*)(const MultiplyArgs&, Stream);

// y [tokens, rows + 1]; the last column must stay untouched.
std::vector<float> Product(Path path, const PackedMatrix& w, const std::vector<float>& x) {
  const OnDevice<uint8_t> weights(BytesOf(w));
  const OnDevice<uint8_t> prepared(PrepareAll(kMatmulScalar, w.format, x, w.cols));
  const uint32_t tokens = static_cast<uint32_t>(x.size() / w.cols);
  const uint32_t rows = static_cast<uint32_t>(w.rows);
  const OnDevice<float> y(std::vector<float>(tokens * (rows + 1), kUntouched));
  const ProductMatrix matrix = {.data = weights.get(), .rows = rows};
  path({.format = w.format,
        .cols = static_cast<uint32_t>(w.cols),
        .matrices = {&matrix, 1},
        .x = prepared.get(),
        .tokens = tokens,
        .y = y.get(),
        .y_stride = rows + 1},
       DeviceStream());
  EXPECT_EQ(DeviceFaults(), "");
  std::vector<float> compact;
  const auto wide = y.Read();
  for (uint32_t t = 0; t < tokens; ++t) {
    compact.insert(compact.end(), wide.begin() + t * (rows + 1),
                   wide.begin() + t * (rows + 1) + rows);
    EXPECT_EQ(wide[t * (rows + 1) + rows], kUntouched);
  }
  return compact;
}

class DeviceProduct : public ::testing::TestWithParam<TensorType> {
 protected:
  void SetUp() override {
    if (const auto why = vade::testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
  }
  OwnedMatrix Matrix(size_t rows, size_t cols, uint32_t seed) const {
    return {GetParam(), RandomTensor(GetParam(), rows, cols, seed), rows, cols};
  }
  bool Fits(size_t cols) const { return cols % InfoOf(GetParam()).block_elements == 0; }
};

TEST_P(DeviceProduct, DotsGiveTheBitsOfTheSpecification) {
  struct Shape {
    size_t rows, cols, tokens;
  };
  for (const Shape s :
       {Shape{1, 32, 1}, Shape{15, 64, 2}, Shape{16, 256, 3}, Shape{17, 512, 1}, Shape{40, 864, 5},
        Shape{70, 1536, 2}, Shape{5, 4608, 1}, Shape{3, 36, 9}}) {
    if (!Fits(s.cols)) continue;
    const auto w = Matrix(s.rows, s.cols, 10);
    const auto x = RandomFloats(s.tokens * s.cols, 11);
    EXPECT_EQ(Bits(Product(MultiplyByDots, w.get(), x)), Bits(Expected(w.get(), x)))
        << s.rows << " x " << s.cols << ", " << s.tokens << " tokens";
  }
}

TEST_P(DeviceProduct, TensorCoresGiveTheBitsOfTheSpecification) {
  struct Shape {
    size_t rows, cols, tokens;
  };
  for (const Shape s : {Shape{1, 32, 1}, Shape{16, 256, 32}, Shape{70, 512, 33}, Shape{17, 864, 9},
                        Shape{33, 1536, 12}}) {
    if (!Fits(s.cols)) continue;
    const auto w = Matrix(s.rows, s.cols, 20);
    const auto x = RandomFloats(s.tokens * s.cols, 21);
    EXPECT_EQ(Bits(Product(MultiplyByTensors, w.get(), x)), Bits(Expected(w.get(), x)))
        << s.rows << " x " << s.cols << ", " << s.tokens << " tokens";
  }
}

TEST_P(DeviceProduct, ATokenAloneGivesTheBitsItGivesInAnyBatch) {
  const size_t rows = 20, cols = 768;
  const auto w = Matrix(rows, cols, 30);
  const auto x = RandomFloats(40 * cols, 31);
  std::vector<float> alone;
  for (size_t t = 0; t < 40; ++t) {
    const auto y = Product(
        Multiply, w.get(),
        {x.begin() + static_cast<long>(t * cols), x.begin() + static_cast<long>((t + 1) * cols)});
    alone.insert(alone.end(), y.begin(), y.end());
  }
  for (size_t tokens : {2, 4, 7, 8, 9, 40}) {
    const auto y =
        Product(Multiply, w.get(), {x.begin(), x.begin() + static_cast<long>(tokens * cols)});
    EXPECT_EQ(Bits(y), Bits({alone.begin(), alone.begin() + static_cast<long>(tokens * rows)}))
        << tokens;
  }
}

TEST_P(DeviceProduct, MatricesOfALaunchStandSideBySideWithBiasAndSum) {
  const size_t cols = 256;
  const auto a = Matrix(37, cols, 40), b = Matrix(5, cols, 41), c = Matrix(16, cols, 42);
  for (size_t tokens : {3, 12}) {
    const auto x = RandomFloats(tokens * cols, 43);
    const auto bias = RandomFloats(5, 44), before = RandomFloats(tokens * 60, 45);
    const OnDevice<uint8_t> wa(BytesOf(a.get())), wb(BytesOf(b.get())), wc(BytesOf(c.get()));
    const OnDevice<uint8_t> prepared(PrepareAll(kMatmulScalar, a.get().format, x, cols));
    const OnDevice<float> device_bias(bias);
    const ProductMatrix matrices[] = {{wa.get(), 37, nullptr, 0},
                                      {wb.get(), 5, device_bias.get(), 37},
                                      {wc.get(), 16, nullptr, 42}};
    for (auto into : {MultiplyArgs::Into::kReplace, MultiplyArgs::Into::kAdd}) {
      const OnDevice<float> y(before);
      Multiply({.format = a.get().format,
                .cols = cols,
                .matrices = matrices,
                .x = prepared.get(),
                .tokens = static_cast<uint32_t>(tokens),
                .y = y.get(),
                .y_stride = 60,
                .into = into},
               DeviceStream());
      ASSERT_EQ(DeviceFaults(), "");
      const auto ya = Expected(a.get(), x), yb = Expected(b.get(), x), yc = Expected(c.get(), x);
      auto expected = before;
      for (size_t t = 0; t < tokens; ++t) {
        for (size_t i = 0; i < 58; ++i) {
          const float sum = i < 37   ? ya[t * 37 + i]
                            : i < 42 ? yb[t * 5 + i - 37] + bias[i - 37]
                                     : yc[t * 16 + i - 42];
          float& at = expected[t * 60 + i];
          at = into == MultiplyArgs::Into::kAdd ? at + sum : sum;
        }
      }
      EXPECT_EQ(Bits(y.Read()), Bits(expected)) << tokens;
    }
  }
}

TEST_P(DeviceProduct, ValuesThatAreNotFiniteStayVisibleAndHarmOnlyTheirToken) {
  const size_t rows = 16, cols = 512;
  const auto w = Matrix(rows, cols, 50);
  for (size_t tokens : {4, 12}) {
    auto x = RandomFloats(tokens * cols, 51);
    const auto clean = Product(Multiply, w.get(), x);
    x[2 * cols + 300] = std::numeric_limits<float>::quiet_NaN();
    const auto y = Product(Multiply, w.get(), x);
    for (size_t i = 0; i < y.size(); ++i) {
      if (i / rows == 2) {
        EXPECT_TRUE(std::isnan(y[i]));
      } else {
        EXPECT_EQ(y[i], clean[i]);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DeviceProduct, ::testing::ValuesIn(kAllTypes),
                         [](const auto& type) { return std::string(InfoOf(type.param).name); });

// --- preparing -----------------------------------------------------------------------------------

class DevicePrepare : public ::testing::TestWithParam<Format> {
 protected:
  void SetUp() override {
    if (const auto why = vade::testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
  }
  // The bytes that matter of prepared rows: without what pads a row.
  std::vector<uint8_t> Meaningful(const std::vector<uint8_t>& prepared, size_t rows,
                                  size_t cols) const {
    const size_t row = PreparedBytes(GetParam(), cols);
    const size_t used = IsFloat()   ? 4 * cols
                        : IsSuper() ? cols + cols / 256 * 52
                                    : cols + cols / 32 * 12;
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < rows; ++i) {
      bytes.insert(bytes.end(), prepared.begin() + static_cast<long>(i * row),
                   prepared.begin() + static_cast<long>(i * row + used));
    }
    return bytes;
  }
  bool IsFloat() const { return GetParam() == Format::kF32; }
  bool IsSuper() const { return GetParam() == Format::kQ4Super; }
  std::vector<uint8_t> Run(PrepareArgs args) {
    const OnDevice<uint8_t> out(args.rows * PreparedBytes(GetParam(), args.cols));
    args.format = GetParam();
    args.out = out.get();
    Prepare(args, DeviceStream());
    EXPECT_EQ(DeviceFaults(), "");
    return Meaningful(out.Read(), args.rows, args.cols);
  }
  std::vector<uint8_t> Scalar(const std::vector<float>& x, size_t cols) const {
    return Meaningful(PrepareAll(kMatmulScalar, GetParam(), x, cols), x.size() / cols, cols);
  }
};

TEST_P(DevicePrepare, RoundsToTheBytesOfTheSpecification) {
  for (size_t cols : {256, 768, 2304}) {
    auto x = RandomFloats(3 * cols, 60);
    for (size_t i = 0; i < 256; ++i) x[i] *= 1e4f;
    x[200] = 0.5f;
    std::fill_n(x.begin() + static_cast<long>(cols), 256, 0.0f);
    x[2 * cols + 7] = std::numeric_limits<float>::infinity();
    const OnDevice<float> device(x);
    EXPECT_EQ(Run({.x = device.get(),
                   .rows = 3,
                   .cols = static_cast<uint32_t>(cols),
                   .x_stride = static_cast<uint32_t>(cols)}),
              Scalar(x, cols));
  }
}

// A norm in front: the values are within rounding of the specification's, and what is rounded to
// codes is what the float form gives.
TEST_P(DevicePrepare, NormalisesAndGatesBeforeItRounds) {
  const size_t rows = 2, cols = 512;
  const auto x = RandomFloats(rows * cols, 61), weight = RandomFloats(cols, 62),
             up = RandomFloats(rows * cols, 63);
  const OnDevice<float> dx(x), dweight(weight), dup(up);
  for (bool norm : {true, false}) {
    const PrepareArgs args = {.x = dx.get(),
                              .rows = rows,
                              .cols = cols,
                              .x_stride = cols,
                              .norm = norm ? dweight.get() : nullptr,
                              .eps = 1e-5f,
                              .up = norm ? nullptr : dup.get()};
    const OnDevice<uint8_t> floats(rows * PreparedBytes(Format::kF32, cols));
    PrepareArgs as_floats = args;
    as_floats.format = Format::kF32;
    as_floats.out = floats.get();
    Prepare(as_floats, DeviceStream());
    ASSERT_EQ(DeviceFaults(), "");
    const auto bytes = floats.Read();
    std::vector<float> values(rows * cols), expected(rows * cols);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    for (size_t i = 0; i < rows; ++i) {
      if (norm) {
        kVectorScalar.rms_norm(x.data() + i * cols, weight.data(), 1e-5f, cols,
                               expected.data() + i * cols);
      } else {
        kVectorScalar.silu_multiply(x.data() + i * cols, up.data() + i * cols, cols,
                                    expected.data() + i * cols);
      }
    }
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], expected[i], 2e-6 * (1 + std::fabs(expected[i]))) << i;
    }
    EXPECT_EQ(Run(args), Scalar(values, cols));
  }
}

TEST_P(DevicePrepare, RowsMayLieApart) {
  const size_t cols = 256, stride = 300;
  const auto x = RandomFloats(2 * stride, 64);
  const OnDevice<float> device(x);
  auto compact = x;
  compact.erase(compact.begin() + cols, compact.begin() + stride);
  compact.resize(2 * cols);
  EXPECT_EQ(Run({.x = device.get(), .rows = 2, .cols = cols, .x_stride = stride}),
            Scalar(compact, cols));
}

INSTANTIATE_TEST_SUITE_P(Forms, DevicePrepare,
                         ::testing::Values(Format::kF32, Format::kQ8Block32, Format::kQ4Super),
                         [](const auto& form) {
                           return form.param == Format::kF32       ? "Floats"
                                  : form.param == Format::kQ4Super ? "Blocks256"
                                                                   : "Blocks32";
                         });

// --- embedding -----------------------------------------------------------------------------------

TEST_P(DeviceProduct, EmbeddedRowsAreTheDequantisedOnes) {
  const size_t rows = 5, cols = 512;
  const auto tensor = RandomTensor(GetParam(), rows, cols, 70);
  const std::vector<int32_t> tokens = {4, 0, 4, 2};
  const OnDevice<uint8_t> table(tensor);
  const OnDevice<int32_t> device_tokens(tokens);
  const OnDevice<float> x(tokens.size() * cols);
  Embed({.type = GetParam(),
         .table = table.get(),
         .table_bytes = tensor.size(),
         .cols = cols,
         .tokens = device_tokens.get(),
         .count = 4,
         .x = x.get()},
        DeviceStream());
  ASSERT_EQ(DeviceFaults(), "");
  const auto all = DequantizeAll(GetParam(), tensor, rows * cols);
  std::vector<float> expected;
  for (int32_t token : tokens) {
    expected.insert(expected.end(), all.begin() + token * static_cast<long>(cols),
                    all.begin() + (token + 1) * static_cast<long>(cols));
  }
  EXPECT_EQ(Bits(x.Read()), Bits(expected));
}

}  // namespace
}  // namespace vade::kernels::cuda
