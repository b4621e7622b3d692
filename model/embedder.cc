// LoadEmbedder: text -> token ids -> encoder -> mean over the tokens (or the first) -> unit vector;
// from the encoder on, on a GPU where one is used.
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
#include "model/embed_device.h"
#include "model/encoder.h"
#include "model/encoder_folder.h"
#include "model/tokenizer.h"

namespace vade {
namespace {

// Tokens of one run of the encoder: several short texts together or one long one. Large enough that
// the weights are unpacked rarely, small enough that a run's buffers stay in the cache.
constexpr size_t kBatchTokens = 256;
// Fewer batches a thread than this would leave threads without work at the end.
constexpr size_t kBatchesAThread = 4;

// What an embedder consists of, whatever files it came from.
struct EmbedderParts {
  std::string id;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Encoder> encoder;
  EmbedPrefixes prefixes;
  Pooling pooling = Pooling::kMean;
  int max_tokens = 0;
};

class EncoderEmbedder final : public Embedder {
 public:
  EncoderEmbedder(EmbedderParts parts, std::unique_ptr<EmbedDevice> device, ThreadPool* pool)
      : parts_(std::move(parts)), device_(std::move(device)), pool_(pool) {}

  const std::string& id() const override { return parts_.id; }
  int dimension() const override { return parts_.encoder->config().dim; }
  int max_tokens() const override { return parts_.max_tokens; }
  size_t CountTokens(std::string_view text) const override { return parts_.tokenizer->Count(text); }
  Result<std::vector<float>> Embed(std::span<const std::string_view> texts, EmbedRole role,
                                   const Context& ctx) override;

 private:
  // Texts [begin, end) of the order in which they are run.
  struct Batch {
    size_t begin = 0;
    size_t end = 0;
  };
  // What is to be embedded, longest first, and where each vector goes.
  struct Work {
    std::vector<std::vector<int32_t>> ids;
    std::vector<size_t> places;
  };

  std::vector<int32_t> Tokenize(std::string_view text, EmbedRole role,
                                std::atomic<int64_t>* cut) const;
  Work TokenizeAll(std::span<const std::string_view> texts, EmbedRole role,
                   const Context& ctx) const;
  static std::vector<Batch> CutBatches(std::span<const std::vector<int32_t>> ids);
  Status EmbedOnDevice(DeviceEncoder* device, Work* work, const Context& ctx, float* out) const;
  Status EmbedOnProcessor(const Work& work, const Context& ctx, float* out) const;
  void WriteVectors(std::span<const std::vector<int32_t>> ids, std::span<const float> hidden,
                    std::span<const size_t> places, float* out) const;
  void For(size_t count, RangeFunction f) const {
    if (pool_ == nullptr) return f(0, count);
    pool_->ParallelFor(count, 1, f);
  }

