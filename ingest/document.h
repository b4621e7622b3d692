// Bytes of a text or Markdown file -> normalised text with a title and a type.
//
//   ASSIGN_OR_RETURN(ParsedDocument document, ParseDocument(bytes, "guide/leave.md", ""));
//
// Other formats become the same ParsedDocument in a process of their own (ingest/jail.h).
// Normalised text is the decoded text as its author sees it: UTF-8 without byte-order mark, line
// ends as
// "\n", nothing else changed; Markdown stays Markdown source, so that byte ranges point into what
// the user's editor shows. Pure functions, safe from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "index/passage.h"
#include "ingest/cells.h"

namespace vade {

inline constexpr std::string_view kMarkdownType = "text/markdown";
inline constexpr std::string_view kPlainTextType = "text/plain";
inline constexpr std::string_view kSourceCodeType = "text/x-source-code";  // of any language

// Between a container and a file in it: "mail.eml!/report.pdf".
inline constexpr std::string_view kInnerMark = "!/";
// The place of `inner` in `container`; "" is the container itself.
std::string InnerPath(std::string_view container, std::string_view inner);

struct ParsedDocument {
  std::string text;
  std::string title;  // front matter, else first heading, else a short first line, else the name
  std::string mime_type;  // of the file; the text is Markdown but for the two above
  Metadata metadata;      // "author", "created" and so on: docs/ingestion.md
  // Where the file has pages (a form feed in the text begins the next one): 1, else 0.
  uint32_t first_page = 0;
  std::vector<KnownCell> cells = {};  // by begin: what the words of cells do not say
  // Of a file in a container: its path there ("sub/a.txt", "mail.eml!/b.pdf") and the SHA-256 of
  // its bytes. "" for the file itself.
  std::string inner;
  std::string content_hash;
};

// A document of a file, or why a file in a container is none; then only `document.inner` is set.
struct ParsedPart {
  ParsedDocument document;
  Status status;
};

// As ParseDocument does for text and Markdown (source code has its file's name), for parsers of
// other formats: first heading, else the first line of the text when it is short, else the stem of
// the name.
std::string TitleOf(std::string_view text, std::string_view mime_type, std::string_view name);

// `name` is a file name, path or id: its extension helps to tell the type, its stem may be the
// title. `mime_type` "" means: find out. INVALID_ARGUMENT with a reason that reads behind a file's
// name ("is empty", "is not text: ...").
Result<ParsedDocument> ParseDocument(std::string_view bytes, std::string_view name,
                                     std::string_view mime_type);

}  // namespace vade
