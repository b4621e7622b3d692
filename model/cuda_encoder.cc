#include "model/cuda_encoder.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "model/cuda_step.h"
#include "model/encoder.h"

namespace vade {

namespace cuda = kernels::cuda;

namespace {

constexpr char kRemedy[] = "raise embed.gpu_bytes or set embed.device = cpu";
// Tokens of a batch: enough blocks for every multiprocessor in all operations.
constexpr size_t kBatchTokens = 8192;
constexpr size_t kLeastBatchTokens = 512;
constexpr uint64_t kArraysAlignment = 256;

// Arrays of a batch: tokens, places, texts and queries, each from a multiple of 256 on.
uint64_t ArrayBytes(size_t tokens) {
  const uint64_t pieces = tokens / 32;  // texts and items are not more
  return 2 * tokens * sizeof(int32_t) +
         pieces * (sizeof(cuda::TextSpan) + sizeof(cuda::TextQueries)) + 4 * kArraysAlignment;
}

}  // namespace

CudaEncoder::CudaEncoder(std::unique_ptr<cuda::Device> device, const EncoderConfig& config,
                         Pooling pooling, uint64_t budget_bytes)
    : device_(std::move(device)),
      config_(config),
      pooling_(pooling),
      arena_(device_.get(), budget_bytes, kRemedy),
      staging_(device_.get(), ArrayBytes(kBatchTokens)),
      uploads_(device_.get()) {}

// Members give memory back; nothing may be at work on it.
CudaEncoder::~CudaEncoder() { (void)device_->Synchronize(); }

Result<std::unique_ptr<CudaEncoder>> CudaEncoder::Create(std::unique_ptr<cuda::Device> device,
                                                         const EncoderWeights& weights,
                                                         Pooling pooling, uint64_t memory_bytes) {
  if (static_cast<uint32_t>(weights.config.heads) > cuda::kMaxGridY) {
    return Unimplemented(StrCat("the encoder has ", weights.config.heads, " heads, the GPU takes ",
                                cuda::kMaxGridY, "; set embed.device = cpu"));
  }
  if (memory_bytes == 0) {
    ASSIGN_OR_RETURN(const cuda::DeviceInfo info, device->Describe());
    memory_bytes = info.free_bytes / 10 * 9;
  }
  std::unique_ptr<CudaEncoder> encoder(
      new CudaEncoder(std::move(device), weights.config, pooling, memory_bytes));
  const Status taken = encoder->TakeWeights(weights);
  // What failed on the way is said here; nothing is on its way when the memory for it goes.
  const Status copied = encoder->device_->Synchronize();
  RETURN_IF_ERROR(taken);
  RETURN_IF_ERROR(copied);
  encoder->uploads_.Release();
  RETURN_IF_ERROR(encoder->TakeScratch());
  return encoder;
}

// --- weights -------------------------------------------------------------------------------------

template <typename T>
Result<T*> CudaEncoder::Take(uint64_t count, const std::string& what) {
  ASSIGN_OR_RETURN(uint8_t * at, arena_.Allocate(count * sizeof(T), what));
  return reinterpret_cast<T*>(at);
}

Result<const uint8_t*> CudaEncoder::Copy(std::span<const uint8_t> bytes, const std::string& what) {
  ASSIGN_OR_RETURN(uint8_t * at, Take<uint8_t>(bytes.size(), what));
  RETURN_IF_ERROR(uploads_.Copy(at, bytes));
  return at;
}

Result<const float*> CudaEncoder::Copy(const std::vector<float>& values, const std::string& what) {
  ASSIGN_OR_RETURN(
      const uint8_t* at,
      Copy({reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)}, what));
  return reinterpret_cast<const float*>(at);
}

Result<cuda::EncoderNorm> CudaEncoder::Copy(const EncoderWeights::Norm& norm) {
  cuda::EncoderNorm copy;
  ASSIGN_OR_RETURN(copy.weight, Copy(norm.weight, "an encoder's norm"));
  ASSIGN_OR_RETURN(copy.bias, Copy(norm.bias, "an encoder's norm"));
  copy.eps = config_.epsilon;
  return copy;
}

