// Any bytes as a tokenizer.json, and as the table of a normalizer: refused with a status, or the
// tokenizer works.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/tokenizer_json.h"
#include "model/unigram_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (size > 8) {
    const auto map = vade::ReadPrecompiledCharsmap(text);
    if (map.ok() && map->from.size() != map->end.size()) std::abort();
  }
  const auto tokenizer = vade::TokenizerFromJson(text, "fuzz");
  if (!tokenizer.ok()) {
    if (tokenizer.status().message().empty()) std::abort();
    return 0;
  }
  for (const auto special : {vade::Special::kText, vade::Special::kParse}) {
    for (const int32_t id :
         (*tokenizer)->Encode("The lamp, \xc3\x89 42 \xe7\x81\xaf [CLS]", special)) {
      if (id < 0 || id >= (*tokenizer)->vocab_size()) std::abort();
    }
  }
  for (int32_t id = -1; id <= (*tokenizer)->vocab_size(); ++id) (*tokenizer)->Piece(id);
  return 0;
}
