// Keys and values in their pages, and attention over them, against the scalar specification; and
// that a row's result does not depend on what is computed beside it or on how its keys are split.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "kernels/cuda/operations.h"
#include "tests/kernels/random_tensor.h"
#include "tests/testing/cuda/memory.h"

namespace vade::kernels::cuda {
namespace {

using vade::testing::DeviceFaults;
using vade::testing::DeviceStream;
using vade::testing::OnDevice;

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits(values.size());
  if (!values.empty()) std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

constexpr uint32_t kLayers = 2, kLayer = 1, kPositions = 800;
constexpr float kBias = 40;  // of a size that rounding keys with it would show

// A sequence of keys in pages of the pool, and the rows that look at them.
struct SpanCase {
  uint32_t first_key_row = 0;  // rows of qkv that become keys: [first_key_row, + key_count)
  uint32_t first_row = 0;      // rows of qkv that ask
  std::vector<uint32_t> visible;
  std::vector<int32_t> pages, key_positions, row_positions;
};

// One layer's qkv rows, their keys and values in a pool of pages.
class AttentionCase {
 public:
  AttentionCase(KvType type, uint32_t head_dim, uint32_t rows,
                RopeStyle style = RopeStyle::kHalfSplit)
      : rows_(rows), bias_(RandomFloats(kKvHeads * head_dim, 4)) {
    shape.heads = kHeads;
    shape.kv_heads = kKvHeads;
    shape.head_dim = head_dim;
    shape.rope_dims = head_dim >= 64 ? head_dim - 16 : head_dim;
    shape.rope_style = style;
    shape.type = type;
    shape.layer = kLayer;
    shape.page_bytes = 2ull * kLayers * kKvHeads * 32 * KvBytes(type, head_dim);
    for (float& b : bias_) b *= kBias;
    qkv = RandomFloats(size_t{rows} * Width(), 5);
    for (uint32_t r = 0; r < rows; ++r) {
      for (uint32_t i = 0; i < bias_.size(); ++i) qkv[r * Width() + KeyAt() + i] += bias_[i];
    }
    page_count_ = rows / 32 + 3;
    page_order_.resize(page_count_);
    std::iota(page_order_.begin(), page_order_.end(), 0);
    std::shuffle(page_order_.begin(), page_order_.end(), std::mt19937(6));
    for (uint32_t p = 0; p < kPositions; ++p) {
      for (int part = 0; part < 2; ++part) {
        for (uint32_t i = 0; i < shape.rope_dims / 2; ++i) {
          const double angle = p * std::pow(10000.0, -2.0 * i / shape.rope_dims);
          rope.push_back(static_cast<float>(part == 0 ? std::cos(angle) : std::sin(angle)));
        }
      }
    }
  }

  static constexpr uint32_t kHeads = 6, kKvHeads = 2;
  uint32_t Width() const { return (kHeads + 2 * kKvHeads) * shape.head_dim; }
  uint32_t KeyAt() const { return kHeads * shape.head_dim; }
  int32_t PageOf(uint32_t row) const { return page_order_[row / 32]; }
  bool biased() const { return shape.type != KvType::kF32; }
  uint64_t pool_bytes() const { return page_count_ * shape.page_bytes; }
  const std::vector<float>& bias() const { return bias_; }

  // Row r of qkv is stored as token r of one long sequence.
  std::vector<uint8_t> Store() {
    std::vector<int32_t> slots;
    for (uint32_t r = 0; r < rows_; ++r) {
      slots.push_back(PageOf(r));
      slots.push_back(static_cast<int32_t>(r % 32));
    }
    const OnDevice<float> device_qkv(qkv), device_bias(bias_);
    const OnDevice<int32_t> device_slots(slots);
    const OnDevice<uint8_t> pool(std::vector<uint8_t>(pool_bytes(), 0xee));
    StoreKeysValues({.shape = shape,
                     .qkv = device_qkv.get(),
                     .rows = rows_,
                     .key_bias = biased() ? device_bias.get() : nullptr,
                     .slots = device_slots.get(),
                     .pages = pool.get(),
                     .pool_bytes = pool_bytes()},
                    DeviceStream());
    EXPECT_EQ(DeviceFaults(), "");
    return pool.Read();
  }

