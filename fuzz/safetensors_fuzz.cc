// Any bytes as a safetensors file: it is refused with a status, or every tensor can be read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/encoder_weights.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  auto file = vade::SafetensorsFile::FromBytes(bytes, "fuzz");
  if (!file.ok()) {
    if (file.status().message().empty()) std::abort();
    return 0;
  }
  for (const char* name : {"a", "b", "embeddings.word_embeddings.weight"}) {
    const vade::WeightTensor* tensor = (*file)->Find(name);
    volatile uint8_t sink = 0;
    for (size_t i = 0; tensor != nullptr && i < tensor->bytes.size(); ++i) sink = tensor->bytes[i];
    (void)sink;
  }
  vade::EncoderConfig config;
  config.layers = config.heads = 1;
  config.dim = config.ff = config.vocab = config.positions = 2;
  const std::shared_ptr<const vade::TensorFile> tensors = std::move(*file);
  (void)vade::EncoderWeights::Load(tensors, config, vade::EncoderNames::kHuggingFace, {});
  return 0;
}