  const EmbedderParts parts_;
  const std::unique_ptr<EmbedDevice> device_;  // uses the encoder's weights
  ThreadPool* const pool_;
};

// One token before a text and one behind it, and as many rows as tokens.
Status CheckTokenizer(const Tokenizer& tokenizer, const EncoderConfig& config,
                      const std::string& path) {
  if (tokenizer.bos() >= 0 && tokenizer.eos() >= 0 && tokenizer.vocab_size() <= config.vocab &&
      config.positions >= 4) {
    return OkStatus();
  }
  return InvalidArgument(StrCat("weights file ", path, ": ", tokenizer.vocab_size(), " tokens for ",
                                config.vocab, " rows, first token ", tokenizer.bos(),
                                ", last token ", tokenizer.eos(), "; is it an encoder for text?"));
}

Result<EmbedderParts> LoadGguf(const std::string& path, const EmbedderOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<GgufFile> opened, GgufFile::Open(path));
  const std::shared_ptr<const GgufFile> file = std::move(opened);
  ASSIGN_OR_RETURN(const EncoderConfig config, EncoderConfig::FromGguf(*file));
  EmbedderParts parts;
  ASSIGN_OR_RETURN(parts.tokenizer, Tokenizer::FromGguf(*file));
  RETURN_IF_ERROR(CheckTokenizer(*parts.tokenizer, config, path));
  ASSIGN_OR_RETURN(
      std::unique_ptr<const EncoderWeights> weights,
      EncoderWeights::Load(file, config, EncoderNames::kGguf,
                           {.cache_dir = options.packed_cache_dir, .pool = options.pool}));
  parts.prefixes.query = file->GetString("vade.embedder.query_prefix").value_or("");
  parts.prefixes.passage = file->GetString("vade.embedder.passage_prefix").value_or("");
  parts.max_tokens = config.positions;
  const std::string name = ReplaceInvalidUtf8(file->GetString("general.name").value_or("bert"));
  parts.id = StrCat(name, ":", file->fingerprint());
  parts.encoder = std::make_unique<Encoder>(std::move(weights), options.pool);
  return parts;
}

Result<EmbedderParts> LoadFolder(const std::string& path, const EmbedderOptions& options) {
  ASSIGN_OR_RETURN(EncoderFolder folder, OpenEncoderFolder(path));
  RETURN_IF_ERROR(CheckTokenizer(*folder.tokenizer, folder.config, folder.weights->path()));
  EmbedderParts parts;
  parts.id = StrCat(folder.name, ":", folder.fingerprint);
  parts.tokenizer = std::move(folder.tokenizer);
  parts.prefixes = std::move(folder.prefixes);
  parts.pooling = folder.pooling;
  parts.max_tokens = folder.max_tokens;
  ASSIGN_OR_RETURN(
      std::unique_ptr<const EncoderWeights> weights,
      EncoderWeights::Load(std::move(folder.weights), folder.config, EncoderNames::kHuggingFace,
                           {.cache_dir = options.packed_cache_dir, .pool = options.pool}));
  parts.encoder = std::make_unique<Encoder>(std::move(weights), options.pool);
  return parts;
}

// <s> prefix text </s>, cut behind max_tokens() - 1; `cut` grows by the tokens that are left out.
std::vector<int32_t> EncoderEmbedder::Tokenize(std::string_view text, EmbedRole role,
                                               std::atomic<int64_t>* cut) const {
  const std::string& prefix =
      role == EmbedRole::kQuery ? parts_.prefixes.query : parts_.prefixes.passage;
  const std::vector<int32_t> content =
      parts_.tokenizer->Encode(StrCat(prefix, text), Special::kText);
  std::vector<int32_t> ids = {parts_.tokenizer->bos()};
  const size_t room = static_cast<size_t>(max_tokens()) - 2;
  ids.insert(ids.end(), content.begin(), content.begin() + std::min(room, content.size()));
  ids.push_back(parts_.tokenizer->eos());
  if (content.size() > room) *cut += static_cast<int64_t>(content.size() - room);
  return ids;
}

std::vector<EncoderEmbedder::Batch> EncoderEmbedder::CutBatches(
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

// The mean of each text's rows or its first, made a unit vector, to the text's place in `out`.
void EncoderEmbedder::WriteVectors(std::span<const std::vector<int32_t>> ids,
                                   std::span<const float> hidden, std::span<const size_t> places,
                                   float* out) const {
  const size_t dim = dimension();
  const float* row = hidden.data();
  for (size_t i = 0; i < ids.size(); ++i) {
    float* mean = out + places[i] * dim;
    std::fill_n(mean, dim, 0.0f);
    const size_t read = parts_.pooling == Pooling::kMean ? ids[i].size() : 1;
    for (size_t t = 0; t < read; ++t) {
      for (size_t k = 0; k < dim; ++k) mean[k] += row[t * dim + k];
    }
    row += ids[i].size() * dim;
    double squares = 0;
    for (size_t k = 0; k < dim; ++k) squares += static_cast<double>(mean[k]) * mean[k];
    const float scale =
        1.0f / std::max(static_cast<float>(std::sqrt(squares)), kernels::kLeastVectorLength);
    for (size_t k = 0; k < dim; ++k) mean[k] *= scale;
  }
}

EncoderEmbedder::Work EncoderEmbedder::TokenizeAll(std::span<const std::string_view> texts,
                                                   EmbedRole role, const Context& ctx) const {
  std::vector<std::vector<int32_t>> tokenized(texts.size());
  std::atomic<int64_t> cut{0};
  For(texts.size(), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) tokenized[i] = Tokenize(texts[i], role, &cut);
  });
  if (cut > 0) AddCount(ctx, "tokens_cut", cut);
  // Longest first, so that the last pieces of work are the small ones.
  Work work;
  work.places.resize(texts.size());
  std::iota(work.places.begin(), work.places.end(), size_t{0});
  std::stable_sort(work.places.begin(), work.places.end(),
                   [&](size_t a, size_t b) { return tokenized[a].size() > tokenized[b].size(); });
  work.ids.reserve(work.places.size());
  for (const size_t place : work.places) work.ids.push_back(std::move(tokenized[place]));
  return work;
}