Result<cuda::ProductMatrix> CudaEncoder::Copy(const EncoderWeights::Linear& linear,
                                              uint32_t first_column) {
  const kernels::PackedMatrix& matrix = *linear.weight;
  cuda::ProductMatrix copy;
  ASSIGN_OR_RETURN(copy.data, Copy({matrix.data, matrix.TileCount() * matrix.TileBytes()},
                                   "an encoder's matrix"));
  ASSIGN_OR_RETURN(copy.bias, Copy(linear.bias, "an encoder's bias"));
  copy.rows = static_cast<uint32_t>(matrix.rows);
  copy.first_column = first_column;
  return copy;
}

Status CudaEncoder::TakeWeights(const EncoderWeights& weights) {
  const auto dim = static_cast<uint32_t>(config_.dim);
  table_type_ = weights.tokens->type;
  table_bytes_ = weights.tokens->bytes.size();
  ASSIGN_OR_RETURN(table_, Copy(weights.tokens->bytes, "the token table"));
  ASSIGN_OR_RETURN(positions_, Copy(weights.positions, "the position table"));
  ASSIGN_OR_RETURN(embedding_norm_, Copy(weights.embedding_norm));
  for (const EncoderWeights::Layer& from : weights.layers) {
    Layer layer;
    ASSIGN_OR_RETURN(layer.qkv[0], Copy(from.q, 0));
    ASSIGN_OR_RETURN(layer.qkv[1], Copy(from.k, dim));
    ASSIGN_OR_RETURN(layer.qkv[2], Copy(from.v, 2 * dim));
    ASSIGN_OR_RETURN(layer.output, Copy(from.output, 0));
    ASSIGN_OR_RETURN(layer.up, Copy(from.up, 0));
    ASSIGN_OR_RETURN(layer.down, Copy(from.down, 0));
    ASSIGN_OR_RETURN(layer.attention_norm, Copy(from.attention_norm));
    ASSIGN_OR_RETURN(layer.output_norm, Copy(from.output_norm));
    layers_.push_back(layer);
  }
  return device_->Check();
}

// --- scratch -------------------------------------------------------------------------------------

uint64_t CudaEncoder::ScratchBytes(size_t tokens) const {
  const uint64_t dim = config_.dim, ff = config_.ff, heads = config_.heads;
  const uint64_t wide = std::max(3 * dim, ff), texts = tokens / 32;
  const uint64_t codes = cuda::EncoderStride(static_cast<uint32_t>(std::max(dim, ff)));
  const uint64_t head_codes =
      heads * cuda::EncoderStride(static_cast<uint32_t>(config_.head_dim()));
  const uint64_t a_token = (2 * dim + wide + 2) * sizeof(float) + codes + 2 * head_codes +
                           4 * heads * sizeof(float) + dim;
  const uint64_t a_text = 3 * dim * sizeof(float);
  constexpr uint64_t pieces = 12;
  return tokens * a_token + texts * a_text + ArrayBytes(tokens) + pieces * cuda::Arena::kAlignment;
}

