// A byte-level vocabulary of all 256 bytes with the merges and special tokens that a test names.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unicode.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"

namespace vade::testing {

struct TinyVocabulary {
  std::string model = "gpt2";
  std::string pre = "qwen2";
  std::vector<std::pair<std::string, std::string>> merges = {};  // of bytes, in order: {"l", "a"}
  std::vector<std::string> controls = {};
  std::vector<std::string> user_defined = {};
  std::string chat_template = {};  // "" leaves the key out

  // Bytes as the file writes them: one printable code point each.
  static std::string Printable(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) {
      const auto byte = static_cast<unsigned char>(c);
      char32_t code = byte;
      if (byte <= 0x20) code = 0x100 + byte;
      if (byte >= 0x7f && byte <= 0xa0) code = 0x121 + (byte - 0x7f);
      if (byte == 0xad) code = 0x143;
      AppendCodePoint(&out, code);
    }
    return out;
  }

  // Ids: bytes 0..255, then merge results, then controls, then user-defined tokens.
  std::string Bytes() const {
    std::vector<std::string> tokens, pairs;
    for (int byte = 0; byte < 256; ++byte) tokens.push_back(Printable(std::string(1, char(byte))));
    std::vector<int32_t> types(256, 1);
    const auto add = [&](std::string token, int32_t type) {
      tokens.push_back(std::move(token));
      types.push_back(type);
    };
    for (const auto& [a, b] : merges) {
      add(Printable(a + b), 1);
      pairs.push_back(Printable(a) + " " + Printable(b));
    }
    for (const auto& token : controls) add(token, 3);
    for (const auto& token : user_defined) add(token, 4);
    GgufWriter writer;
    writer.SetString("tokenizer.ggml.model", model);
    writer.SetString("tokenizer.ggml.pre", pre);
    const std::vector<std::string_view> token_views(tokens.begin(), tokens.end());
    const std::vector<std::string_view> pair_views(pairs.begin(), pairs.end());
    writer.SetStrings("tokenizer.ggml.tokens", token_views);
    writer.SetInts("tokenizer.ggml.token_type", types);
    writer.SetStrings("tokenizer.ggml.merges", pair_views);
    if (!chat_template.empty()) writer.SetString("tokenizer.chat_template", chat_template);
    return writer.Build().value();
  }
  std::unique_ptr<GgufFile> File() const {
    return GgufFile::FromBytes(Bytes(), "tiny.gguf").value();
  }
};

}  // namespace vade::testing