// What the device has done leaves `work`. It is given up at its first error.
Status EncoderEmbedder::EmbedOnDevice(DeviceEncoder* device, Work* work, const Context& ctx,
                                      float* out) const {
  const size_t dim = dimension(), count = work->ids.size();
  // Longest first: those that are too long for it.
  size_t begin = 0;
  while (begin < count && PaddedTokens(work->ids[begin].size()) > device->batch_tokens()) ++begin;
  const size_t first = begin;
  while (begin < count) {
    RETURN_IF_ERROR(ctx.Check());
    size_t end = begin;
    for (size_t padded = 0; end < count; ++end) {
      padded += PaddedTokens(work->ids[end].size());
      if (padded > device->batch_tokens()) break;
    }
    const auto vectors = device->Embed(std::span(work->ids).subspan(begin, end - begin));
    if (!vectors.ok()) {
      device_->GiveUp(vectors.status());
      break;
    }
    for (size_t i = begin; i < end; ++i) {
      std::copy_n(vectors->begin() + static_cast<ptrdiff_t>((i - begin) * dim), dim,
                  out + work->places[i] * dim);
    }
    begin = end;
  }
  const auto erase = [&](auto& values) {
    values.erase(values.begin() + static_cast<ptrdiff_t>(first),
                 values.begin() + static_cast<ptrdiff_t>(begin));
  };
  erase(work->ids);
  erase(work->places);
  return OkStatus();
}

Status EncoderEmbedder::EmbedOnProcessor(const Work& work, const Context& ctx, float* out) const {
  const std::vector<Batch> batches = CutBatches(work.ids);
  // Many batches are run side by side, each on one thread; of few, each has all of them.
  const size_t threads = pool_ == nullptr ? 1 : static_cast<size_t>(pool_->threads());
  const bool many = batches.size() >= kBatchesAThread * threads;
  const Encoder::Threads share = many ? Encoder::Threads::kCaller : Encoder::Threads::kPool;
  std::mutex mutex;
  Status failure;
  const auto run = [&](size_t begin, size_t end) {
    for (size_t b = begin; b < end; ++b) {
      const auto batch_ids =
          std::span(work.ids).subspan(batches[b].begin, batches[b].end - batches[b].begin);
      Status status = ctx.Check();
      if (status.ok()) {
        auto hidden = parts_.encoder->Run(batch_ids, share);
        status = hidden.status();
        if (hidden.ok()) {
          WriteVectors(batch_ids, *hidden, std::span(work.places).subspan(batches[b].begin), out);
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
  return failure;
}

Result<std::vector<float>> EncoderEmbedder::Embed(std::span<const std::string_view> texts,
                                                  EmbedRole role, const Context& ctx) {
  Work work = TokenizeAll(texts, role, ctx);
  size_t tokens = 0;
  for (const auto& ids : work.ids) tokens += ids.size();
  std::vector<float> out(texts.size() * static_cast<size_t>(dimension()));
  if (DeviceEncoder* device = device_->For(role, tokens)) {
    RETURN_IF_ERROR(EmbedOnDevice(device, &work, ctx, out.data()));
  }
  RETURN_IF_ERROR(EmbedOnProcessor(work, ctx, out.data()));
  return out;
}

}  // namespace

Result<std::unique_ptr<Embedder>> LoadEmbedder(const std::string& path,
                                               const EmbedderOptions& options) {
  const std::string folder = EncoderFolderOf(path);
  ASSIGN_OR_RETURN(EmbedderParts parts,
                   folder.empty() ? LoadGguf(path, options) : LoadFolder(folder, options));
  ASSIGN_OR_RETURN(auto device,
                   EmbedDevice::Create(options, parts.encoder->weights(), parts.pooling));
  return std::unique_ptr<Embedder>(
      std::make_unique<EncoderEmbedder>(std::move(parts), std::move(device), options.pool));
}

}  // namespace vade
