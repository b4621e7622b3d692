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

// Hears of each page that is about to be read by OCR. An error ends the parsing and is returned.
using AtWork = std::function<Status()>;

// INVALID_ARGUMENT with a reason that reads behind the file's name. Then nothing may be kept of
// what the sink has been given.
Status ParseFile(const ParseRequest& request, const PartSink& sink,
                 const AtWork& at_work = nullptr);

// Loads what the parsers will need while files can still be opened.
void WarmParsers();

}  // namespace vade
