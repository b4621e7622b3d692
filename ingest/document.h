// Bytes of a file -> normalised text with a title and a type.
//
//   ASSIGN_OR_RETURN(ParsedDocument document, ParseDocument(bytes, "guide/leave.md", ""));
//
// Normalised text is the decoded text as its author sees it: UTF-8 without byte-order mark, line
// ends as
// "\n", nothing else changed; Markdown stays Markdown source, so that byte ranges point into what
// the user's editor shows. Pure functions, safe from any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace vade {

inline constexpr std::string_view kMarkdownType = "text/markdown";
inline constexpr std::string_view kPlainTextType = "text/plain";

struct ParsedDocument {
  std::string text;
  std::string title;  // front matter, else first heading, else a short first line, else the name
  std::string mime_type;  // kMarkdownType or kPlainTextType
};

// `name` is a file name, path or id: its extension helps to tell the type, its stem may be the
// title. `mime_type` "" means: find out. INVALID_ARGUMENT with a reason that reads behind a file's
// name ("is empty", "is not text: ...", "PDF is not supported yet; convert it to text or
// Markdown").
Result<ParsedDocument> ParseDocument(std::string_view bytes, std::string_view name,
                                     std::string_view mime_type);

}  // namespace vade
