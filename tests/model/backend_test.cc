// Operations of the processor's backend on small shapes against plain loops; and the guard around
// buffers.
#include "model/backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/threads.h"
#include "model/cpu_backend.h"
#include "tests/testing/guarded_backend.h"

namespace vade {
namespace {

std::vector<float> Random(size_t n, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> v(n);
  for (float& x : v) x = normal(random);
  return v;
}

std::span<const uint8_t> Bytes(const std::vector<float>& v) {
  return {reinterpret_cast<const uint8_t*>(v.data()), v.size() * sizeof(float)};
}

// A float32 matrix packed into memory that lives as long as the test.
class Packed {
 public:
  Packed(size_t rows, size_t cols, uint32_t seed) : values(Random(rows * cols, seed)), cols_(cols) {
    bytes_.resize(kernels::PackedBytes(kernels::Format::kF32, rows, cols) + 64);
    uint8_t* data = bytes_.data() + (64 - reinterpret_cast<uintptr_t>(bytes_.data()) % 64) % 64;
    matrix = {kernels::Format::kF32, rows, cols, data};
    kernels::PackTiles(TensorType::kF32, reinterpret_cast<const uint8_t*>(values.data()), rows,
                       cols, 0, matrix.TileCount(), data);
  }
  double Times(size_t row, const std::vector<double>& x) const {
    double sum = 0;
    for (size_t i = 0; i < cols_; ++i) sum += static_cast<double>(values[row * cols_ + i]) * x[i];
    return sum;
  }
  std::vector<float> values;
  kernels::PackedMatrix matrix;

 private:
  size_t cols_;
  std::vector<uint8_t> bytes_;
};

class BackendTest : public ::testing::Test {
 protected:
  BufferHandle Upload(const std::vector<float>& values) {
    const BufferHandle buffer = backend_.NewBuffer(values.size() * sizeof(float)).value();
    EXPECT_TRUE(backend_.Upload(buffer, 0, Bytes(values)).ok());
    return buffer;
  }
  std::vector<float> Download(BufferHandle buffer, size_t count) {
    std::vector<float> values(count);
    EXPECT_TRUE(
        backend_.Download(buffer, 0, {reinterpret_cast<uint8_t*>(values.data()), count * 4}).ok());
    return values;
  }
  static std::vector<double> Normed(const float* x, const std::vector<float>& weight, double eps) {
    double squares = 0;
    for (size_t i = 0; i < weight.size(); ++i) squares += static_cast<double>(x[i]) * x[i];
    std::vector<double> out(weight.size());
    const double scale = 1 / std::sqrt(squares / weight.size() + eps);
    for (size_t i = 0; i < out.size(); ++i) out[i] = x[i] * scale * weight[i];
    return out;
  }