// As many tokens as the budget allows.
Status CudaEncoder::TakeScratch() {
  size_t tokens = kBatchTokens;
  const std::string what = "an encoder's scratch";
  auto taken = Take<uint8_t>(ScratchBytes(tokens), what);
  while (taken.status().code() == StatusCode::kResourceExhausted && tokens > kLeastBatchTokens) {
    tokens /= 2;
    taken = Take<uint8_t>(ScratchBytes(tokens), what);
  }
  ASSIGN_OR_RETURN(uint8_t * at, std::move(taken));
  const auto piece = [&](uint64_t bytes) {
    uint8_t* begin = at;
    at += (bytes + cuda::Arena::kAlignment - 1) / cuda::Arena::kAlignment * cuda::Arena::kAlignment;
    return begin;
  };
  const auto floats = [&](uint64_t count) {
    return reinterpret_cast<float*>(piece(count * sizeof(float)));
  };
  const uint64_t dim = config_.dim, ff = config_.ff, heads = config_.heads, texts = tokens / 32;
  const uint64_t head_stride = cuda::EncoderStride(static_cast<uint32_t>(config_.head_dim()));
  Scratch& s = scratch_;
  s.x = floats(tokens * dim);
  s.y = floats(tokens * dim);
  s.wide = floats(tokens * std::max(3 * dim, ff));
  s.codes.codes = piece(tokens * cuda::EncoderStride(static_cast<uint32_t>(std::max(dim, ff))));
  s.codes.scales = floats(2 * tokens);
  s.heads.heads = static_cast<uint32_t>(heads);
  s.heads.head_dim = static_cast<uint32_t>(config_.head_dim());
  s.heads.queries = piece(tokens * heads * head_stride);
  s.heads.query_scales = floats(2 * tokens * heads);
  s.heads.keys = piece(tokens * heads * head_stride);
  s.heads.key_scales = floats(2 * tokens * heads);
  s.heads.values = piece(tokens * dim);
  s.heads.value_scales = floats(2 * texts * dim);
  s.vectors = floats(texts * dim);
  s.arrays = piece(ArrayBytes(tokens));
  batch_tokens_ = tokens;
  return OkStatus();
}

// --- a batch -------------------------------------------------------------------------------------

Result<CudaEncoder::Batch> CudaEncoder::PutArrays(std::span<const std::vector<int32_t>> texts) {
  std::vector<int32_t> tokens, places;
  std::vector<cuda::TextSpan> spans;
  std::vector<uint32_t> lengths;
  Batch batch;
  for (const auto& text : texts) {
    const auto length = static_cast<uint32_t>(text.size());
    spans.push_back({static_cast<int32_t>(batch.rows), static_cast<int32_t>(length),
                     static_cast<int32_t>(batch.columns)});
    lengths.push_back(length);
    tokens.insert(tokens.end(), text.begin(), text.end());
    for (uint32_t i = 0; i < length; ++i) places.push_back(static_cast<int32_t>(i));
    batch.rows += length;
    batch.columns += cuda::TextColumns(length);
  }
  const std::vector<cuda::TextQueries> items = cuda::PlanTexts(lengths);
  StepBytes bytes;
  const uint64_t of_tokens = bytes.Put(std::span<const int32_t>(tokens));
  const uint64_t of_places = bytes.Put(std::span<const int32_t>(places));
  const uint64_t of_texts = bytes.Put(std::span<const cuda::TextSpan>(spans));
  const uint64_t of_items = bytes.Put(std::span<const cuda::TextQueries>(items));
  VADE_CHECK(bytes.bytes().size() <= ArrayBytes(batch_tokens_),
             "a batch of batch_tokens has no more pieces than that");
  RETURN_IF_ERROR(staging_.CopyTo(scratch_.arrays, bytes.bytes()));
  const auto at = [&](uint64_t offset) { return scratch_.arrays + offset; };
  batch.tokens = reinterpret_cast<const int32_t*>(at(of_tokens));
  batch.places = reinterpret_cast<const int32_t*>(at(of_places));
  batch.texts = reinterpret_cast<const cuda::TextSpan*>(at(of_texts));
  batch.items = reinterpret_cast<const cuda::TextQueries*>(at(of_items));
  batch.text_count = static_cast<uint32_t>(spans.size());
  batch.item_count = static_cast<uint32_t>(items.size());
  return batch;
}

void CudaEncoder::Multiply(std::span<const cuda::ProductMatrix> matrices, uint32_t cols,
                           const Batch& batch, float* y) {
  uint32_t width = 0;
  for (const cuda::ProductMatrix& matrix : matrices) width += matrix.rows;
  cuda::MultiplyCodes({.cols = cols,
                       .matrices = matrices,
                       .codes = scratch_.codes.codes,
                       .scales = scratch_.codes.scales,
                       .tokens = batch.rows,
                       .y = y,
                       .y_stride = width},
                      device_->stream());
}

