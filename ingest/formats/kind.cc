#include "ingest/formats/kind.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

// How much of a text is looked at.
constexpr size_t kHeadBytes = 4096;
// Programs that write PDF may put bytes in front of the mark; Acrobat looks as far.
constexpr size_t kPdfMarkWithin = 1024;

struct Magic {
  std::string_view prefix;
  FileKind kind;
  std::string_view label;
};

constexpr Magic kMagics[] = {
    {"%PDF-", FileKind::kPdf, "PDF"},
    {std::string_view("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8), FileKind::kOle,
     "an old Office file (doc, xls, ppt)"},
    {"{\\rtf", FileKind::kRtf, "RTF"},
    {"PK\x03\x04", FileKind::kZip, "a zip archive"},
    {"PK\x05\x06", FileKind::kZip, "an empty zip archive"},
    {"\x1F\x8B", FileKind::kArchive, "a gzip archive"},
    {"BZh", FileKind::kArchive, "a bzip2 archive"},
    {"\xFD"
     "7zXZ",
     FileKind::kArchive, "an xz archive"},
    {"7z\xBC\xAF\x27\x1C", FileKind::kArchive, "a 7-Zip archive"},
    {"\x28\xB5\x2F\xFD", FileKind::kArchive, "a Zstandard archive"},
    {"%!PS", FileKind::kUnsupported, "PostScript"},
    {"\x89PNG", FileKind::kPicture, "a PNG image"},
    {"\xFF\xD8\xFF", FileKind::kPicture, "a JPEG image"},
    {"GIF87a", FileKind::kUnsupported, "a GIF image"},
    {"GIF89a", FileKind::kUnsupported, "a GIF image"},
    {std::string_view("II*\0", 4), FileKind::kPicture, "a TIFF image"},
    {std::string_view("MM\0*", 4), FileKind::kPicture, "a TIFF image"},
    {"Rar!\x1A\x07", FileKind::kUnsupported, "a RAR archive"},
    {"\x7F"
     "ELF",
     FileKind::kUnsupported, "a program (ELF)"},
    {"\xCA\xFE\xBA\xBE", FileKind::kUnsupported, "a program (Java class or Mach-O)"},
    {"\xCF\xFA\xED\xFE", FileKind::kUnsupported, "a program (Mach-O)"},
    {std::string_view("SQLite format 3\0", 16), FileKind::kUnsupported, "an SQLite database"},
    {std::string_view("ID3\x03", 4), FileKind::kUnsupported, "audio (MP3)"},
    {std::string_view("ID3\x04", 4), FileKind::kUnsupported, "audio (MP3)"},
    {"fLaC", FileKind::kUnsupported, "audio (FLAC)"},
    {"OggS", FileKind::kUnsupported, "audio (Ogg)"},
    {"GGUF", FileKind::kUnsupported, "a model (GGUF)"},
    {std::string_view("\0asm", 4), FileKind::kUnsupported, "a program (WebAssembly)"},
};

KindOfFile ByMagic(std::string_view bytes) {
  for (const Magic& magic : kMagics) {
    if (bytes.starts_with(magic.prefix)) return {magic.kind, magic.label};
  }
  if (bytes.size() >= 12 && bytes.starts_with("RIFF")) {
    const std::string_view form = bytes.substr(8, 4);
    if (form == "WEBP") return {FileKind::kUnsupported, "a WebP image"};
    if (form == "WAVE" || form == "AVI ") return {FileKind::kUnsupported, "audio or video (RIFF)"};
  }
  if (bytes.size() >= 12 && bytes.substr(4, 4) == "ftyp") {
    return {FileKind::kUnsupported, "audio or video (MP4)"};
  }
  // Two letters may begin a text, but not before four zero bytes that are reserved. The rest of a
  // white page would pass for text.
  if (bytes.starts_with("BM") && bytes.size() >= 10 &&
      bytes.substr(6, 4) == std::string_view("\0\0\0\0", 4)) {
    return {FileKind::kUnsupported, "a BMP image"};
  }
  if (bytes.size() >= 262 && bytes.substr(257, 5) == "ustar") {
    return {FileKind::kArchive, "a tar archive"};
  }
  return {};
}

template <size_t n>
bool IsOneOf(std::string_view word, const std::array<std::string_view, n>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Names that only these formats have. Web applications call HTML and tables ".xls" and ".doc", so
// the old Office names are not among them.
std::string_view BinaryFormatOf(std::string_view extension) {
  if (extension == ".pdf") return "PDF";
  if (extension == ".docx" || extension == ".docm") return "Word (docx)";
  if (extension == ".xlsx" || extension == ".xlsm") return "Excel (xlsx)";
  if (extension == ".pptx" || extension == ".pptm") return "PowerPoint (pptx)";
  if (IsOneOf<6>(extension, {".odt", ".ods", ".odp", ".ott", ".ots", ".otp"}))
    return "OpenDocument";
  if (extension == ".epub") return "EPUB";
  if (extension == ".rtf") return "RTF";
  return "";
}

// Behind white space, an XML declaration, comments.
std::string_view FirstMarkup(std::string_view head) {
  for (;;) {
    head = StripAsciiWhitespace(head);
    const bool comment = head.starts_with("<!--");
    if (!comment && !head.starts_with("<?")) return head;
    const std::string_view end = comment ? "-->" : ">";
    const size_t at = head.find(end);
    if (at == std::string_view::npos) return head;
    head.remove_prefix(at + end.size());
  }
}

bool IsHtml(std::string_view head, bool named_so) {
  const std::string lower = AsciiLower(FirstMarkup(head));
  if (lower.starts_with("<!doctype html") || lower.starts_with("<html")) return true;
  if (!named_so) return lower.starts_with("<head") || lower.starts_with("<body");
  return lower.find('<') != std::string::npos;
}

// Lines "Name: value" at the top that only mail has.
int MailHeaders(std::string_view head) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "from",     "to",          "subject",      "date",        "message-id", "mime-version",
      "received", "return-path", "delivered-to", "in-reply-to", "cc",         "reply-to"};
  int found = 0;
  for (const std::string& line : Split(head, '\n')) {
    if (StripAsciiWhitespace(line).empty()) break;
    if (line[0] == ' ' || line[0] == '\t') continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) break;
    if (IsOneOf(AsciiLower(line.substr(0, colon)), kNames)) ++found;
  }
  return found;
}

