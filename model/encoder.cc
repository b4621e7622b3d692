#include "model/encoder.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/strings.h"
#include "base/threads.h"
#include "kernels/kernels.h"

namespace vade {
namespace {

using kernels::kTileRows;

// Rows that a piece of work takes at once: their prepared form stays in the second-level cache.
constexpr size_t kRowBlock = 64;
// Queries that a piece of attention takes, a multiple of what the kernel takes at once.
constexpr size_t kQueryBlock = 64;

// Where a text's rows lie.
struct TextRows {
  size_t begin = 0;
  size_t length = 0;
};

// One run of the network over a batch. Buffers are [rows, width] unless said otherwise.
class Pass {
 public:
  Pass(const EncoderWeights& weights, ThreadPool* pool, std::span<const std::vector<int32_t>> texts)
      : weights_(weights), config_(weights.config), pool_(pool), table_(kernels::Active()) {
    for (const auto& text : texts) {
      texts_.push_back({rows_, text.size()});
      rows_ += text.size();
      longest_ = std::max(longest_, text.size());
    }
    const size_t dim = config_.dim;
    x_.resize(rows_ * dim);
    q_.resize(rows_ * dim);
    k_.resize(rows_ * dim);
    v_.resize(rows_ * dim);
    keys_.resize(rows_ * dim);
    values_.resize(rows_ * dim);
    context_.resize(rows_ * dim);
    inner_.resize(rows_ * config_.ff);
  }

  std::vector<float> Run(std::span<const std::vector<int32_t>> texts) {
    Embed(texts);
    for (const EncoderWeights::Layer& layer : weights_.layers) {
      Attention(layer);
      AddNorm(layer.attention_norm);
      FeedForward(layer);
      AddNorm(layer.output_norm);
    }
    return std::move(x_);
  }

 private:
  // A product of the common input with one matrix, written to y [rows, matrix rows].
  struct Product {
    const EncoderWeights::Linear* linear;
    float* y;
  };
  enum class Then { kNothing, kGelu };

  void For(size_t count, size_t grain, RangeFunction f) const {
    if (pool_ == nullptr) return f(0, count);
    pool_->ParallelFor(count, grain, f);
  }

  size_t threads() const { return pool_ == nullptr ? 1 : static_cast<size_t>(pool_->threads()); }
  size_t RowGrain() const { return std::clamp<size_t>(rows_ / (2 * threads()), 1, 16); }

  // x = norm(token vector + position vector)
  void Embed(std::span<const std::vector<int32_t>> texts) {
    const size_t dim = config_.dim;
    const TensorTypeInfo& info = InfoOf(weights_.tokens->type);
    const size_t row_bytes = dim / info.block_elements * info.block_bytes;
    std::vector<int32_t> ids(rows_);
    std::vector<uint32_t> positions(rows_);
    for (size_t i = 0; i < texts.size(); ++i) {
      std::copy(texts[i].begin(), texts[i].end(), ids.begin() + texts_[i].begin);
      for (size_t t = 0; t < texts[i].size(); ++t) positions[texts_[i].begin + t] = t;
    }
    For(rows_, RowGrain(), [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        float* sum = inner_.data() + row * dim;
        Dequantize(info.type, weights_.tokens->bytes.data() + ids[row] * row_bytes, dim, sum);
        table_.vector.add(weights_.positions.data() + positions[row] * dim, dim, sum);
        table_.vector.layer_norm(sum, weights_.embedding_norm.weight.data(),
                                 weights_.embedding_norm.bias.data(), config_.epsilon, dim,
                                 x_.data() + row * dim);
      }
    });
  }

  // context = softmax(q k / sqrt(head_dim)) v for every head, then through the output matrix into
  // q.
  void Attention(const EncoderWeights::Layer& layer) {
    const Product products[] = {
        {&layer.q, q_.data()}, {&layer.k, k_.data()}, {&layer.v, v_.data()}};
    Multiply(products, x_.data(), Then::kNothing);
    GatherHeads();
    const size_t heads = config_.heads, head_dim = config_.head_dim();
    // One item a text, head and block of queries; `longest_` blocks for every text, the superfluous
    // empty.
    const size_t blocks = (longest_ + kQueryBlock - 1) / kQueryBlock;
    For(texts_.size() * heads * blocks, 1, [&](size_t begin, size_t end) {
      for (size_t item = begin; item < end; ++item) {
        const TextRows& text = texts_[item / (heads * blocks)];
        const size_t head = item / blocks % heads, first = item % blocks * kQueryBlock;
        if (first >= text.length) continue;
        AttendBlock(text, head, head_dim, first);
      }
    });
    const Product output[] = {{&layer.output, q_.data()}};
    Multiply(output, context_.data(), Then::kNothing);
  }

  void AttendBlock(const TextRows& text, size_t head, size_t head_dim, size_t first) {
    const size_t dim = config_.dim;
    const size_t head_begin = text.begin * dim + head * text.length * head_dim;
    const size_t count = std::min(kQueryBlock, text.length - first);
    const size_t query_begin = (text.begin + first) * dim + head * head_dim;
    std::array<uint32_t, kQueryBlock> visible;
    visible.fill(static_cast<uint32_t>(text.length));
    table_.vector.attend({.queries = q_.data() + query_begin,
                          .query_count = count,
                          .query_stride = dim,
                          .keys = keys_.data() + head_begin,
                          .values = values_.data() + head_begin,
                          .visible = visible.data(),
                          .head_dim = head_dim,
                          .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                          .out = context_.data() + query_begin,
                          .out_stride = dim});
  }

