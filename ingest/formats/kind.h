// What kind of file some bytes are: by their beginning and their structure; the name only decides
// between kinds that the bytes allow. Pure functions, any thread.
#pragma once

#include <string_view>

#include "base/status.h"

namespace vade {

enum class FileKind {
  kText,  // plain text or Markdown, or nothing that is recognised: ParseDocument decides
  kHtml,
  kPdf,
  kZip,  // Office, OpenDocument, EPUB or an archive: told by what it holds
  kOle,  // the old Office container; encrypted new Office files come in it too
  kRtf,
  kCsv,
  kJson,
  kJsonLines,
  kNotebook,
  kXml,
  kMail,
  kMailbox,
  kSubtitles,
  kArchive,      // tar, gzip, 7z and their like
  kPicture,      // PNG, JPEG, TIFF: words of a page that was photographed or scanned
  kUnsupported,  // recognised, and nothing can be read out of it
  kMisnamed,     // the name says a format that the bytes are not
};

struct KindOfFile {
  FileKind kind = FileKind::kText;
  std::string_view label;  // "PDF", "a PNG image": for messages
};

// Whether a file of that kind is refused whatever it holds: INVALID_ARGUMENT with the reason.
Status CheckKind(const KindOfFile& kind);

// `mime_type` "" means: find out. A type that is given decides among textual kinds.
KindOfFile TellKind(std::string_view bytes, std::string_view name, std::string_view mime_type);

}  // namespace vade
