// Any bytes as a weight file: it is refused with a status, or everything in it can be read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/encoder_weights.h"
#include "model/gguf.h"
#include "model/inspect.h"
#include "model/tokenizer.h"

namespace {

// Reads every byte that a view promises, so that a wrong one is seen by the sanitizer.
void Touch(std::span<const uint8_t> bytes) {
  volatile uint8_t sink = 0;
  for (const uint8_t byte : bytes) sink = byte;
  (void)sink;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file =
      vade::GgufFile::FromBytes(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!file.ok()) {
    if (file.status().message().empty()) std::abort();
    return 0;
  }
  const vade::GgufFile& gguf = **file;
  for (const auto& line : gguf.Summary()) {
    gguf.GetInt(line.key);
    gguf.GetUint(line.key);
    gguf.GetFloat(line.key);
    gguf.GetBool(line.key);
    gguf.GetString(line.key);
    gguf.GetStrings(line.key);
    gguf.GetFloats(line.key);
    gguf.GetInts(line.key);
  }
  for (const vade::GgufTensor& tensor : gguf.tensors()) {
    Touch(tensor.bytes);
    if (gguf.Find(tensor.name) != &tensor) std::abort();
  }
  if (vade::DescribeGguf(gguf).empty()) std::abort();
  if (const auto config = vade::EncoderConfig::FromGguf(gguf);
      config.ok() && config->head_dim() < 1)
    std::abort();
  if (const auto tokenizer = vade::Tokenizer::FromGguf(gguf); tokenizer.ok()) {
    (*tokenizer)->Encode("The lamp, 42 \xe7\x81\xaf\xe5\xa1\x94", vade::Special::kParse);
    for (int32_t id = -1; id <= (*tokenizer)->vocab_size(); ++id) (*tokenizer)->Piece(id);
  }
  return 0;
}