  ThreadPool pool_{2};
  CpuBackend backend_{&pool_};
};

TEST_F(BackendTest, UploadAndDownloadRefuseToLeaveTheBuffer) {
  const BufferHandle buffer = backend_.NewBuffer(16).value();
  std::vector<float> five(5), four = {1, 2, 3, 4};
  EXPECT_EQ(backend_.Upload(buffer, 0, Bytes(five)).code(), StatusCode::kInternal);
  EXPECT_EQ(backend_.Upload(buffer, 4, Bytes(four)).code(), StatusCode::kInternal);
  EXPECT_TRUE(backend_.Upload(buffer, 0, Bytes(four)).ok());
  EXPECT_EQ(Download(buffer, 4), four);
}

TEST_F(BackendTest, BuffersBeginAsZeros) {
  EXPECT_EQ(Download(backend_.NewBuffer(400).value(), 100), std::vector<float>(100));
}

TEST_F(BackendTest, ImpossibleBufferIsRefused) {
  EXPECT_EQ(backend_.NewBuffer(~0ull).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(backend_.NewBuffer(0).status().code(), StatusCode::kResourceExhausted);
}

TEST_F(BackendTest, EmbedTakesRowsOfTheTable) {
  const auto values = Random(6 * 4, 1);
  const TableHandle table = backend_.AddTable(TensorType::kF32, Bytes(values), 6, 4).value();
  const BufferHandle x = backend_.NewBuffer(2 * 4 * 4).value();
  const std::vector<int32_t> tokens = {5, 2};
  ASSERT_TRUE(backend_.Embed(table, tokens, x).ok());
  const auto out = Download(x, 8);
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + 4, values.begin() + 20));
  EXPECT_TRUE(std::equal(out.begin() + 4, out.end(), values.begin() + 8));
}

TEST_F(BackendTest, TableOfPartialBlocksIsRefused) {
  const std::vector<float> bytes(100);
  EXPECT_FALSE(backend_.AddTable(TensorType::kQ8_0, Bytes(bytes), 2, 40).ok());
  EXPECT_FALSE(backend_.AddTable(TensorType::kF32, Bytes(bytes), 11, 10).ok());
}

TEST_F(BackendTest, NormProjectPutsProjectionsSideBySideWithTheirBias) {
  const Packed a(20, 24, 2), b(7, 24, 3);
  const auto weight = Random(24, 4), bias = Random(7, 5), x = Random(4 * 24, 6);
  const Projection projections[] = {
      {backend_.AddMatrix(a.matrix).value(), {}},
      {backend_.AddMatrix(b.matrix).value(), backend_.AddVector(bias).value()}};
  const BufferHandle out = backend_.NewBuffer(3 * 27 * 4).value();
  ASSERT_TRUE(backend_
                  .NormProject({.x = Upload(x),
                                .first_row = 1,
                                .rows = 3,
                                .norm = backend_.AddVector(weight).value(),
                                .eps = 1e-5f,
                                .projections = projections,
                                .out = out})
                  .ok());
  const auto y = Download(out, 3 * 27);
  for (size_t row = 0; row < 3; ++row) {
    const auto n = Normed(x.data() + (row + 1) * 24, weight, 1e-5);
    for (size_t i = 0; i < 20; ++i) ASSERT_NEAR(y[row * 27 + i], a.Times(i, n), 1e-4);
    for (size_t i = 0; i < 7; ++i) ASSERT_NEAR(y[row * 27 + 20 + i], b.Times(i, n) + bias[i], 1e-4);
  }
}

TEST_F(BackendTest, ProjectAddAddsToTheResidual) {
  const Packed w(24, 10, 7);
  const auto in = Random(2 * 10, 8), x0 = Random(2 * 24, 9);
  const BufferHandle x = Upload(x0);
  ASSERT_TRUE(backend_.ProjectAdd(backend_.AddMatrix(w.matrix).value(), Upload(in), 2, x).ok());
  const auto y = Download(x, 2 * 24);
  for (size_t row = 0; row < 2; ++row) {
    const std::vector<double> v(in.begin() + row * 10, in.begin() + (row + 1) * 10);
    for (size_t i = 0; i < 24; ++i)
      ASSERT_NEAR(y[row * 24 + i], x0[row * 24 + i] + w.Times(i, v), 1e-4);
  }
}

TEST_F(BackendTest, FeedForwardIsGatedBySilu) {
  const Packed gate(37, 12, 10), up(37, 12, 11), down(12, 37, 12);
  const auto weight = Random(12, 13), x0 = Random(3 * 12, 14);
  const BufferHandle x = Upload(x0), hidden = backend_.NewBuffer(3 * 37 * 4).value();
  ASSERT_TRUE(backend_
                  .FeedForward({.x = x,
                                .rows = 3,
                                .norm = backend_.AddVector(weight).value(),
                                .eps = 1e-5f,
                                .gate = backend_.AddMatrix(gate.matrix).value(),
                                .up = backend_.AddMatrix(up.matrix).value(),
                                .down = backend_.AddMatrix(down.matrix).value(),
                                .hidden = hidden})
                  .ok());
  const auto y = Download(x, 3 * 12);
  for (size_t row = 0; row < 3; ++row) {
    const auto n = Normed(x0.data() + row * 12, weight, 1e-5);
    std::vector<double> h(37);
    for (size_t i = 0; i < 37; ++i) {
      const double g = gate.Times(i, n);
      h[i] = g / (1 + std::exp(-g)) * up.Times(i, n);
    }
    for (size_t i = 0; i < 12; ++i)
      ASSERT_NEAR(y[row * 12 + i], x0[row * 12 + i] + down.Times(i, h), 1e-3);
  }
}

TEST_F(BackendTest, KeepRowsMovesThemToTheFront) {
  const BufferHandle x = Upload({0, 1, 10, 11, 20, 21, 30, 31});
  const std::vector<int32_t> keep = {1, 3};
  ASSERT_TRUE(backend_.KeepRows(x, 2, keep).ok());
  const auto y = Download(x, 4);
  EXPECT_EQ(y, (std::vector<float>{10, 11, 30, 31}));
}

// One head, two keys in a page; checks rotation at the recorded positions, not at the index.
TEST_F(BackendTest, KeysAreRotatedByTheirRecordedPosition) {
  const AttentionShape shape = {.heads = 1,
                                .kv_heads = 1,
                                .head_dim = 4,
                                .rope_dims = 2,
                                .rope_base = 100,
                                .kv_type = kernels::KvType::kF32,
                                .layers = 1};
  const BufferHandle pages = backend_.NewBuffer(2 * PageBytes(shape)).value();
  const auto rows = Random(2 * shape.qkv_width(), 15);  // [q4 | k4 | v4] twice
  const BufferHandle qkv = Upload(rows), out = backend_.NewBuffer(2 * 4 * 4).value();
  const std::vector<KvSlot> slots = {{1, 0}, {1, 1}};
  ASSERT_TRUE(
      backend_.StoreKeysValues({.shape = &shape, .qkv = qkv, .slots = slots, .pages = pages}).ok());
  const std::vector<uint32_t> visible = {1, 2};
  const std::vector<int32_t> positions = {3, 8}, table = {1};
  const AttentionSpan span = {.first_row = 0,
                              .row_count = 2,
                              .visible = visible,
                              .row_positions = positions,
                              .pages = table,
                              .key_positions = positions};
  ASSERT_TRUE(backend_
                  .Attend({.shape = &shape,
                           .layer = 0,
                           .qkv = qkv,
                           .spans = {&span, 1},
                           .pages = pages,
                           .out = out})
                  .ok());
  const auto y = Download(out, 8);
  auto rotated = [&](const float* v, int position) {
    const double c = std::cos(position), s = std::sin(position);
    return std::vector<double>{v[0] * c - v[1] * s, v[0] * s + v[1] * c, v[2], v[3]};
  };
  const auto q = rotated(rows.data() + 12, 8);
  double weights[2], total = 0;
  for (int j = 0; j < 2; ++j) {
    const auto k = rotated(rows.data() + 12 * j + 4, positions[j]);
    double score = 0;
    for (int i = 0; i < 4; ++i) score += q[i] * k[i];
    total += weights[j] = std::exp(score / 2);
  }
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(y[i], rows[8 + i], 1e-6);  // the first row sees one key
    EXPECT_NEAR(y[4 + i], (weights[0] * rows[8 + i] + weights[1] * rows[20 + i]) / total, 1e-5);
  }
}

