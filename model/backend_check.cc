#include "model/backend_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <utility>

#include "base/bytes.h"
#include "base/strings.h"

namespace vade {
namespace {

constexpr TensorType kTypes[] = {
    TensorType::kF32,  TensorType::kF16,  TensorType::kBf16, TensorType::kQ4_0, TensorType::kQ4_1,
    TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0, TensorType::kQ2_K, TensorType::kQ3_K,
    TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

constexpr int kRows = 20;  // as a prompt; beside a single row, as in decoding
constexpr uint64_t kWidth = 512, kOutputs = 72;
constexpr int kKeys = 300;
constexpr double kFloatTolerance = 1e-4, kCodeTolerance = 0.02;

std::vector<float> RandomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float& x : values) x = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  return values;
}

// Any bytes are codes; scales are small, so that the values are too.
std::vector<uint8_t> RandomTensor(TensorType type, uint64_t rows, uint64_t cols) {
  const TensorTypeInfo& info = InfoOf(type);
  std::mt19937 random(static_cast<uint32_t>(type));
  std::vector<uint8_t> bytes(rows * cols / info.block_elements * info.block_bytes);
  for (size_t at = 0; at < bytes.size(); at += info.block_bytes) {
    uint8_t* block = bytes.data() + at;
    const float value = static_cast<float>(random() % 201) / 1000.0f - 0.1f;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    const uint16_t half = FloatToHalf(value), upper = static_cast<uint16_t>(bits >> 16);
    switch (type) {
      case TensorType::kF32: std::memcpy(block, &value, sizeof(value)); continue;
      case TensorType::kF16: std::memcpy(block, &half, sizeof(half)); continue;
      case TensorType::kBf16: std::memcpy(block, &upper, sizeof(upper)); continue;
      default: break;
    }
    for (size_t i = 0; i < info.block_bytes; ++i) block[i] = static_cast<uint8_t>(random());
    for (int offset : {info.scale_at, info.minimum_at}) {
      if (offset >= 0) std::memcpy(block + offset, &half, sizeof(half));
    }
  }
  return bytes;
}

std::span<const uint8_t> Bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)};
}

// A buffer of a backend that goes with its scope.
class Buffer {
 public:
  static Result<Buffer> Make(Backend& backend, uint64_t floats) {
    ASSIGN_OR_RETURN(const BufferHandle handle, backend.NewBuffer(floats * sizeof(float)));
    return Buffer(&backend, handle);
  }
  static Result<Buffer> Make(Backend& backend, const std::vector<float>& values) {
    ASSIGN_OR_RETURN(Buffer buffer, Make(backend, values.size()));
    RETURN_IF_ERROR(backend.Upload(buffer.handle(), 0, Bytes(values)));
    return buffer;
  }
  Buffer(Buffer&& other) noexcept
      : backend_(std::exchange(other.backend_, nullptr)), handle_(other.handle_) {}
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() {
    if (backend_) backend_->FreeBuffer(handle_);
  }
  BufferHandle handle() const { return handle_; }
  Result<std::vector<float>> Read(size_t count) const {
    std::vector<float> values(count);
    RETURN_IF_ERROR(backend_->Download(
        handle_, 0, {reinterpret_cast<uint8_t*>(values.data()), count * sizeof(float)}));
    return values;
  }

 private:
  Buffer(Backend* backend, BufferHandle handle) : backend_(backend), handle_(handle) {}
  Backend* backend_;
  BufferHandle handle_;
};

// A case gives `rows` rows of the same width, computed by one backend.
using Case = std::function<Result<std::vector<float>>(Backend& backend, int rows)>;

double Difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 1e-30, difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - b[i]);
    difference = std::isnan(d) ? INFINITY : std::max(difference, d);
    largest = std::max(largest, std::fabs(static_cast<double>(b[i])));
  }
  return difference / largest;
}

Result<BackendCheck> Check(const std::string& what, double allowed, const Case& run,
                           Backend& tested, Backend& reference) {
  BackendCheck check = {.what = what, .allowed = allowed};
  ASSIGN_OR_RETURN(const std::vector<float> all, run(tested, kRows));
  ASSIGN_OR_RETURN(const std::vector<float> expected, run(reference, kRows));
  ASSIGN_OR_RETURN(const std::vector<float> alone, run(tested, 1));
  check.difference = Difference(all, expected);
  check.repeatable = std::memcmp(alone.data(), all.data(), alone.size() * sizeof(float)) == 0;
  return check;
}

// A tensor and its packed form; the backends may read them for as long as they live.
struct Weights {
  Weights(TensorType of, uint64_t row_count, uint64_t col_count)
      : type(of), rows(row_count), cols(col_count), tensor(RandomTensor(of, row_count, col_count)) {
    const kernels::Format format = kernels::PackedFormat(type);
    bytes.resize(kernels::PackedBytes(format, rows, cols) + 64);
    uint8_t* data = bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64) % 64;
    packed = {format, rows, cols, data};
    kernels::PackTiles(type, tensor.data(), rows, cols, 0, packed.TileCount(), data);
  }
  TensorType type;
  uint64_t rows, cols;
  std::vector<uint8_t> tensor, bytes;
  kernels::PackedMatrix packed;
};

