// HTML -> Markdown blocks, for web pages, chapters of e-books and bodies of mail.
#pragma once

#include <functional>
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

// Hears of each <img> by its source, once the block that holds it has been written. May be null.
using HtmlPicture = std::function<void(std::string_view source)>;

// `utf8` is decoded already. Appends to `out`. Pictures are told with kEverything alone.
HtmlFacts WriteHtml(std::string_view utf8, HtmlScope scope, MarkdownWriter* out,
                    const HtmlPicture& picture = nullptr);

// The text of an HTML file: by its mark, what it declares, or what the bytes look like.
std::string DecodeHtml(std::string_view bytes);

}  // namespace vade