  // What Store() should give, by the specification.
  std::vector<uint8_t> ExpectedPool() const {
    std::vector<uint8_t> pool(pool_bytes(), 0xee);
    const size_t row_bytes = KvBytes(shape.type, shape.head_dim);
    for (uint32_t r = 0; r < rows_; ++r) {
      for (uint32_t kind = 0; kind < 2; ++kind) {
        for (uint32_t head = 0; head < kKvHeads; ++head) {
          std::vector<float> x(shape.head_dim);
          for (uint32_t i = 0; i < shape.head_dim; ++i) {
            const uint32_t in_kv = head * shape.head_dim + i;
            x[i] = qkv[r * Width() + KeyAt() + kind * kKvHeads * shape.head_dim + in_kv];
            if (kind == 0 && biased()) x[i] -= bias_[in_kv];
          }
          const size_t piece = (2 * kLayer + kind) * kKvHeads + head;
          kVectorScalar.to_kv(
              shape.type, x.data(), shape.head_dim,
              pool.data() + PageOf(r) * shape.page_bytes + (piece * 32 + r % 32) * row_bytes);
        }
      }
    }
    return pool;
  }

  // The first `keys` rows as one sequence; the last `asking` of them ask.
  SpanCase Span(uint32_t keys, uint32_t asking) const {
    SpanCase span;
    span.first_row = keys - asking;
    for (uint32_t i = 0; i < asking; ++i) {
      span.visible.push_back(keys - asking + i + 1);
      span.row_positions.push_back(static_cast<int32_t>(keys - asking + i + 7));
    }
    for (uint32_t k = 0; k < keys; ++k) {
      if (k % 32 == 0) span.pages.push_back(PageOf(k));
      span.key_positions.push_back(static_cast<int32_t>(k + 7));
    }
    return span;
  }

  // out [rows, heads * head_dim] with 0 in rows that did not ask.
  enum class Keys { kApart, kSharedWherePossible };
  std::vector<float> Run(const std::vector<uint8_t>& pool, const std::vector<SpanCase>& spans,
                         uint32_t enough_blocks, Keys keys = Keys::kApart,
                         size_t* shared_groups = nullptr) const {
    std::vector<int32_t> indices;
    std::vector<SpanIndex> places;
    std::vector<AttendShape> shapes;
    const auto append = [&](const auto& values) {
      const auto at = static_cast<int32_t>(indices.size());
      indices.insert(indices.end(), values.begin(), values.end());
      return at;
    };
    for (const SpanCase& span : spans) {
      const auto count = static_cast<uint32_t>(span.visible.size());
      SpanIndex place = {static_cast<int32_t>(span.first_row), static_cast<int32_t>(count)};
      place.visible = append(span.visible);
      place.row_positions = append(span.row_positions);
      place.pages = append(span.pages);
      place.key_positions = append(span.key_positions);
      places.push_back(place);
      shapes.push_back({count, span.visible});
      if (keys == Keys::kSharedWherePossible) {
        shapes.back() = {count, span.visible, span.first_row, span.pages, span.key_positions};
      }
    }
    const AttendPlan plan = PlanAttention(shapes, kHeads / kKvHeads, kKvHeads, enough_blocks);
    for (const SharedKeys& shared : plan.shared) {
      SpanIndex place = places[shared.first_span];
      place.row_count = static_cast<int32_t>(shared.rows);
      place.visible = append(std::vector<uint32_t>(shared.rows, shared.splits * kSplitKeys));
      std::vector<int32_t> positions;
      for (uint32_t s = shared.first_span; s < shared.first_span + shared.span_count; ++s) {
        positions.insert(positions.end(), spans[s].row_positions.begin(),
                         spans[s].row_positions.end());
      }
      place.row_positions = append(positions);
      places.push_back(place);
    }
    if (shared_groups) *shared_groups = plan.shared.size();
    const OnDevice<float> device_qkv(qkv), device_bias(bias_), device_rope(rope);
    const OnDevice<int32_t> device_indices(indices);
    const OnDevice<SpanIndex> device_spans(places);
    const OnDevice<AttendItem> items(plan.items);
    const OnDevice<MergeItem> merges(plan.merges);
    const OnDevice<float> partials(size_t{kKvHeads} * plan.partials * kAttendPairs *
                                   PartialFloats(shape.head_dim));
    const OnDevice<uint8_t> pages(pool);
    const OnDevice<float> out(std::vector<float>(size_t{rows_} * kHeads * shape.head_dim));
    Attend({.shape = shape,
            .qkv = device_qkv.get(),
            .rows = rows_,
            .key_bias = biased() ? device_bias.get() : nullptr,
            .rope = device_rope.get(),
            .positions = kPositions,
            .spans = device_spans.get(),
            .span_count = static_cast<uint32_t>(places.size()),
            .indices = device_indices.get(),
            .index_count = indices.size(),
            .items = items.get(),
            .item_count = static_cast<uint32_t>(plan.items.size()),
            .merges = merges.get(),
            .merge_count = static_cast<uint32_t>(plan.merges.size()),
            .partial_count = plan.partials,
            .partials = partials.get(),
            .pages = pages.get(),
            .pool_bytes = pool_bytes(),
            .out = out.get()},
           DeviceStream());
    EXPECT_EQ(DeviceFaults(), "");
    return out.Read();
  }

