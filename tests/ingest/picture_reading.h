// Files whose pictures are read by OCR, in the jail; skips where Tesseract is not installed.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/context.h"
#include "ingest/formats/ocr_data.h"
#include "ingest/jail.h"

namespace vade {

class PictureReading : public ::testing::Test {
 protected:
  void SetUp() override {
    if (OcrAtStart().languages.empty()) GTEST_SKIP() << "tesseract-ocr is not installed";
  }

  // What `text_of` makes of each document in it; the reason where it is none.
  std::string ReadAs(const std::function<std::string(const ParsedDocument&)>& text_of,
                     std::string_view name, std::string_view bytes) {
    std::string out;
    const auto parsed = jail_.Parse(
        {.name = name, .mime_type = "", .password = "", .bytes = bytes},
        [&](ParsedPart part) {
          last_ = part.document;
          out += part.status.ok() ? text_of(part.document) : std::string(part.status.message());
          return OkStatus();
        },
        Context());
    return parsed.ok() ? out : parsed.status().ToString();
  }

  Jail jail_{{.parser_path = VADE_PARSE_BINARY, .with_ocr = true}};
  ParsedDocument last_;
};

}  // namespace vade
