// HTML -> Markdown blocks, for web pages, chapters of e-books and bodies of mail.
#pragma once

#include <string>
#include <string_view>

#include "index/passage.h"
#include "ingest/formats/markdown_writer.h"

namespace vade {

enum class HtmlScope {
  kMainContent,  // of a page: without navigation, headers and footers of the site, advertisements
  kEverything,   // what is shown
};

struct HtmlFacts {
  std::string title;  // of <title>, "" when there is none
  Metadata metadata;
};

// `utf8` is decoded already. Appends to `out`.
HtmlFacts WriteHtml(std::string_view utf8, HtmlScope scope, MarkdownWriter* out);

// The text of an HTML file: by its mark, what it declares, or what the bytes look like.
std::string DecodeHtml(std::string_view bytes);

}  // namespace vade