  // The scalar specification on gathered keys.
  std::vector<float> Expected(const std::vector<uint8_t>& pool,
                              const std::vector<SpanCase>& spans) const {
    const uint32_t dim = shape.head_dim, half = shape.rope_dims / 2, group = kHeads / kKvHeads;
    const size_t row_bytes = KvBytes(shape.type, dim);
    std::vector<float> out(size_t{rows_} * kHeads * dim);
    for (const SpanCase& span : spans) {
      const uint32_t keys = span.visible.back();
      for (uint32_t head = 0; head < kHeads; ++head) {
        std::vector<float> k(keys * dim), v(keys * dim);
        for (uint32_t i = 0; i < keys; ++i) {
          for (uint32_t kind = 0; kind < 2; ++kind) {
            const size_t piece = (2 * kLayer + kind) * kKvHeads + head / group;
            kVectorScalar.from_kv(shape.type,
                                  pool.data() + span.pages[i / 32] * shape.page_bytes +
                                      (piece * 32 + i % 32) * row_bytes,
                                  dim, (kind == 0 ? k : v).data() + i * dim);
          }
          if (biased())
            kVectorScalar.add(bias_.data() + head / group * dim, dim, k.data() + i * dim);
          const float* turn = rope.data() + span.key_positions[i] * shape.rope_dims;
          kVectorScalar.rotate(shape.rope_style, turn, turn + half, shape.rope_dims,
                               k.data() + i * dim);
        }
        for (uint32_t r = 0; r < span.visible.size(); ++r) {
          const uint32_t row = span.first_row + r;
          std::vector<float> q(qkv.begin() + row * Width() + head * dim,
                               qkv.begin() + row * Width() + (head + 1) * dim);
          const float* turn = rope.data() + span.row_positions[r] * shape.rope_dims;
          kVectorScalar.rotate(shape.rope_style, turn, turn + half, shape.rope_dims, q.data());
          kVectorScalar.attend({.queries = q.data(),
                                .query_count = 1,
                                .query_stride = dim,
                                .keys = k.data(),
                                .values = v.data(),
                                .visible = &span.visible[r],
                                .head_dim = dim,
                                .scale = 1 / std::sqrt(static_cast<float>(dim)),
                                .out = out.data() + (size_t{row} * kHeads + head) * dim,
                                .out_stride = dim});
        }
      }
    }
    return out;
  }

  KvShape shape;
  std::vector<float> qkv, rope;

 private:
  uint32_t rows_, page_count_ = 0;
  std::vector<float> bias_;
  std::vector<int32_t> page_order_;
};

constexpr uint32_t kSplitAll = 1u << 30, kSplitNone = 0;

struct Param {
  KvType type;
  uint32_t head_dim;
};

class DeviceAttention : public ::testing::TestWithParam<Param> {
 protected:
  void SetUp() override {
    if (const auto why = vade::testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
  }
  AttentionCase Case(uint32_t rows, RopeStyle style = RopeStyle::kHalfSplit) const {
    return {GetParam().type, GetParam().head_dim, rows, style};
  }
  static void ExpectNear(const std::vector<float>& got, const std::vector<float>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], expected[i], 1e-4 * (1 + std::fabs(expected[i]))) << i;
    }
  }
};

