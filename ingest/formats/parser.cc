#include "ingest/formats/parser.h"

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "base/strings.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/kind.h"
#include "ingest/formats/limits.h"
#include "ingest/formats/ocr.h"
#include "ingest/formats/zip_file.h"

namespace vade {
namespace {

// Where an encrypted new Office file keeps what it holds, in the old container's directory.
bool HoldsEncryptedPackage(std::string_view bytes) {
  std::string name;
  for (char c : std::string_view("EncryptedPackage")) name.append({c, '\0'});
  return bytes.find(name) != std::string_view::npos;
}

Result<ParsedDocument> ParseOle(const Source& source) {
  if (HoldsEncryptedPackage(source.bytes)) {
    return InvalidArgument("is encrypted; save it without a password");
  }
  return InvalidArgument(
      "is an old Office file (doc, xls, ppt), which is not supported; save it as docx, xlsx, pptx "
      "or PDF");
}

Result<ParsedDocument> ParseOfficeZip(ZipKind kind, const Source& source) {
  switch (kind) {
    case ZipKind::kDocx: return ParseDocx(source);
    case ZipKind::kPptx: return ParsePptx(source);
    case ZipKind::kXlsx: return ParseXlsx(source);
    case ZipKind::kEpub: return ParseEpub(source);
    default: return ParseOpenDocument(source);
  }
}

Result<ParsedDocument> ParseSimple(const KindOfFile& kind, const Source& source,
                                   std::string_view mime_type) {
  switch (kind.kind) {
    case FileKind::kHtml: return ParseHtml(source);
    case FileKind::kPdf: return ParsePdf(source);
    case FileKind::kPicture: return ParsePicture(source);
    case FileKind::kOle: return ParseOle(source);
    case FileKind::kRtf: return ParseRtf(source);
    case FileKind::kCsv: return ParseCsv(source);
    case FileKind::kJson: return ParseJson(source);
    case FileKind::kJsonLines: return ParseJsonLines(source);
    case FileKind::kNotebook: return ParseNotebook(source);
    case FileKind::kXml: return ParseXml(source);
    case FileKind::kSubtitles: return ParseSubtitles(source);
    default: return ParseDocument(source.bytes, source.name, mime_type);
  }
}

Status ParseContainer(FileKind kind, const Source& source, Container* container) {
  if (container->too_deep()) {
    return InvalidArgument("lies in too many containers; unpack it and ingest the folder");
  }
  if (kind == FileKind::kMail) return ParseMail(source, container);
  if (kind == FileKind::kMailbox) return ParseMailbox(source, container);
  return ParseArchive(source, container);
}

Status ParseOne(const Source& source, std::string_view mime_type, Container* container) {
  const KindOfFile kind = TellKind(source.bytes, source.name, mime_type);
  RETURN_IF_ERROR(CheckKind(kind));
  if (kind.kind == FileKind::kMail || kind.kind == FileKind::kMailbox ||
      kind.kind == FileKind::kArchive) {
    return ParseContainer(kind.kind, source, container);
  }
  Result<ParsedDocument> document = InvalidArgument("is empty");
  if (kind.kind == FileKind::kZip) {
    ASSIGN_OR_RETURN(const ZipKind zip, KindOfZip(source.bytes, source.name));
    if (zip == ZipKind::kArchive) return ParseContainer(FileKind::kArchive, source, container);
    document = ParseOfficeZip(zip, source);
  } else {
    document = ParseSimple(kind, source, mime_type);
  }
  if (document.ok()) return container->AddOwn(std::move(document).value());
  // Of scans: what there is to say of the file's content has been said.
  if (document.status().code() == StatusCode::kNotFound) {
    return container->AddOwnReason(document.status().message());
  }
  return document.status();
}

// What a library throws is the file's failure.
Status ParseGuarded(const Source& source, std::string_view mime_type, Container* container) {
  try {
    return ParseOne(source, mime_type, container);
  } catch (const std::bad_alloc&) {
    return InvalidArgument("needs too much memory to be read; split it");
  } catch (const std::exception& problem) {
    return InvalidArgument(StrCat("cannot be read: ", problem.what()));
  }
}

}  // namespace

Status ParseFile(const ParseRequest& request, const PartSink& sink, const OcrHooks& ocr) {
  int pages = 0;
  const auto may_ocr = [&]() -> Result<bool> {
    if (ocr.place == OcrPlace::kElsewhere) return Unavailable("is for a parser with Tesseract");
    if (pages == kMaxOcrPages) return false;
    ++pages;
    if (ocr.at_work) RETURN_IF_ERROR(ocr.at_work());
    return ocr.place == OcrPlace::kHere && OcrIsLoaded();
  };
  const auto source = [&](std::string_view name, std::string_view bytes) {
    return Source{.bytes = bytes, .name = name, .password = request.password, .may_ocr = may_ocr};
  };
  const auto parse_inner = [&](std::string_view name, std::string_view bytes, Container* inner) {
    return ParseGuarded(source(name, bytes), "", inner);
  };
  Container container(sink, parse_inner, request.bytes.size());
  return ParseGuarded(source(request.name, request.bytes), request.mime_type, &container);
}

void WarmParsers() { WarmPdf(); }

}  // namespace vade