// A bias a hundred times what varies: rounded with it, the keys would say nothing.
TEST_F(BackendTest, KeysAreRoundedWithoutTheirBias) {
  constexpr size_t kDim = 32, kKeys = 40, kHeads = 2;
  const auto bias = Random(kHeads * kDim, 17, 100), varying = Random(kKeys * kHeads * kDim, 18);
  for (kernels::KvType type : kernels::kAllKvTypes) {
    const double allowed = type == kernels::KvType::kQ4 ? 0.15 : 0.01;
    const AttentionShape shape = {.heads = kHeads,
                                  .kv_heads = kHeads,
                                  .head_dim = kDim,
                                  .rope_dims = 0,
                                  .kv_type = type,
                                  .layers = 1};
    auto rows = Random(kKeys * shape.qkv_width(), 19, 0.5f);  // [q | k | v]
    for (size_t i = 0; i < kKeys * kHeads * kDim; ++i) {
      const size_t row = i / (kHeads * kDim), column = i % (kHeads * kDim);
      rows[row * shape.qkv_width() + shape.q_width() + column] = varying[i] + bias[column];
    }
    const BufferHandle pages = backend_.NewBuffer(2 * PageBytes(shape)).value();
    const BufferHandle qkv = Upload(rows),
                       out = backend_.NewBuffer(kKeys * kHeads * kDim * 4).value();
    const VectorHandle key_bias = backend_.AddVector(bias).value();
    std::vector<KvSlot> slots;
    std::vector<int32_t> positions, table = {1, 0};
    std::vector<uint32_t> visible;
    for (int i = 0; i < static_cast<int>(kKeys); ++i) {
      slots.push_back({1 - i / 32, i % 32});
      positions.push_back(i);
      visible.push_back(i + 1);
    }
    ASSERT_TRUE(backend_.StoreKeysValues({&shape, 0, qkv, key_bias, slots, pages}).ok());
    const AttentionSpan span = {0, static_cast<int>(kKeys), visible, positions, table, positions};
    ASSERT_TRUE(backend_.Attend({&shape, 0, qkv, key_bias, {&span, 1}, pages, out}).ok());
    const auto y = Download(out, kKeys * kHeads * kDim);
    for (size_t row = 0; row < kKeys; ++row) {
      for (size_t head = 0; head < kHeads; ++head) {
        const float* q = rows.data() + row * shape.qkv_width() + head * kDim;
        std::vector<double> mixed(kDim);
        double total = 0;
        for (size_t j = 0; j <= row; ++j) {
          const float* v = rows.data() + j * shape.qkv_width() + 2 * shape.q_width() + head * kDim;
          double score = 0;  // the bias adds the same to all of a row, softmax does not see it
          for (size_t i = 0; i < kDim; ++i) score += q[i] * varying[(j * kHeads + head) * kDim + i];
          const double weight = std::exp(score / std::sqrt(static_cast<double>(kDim)));
          for (size_t i = 0; i < kDim; ++i) mixed[i] += weight * v[i];
          total += weight;
        }
        for (size_t i = 0; i < kDim; ++i) {
          ASSERT_NEAR(y[(row * kHeads + head) * kDim + i], mixed[i] / total, allowed)
              << kernels::KvTypeName(type) << " row " << row;
        }
      }
    }
  }
}

TEST_F(BackendTest, CopyPageCopiesAllLayers) {
  const AttentionShape shape = {.heads = 1,
                                .kv_heads = 1,
                                .head_dim = 4,
                                .rope_dims = 4,
                                .kv_type = kernels::KvType::kF32,
                                .layers = 3};
  const size_t count = PageBytes(shape) / 4;
  std::vector<float> both = Random(2 * count, 16);
  const BufferHandle pages = Upload(both);
  ASSERT_TRUE(backend_.CopyPage(shape, pages, 1, 0).ok());
  const auto after = Download(pages, 2 * count);
  EXPECT_TRUE(std::equal(after.begin(), after.begin() + count, both.begin() + count));
}

TEST(GuardedBackendDeathTest, TouchingABufferBetweenOperationsDies) {
  GuardedBackend backend(nullptr);
  const BufferHandle buffer = backend.NewBuffer(64).value();
  const volatile uint8_t* memory = backend.MemoryBehind(buffer);
  EXPECT_DEATH({ [[maybe_unused]] const uint8_t byte = *memory; }, "");
}

}  // namespace
}  // namespace vade
