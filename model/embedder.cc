// LoadEmbedder: text -> token ids -> encoder -> mean over the tokens -> unit vector.
#include "model/embedder.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <numeric>

#include "base/strings.h"
#include "base/threads.h"
#include "base/trace.h"
#include "base/unicode.h"
#include "model/encoder.h"
#include "model/tokenizer.h"

namespace vade {
namespace {

// Tokens of one run of the encoder: several short texts together or one long one. Large enough that
// the weights are unpacked rarely, small enough that a run's buffers stay in the cache.
constexpr size_t kBatchTokens = 256;
// Fewer batches a thread than this would leave threads without work at the end.
constexpr size_t kBatchesAThread = 4;
constexpr float kLeastNorm = 1e-12f;

class GgufEmbedder final : public Embedder {
 public:
  static Result<std::unique_ptr<Embedder>> Load(const std::string& path,
                                                const EmbedderOptions& options);

  const std::string& id() const override { return id_; }
  int dimension() const override { return encoder_->config().dim; }
  int max_tokens() const override { return encoder_->config().positions; }
  size_t CountTokens(std::string_view text) const override { return tokenizer_->Count(text); }
  Result<std::vector<float>> Embed(std::span<const std::string_view> texts, EmbedRole role,
                                   const Context& ctx) override;

 private:
  // Texts [begin, end) of the order in which they are run.
  struct Batch {
    size_t begin = 0;
    size_t end = 0;
  };

  std::vector<int32_t> Tokenize(std::string_view text, EmbedRole role,
                                std::atomic<int64_t>* cut) const;
  static std::vector<Batch> CutBatches(std::span<const std::vector<int32_t>> ids);
  void WriteMeans(std::span<const std::vector<int32_t>> ids, std::span<const float> hidden,
                  std::span<const size_t> places, float* out) const;
  void For(size_t count, RangeFunction f) const {
    if (pool_ == nullptr) return f(0, count);
    pool_->ParallelFor(count, 1, f);
  }

  std::string id_;
  std::string prefixes_[2];  // by EmbedRole
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Encoder> encoder_;
  ThreadPool* pool_ = nullptr;
};

Result<std::unique_ptr<Embedder>> GgufEmbedder::Load(const std::string& path,
                                                     const EmbedderOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<GgufFile> opened, GgufFile::Open(path));
  const std::shared_ptr<const GgufFile> file = std::move(opened);
  RETURN_IF_ERROR(EncoderConfig::FromGguf(*file).status());
  auto embedder = std::make_unique<GgufEmbedder>();
  embedder->pool_ = options.pool;
  ASSIGN_OR_RETURN(embedder->tokenizer_, Tokenizer::FromGguf(*file));
  ASSIGN_OR_RETURN(
      std::unique_ptr<const EncoderWeights> weights,
      EncoderWeights::Load(file, {.cache_dir = options.packed_cache_dir, .pool = options.pool}));
  const Tokenizer& tokenizer = *embedder->tokenizer_;
  if (tokenizer.bos() < 0 || tokenizer.eos() < 0 ||
      tokenizer.vocab_size() > weights->config.vocab || weights->config.positions < 4) {
    return InvalidArgument(StrCat("weights file ", path, ": ", tokenizer.vocab_size(),
                                  " tokens for ", weights->config.vocab, " rows, first token ",
                                  tokenizer.bos(), ", last token ", tokenizer.eos(),
                                  "; is it an encoder for text?"));
  }
  embedder->prefixes_[0] = std::string(file->GetString("vade.embedder.query_prefix").value_or(""));
  embedder->prefixes_[1] =
      std::string(file->GetString("vade.embedder.passage_prefix").value_or(""));
  const std::string name = ReplaceInvalidUtf8(file->GetString("general.name").value_or("bert"));
  embedder->id_ = StrCat(name, ":", file->fingerprint());
  embedder->encoder_ = std::make_unique<Encoder>(std::move(weights), options.pool);
  return std::unique_ptr<Embedder>(std::move(embedder));
}

// <s> prefix text </s>, cut behind max_tokens() - 1; `cut` grows by the tokens that are left out.
std::vector<int32_t> GgufEmbedder::Tokenize(std::string_view text, EmbedRole role,
                                            std::atomic<int64_t>* cut) const {
  const std::vector<int32_t> content =
      tokenizer_->Encode(StrCat(prefixes_[static_cast<int>(role)], text), Special::kText);
  std::vector<int32_t> ids = {tokenizer_->bos()};
  const size_t room = static_cast<size_t>(max_tokens()) - 2;
  ids.insert(ids.end(), content.begin(), content.begin() + std::min(room, content.size()));
  ids.push_back(tokenizer_->eos());
  if (content.size() > room) *cut += static_cast<int64_t>(content.size() - room);
  return ids;
}

std::vector<GgufEmbedder::Batch> GgufEmbedder::CutBatches(
    std::span<const std::vector<int32_t>> ids) {
  std::vector<Batch> batches;
  size_t tokens = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (batches.empty() || tokens + ids[i].size() > kBatchTokens) {
      batches.push_back({i, i});
      tokens = 0;
    }
    batches.back().end = i + 1;
    tokens += ids[i].size();
  }
  return batches;
}

