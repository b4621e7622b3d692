// A file of any format -> its documents. What vade-parse runs, once per file, in its jail.
//
//   RETURN_IF_ERROR(ParseFile({.name = "a.docx", .bytes = bytes}, sink));
//
// The parsers' libraries stay in the .cc files; what they throw is caught here.
#pragma once

#include <functional>

#include "base/status.h"
#include "ingest/document.h"
#include "ingest/formats/wire.h"

namespace vade {

// Takes the documents in order. An error of its own ends the parsing and is returned.
using PartSink = std::function<Status(ParsedPart)>;

// Where pages that have no text are read by OCR.
enum class OcrPlace {
  kNowhere,    // Tesseract is not installed
  kHere,       // this process has loaded it
  kElsewhere,  // another process has: the first such page ends the parsing with UNAVAILABLE
};

struct OcrHooks {
  OcrPlace place = OcrPlace::kNowhere;
  // Hears of each page that OCR would read, before it does. An error ends the parsing and is
  // returned. May be null.
  std::function<Status()> at_work = nullptr;
};

// INVALID_ARGUMENT with a reason that reads behind the file's name. Then, and with UNAVAILABLE,
// nothing may be kept of what the sink has been given.
Status ParseFile(const ParseRequest& request, const PartSink& sink, const OcrHooks& ocr = {});

// Loads what the parsers will need while files can still be opened; Tesseract is LoadOcr()'s.
void WarmParsers();

}  // namespace vade