Case ProductCase(const Weights& weights) {
  return [&weights](Backend& backend, int rows) -> Result<std::vector<float>> {
    ASSIGN_OR_RETURN(const MatrixHandle matrix, backend.AddMatrix(weights.packed));
    ASSIGN_OR_RETURN(const VectorHandle norm, backend.AddVector(RandomFloats(kWidth, 1)));
    ASSIGN_OR_RETURN(const VectorHandle bias, backend.AddVector(RandomFloats(kOutputs, 2)));
    auto x = RandomFloats(kRows * kWidth, 3);
    x.resize(static_cast<size_t>(rows) * kWidth);
    ASSIGN_OR_RETURN(const Buffer in, Buffer::Make(backend, x));
    ASSIGN_OR_RETURN(const Buffer out, Buffer::Make(backend, rows * kOutputs));
    const Projection projection = {matrix, bias};
    RETURN_IF_ERROR(backend.NormProject({.x = in.handle(),
                                         .rows = rows,
                                         .norm = norm,
                                         .eps = 1e-5f,
                                         .projections = {&projection, 1},
                                         .out = out.handle()}));
    return out.Read(static_cast<size_t>(rows) * kOutputs);
  };
}

Case EmbeddingCase(const Weights& weights) {
  return [&weights](Backend& backend, int rows) -> Result<std::vector<float>> {
    ASSIGN_OR_RETURN(const TableHandle table,
                     backend.AddTable(weights.type, weights.tensor, weights.rows, weights.cols));
    std::vector<int32_t> tokens(static_cast<size_t>(rows));
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 7 % kOutputs);
    ASSIGN_OR_RETURN(const Buffer x, Buffer::Make(backend, tokens.size() * kWidth));
    RETURN_IF_ERROR(backend.Embed(table, tokens, x.handle()));
    return x.Read(tokens.size() * kWidth);
  };
}

struct FeedForwardWeights {
  Weights gate{TensorType::kQ4_K, kWidth, kWidth}, up{TensorType::kQ6_K, kWidth, kWidth},
      down{TensorType::kQ8_0, kWidth, kWidth};
};

Case FeedForwardCase(const FeedForwardWeights& weights) {
  return [&weights](Backend& backend, int rows) -> Result<std::vector<float>> {
    Backend::FeedForwardArgs args;
    args.rows = rows;
    args.eps = 1e-5f;
    ASSIGN_OR_RETURN(args.gate, backend.AddMatrix(weights.gate.packed));
    ASSIGN_OR_RETURN(args.up, backend.AddMatrix(weights.up.packed));
    ASSIGN_OR_RETURN(args.down, backend.AddMatrix(weights.down.packed));
    ASSIGN_OR_RETURN(args.norm, backend.AddVector(RandomFloats(kWidth, 4)));
    auto values = RandomFloats(kRows * kWidth, 5);
    values.resize(static_cast<size_t>(rows) * kWidth);
    ASSIGN_OR_RETURN(const Buffer x, Buffer::Make(backend, values));
    ASSIGN_OR_RETURN(const Buffer hidden, Buffer::Make(backend, values.size()));
    args.x = x.handle();
    args.hidden = hidden.handle();
    RETURN_IF_ERROR(backend.FeedForward(args));
    return x.Read(values.size());
  };
}

// One step three times with other tokens: the last of them may be done as it was recorded.
Case StepCase(const Weights& weights) {
  return [&weights](Backend& backend, int rows) -> Result<std::vector<float>> {
    ASSIGN_OR_RETURN(const TableHandle table,
                     backend.AddTable(weights.type, weights.tensor, weights.rows, weights.cols));
    ASSIGN_OR_RETURN(const MatrixHandle matrix, backend.AddMatrix(weights.packed));
    ASSIGN_OR_RETURN(const VectorHandle norm, backend.AddVector(RandomFloats(kWidth, 8)));
    const auto row_count = static_cast<uint64_t>(rows);
    ASSIGN_OR_RETURN(const Buffer x, Buffer::Make(backend, row_count * kWidth));
    ASSIGN_OR_RETURN(const Buffer out, Buffer::Make(backend, row_count * kOutputs));
    const AttentionShape shape = {.heads = 1, .kv_heads = 1, .head_dim = 2, .rope_dims = 2};
    const Projection projection = {matrix, {}};
    std::vector<int32_t> tokens(row_count);
    const auto operations = [&]() -> Status {
      RETURN_IF_ERROR(backend.Embed(table, tokens, x.handle()));
      return backend.NormProject({.x = x.handle(),
                                  .rows = rows,
                                  .norm = norm,
                                  .eps = 1e-5f,
                                  .projections = {&projection, 1},
                                  .out = out.handle()});
    };
    for (size_t time = 0; time < 3; ++time) {
      for (size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = static_cast<int32_t>((i + time) * 7 % kOutputs);
      }
      RETURN_IF_ERROR(
          backend.RunStep({.shape = &shape, .tokens = tokens, .rows_out = row_count}, operations));
    }
    return out.Read(row_count * kOutputs);
  };
}

