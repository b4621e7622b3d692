#include "model/encoder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/strings.h"
#include "base/threads.h"
#include "kernels/kernels.h"
#include "model/scratch.h"

namespace vade {
namespace {

using kernels::RowScale;

// Rows that a piece of work takes through a whole layer: what it makes stays in the second-level
// cache, and the weights are fetched once for all of them.
constexpr size_t kRowBlock = 48;
constexpr size_t kRowGroup = 6;  // that the kernels take together
// Queries that attention takes at once: their scores stay in the first-level cache.
constexpr size_t kQueryBlock = 24;

// Where a text's rows lie.
struct TextRows {
  size_t begin = 0;
  size_t length = 0;
};

// Rows of activations rounded to codes.
struct CodeRows {
  uint8_t* codes = nullptr;
  RowScale* scales = nullptr;
  size_t stride = 0;
  uint8_t* Row(size_t i) const { return codes + i * stride; }
};

}  // namespace

// Of all rows: the vectors between layers, and what attention reads. The context of attention
// replaces the queries that it was computed from.
struct Encoder::Workspace {
  ScratchBytes x, q, k, v;  // [rows, dim]
};

struct Encoder::Scratch {
  ScratchBytes codes, inner_codes;  // [kRowBlock, dim], [kRowBlock, ff]
  ScratchBytes y, inner;            // the same as floats
  ScratchBytes keys, values;        // of a head, packed
  ScratchBytes scores, weights;     // [kQueryBlock, length] of a head, as floats and as codes
  RowScale scales[kRowBlock], inner_scales[kRowBlock];
};

// One run of the network over a batch.
class Encoder::Pass {
 public:
  Pass(const Encoder& encoder, ThreadPool* pool, Workspace* workspace,
       std::span<const std::vector<int32_t>> texts)
      : encoder_(encoder),
        weights_(*encoder.weights_),
        config_(weights_.config),
        pool_(pool),
        int8_(kernels::Active().int8),
        dim_(config_.dim) {
    for (const auto& text : texts) {
      texts_.push_back({ids_.size(), text.size()});
      ids_.insert(ids_.end(), text.begin(), text.end());
      for (size_t i = 0; i < text.size(); ++i) positions_.push_back(i);
    }
    const size_t floats = ids_.size() * dim_;
    x_ = workspace->x.Floats(floats);
    q_ = workspace->q.Floats(floats);
    k_ = workspace->k.Floats(floats);
    v_ = workspace->v.Floats(floats);
  }

  std::vector<float> Run() {
    ForRows([&](size_t begin, size_t count, Scratch& scratch) { Begin(begin, count, scratch); });
    for (size_t i = 0; i < weights_.layers.size(); ++i) {
      ForHeads([&](const TextRows& text, size_t head, Scratch& scratch) {
        Attend(text, head, scratch);
      });
      ForRows(
          [&](size_t begin, size_t count, Scratch& scratch) { Finish(i, begin, count, scratch); });
    }
    return std::vector<float>(x_, x_ + ids_.size() * dim_);
  }

 private:
  void For(size_t count, RangeFunction f) const {
    if (pool_ == nullptr) return f(0, count);
    pool_->ParallelFor(count, 1, f);
  }

  // Rows of a block. On one thread whole groups of rows as the kernels take them; on several,
  // blocks of equal size, as many for each thread.
  size_t BlockRows() const {
    const size_t rows = ids_.size();
    const size_t least = (rows + kRowBlock - 1) / kRowBlock;
    if (pool_ == nullptr) {
      const size_t even = (rows + least - 1) / least;
      return std::min(kRowBlock, (even + kRowGroup - 1) / kRowGroup * kRowGroup);
    }
    const size_t threads = pool_->threads(), blocks = (least + threads - 1) / threads * threads;
    return (rows + blocks - 1) / blocks;
  }

  // f(first row, count, scratch) over all rows.
  template <typename F>
  void ForRows(F f) const {
    const size_t rows = ids_.size(), block = BlockRows();
    For((rows + block - 1) / block, [&](size_t begin, size_t end) {
      Borrowed<Scratch> scratch(&encoder_.mutex_, &encoder_.scratch_);
      for (size_t first = begin * block; first < std::min(rows, end * block); first += block) {
        f(first, std::min(block, rows - first), *scratch);
      }
    });
  }

