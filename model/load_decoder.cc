// From a weight file to a decoder that is ready to read.
#include "base/files.h"
#include "base/log.h"
#include "base/strings.h"
#include "model/cpu_backend.h"
#include "model/cuda_library.h"
#include "model/no_vocab_tokenizer.h"
#include "model/transformer.h"

namespace vade {
namespace {

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const GgufFile& file, int vocab_size) {
  if (file.GetString("tokenizer.ggml.model") == "no_vocab") {
    return std::unique_ptr<Tokenizer>(std::make_unique<NoVocabTokenizer>(vocab_size));
  }
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::FromGguf(file));
  if (tokenizer->vocab_size() > vocab_size) {
    return InvalidArgument(StrCat("weights file ", file.path(), ": the vocabulary has ",
                                  tokenizer->vocab_size(), " tokens, the embedding table ",
                                  vocab_size));
  }
  return tokenizer;
}

}  // namespace

Status Transformer::LoadFile(const std::string& path, const DecoderOptions& options) {
  ASSIGN_OR_RETURN(file_, GgufFile::Open(path));
  ASSIGN_OR_RETURN(config_, ReadDecoderConfig(*file_, options.context_tokens, options.kv_type));
  if (config_.attention.kv_type != options.kv_type) {
    LogInfo(StrCat(path, ": heads of ", config_.attention.head_dim,
                   " values do not come out even in blocks of ", kernels::kKvBlock,
                   ": keys and values are kept as ", kernels::KvTypeName(config_.attention.kv_type),
                   ", not ", kernels::KvTypeName(options.kv_type)));
  }
  RETURN_IF_ERROR(backend_->CheckShape(config_.attention));
  ASSIGN_OR_RETURN(tokenizer_, LoadTokenizer(*file_, config_.vocab_size));
  chat_template_.emplace(ChatTemplate::FromGguf(*file_, *tokenizer_));
  const PackOptions packing = {.cache_dir = options.packed_cache_dir, .pool = options.pool};
  ASSIGN_OR_RETURN(weights_, LoadDecoderWeights(*file_, config_, packing, *backend_));
  ASSIGN_OR_RETURN(kv_pool_,
                   KvPool::Create(backend_.get(), config_.attention, options.kv_budget_bytes));
  DescribeFile();
  return OkStatus();
}

void Transformer::DescribeFile() {
  info_.name = file_->GetString("general.name").value_or("");
  if (info_.name.empty()) info_.name = BaseName(file_->path());
  info_.architecture = config_.architecture;
  info_.fingerprint = file_->fingerprint();
  info_.context_tokens = config_.context_tokens;
  info_.vocab_size = config_.vocab_size;
  info_.layers = config_.layers;
  info_.weight_bytes_per_token = weights_.bytes_per_token;
  info_.kv_type = kernels::KvTypeName(config_.attention.kv_type);
  info_.kv_bytes_per_token = TokenBytes(config_.attention);
}

Result<std::unique_ptr<Transformer>> Transformer::Load(const std::string& path,
                                                       const DecoderOptions& options,
                                                       std::unique_ptr<Backend> backend) {
  std::unique_ptr<Transformer> transformer(new Transformer());
  transformer->backend_ = std::move(backend);
  RETURN_IF_ERROR(transformer->LoadFile(path, options));
  return transformer;
}

Result<std::unique_ptr<Decoder>> LoadDecoderOn(std::unique_ptr<Backend> backend,
                                               const std::string& path,
                                               const DecoderOptions& options) {
  ASSIGN_OR_RETURN(auto transformer, Transformer::Load(path, options, std::move(backend)));
  return std::unique_ptr<Decoder>(std::move(transformer));
}

namespace {

Result<std::unique_ptr<Decoder>> LoadForGpu(const std::string& path,
                                            const DecoderOptions& options) {
  GpuFound found;
  auto backend = OpenCudaBackend(options.gpu, &found);
  if (!backend.ok()) return backend.status().WithContext("no GPU");
  ASSIGN_OR_RETURN(auto transformer, Transformer::Load(path, options, *std::move(backend)));
  transformer->set_device(found.name);
  LogInfo(StrCat("computing on the GPU ", found.name));
  return std::unique_ptr<Decoder>(std::move(transformer));
}

// What another device may do better; a file that cannot be read cannot be read there either.
bool MayBeTheGpu(StatusCode code) {
  return code == StatusCode::kUnavailable || code == StatusCode::kResourceExhausted ||
         code == StatusCode::kUnimplemented || code == StatusCode::kInternal ||
         code == StatusCode::kFailedPrecondition;
}

}  // namespace

Result<std::unique_ptr<Decoder>> LoadDecoder(const std::string& path,
                                             const DecoderOptions& options) {
  if (options.device != DeviceChoice::kCpu) {
    auto decoder = LoadForGpu(path, options);
    const StatusCode code = decoder.status().code();
    if (decoder.ok() || options.device == DeviceChoice::kCuda || !MayBeTheGpu(code)) return decoder;
    if (code == StatusCode::kUnavailable) {
      SayNoGpu(decoder.status().message().substr(std::string_view("no GPU: ").size()));
    } else {
      LogWarning(StrCat("the GPU cannot be used: ", decoder.status().message(),
                        "; computing on the processor"));
    }
  }
  return LoadDecoderOn(std::make_unique<CpuBackend>(options.pool), path, options);
}

}  // namespace vade