  // Keys and values of each text as [heads, length, head_dim], as attention reads them.
  void GatherHeads() {
    const size_t dim = config_.dim, heads = config_.heads, head_dim = config_.head_dim();
    For(texts_.size(), 1, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const TextRows& text = texts_[i];
        for (size_t t = 0; t < text.length; ++t) {
          for (size_t head = 0; head < heads; ++head) {
            const size_t from = (text.begin + t) * dim + head * head_dim;
            const size_t to = text.begin * dim + (head * text.length + t) * head_dim;
            std::copy_n(k_.data() + from, head_dim, keys_.data() + to);
            std::copy_n(v_.data() + from, head_dim, values_.data() + to);
          }
        }
      }
    });
  }

  // q = down(gelu(up(x)))
  void FeedForward(const EncoderWeights::Layer& layer) {
    const Product up[] = {{&layer.up, inner_.data()}};
    Multiply(up, x_.data(), Then::kGelu);
    const Product down[] = {{&layer.down, q_.data()}};
    Multiply(down, inner_.data(), Then::kNothing);
  }

  // x = norm(x + q)
  void AddNorm(const EncoderWeights::Norm& norm) {
    const size_t dim = config_.dim;
    For(rows_, RowGrain(), [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        float* sum = q_.data() + row * dim;
        table_.vector.add(x_.data() + row * dim, dim, sum);
        table_.vector.layer_norm(sum, norm.weight.data(), norm.bias.data(), config_.epsilon, dim,
                                 x_.data() + row * dim);
      }
    });
  }

  // Products of one input [rows, cols]. Rows are prepared once for each format that occurs; then
  // the tiles of all matrices are shared out, and a piece finishes its own columns: bias, then
  // GELU.
  void Multiply(std::span<const Product> products, const float* input, Then then) {
    size_t tiles = 0;
    for (const Product& product : products) tiles += product.linear->weight->TileCount();
    for (size_t i = 0; i < products.size(); ++i) Prepare(products, i, input);
    const size_t pieces = 4 * threads();
    For(tiles, std::max<size_t>(1, (tiles + pieces - 1) / pieces), [&](size_t begin, size_t end) {
      size_t first = 0;  // the product's first tile in the common count
      for (size_t i = 0; i < products.size(); ++i) {
        const size_t last = first + products[i].linear->weight->TileCount();
        if (begin < last && end > first) {
          MultiplyTiles(products[i], PreparedOf(products, i), std::max(begin, first) - first,
                        std::min(end, last) - first, then);
        }
        first = last;
      }
    });
  }

  // The first product of the same format has the prepared rows.
  static size_t FormatOwner(std::span<const Product> products, size_t i) {
    for (size_t owner = 0;; ++owner) {
      if (products[owner].linear->weight->format == products[i].linear->weight->format)
        return owner;
    }
  }

  const uint8_t* PreparedOf(std::span<const Product> products, size_t i) const {
    return prepared_[FormatOwner(products, i)].data();
  }

  void Prepare(std::span<const Product> products, size_t i, const float* input) {
    if (FormatOwner(products, i) != i) return;
    const kernels::PackedMatrix& w = *products[i].linear->weight;
    const size_t row_bytes = kernels::PreparedBytes(w.format, w.cols);
    if (prepared_[i].size() < rows_ * row_bytes) prepared_[i].resize(rows_ * row_bytes);
    For(rows_, RowGrain(), [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row) {
        table_.matmul.prepare(w.format, input + row * w.cols, w.cols,
                              prepared_[i].data() + row * row_bytes);
      }
    });
  }

  void MultiplyTiles(const Product& product, const uint8_t* prepared, size_t begin, size_t end,
                     Then then) const {
    const kernels::PackedMatrix& w = *product.linear->weight;
    const size_t row_bytes = kernels::PreparedBytes(w.format, w.cols);
    const size_t first = begin * kTileRows, count = std::min(w.rows, end * kTileRows) - first;
    const float* bias = product.linear->bias.data() + first;
    for (size_t row = 0; row < rows_; row += kRowBlock) {
      const size_t block = std::min(kRowBlock, rows_ - row);
      table_.matmul.multiply(w, begin, end, prepared + row * row_bytes, block,
                             product.y + row * w.rows, w.rows);
      for (size_t t = row; t < row + block; ++t) {
        float* y = product.y + t * w.rows + first;
        table_.vector.add(bias, count, y);
        if (then == Then::kGelu) table_.vector.gelu(y, count, y);
      }
    }
  }

  const EncoderWeights& weights_;
  const EncoderConfig& config_;
  ThreadPool* const pool_;
  const kernels::KernelTable& table_;
  std::vector<TextRows> texts_;
  size_t rows_ = 0;
  size_t longest_ = 0;
  std::vector<float> x_, q_, k_, v_, keys_, values_, context_;
  std::vector<float> inner_;  // [rows, ff]
  std::array<std::vector<uint8_t>, 3> prepared_;
};

}  // namespace

Encoder::Encoder(std::unique_ptr<const EncoderWeights> weights, ThreadPool* pool)
    : weights_(std::move(weights)), pool_(pool) {}

Result<std::vector<float>> Encoder::Run(std::span<const std::vector<int32_t>> texts) const {
  for (const auto& text : texts) {
    if (text.empty() || text.size() > static_cast<size_t>(config().positions)) {
      return InvalidArgument(StrCat("a text of ", text.size(), " tokens; the encoder takes 1 to ",
                                    config().positions));
    }
    for (const int32_t id : text) {
      if (id < 0 || id >= config().vocab) {
        return InvalidArgument(
            StrCat("token id ", id, " is outside the vocabulary of ", config().vocab));
      }
    }
  }
  if (texts.empty()) return std::vector<float>();
  return Pass(*weights_, pool_, texts).Run(texts);
}

}  // namespace vade