  template <typename F>
  void ForHeads(F f) const {
    const size_t heads = config_.heads;
    For(texts_.size() * heads, [&](size_t begin, size_t end) {
      Borrowed<Scratch> scratch(&encoder_.mutex_, &encoder_.scratch_);
      for (size_t item = begin; item < end; ++item) {
        f(texts_[item / heads], item % heads, *scratch);
      }
    });
  }

  CodeRows Codes(size_t count, size_t cols, ScratchBytes* bytes, RowScale* scales) const {
    const size_t stride = (kernels::Int8CodeCols(cols) * int8_.code_bytes + 63) / 64 * 64;
    return {bytes->Get(count * stride), scales, stride};
  }

  void Multiply(const EncoderWeights::Linear& linear, const CodeRows& x, size_t count,
                float* y) const {
    int8_.multiply({.tiles = linear.weight->data,
                    .rows = linear.weight->rows,
                    .cols = linear.weight->cols,
                    .codes = x.codes,
                    .code_stride = x.stride,
                    .scales = x.scales,
                    .tokens = count,
                    .bias = linear.bias.data(),
                    .y = y,
                    .y_stride = linear.weight->rows});
  }

  // x = norm(x + y) as vectors and as codes; y may be null.
  void AddNorm(const EncoderWeights::Norm& norm, const float* y, float* x, size_t count,
               const CodeRows& codes) const {
    for (size_t i = 0; i < count; ++i) {
      codes.scales[i] = int8_.add_norm_quantise({.y = y == nullptr ? nullptr : y + i * dim_,
                                                 .weight = norm.weight.data(),
                                                 .bias = norm.bias.data(),
                                                 .eps = config_.epsilon,
                                                 .n = dim_},
                                                x + i * dim_, codes.Row(i));
    }
  }

  void Project(const EncoderWeights::Layer& layer, const CodeRows& x, size_t first,
               size_t count) const {
    Multiply(layer.q, x, count, q_ + first * dim_);
    Multiply(layer.k, x, count, k_ + first * dim_);
    Multiply(layer.v, x, count, v_ + first * dim_);
  }

  // x = norm(token vector + position vector), then the projections of the first layer.
  void Begin(size_t first, size_t count, Scratch& scratch) const {
    const TensorTypeInfo& info = InfoOf(weights_.tokens->type);
    const size_t row_bytes = dim_ / info.block_elements * info.block_bytes;
    for (size_t row = first; row < first + count; ++row) {
      float* sum = x_ + row * dim_;
      Dequantize(info.type, weights_.tokens->bytes.data() + ids_[row] * row_bytes, dim_, sum);
      const float* position = weights_.positions.data() + positions_[row] * dim_;
      for (size_t i = 0; i < dim_; ++i) sum[i] += position[i];
    }
    const CodeRows codes = Codes(count, dim_, &scratch.codes, scratch.scales);
    AddNorm(weights_.embedding_norm, nullptr, x_ + first * dim_, count, codes);
    Project(weights_.layers[0], codes, first, count);
  }

