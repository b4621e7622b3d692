// EmbeddingText() of splitter.h: what a passage's vector is made of.
#include <string>

#include "base/strings.h"
#include "ingest/splitter.h"

namespace vade {

// Title and headings in front of the text, each said once: a Markdown document's title is often its
// first heading. The question "how long is sick leave?" then finds the paragraph "It lasts six
// weeks."
std::string EmbeddingText(std::string_view title, std::string_view heading_path,
                          std::string_view text) {
  std::string out;
  const bool repeated =
      heading_path.substr(0, title.size()) == title &&
      (heading_path.size() == title.size() || heading_path.substr(title.size(), 3) == " > ");
  if (!repeated) out.append(title);
  if (!out.empty() && !heading_path.empty()) out.append(" > ");
  out.append(heading_path);
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
