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

Status Unsupported(std::string_view kind) {
  return InvalidArgument(StrCat(kind, " is not supported; convert it to a format that is"));
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

bool IsSourceExtension(std::string_view extension) {
  static constexpr std::array<std::string_view, 50> kExtensions = {
      ".c",   ".h",    ".cc",  ".cpp",   ".cxx", ".hpp",   ".hh",    ".cu",  ".m",      ".mm",
      ".cs",  ".java", ".kt",  ".scala", ".go",  ".rs",    ".swift", ".py",  ".rb",     ".pl",
      ".pm",  ".php",  ".lua", ".r",     ".jl",  ".js",    ".mjs",   ".jsx", ".ts",     ".tsx",
      ".sh",  ".bash", ".zsh", ".ps1",   ".sql", ".proto", ".f90",   ".hs",  ".ml",     ".ex",
      ".exs", ".erl",  ".clj", ".dart",  ".zig", ".d",     ".pas",   ".vb",  ".groovy", ".nim"};
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

Result<std::string_view> TypeOf(std::string_view text, std::string_view extension,
                                std::string_view mime_type) {
  const std::string given =
      AsciiLower(StripAsciiWhitespace(mime_type.substr(0, mime_type.find(';'))));
  if (given == kMarkdownType || given == "text/x-markdown") return kMarkdownType;
  if (given.starts_with("text/")) return kPlainTextType;
  if (!given.empty() && given != "application/octet-stream") return Unsupported(given);
  static constexpr std::array<std::string_view, 6> kMarkdownExtensions = {
      ".md", ".markdown", ".mdown", ".mkd", ".mkdn", ".mdx"};
  for (std::string_view known : kMarkdownExtensions) {
    if (extension == known) return kMarkdownType;
  }
  if (given.empty() && IsSourceExtension(extension)) return kSourceCodeType;
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
    if (Words(trimmed).empty()) continue;  // a rule, a box to be ticked
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

std::string InnerPath(std::string_view container, std::string_view inner) {
  return inner.empty() ? std::string(container) : StrCat(container, kInnerMark, inner);
}

Result<ParsedDocument> ParseDocument(std::string_view bytes, std::string_view name,
                                     std::string_view mime_type) {
  if (bytes.empty()) return InvalidArgument("is empty");
  const std::string extension = Extension(name);
  auto decoded = DecodeText(bytes);
  if (!decoded.ok()) {
    const std::string& reason = decoded.status().message();
    return InvalidArgument(reason.starts_with("is not text") ? reason
                                                             : StrCat("is not text: ", reason));
  }
  ParsedDocument document;
  document.text = std::move(decoded->utf8);
  if (IsBlank(document.text)) return InvalidArgument("is empty");
  ASSIGN_OR_RETURN(document.mime_type, TypeOf(document.text, extension, mime_type));
  document.title = TitleOf(document.text, document.mime_type, name);
  return document;
}

std::string TitleOf(std::string_view text, std::string_view mime_type, std::string_view name) {
  if (mime_type == kSourceCodeType) return BaseName(name);
  std::string title;
  const bool markdown = mime_type != kPlainTextType;
  if (markdown) title = MarkdownTitle(text);
  if (title.empty()) title = FirstLineTitle(text, markdown ? kMarkdownType : kPlainTextType);
  return title.empty() ? NameTitle(name) : title;
}

}  // namespace vade