  // The queries of a head become its context: softmax(q k / sqrt(head_dim)) v.
  void Attend(const TextRows& text, size_t head, Scratch& scratch) const {
    const size_t head_dim = config_.head_dim(), length = text.length;
    const size_t at = text.begin * dim_ + head * head_dim;
    uint8_t* keys = scratch.keys.Get(kernels::Int8MatrixBytes(length, head_dim));
    int8_.pack_keys({k_ + at, dim_, length, head_dim}, keys);
    uint8_t* values = scratch.values.Get(kernels::Int8MatrixBytes(head_dim, length));
    int8_.pack_values({v_ + at, dim_, length, head_dim}, values);
    const CodeRows queries = Codes(kQueryBlock, head_dim, &scratch.codes, scratch.scales);
    const CodeRows weights = Codes(kQueryBlock, length, &scratch.weights, scratch.inner_scales);
    float* scores = scratch.scores.Floats(kQueryBlock * length);
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    for (size_t first = 0; first < length; first += kQueryBlock) {
      const size_t count = std::min(kQueryBlock, length - first);
      float* q = q_ + at + first * dim_;
      for (size_t i = 0; i < count; ++i) {
        queries.scales[i] = int8_.quantise(q + i * dim_, head_dim, queries.Row(i));
      }
      int8_.multiply({.tiles = keys,
                      .rows = length,
                      .cols = head_dim,
                      .codes = queries.codes,
                      .code_stride = queries.stride,
                      .scales = queries.scales,
                      .tokens = count,
                      .y = scores,
                      .y_stride = length});
      for (size_t i = 0; i < count; ++i) {
        weights.scales[i] =
            int8_.softmax_quantise(scores + i * length, length, scale, weights.Row(i));
      }
      int8_.multiply({.tiles = values,
                      .rows = head_dim,
                      .cols = length,
                      .codes = weights.codes,
                      .code_stride = weights.stride,
                      .scales = weights.scales,
                      .tokens = count,
                      .y = q,
                      .y_stride = dim_});
    }
  }

  // Everything behind the attention of a layer, and the projections of the next one.
  void Finish(size_t index, size_t first, size_t count, Scratch& scratch) const {
    const EncoderWeights::Layer& layer = weights_.layers[index];
    const size_t ff = config_.ff;
    float* x = x_ + first * dim_;
    float* y = scratch.y.Floats(count * dim_);
    const CodeRows codes = Codes(count, dim_, &scratch.codes, scratch.scales);
    for (size_t i = 0; i < count; ++i) {
      codes.scales[i] = int8_.quantise(q_ + (first + i) * dim_, dim_, codes.Row(i));
    }
    Multiply(layer.output, codes, count, y);
    AddNorm(layer.attention_norm, y, x, count, codes);

    float* inner = scratch.inner.Floats(count * ff);
    const CodeRows inner_codes = Codes(count, ff, &scratch.inner_codes, scratch.inner_scales);
    Multiply(layer.up, codes, count, inner);
    for (size_t i = 0; i < count; ++i) {
      inner_codes.scales[i] = int8_.gelu_quantise(inner + i * ff, ff, inner_codes.Row(i));
    }
    Multiply(layer.down, inner_codes, count, y);
    AddNorm(layer.output_norm, y, x, count, codes);
    if (index + 1 < weights_.layers.size()) {
      Project(weights_.layers[index + 1], codes, first, count);
    }
  }

  const Encoder& encoder_;
  const EncoderWeights& weights_;
  const EncoderConfig& config_;
  ThreadPool* const pool_;
  const kernels::Int8Kernels& int8_;
  const size_t dim_;
  std::vector<TextRows> texts_;
  std::vector<int32_t> ids_;       // [rows]
  std::vector<size_t> positions_;  // [rows], of the row's token in its text
  float *x_, *q_, *k_, *v_;        // [rows, dim]
};

Encoder::Encoder(std::unique_ptr<const EncoderWeights> weights, ThreadPool* pool)
    : weights_(std::move(weights)), pool_(pool) {}

Encoder::~Encoder() = default;

Status CheckTexts(const EncoderConfig& config, std::span<const std::vector<int32_t>> texts) {
  for (const auto& text : texts) {
    if (text.empty() || text.size() > static_cast<size_t>(config.positions)) {
      return InvalidArgument(
          StrCat("a text of ", text.size(), " tokens; the encoder takes 1 to ", config.positions));
    }
    for (const int32_t id : text) {
      if (id < 0 || id >= config.vocab) {
        return InvalidArgument(
            StrCat("token id ", id, " is outside the vocabulary of ", config.vocab));
      }
    }
  }
  return OkStatus();
}

Result<std::vector<float>> Encoder::Run(std::span<const std::vector<int32_t>> texts,
                                        Threads threads) const {
  RETURN_IF_ERROR(CheckTexts(config(), texts));
  if (texts.empty()) return std::vector<float>();
  Borrowed<Workspace> workspace(&mutex_, &workspaces_);
  return Pass(*this, threads == Threads::kPool ? pool_ : nullptr, &*workspace, texts).Run();
}

}  // namespace vade
