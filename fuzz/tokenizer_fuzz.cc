// Any text through each kind of tokenizer: ids are in range, Count agrees with Encode, and
// byte-level ids give the (repaired) text back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/unicode.h"
#include "model/tokenizer.h"
#include "tests/testing/tiny_vocabulary.h"

namespace {

using vade::Special;
using vade::Tokenizer;

std::unique_ptr<Tokenizer> MakeBpe(const char* pre) {
  const vade::testing::TinyVocabulary vocabulary = {
      .pre = pre,
      .merges = {{"t", "h"},
                 {"th", "e"},
                 {" ", "the"},
                 {"a", "a"},
                 {"aa", "aa"},
                 {"\n", "\n"},
                 {"\xe4", "\xb8"}},
      .controls = {"<|im_start|>", "<|im_end|>", "<|"},
      .user_defined = {"<tool>", "\n\n\n"},
  };
  return Tokenizer::FromGguf(*vocabulary.File()).value();
}

std::unique_ptr<Tokenizer> MakeUnigram() {
  const std::string_view tokens[] = {"<unk>", "</s>", "\xe2\x96\x81", "\xe2\x96\x81the",
                                     "a",     "aa",   "the",          "\xe4\xb8\xad"};
  const float scores[] = {0, 0, -3, -1, -2, -2.5f, -4, -5};
  const int32_t types[] = {2, 3, 1, 1, 1, 1, 1, 1};
  const uint32_t from[] = {1, 10, 0xfb01}, ends[] = {0, 1, 3}, to[] = {32, 'f', 'i'};
  vade::GgufWriter writer;
  writer.SetString("tokenizer.ggml.model", "t5");
  writer.SetStrings("tokenizer.ggml.tokens", tokens);
  writer.SetFloats("tokenizer.ggml.scores", scores);
  writer.SetInts("tokenizer.ggml.token_type", types);
  writer.SetUint("tokenizer.ggml.unknown_token_id", 0);
  writer.SetUints("vade.normalizer.code_points", from);
  writer.SetUints("vade.normalizer.ends", ends);
  writer.SetUints("vade.normalizer.replacements", to);
  return Tokenizer::FromGguf(*vade::GgufFile::FromBytes(writer.Build().value(), "fuzz").value())
      .value();
}

void Check(const Tokenizer& tokenizer, std::string_view text, bool keeps_text) {
  for (const Special special : {Special::kText, Special::kParse}) {
    const auto ids = tokenizer.Encode(text, special);
    for (const int32_t id : ids) {
      if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
      if (special == Special::kText && tokenizer.IsControl(id)) std::abort();
    }
    if (special == Special::kParse) continue;
    if (tokenizer.Count(text) != ids.size()) std::abort();
    if (keeps_text && tokenizer.Decode(ids) != vade::ReplaceInvalidUtf8(text)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto qwen2 = MakeBpe("qwen2"), smollm = MakeBpe("smollm"), unigram = MakeUnigram();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Check(*qwen2, text, true);
  Check(*smollm, text, true);
  Check(*unigram, text, false);
  return 0;
}