bool IsMailbox(std::string_view head) {
  if (!head.starts_with("From ")) return false;
  const size_t end = head.find('\n');
  return end != std::string_view::npos && MailHeaders(head.substr(end + 1)) >= 2;
}

bool BeginsAsJson(std::string_view head) {
  const std::string_view text = StripAsciiWhitespace(head);
  return text.starts_with('{') || text.starts_with('[');
}

KindOfFile ByMimeType(std::string_view type) {
  if (type == "text/html" || type == "application/xhtml+xml") return {FileKind::kHtml, "HTML"};
  if (type == "text/csv" || type == "text/tab-separated-values") return {FileKind::kCsv, "CSV"};
  if (type == "application/json") return {FileKind::kJson, "JSON"};
  if (type == "application/x-ndjson") return {FileKind::kJsonLines, "JSON lines"};
  if (type == "application/x-ipynb+json") return {FileKind::kNotebook, "a notebook"};
  if (type == "text/xml" || type == "application/xml") return {FileKind::kXml, "XML"};
  if (type == "message/rfc822") return {FileKind::kMail, "a mail"};
  if (type == "application/mbox") return {FileKind::kMailbox, "a mailbox"};
  if (type == "text/vtt" || type == "application/x-subrip") {
    return {FileKind::kSubtitles, "subtitles"};
  }
  return {};
}

KindOfFile ByNamedText(std::string_view head, std::string_view extension) {
  if (IsOneOf<4>(extension, {".html", ".htm", ".xhtml", ".xht"}) && IsHtml(head, true)) {
    return {FileKind::kHtml, "HTML"};
  }
  if (IsOneOf<3>(extension, {".csv", ".tsv", ".tab"})) return {FileKind::kCsv, "CSV"};
  if (IsOneOf<2>(extension, {".jsonl", ".ndjson"})) return {FileKind::kJsonLines, "JSON lines"};
  if (extension == ".ipynb") return {FileKind::kNotebook, "a notebook"};
  if (IsOneOf<2>(extension, {".json", ".geojson"}) && BeginsAsJson(head)) {
    return {FileKind::kJson, "JSON"};
  }
  if (extension == ".eml" && MailHeaders(head) >= 1) return {FileKind::kMail, "a mail"};
  if (extension == ".mbox" && head.starts_with("From ")) return {FileKind::kMailbox, "a mailbox"};
  if (IsOneOf<2>(extension, {".srt", ".vtt"}) && head.find("-->") != std::string_view::npos) {
    return {FileKind::kSubtitles, "subtitles"};
  }
  return {};
}

// Of texts whose name says nothing better.
KindOfFile ByText(std::string_view head, std::string_view extension) {
  if (const KindOfFile named = ByNamedText(head, extension); named.kind != FileKind::kText) {
    return named;
  }
  static constexpr std::array<std::string_view, 8> kMarkdownOrText = {
      ".md", ".markdown", ".mdown", ".mkd", ".mkdn", ".mdx", ".rst", ".org"};
  if (IsOneOf(extension, kMarkdownOrText)) return {};
  if (IsHtml(head, false)) return {FileKind::kHtml, "HTML"};
  if (head.starts_with("<?xml") || (extension == ".xml" && FirstMarkup(head).starts_with('<'))) {
    return {FileKind::kXml, "XML"};
  }
  if (head.starts_with("WEBVTT")) return {FileKind::kSubtitles, "subtitles"};
  if (IsMailbox(head)) return {FileKind::kMailbox, "a mailbox"};
  if (MailHeaders(head) >= 3) return {FileKind::kMail, "a mail"};
  return {};
}

}  // namespace

Status CheckKind(const KindOfFile& kind) {
  if (kind.kind == FileKind::kUnsupported) {
    return InvalidArgument(StrCat(kind.label, " is not supported; convert it to a format that is"));
  }
  if (kind.kind == FileKind::kMisnamed) {
    return InvalidArgument(
        StrCat("is called ", kind.label, " and is not; it is damaged, or rename it to what it is"));
  }
  return OkStatus();
}

KindOfFile TellKind(std::string_view bytes, std::string_view name, std::string_view mime_type) {
  if (bytes.empty()) return {};
  if (const KindOfFile kind = ByMagic(bytes); kind.kind != FileKind::kText) return kind;
  const std::string extension = Extension(name);
  if (extension == ".pdf" && bytes.substr(0, kPdfMarkWithin).find("%PDF-") != std::string::npos) {
    return {FileKind::kPdf, "PDF"};
  }
  const std::string type =
      AsciiLower(StripAsciiWhitespace(mime_type.substr(0, mime_type.find(';'))));
  const auto head = DecodeText(bytes.substr(0, kHeadBytes));
  const bool telling = !type.empty() && type != "application/octet-stream";
  if (!telling) {
    const std::string_view named = BinaryFormatOf(extension);
    if (!named.empty()) return {FileKind::kMisnamed, named};
  }
  if (!head.ok()) return {};
  if (telling) return ByMimeType(type);
  return ByText(head->utf8, extension);
}

}  // namespace vade
