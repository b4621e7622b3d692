#include "ingest/document.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "base/files.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/blocks.h"

namespace vade {
namespace {

// A first line longer than this is prose rather than a title. In code points.
constexpr size_t kMaxTitleLine = 100;
// How much of a text is looked at for its title and type. In bytes.
constexpr size_t kHeadBytes = 64 * 1024;

struct Magic {
  std::string_view prefix;
  std::string_view kind;
};

// What files that people keep beside their documents begin with. Each would otherwise be refused as
// "not text", or, worse, be read as Latin-1.
constexpr Magic kMagics[] = {
    {"%PDF-", "PDF"},
    {std::string_view("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8), "an old Office file (doc, xls, ppt)"},
    {"{\\rtf", "RTF"},
    {"%!PS", "PostScript"},
    {"\x89PNG", "a PNG image"},
    {"\xFF\xD8\xFF", "a JPEG image"},
    {"GIF87a", "a GIF image"},
    {"GIF89a", "a GIF image"},
    {std::string_view("II*\0", 4), "a TIFF image"},
    {std::string_view("MM\0*", 4), "a TIFF image"},
    {"\x1F\x8B", "a gzip archive"},
    {"\xFD"
     "7zXZ",
     "an xz archive"},
    {"7z\xBC\xAF\x27\x1C", "a 7-Zip archive"},
    {"\x28\xB5\x2F\xFD", "a Zstandard archive"},
    {"Rar!\x1A\x07", "a RAR archive"},
    {"\x7F"
     "ELF",
     "a program (ELF)"},
    {"\xCA\xFE\xBA\xBE", "a program (Java class or Mach-O)"},
    {"\xCF\xFA\xED\xFE", "a program (Mach-O)"},
    {std::string_view("SQLite format 3\0", 16), "an SQLite database"},
    {std::string_view("ID3\x03", 4), "audio (MP3)"},
    {std::string_view("ID3\x04", 4), "audio (MP3)"},
    {"fLaC", "audio (FLAC)"},
    {"OggS", "audio (Ogg)"},
    {"GGUF", "a model (GGUF)"},
    {std::string_view("\0asm", 4), "a program (WebAssembly)"},
};

std::string_view ZipKind(std::string_view extension) {
  if (extension == ".docx") return "Word (docx)";
  if (extension == ".xlsx") return "Excel (xlsx)";
  if (extension == ".pptx") return "PowerPoint (pptx)";
  if (extension == ".odt" || extension == ".ods" || extension == ".odp") return "OpenDocument";
  if (extension == ".epub") return "EPUB";
  return "a zip archive or an Office file";
}

// The kind of a file that is recognised and not read, or "".
std::string_view KindByContent(std::string_view bytes, std::string_view extension) {
  for (const Magic& magic : kMagics) {
    if (bytes.starts_with(magic.prefix)) return magic.kind;
  }
  if (bytes.starts_with("PK\x03\x04") || bytes.starts_with("PK\x05\x06")) return ZipKind(extension);
  if (bytes.size() >= 12 && bytes.starts_with("RIFF")) {
    const std::string_view form = bytes.substr(8, 4);
    if (form == "WEBP") return "a WebP image";
    if (form == "WAVE" || form == "AVI ") return "audio or video (RIFF)";
  }
  if (bytes.size() >= 12 && bytes.substr(4, 4) == "ftyp") return "audio or video (MP4)";
  if (bytes.size() >= 262 && bytes.substr(257, 5) == "ustar") return "a tar archive";
  return "";
}

std::string_view KindByExtension(std::string_view extension) {
  if (extension == ".html" || extension == ".htm" || extension == ".xhtml") return "HTML";
  if (extension == ".pdf") return "PDF";
  if (extension == ".rtf") return "RTF";
  const std::string_view zip = ZipKind(extension);
  return zip == ZipKind("") ? std::string_view() : zip;
}

bool LooksLikeHtml(std::string_view text) {
  const std::string head = AsciiLower(StripAsciiWhitespace(text.substr(0, 512)));
  return head.starts_with("<!doctype html") || head.starts_with("<html");
}

Status Unsupported(std::string_view kind) {
  return InvalidArgument(StrCat(kind, " is not supported yet; convert it to text or Markdown"));
}

// The part of a long text that its title and type are taken from.
std::string_view HeadOf(std::string_view text) {
  return text.substr(0, FloorToCodePoint(text, std::min(text.size(), kHeadBytes)));
}

bool HasMarkdownSigns(std::string_view text) {
  const std::string_view head = HeadOf(text);
  auto scanner = ScanBlocks(head, kMarkdownType);
  for (Block block; scanner->Next(&block);) {
    if (block.kind == BlockKind::kHeading || block.kind == BlockKind::kFrontMatter) return true;
    if (block.kind == BlockKind::kTable) return true;
    const std::string_view code = head.substr(block.begin, 3);
    if (block.kind == BlockKind::kCode && (code == "```" || code == "~~~")) return true;
  }
  return false;
}

Result<std::string_view> TypeOf(std::string_view text, std::string_view extension,
                                std::string_view mime_type) {
  const std::string given =
      AsciiLower(StripAsciiWhitespace(mime_type.substr(0, mime_type.find(';'))));
  if (given == kMarkdownType || given == "text/x-markdown") return kMarkdownType;
  if (given == "text/html" || given == "text/rtf") return Unsupported(given);
  if (given.starts_with("text/")) return kPlainTextType;
  if (!given.empty() && given != "application/octet-stream") return Unsupported(given);
  static constexpr std::array<std::string_view, 6> kMarkdownExtensions = {
      ".md", ".markdown", ".mdown", ".mkd", ".mkdn", ".mdx"};
  for (std::string_view known : kMarkdownExtensions) {
    if (extension == known) return kMarkdownType;
  }
  const bool telling = !extension.empty();
  if (telling || !HasMarkdownSigns(text)) return kPlainTextType;
  return kMarkdownType;
}

bool IsBlank(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    if (!IsWhitespace(NextCodePoint(text, &pos))) return false;
  }
  return true;
}

// `title: "A name"` of YAML front matter, `title = "A name"` of TOML.
std::string FrontMatterTitle(std::string_view block) {
  for (const std::string& line : Split(block, '\n')) {
    const std::string_view trimmed = StripAsciiWhitespace(line);
    if (!AsciiLower(trimmed.substr(0, 5)).starts_with("title")) continue;
    std::string_view rest = StripAsciiWhitespace(trimmed.substr(5));
    if (rest.empty() || (rest[0] != ':' && rest[0] != '=')) continue;
    rest = StripAsciiWhitespace(rest.substr(1));
    if (rest.size() >= 2 && (rest[0] == '"' || rest[0] == '\'') && rest.back() == rest[0]) {
      rest = rest.substr(1, rest.size() - 2);
    }
    if (!rest.empty() && rest != "|" && rest != ">") return ShortLabel(rest);
  }
  return "";
}

std::string MarkdownTitle(std::string_view text) {
  const std::string_view head = HeadOf(text);
  auto scanner = ScanBlocks(head, kMarkdownType);
  for (Block block; scanner->Next(&block);) {
    std::string title;
    if (block.kind == BlockKind::kFrontMatter) {
      title = FrontMatterTitle(head.substr(block.begin, block.end - block.begin));
    } else if (block.kind == BlockKind::kHeading) {
      title = HeadingLabel(head, block);
    }
    if (!title.empty()) return title;
  }
  return "";
}

// The first line when it is short enough for a title; Markdown's first paragraph likewise.
std::string FirstLineTitle(std::string_view text, std::string_view mime_type) {
  auto scanner = ScanBlocks(HeadOf(text), mime_type);
  for (Block block; scanner->Next(&block);) {
    if (mime_type == kMarkdownType && block.kind != BlockKind::kParagraph) continue;
    const std::string_view line =
        text.substr(block.begin, text.find('\n', block.begin) - block.begin);
    const std::string_view trimmed = StripAsciiWhitespace(line);
    if (CodePointCount(trimmed.substr(0, 8 * kMaxTitleLine)) > kMaxTitleLine) return "";
    return std::string(trimmed);
  }
  return "";
}

std::string NameTitle(std::string_view name) {
  const std::string base = BaseName(name);
  const std::string extension = Extension(base);
  return extension.size() < base.size() ? base.substr(0, base.size() - extension.size()) : base;
}

}  // namespace

Result<ParsedDocument> ParseDocument(std::string_view bytes, std::string_view name,
                                     std::string_view mime_type) {
  if (bytes.empty()) return InvalidArgument("is empty");
  const std::string extension = Extension(name);
  std::string_view kind = KindByContent(bytes, extension);
  if (!kind.empty()) return Unsupported(kind);
  auto decoded = DecodeText(bytes);
  if (kind = KindByExtension(extension); !kind.empty() && mime_type.empty())
    return Unsupported(kind);
  if (!decoded.ok()) {
    const std::string& reason = decoded.status().message();
    return InvalidArgument(reason.starts_with("is not text") ? reason
                                                             : StrCat("is not text: ", reason));
  }
  ParsedDocument document;
  document.text = std::move(decoded->utf8);
  if (IsBlank(document.text)) return InvalidArgument("is empty");
  ASSIGN_OR_RETURN(document.mime_type, TypeOf(document.text, extension, mime_type));
  const bool markdown = document.mime_type == kMarkdownType;
  if (!markdown && mime_type.empty() && LooksLikeHtml(document.text)) return Unsupported("HTML");
  if (markdown) document.title = MarkdownTitle(document.text);
  if (document.title.empty()) document.title = FirstLineTitle(document.text, document.mime_type);
  if (document.title.empty()) document.title = NameTitle(name);
  return document;
}

}  // namespace vade
