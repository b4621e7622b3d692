#include "ingest/formats/text.h"

#include <utility>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/markdown_writer.h"

namespace vade {

Result<std::string> ReadText(std::string_view bytes) {
  ASSIGN_OR_RETURN(DecodedText decoded, DecodeText(bytes));
  return std::move(decoded.utf8);
}

std::string ReadAnyText(std::string_view bytes, const std::string& charset) {
  if (!charset.empty()) {
    if (auto text = DecodeAs(bytes, charset)) return std::move(*text);
  }
  auto text = ReadText(bytes);
  return text.ok() ? *std::move(text) : ReplaceInvalidUtf8(bytes);
}

void KeepFact(std::string_view key, std::string_view value, Metadata* metadata) {
  const std::string words = CleanWords(value);
  if (!words.empty()) metadata->try_emplace(std::string(key), words);
}

std::string NumberList(const std::vector<int>& numbers) {
  std::string out;
  for (int number : numbers) out += StrCat(out.empty() ? "" : ", ", number);
  return out;
}

}  // namespace vade