// The mean of each text's rows, made a unit vector, to the text's place in `out`.
void GgufEmbedder::WriteMeans(std::span<const std::vector<int32_t>> ids,
                              std::span<const float> hidden, std::span<const size_t> places,
                              float* out) const {
  const size_t dim = dimension();
  const float* row = hidden.data();
  for (size_t i = 0; i < ids.size(); ++i) {
    float* mean = out + places[i] * dim;
    std::fill_n(mean, dim, 0.0f);
    for (size_t t = 0; t < ids[i].size(); ++t, row += dim) {
      for (size_t k = 0; k < dim; ++k) mean[k] += row[k];
    }
    double squares = 0;
    for (size_t k = 0; k < dim; ++k) squares += static_cast<double>(mean[k]) * mean[k];
    const float scale = 1.0f / std::max(static_cast<float>(std::sqrt(squares)), kLeastNorm);
    for (size_t k = 0; k < dim; ++k) mean[k] *= scale;
  }
}

Result<std::vector<float>> GgufEmbedder::Embed(std::span<const std::string_view> texts,
                                               EmbedRole role, const Context& ctx) {
  std::vector<std::vector<int32_t>> tokenized(texts.size());
  std::atomic<int64_t> cut{0};
  For(texts.size(), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) tokenized[i] = Tokenize(texts[i], role, &cut);
  });
  if (cut > 0) AddCount(ctx, "tokens_cut", cut);
  // Longest first, so that the last pieces of work are the small ones.
  std::vector<size_t> places(texts.size());
  std::iota(places.begin(), places.end(), size_t{0});
  std::stable_sort(places.begin(), places.end(),
                   [&](size_t a, size_t b) { return tokenized[a].size() > tokenized[b].size(); });
  std::vector<std::vector<int32_t>> ids;
  ids.reserve(places.size());
  for (const size_t place : places) ids.push_back(std::move(tokenized[place]));

  const std::vector<Batch> batches = CutBatches(ids);
  // Many batches are run side by side, each on one thread; of few, each has all of them.
  const size_t threads = pool_ == nullptr ? 1 : static_cast<size_t>(pool_->threads());
  const bool many = batches.size() >= kBatchesAThread * threads;
  const Encoder::Threads share = many ? Encoder::Threads::kCaller : Encoder::Threads::kPool;
  std::vector<float> out(texts.size() * static_cast<size_t>(dimension()));
  std::mutex mutex;
  Status failure;
  const auto run = [&](size_t begin, size_t end) {
    for (size_t b = begin; b < end; ++b) {
      const auto batch_ids =
          std::span(ids).subspan(batches[b].begin, batches[b].end - batches[b].begin);
      Status status = ctx.Check();
      if (status.ok()) {
        auto hidden = encoder_->Run(batch_ids, share);
        status = hidden.status();
        if (hidden.ok()) {
          WriteMeans(batch_ids, *hidden, std::span(places).subspan(batches[b].begin), out.data());
          continue;
        }
      }
      std::lock_guard lock(mutex);
      if (failure.ok()) failure = status;
    }
  };
  if (many) {
    For(batches.size(), run);
  } else {
    run(0, batches.size());
  }
  if (!failure.ok()) return failure;
  return out;
}

}  // namespace

Result<std::unique_ptr<Embedder>> LoadEmbedder(const std::string& path,
                                               const EmbedderOptions& options) {
  return GgufEmbedder::Load(path, options);
}

}  // namespace vade
