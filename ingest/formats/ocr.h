// Words of a picture of a page, by Tesseract where it is installed. Its library is opened at run
// time, while files can still be opened, so that nothing needs it to be built or to start.
//
//   LoadOcr();
//   ASSIGN_OR_RETURN(auto reader, OcrReader::Open());
//   ASSIGN_OR_RETURN(std::vector<PdfWord> words, reader->Read(picture));
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "ingest/formats/pdf_layout.h"

namespace vade {

struct PagePicture {
  const unsigned char* pixels = nullptr;  // one byte each, 0 is black; borrowed
  int width = 0, height = 0, bytes_per_row = 0;
  double dots_per_inch = 0;
};

// Of a larger page, a picture is made that has so many.
inline constexpr double kMaxOcrPixels = 40e6;

// Once, before the door closes; what is called without it finds nothing loaded. It costs some 20
// ms.
void LoadOcr();
bool OcrIsLoaded();
// For dlsym(): Tesseract's functions and those of the libraries that it brings. Null: not loaded.
void* OcrLibrary();

class OcrReader {
 public:
  // FAILED_PRECONDITION: not loaded, or its data cannot be read.
  static Result<std::unique_ptr<OcrReader>> Open();
  ~OcrReader();
  OcrReader(const OcrReader&) = delete;
  OcrReader& operator=(const OcrReader&) = delete;

  // In points from the upper left corner; font sizes are not known. None: there is no text.
  Result<std::vector<PdfWord>> Read(const PagePicture& picture);

 private:
  explicit OcrReader(void* engine) : engine_(engine) {}
  void* const engine_;  // a TessBaseAPI
};

}  // namespace vade