TEST_P(DeviceAttention, StoredPagesHaveTheBytesOfTheSpecification) {
  auto c = Case(45);
  c.qkv[3 * c.Width() + c.KeyAt() + 1] = INFINITY;  // a block that cannot be rounded
  std::fill_n(c.qkv.begin() + 5 * c.Width() + c.KeyAt() + 2 * c.shape.head_dim, c.shape.head_dim,
              0.0f);
  EXPECT_EQ(c.Store(), c.ExpectedPool());
}

TEST_P(DeviceAttention, IsThatOfTheSpecification) {
  for (const auto style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
    auto c = Case(70, style);
    const auto pool = c.ExpectedPool();
    const std::vector<SpanCase> spans = {c.Span(1, 1), c.Span(40, 7), c.Span(70, 18)};
    ExpectNear(c.Run(pool, spans, kSplitNone), c.Expected(pool, spans));
  }
}

TEST_P(DeviceAttention, ManyKeysAreSplitWithoutATrace) {
  auto c = Case(520);
  const auto pool = c.ExpectedPool();
  const std::vector<SpanCase> spans = {c.Span(520, 2), c.Span(257, 2), c.Span(200, 1)};
  const auto whole = c.Run(pool, spans, kSplitNone);
  EXPECT_EQ(Bits(c.Run(pool, spans, kSplitAll)), Bits(whole));
  ExpectNear(whole, c.Expected(pool, spans));
}

// Forks of one prompt, as answers to one question are: their first keys are read for all of them.
TEST_P(DeviceAttention, SharedKeysAreReadOnceWithoutATrace) {
  const uint32_t common = (GetParam().head_dim <= 32 ? 2 : 1) * kSplitKeys;
  auto c = Case(common + 20);
  const auto pool = c.ExpectedPool();
  std::vector<SpanCase> spans;
  uint32_t row = 3;
  for (uint32_t rows : {1u, 3u, 2u, 1u}) {
    SpanCase span = c.Span(common + 5 * rows, rows);
    span.first_row = row;
    row += rows;
    spans.push_back(span);
  }
  spans.push_back(c.Span(common, 1));  // has no keys of its own
  spans.back().first_row = row++;
  const auto apart = c.Run(pool, spans, kSplitNone);
  for (uint32_t enough : {kSplitNone, kSplitAll}) {
    size_t groups = 0;
    const auto shared =
        c.Run(pool, spans, enough, AttentionCase::Keys::kSharedWherePossible, &groups);
    EXPECT_EQ(groups, 1u);
    EXPECT_EQ(Bits(shared), Bits(apart));
  }
}

TEST_P(DeviceAttention, ARowAloneGivesTheBitsItGivesAmongOthers) {
  auto c = Case(280);
  const auto pool = c.ExpectedPool();
  const auto all = c.Run(pool, {c.Span(280, 9)}, kSplitNone);
  const size_t width = AttentionCase::kHeads * c.shape.head_dim;
  for (uint32_t row : {271u, 275u, 279u}) {
    const auto alone = c.Run(pool, {c.Span(row + 1, 1)}, kSplitAll);
    const auto part = [&](const std::vector<float>& v) {
      return Bits({v.begin() + static_cast<long>(row * width),
                   v.begin() + static_cast<long>((row + 1) * width)});
    };
    EXPECT_EQ(part(alone), part(all)) << row;
  }
}

