// Private to ingest/formats: one function a format, each in a .cc file of its own, behind
// ParseFile(). Bytes come from outside: whatever they hold, the answer is a document or
// INVALID_ARGUMENT with a reason that reads behind the file's name.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ingest/document.h"
#include "ingest/formats/container.h"

namespace vade {

class OcrReader;

struct Source {
  std::string_view bytes;
  std::string_view name;      // of the file, with its extension
  std::string_view password;  // "": none
  // Asked before a page is read by OCR: whether it is; null: none is. Its error is the file's.
  std::function<Result<bool>()> may_ocr = nullptr;
};

Result<ParsedDocument> ParseHtml(const Source& source);
// The next two: NOT_FOUND when there is no text and, if OCR is installed, none is seen.
Result<ParsedDocument> ParsePdf(const Source& source);
Result<ParsedDocument> ParsePicture(const Source& source);  // PNG, JPEG, TIFF
// The words of a picture within a document, "" where none are seen or it cannot be decoded. An
// error is OCR's.
Result<std::string> WordsOfPicture(std::string_view bytes, OcrReader* reader);
Result<ParsedDocument> ParseDocx(const Source& source);
Result<ParsedDocument> ParsePptx(const Source& source);
Result<ParsedDocument> ParseXlsx(const Source& source);
Result<ParsedDocument> ParseOpenDocument(const Source& source);  // odt, ods, odp
Result<ParsedDocument> ParseEpub(const Source& source);
Result<ParsedDocument> ParseRtf(const Source& source);
Result<ParsedDocument> ParseCsv(const Source& source);
Result<ParsedDocument> ParseJson(const Source& source);
Result<ParsedDocument> ParseJsonLines(const Source& source);
Result<ParsedDocument> ParseNotebook(const Source& source);
Result<ParsedDocument> ParseXml(const Source& source);
Result<ParsedDocument> ParseSubtitles(const Source& source);

// A message, and its attachments through `container`.
Status ParseMail(const Source& source, Container* container);
Status ParseMailbox(const Source& source, Container* container);
Status ParseArchive(const Source& source, Container* container);

// Makes poppler ready: it builds its tables at its first file.
void WarmPdf();

}  // namespace vade
