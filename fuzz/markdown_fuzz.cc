// Any bytes as a document: parsed, scanned and split, the promises of ingest/splitter.h must hold.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/unicode.h"
#include "ingest/document.h"
#include "ingest/splitter.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

bool SpaceOnly(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    if (!vade::IsWhitespace(vade::NextCodePoint(text, &pos))) return false;
  }
  return true;
}

// A token is a run of bytes between blanks, at most 8: cheap, and far from additive.
size_t CountTokens(std::string_view text) {
  size_t tokens = 0, run = 0;
  for (char c : text) {
    if (c == ' ' || c == '\n') {
      run = 0;
    } else if (run++ % 8 == 0) {
      ++tokens;
    }
  }
  return tokens;
}

void CheckSplit(const vade::ParsedDocument& document, const vade::SplitOptions& options) {
  const std::string_view text = document.text;
  vade::Splitter splitter(text, document.mime_type, document.title, options, CountTokens);
  uint64_t last_begin = 0, covered = 0;
  for (vade::Passage passage; splitter.Next(&passage);) {
    Require(passage.begin < passage.end && passage.end <= text.size());
    Require(vade::FloorToCodePoint(text, passage.begin) == passage.begin);
    Require(vade::FloorToCodePoint(text, passage.end) == passage.end);
    Require(passage.ordinal == 0 || (passage.begin > last_begin && passage.end > covered));
    if (passage.begin > covered) Require(SpaceOnly(text.substr(covered, passage.begin - covered)));
    const std::string_view part = text.substr(passage.begin, passage.end - passage.begin);
    Require(CountTokens(vade::EmbeddingText(splitter.embedded_title(), passage.heading_path,
                                            part)) <= options.passage_tokens);
    last_begin = passage.begin;
    covered = passage.end;
  }
  Require(SpaceOnly(text.substr(covered)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  vade::SplitOptions options;
  options.passage_tokens = vade::kMinPassageTokens + data[0];
  options.overlap_tokens = data[1];
  options.least_tokens = data[2];
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
  auto parsed = vade::ParseDocument(bytes, "fuzz.md", "");
  if (parsed.ok()) CheckSplit(*parsed, options);
  return 0;
}