AttentionShape ShapeWith(kernels::KvType type) {
  return {.heads = 6,
          .kv_heads = 2,
          .head_dim = 64,
          .rope_dims = 64,
          .rope_style = kernels::RopeStyle::kHalfSplit,
          .kv_type = type,
          .layers = 1};
}

// Rows 0..kKeys of qkv become keys; the first `rows` ask, each seeing all keys.
Case AttentionCase(const AttentionShape& shape) {
  return [shape](Backend& backend, int rows) -> Result<std::vector<float>> {
    ASSIGN_OR_RETURN(const VectorHandle bias,
                     backend.AddVector(RandomFloats(static_cast<size_t>(shape.kv_width()), 6)));
    ASSIGN_OR_RETURN(
        const Buffer qkv,
        Buffer::Make(backend, RandomFloats(static_cast<size_t>(kKeys * shape.qkv_width()), 7)));
    const int pages = (kKeys + kPageTokens - 1) / kPageTokens;
    ASSIGN_OR_RETURN(const Buffer pool,
                     Buffer::Make(backend, static_cast<uint64_t>(pages) * PageBytes(shape) / 4));
    ASSIGN_OR_RETURN(const Buffer out,
                     Buffer::Make(backend, static_cast<uint64_t>(kKeys * shape.q_width())));
    std::vector<KvSlot> slots;
    for (int i = 0; i < kKeys; ++i) slots.push_back({i / kPageTokens, i % kPageTokens});
    RETURN_IF_ERROR(backend.StoreKeysValues({.shape = &shape,
                                             .qkv = qkv.handle(),
                                             .key_bias = bias,
                                             .slots = slots,
                                             .pages = pool.handle()}));
    const std::vector<uint32_t> visible(static_cast<size_t>(rows), kKeys);
    std::vector<int32_t> positions(kKeys), numbers(static_cast<size_t>(pages));
    std::iota(positions.begin(), positions.end(), 0);
    std::iota(numbers.begin(), numbers.end(), 0);
    const AttentionSpan span = {.row_count = rows,
                                .visible = visible,
                                .row_positions = std::span(positions).first(visible.size()),
                                .pages = numbers,
                                .key_positions = positions};
    RETURN_IF_ERROR(backend.Attend({.shape = &shape,
                                    .qkv = qkv.handle(),
                                    .key_bias = bias,
                                    .spans = {&span, 1},
                                    .pages = pool.handle(),
                                    .out = out.handle()}));
    return out.Read(visible.size() * static_cast<size_t>(shape.q_width()));
  };
}

}  // namespace

Result<std::vector<BackendCheck>> CheckBackend(Backend& tested, Backend& reference) {
  std::vector<BackendCheck> checks;
  const auto add = [&](const std::string& what, double allowed, const Case& run) -> Status {
    auto check = Check(what, allowed, run, tested, reference);
    if (!check.ok()) return check.status().WithContext(what);
    checks.push_back(*std::move(check));
    return OkStatus();
  };
  // Kept until the end: a backend may read weights in place, or copy them later.
  std::vector<std::unique_ptr<Weights>> weights;
  const FeedForwardWeights feed_forward;
  for (TensorType type : kTypes) {
    const TensorTypeInfo& info = InfoOf(type);
    const Weights& w = *weights.emplace_back(std::make_unique<Weights>(type, kOutputs, kWidth));
    RETURN_IF_ERROR(add(StrCat("products of ", info.name, " weights"),
                        info.block_elements == 1 ? kFloatTolerance : kCodeTolerance,
                        ProductCase(w)));
    RETURN_IF_ERROR(add(StrCat("embeddings in ", info.name), kFloatTolerance, EmbeddingCase(w)));
  }
  RETURN_IF_ERROR(add("a step that is done again", kCodeTolerance, StepCase(*weights.back())));
  RETURN_IF_ERROR(add("the feed-forward part", kCodeTolerance, FeedForwardCase(feed_forward)));
  for (kernels::KvType type : kernels::kAllKvTypes) {
    const AttentionShape shape = ShapeWith(type);
    if (!tested.CheckShape(shape).ok()) continue;  // it says so itself, and no decoder is loaded
    RETURN_IF_ERROR(add(StrCat("attention over ", kernels::KvTypeName(type), " pages"),
                        kFloatTolerance, AttentionCase(shape)));
  }
  // What was copied later is copied now, before the weights go.
  ASSIGN_OR_RETURN(const Buffer last, Buffer::Make(tested, 1));
  RETURN_IF_ERROR(last.Read(1).status());
  return checks;
}

}  // namespace vade