TEST_P(DeviceAttention, TokensGoOutOfThePagesAndBackIn) {
  auto c = Case(70);
  const auto pool = c.ExpectedPool();
  std::vector<int32_t> slots;
  for (uint32_t r = 20; r < 50; ++r) {
    slots.push_back(c.PageOf(r));
    slots.push_back(static_cast<int32_t>(r % 32));
  }
  const uint32_t pieces = 2 * kLayers * AttentionCase::kKvHeads;
  const auto row_bytes = static_cast<uint32_t>(KvBytes(c.shape.type, c.shape.head_dim));
  const OnDevice<int32_t> device_slots(slots);
  const OnDevice<uint8_t> pages(pool), fresh(std::vector<uint8_t>(pool.size(), 1));
  const OnDevice<uint8_t> rows(size_t{pieces} * 30 * row_bytes);
  CopyTokensArgs args = {.pieces = pieces,
                         .row_bytes = row_bytes,
                         .page_bytes = c.shape.page_bytes,
                         .slots = device_slots.get(),
                         .tokens = 30,
                         .pages = pages.get(),
                         .pool_bytes = pool.size(),
                         .rows = rows.get()};
  CopyTokens(args, DeviceStream());
  args.pages = fresh.get();
  args.way = CopyTokensArgs::Way::kIn;
  CopyTokens(args, DeviceStream());
  ASSERT_EQ(DeviceFaults(), "");
  const auto saved = rows.Read(), back = fresh.Read();
  std::vector<uint8_t> expected(pool.size(), 1);
  for (uint32_t piece = 0; piece < pieces; ++piece) {
    for (uint32_t t = 0; t < 30; ++t) {
      const size_t at =
          slots[2 * t] * c.shape.page_bytes + (piece * 32 + slots[2 * t + 1]) * row_bytes;
      ASSERT_EQ(
          std::memcmp(saved.data() + (piece * 30 + t) * row_bytes, pool.data() + at, row_bytes), 0);
      std::memcpy(expected.data() + at, pool.data() + at, row_bytes);
    }
  }
  EXPECT_EQ(back, expected);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, DeviceAttention,
    ::testing::Values(Param{KvType::kF32, 32}, Param{KvType::kF32, 64}, Param{KvType::kF32, 128},
                      Param{KvType::kF32, 256}, Param{KvType::kF16, 16}, Param{KvType::kF16, 48},
                      Param{KvType::kF16, 128}, Param{KvType::kF16, 256}, Param{KvType::kQ8, 32},
                      Param{KvType::kQ8, 64}, Param{KvType::kQ8, 128}, Param{KvType::kQ8, 256}),
    [](const auto& kind) {
      return std::string(KvTypeName(kind.param.type)) + "_" + std::to_string(kind.param.head_dim);
    });

// --- rows
// ------------------------------------------------------------------------------------------

class DeviceRows : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = vade::testing::WhyNoDevice(); !why.empty()) GTEST_SKIP() << why;
  }
};

TEST_F(DeviceRows, LogProbabilitiesAreThoseOfTheSoftmax) {
  for (uint32_t width : {1u, 31u, 300u, 3000u}) {
    auto logits = RandomFloats(4 * width, 7);
    for (float& x : logits) x *= 5;
    const std::vector<int32_t> targets = {0, -1, static_cast<int32_t>(width) - 1,
                                          static_cast<int32_t>(width / 2)};
    const OnDevice<float> device_logits(logits);
    const OnDevice<int32_t> device_targets(targets);
    const OnDevice<float> out(4);
    LogProbabilities({device_logits.get(), 4, width, device_targets.get(), out.get()},
                     DeviceStream());
    ASSERT_EQ(DeviceFaults(), "");
    const auto got = out.Read();
    for (size_t i = 0; i < 4; ++i) {
      const float* row = logits.data() + i * width;
      const float expected =
          targets[i] < 0 ? 0 : row[targets[i]] - kVectorScalar.log_sum_exp(row, width);
      EXPECT_NEAR(got[i], expected, 1e-5 * (1 + std::fabs(expected))) << width << ", " << i;
    }
  }
}

TEST_F(DeviceRows, KeptRowsMoveToTheFront) {
  const uint32_t width = 300;
  const auto rows = RandomFloats(9 * width, 8);
  const std::vector<int32_t> keep = {0, 2, 3, 8};
  const OnDevice<float> device(rows);
  const OnDevice<int32_t> device_keep(keep);
  KeepRows({device.get(), 9, width, device_keep.get(), 4}, DeviceStream());
  ASSERT_EQ(DeviceFaults(), "");
  const auto got = device.Read();
  for (size_t i = 0; i < keep.size(); ++i) {
    EXPECT_TRUE(std::equal(got.begin() + static_cast<long>(i * width),
                           got.begin() + static_cast<long>((i + 1) * width),
                           rows.begin() + keep[i] * static_cast<long>(width)))
        << i;
  }
}

}  // namespace
}  // namespace vade::kernels::cuda