void CudaEncoder::Begin(const Batch& batch) {
  cuda::EmbedNorm({.type = table_type_,
                   .table = table_,
                   .table_bytes = table_bytes_,
                   .positions = positions_,
                   .position_count = static_cast<uint32_t>(config_.positions),
                   .tokens = batch.tokens,
                   .places = batch.places,
                   .rows = batch.rows,
                   .cols = static_cast<uint32_t>(config_.dim),
                   .norm = embedding_norm_,
                   .x = scratch_.x,
                   .out = scratch_.codes},
                  device_->stream());
}

// Codes of x come in, codes of the next x go out.
void CudaEncoder::RunLayer(const Layer& layer, const Batch& batch) {
  const cuda::Stream stream = device_->stream();
  const Scratch& s = scratch_;
  const auto dim = static_cast<uint32_t>(config_.dim), ff = static_cast<uint32_t>(config_.ff);
  cuda::HeadCodes heads = s.heads;
  heads.rows = batch.rows;
  heads.columns = batch.columns;
  heads.text_count = batch.text_count;
  heads.texts = batch.texts;
  const auto add_norm = [&](const cuda::EncoderNorm& norm) {
    cuda::AddNorm(
        {.y = s.y, .rows = batch.rows, .cols = dim, .norm = norm, .x = s.x, .out = s.codes},
        stream);
  };

  Multiply(layer.qkv, dim, batch, s.wide);
  cuda::PackHeads(s.wide, heads, stream);
  cuda::AttendTexts(
      {.heads = heads, .items = batch.items, .item_count = batch.item_count, .out = s.y}, stream);
  cuda::RowsToCodes({.x = s.y, .rows = batch.rows, .cols = dim, .out = s.codes}, stream);
  Multiply({&layer.output, 1}, dim, batch, s.y);
  add_norm(layer.attention_norm);
  Multiply({&layer.up, 1}, dim, batch, s.wide);
  cuda::RowsToCodes({.x = s.wide,
                     .rows = batch.rows,
                     .cols = ff,
                     .of = cuda::RowsToCodesArgs::Of::kGelu,
                     .out = s.codes},
                    stream);
  Multiply({&layer.down, 1}, ff, batch, s.y);
  add_norm(layer.output_norm);
}

Result<std::vector<float>> CudaEncoder::Embed(std::span<const std::vector<int32_t>> texts) {
  RETURN_IF_ERROR(CheckTexts(config_, texts));
  size_t padded = 0;
  for (const auto& text : texts) padded += PaddedTokens(text.size());
  if (padded > batch_tokens_) {
    return InvalidArgument(
        StrCat("texts of ", padded, " tokens; the GPU takes ", batch_tokens_, " at a time"));
  }
  std::vector<float> vectors(texts.size() * static_cast<size_t>(config_.dim));
  if (texts.empty()) return vectors;
  std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const Batch batch, PutArrays(texts));
  Begin(batch);
  for (const Layer& layer : layers_) RunLayer(layer, batch);
  cuda::PoolTexts({.x = scratch_.x,
                   .rows = batch.rows,
                   .cols = static_cast<uint32_t>(config_.dim),
                   .texts = batch.texts,
                   .text_count = batch.text_count,
                   .pool = pooling_ == Pooling::kMean ? cuda::PoolTextsArgs::Pool::kMean
                                                      : cuda::PoolTextsArgs::Pool::kFirst,
                   .out = scratch_.vectors},
                  device_->stream());
  RETURN_IF_ERROR(staging_.ReadBack(
      reinterpret_cast<const uint8_t*>(scratch_.vectors),
      {reinterpret_cast<uint8_t*>(vectors.data()), vectors.size() * sizeof(float)}));
  return vectors;
}

}  // namespace vade
