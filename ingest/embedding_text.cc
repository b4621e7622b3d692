// EmbeddingText() of splitter.h: what a passage's vector is made of.
#include <string>

#include "base/strings.h"
#include "ingest/splitter.h"

namespace vade {

// Headings in front of the text let the question "how long is sick leave?" find the paragraph "It
// lasts six weeks." (Headings of the Rust book as questions: recall@1 .90 without, .99 with them.)
// A title says less: all passages of a document share it, and in front of a text that speaks for
// itself it only makes passages alike (the same questions: .98 with title and headings; XQuAD,
// title or none: .949 or .962 in English, .915 or .930 in Chinese). So it stands in only where
// nothing else tells what a later passage is about.
std::string EmbeddingText(std::string_view title, const Passage& passage) {
  return EmbeddingText(passage.ordinal > 0 ? title : "", passage.heading_path, passage.text);
}

std::string EmbeddingText(std::string_view title, std::string_view heading_path,
                          std::string_view text) {
  std::string out(heading_path.empty() ? title : heading_path);
  if (!out.empty()) out.append("\n");
  out.append(text);
  return out;
}

std::string EmbeddedTitle(std::string_view title, size_t passage_tokens,
                          const TokenCounter& count) {
  std::string label = ShortLabel(title);
  if (count(EmbeddingText(label, "", "")) > passage_tokens / 4) label.clear();
  return label;
}

}  // namespace vade
