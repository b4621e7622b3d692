// Pictures of pages (PNG, JPEG, TIFF) through Leptonica, which Tesseract brings along: decoded to
// gray, turned the way the camera was held, read by OCR. A page of a TIFF is a page.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/jpeg_turn.h"
#include "ingest/formats/kind.h"
#include "ingest/formats/limits.h"
#include "ingest/formats/ocr.h"
#include "ingest/formats/pdf_layout.h"
#include "ingest/formats/text.h"

namespace vade {
namespace {

// Decoded in colours, that is 400 MB.
constexpr double kMaxPicturePixels = 100e6;
// What programs and cameras write into files as their resolution may be anything; outside of these
// bounds it is not believed, and the picture is taken for one of a page of A4 or letter size.
constexpr int kLeastDotsPerInch = 100, kMostDotsPerInch = 1200;
constexpr double kPageInches = 11.5;
// Below, Tesseract assumes as much itself.
constexpr double kAssumedDotsPerInch = 70;
constexpr int kQuiet = 6;  // L_SEVERITY_NONE

struct Pix;  // Leptonica's

// The part of Leptonica's interface (allheaders.h of 1.82) that is used.
struct Leptonica {
  int (*set_severity)(int);
  int (*png_header)(const uint8_t*, size_t, int* width, int* height, int* bits, int* samples,
                    int* colormap);
  int (*jpeg_header)(const uint8_t*, size_t, int* width, int* height, int* samples, int* ycck,
                     int* cmyk);
  int (*tiff_header)(const uint8_t*, size_t, int page, int* width, int* height, int* bits,
                     int* samples, int* resolution, int* colormap, int* format);
  Pix* (*read_png)(const uint8_t*, size_t);
  Pix* (*read_jpeg)(const uint8_t*, size_t, int colormap, int reduction, int* warnings, int hint);
  Pix* (*read_tiff)(const uint8_t*, size_t, int page);
  void (*destroy)(Pix**);
  Pix* (*remove_alpha)(Pix*);
  Pix* (*to_gray)(Pix*, int colormap);
  Pix* (*scale)(Pix*, float x, float y);
  Pix* (*turn)(Pix*, int quarters);  // clockwise
  int (*size)(const Pix*, int* width, int* height, int* bits);
  int (*resolution)(const Pix*);
  int (*bytes_in_order)(Pix*);  // they are in machine words
  uint32_t* (*pixels)(const Pix*);
  int (*words_per_row)(const Pix*);
};

template <typename Function>
bool Find(const char* name, Function* out) {
  *out = reinterpret_cast<Function>(dlsym(OcrLibrary(), name));
  return *out != nullptr;
}

bool FindAll(Leptonica* to) {
  return Find("setMsgSeverity", &to->set_severity) && Find("readHeaderMemPng", &to->png_header) &&
         Find("readHeaderMemJpeg", &to->jpeg_header) &&
         Find("readHeaderMemTiff", &to->tiff_header) && Find("pixReadMemPng", &to->read_png) &&
         Find("pixReadMemJpeg", &to->read_jpeg) && Find("pixReadMemTiff", &to->read_tiff) &&
         Find("pixDestroy", &to->destroy) && Find("pixRemoveAlpha", &to->remove_alpha) &&
         Find("pixConvertTo8", &to->to_gray) && Find("pixScale", &to->scale) &&
         Find("pixRotateOrth", &to->turn) && Find("pixGetDimensions", &to->size) &&
         Find("pixGetXRes", &to->resolution) && Find("pixEndianByteSwap", &to->bytes_in_order) &&
         Find("pixGetData", &to->pixels) && Find("pixGetWpl", &to->words_per_row);
}

// It and libtiff would write to the standard error.
void BeQuiet(const Leptonica& library) {
  library.set_severity(kQuiet);
  for (const char* name : {"TIFFSetWarningHandler", "TIFFSetErrorHandler"}) {
    void* (*set_handler)(void*) = nullptr;
    if (Find(name, &set_handler)) set_handler(nullptr);
  }
}

enum class Format { kPng, kJpeg, kTiff };

Format FormatOf(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG")) return Format::kPng;
  return bytes.starts_with("\xFF\xD8") ? Format::kJpeg : Format::kTiff;
}

std::string_view MimeTypeOf(Format format) {
  switch (format) {
    case Format::kPng: return "image/png";
    case Format::kJpeg: return "image/jpeg";
    case Format::kTiff: return "image/tiff";
  }
  return "";
}

// The pages of one file, one decoded picture at a time.
class PictureFile {
 public:
  PictureFile(std::string_view bytes, const Leptonica& library)
      : library_(library),
        bytes_(reinterpret_cast<const uint8_t*>(bytes.data())),
        size_(bytes.size()),
        format_(FormatOf(bytes)),
        quarters_(format_ == Format::kJpeg ? QuarterTurnsOf(bytes) : 0) {}
  ~PictureFile() { Drop(); }
  PictureFile(const PictureFile&) = delete;
  PictureFile& operator=(const PictureFile&) = delete;

  Format format() const { return format_; }

  // Whether there is such a page, counted from 0. What it would take is looked at before it is
  // decoded: INVALID_ARGUMENT.
  Result<bool> Has(int page) const {
    int width = 0, height = 0;
    if (!ReadHeader(page, &width, &height)) {
      if (page > 0) return false;
      return InvalidArgument("is a damaged picture; fetch or save it again");
    }
    if (width <= 0 || height <= 0) return InvalidArgument("is a picture without pixels");
    if (static_cast<double>(width) * height <= kMaxPicturePixels) return true;
    return InvalidArgument(StrCat("has ", width, " x ", height, " pixels, and ",
                                  static_cast<int>(kMaxPicturePixels / 1e6),
                                  " million are the limit; make it smaller"));
  }

  // Its gray pixels, until the next call; nothing when they cannot be decoded.
  PagePicture Decode(int page) {
    Drop();
    Replace(Read(page));
    if (pix_ == nullptr) return {};
    const int stated = library_.resolution(pix_);
    Replace(library_.remove_alpha(pix_));
    if (pix_ != nullptr) Replace(library_.to_gray(pix_, 0));
    const double scale = Shrink();
    if (pix_ != nullptr && quarters_ != 0) Replace(library_.turn(pix_, quarters_));
    PagePicture picture;
    int bits = 0;
    if (pix_ == nullptr || library_.size(pix_, &picture.width, &picture.height, &bits) != 0 ||
        bits != 8 || library_.bytes_in_order(pix_) != 0) {
      return {};
    }
    picture.pixels = reinterpret_cast<const unsigned char*>(library_.pixels(pix_));
    picture.bytes_per_row = library_.words_per_row(pix_) * static_cast<int>(sizeof(uint32_t));
    const bool credible = stated >= kLeastDotsPerInch && stated <= kMostDotsPerInch;
    picture.dots_per_inch =
        credible
            ? stated * scale
            : std::max(kAssumedDotsPerInch, std::max(picture.width, picture.height) / kPageInches);
    return picture;
  }

 private:
  bool ReadHeader(int page, int* width, int* height) const {
    int a = 0, b = 0, c = 0, d = 0, e = 0;
    switch (format_) {
      case Format::kPng:
        return page == 0 && library_.png_header(bytes_, size_, width, height, &a, &b, &c) == 0;
      case Format::kJpeg:
        return page == 0 && library_.jpeg_header(bytes_, size_, width, height, &a, &b, &c) == 0;
      case Format::kTiff:
        return library_.tiff_header(bytes_, size_, page, width, height, &a, &b, &c, &d, &e) == 0;
    }
    return false;
  }

  Pix* Read(int page) const {
    switch (format_) {
      case Format::kPng: return library_.read_png(bytes_, size_);
      case Format::kJpeg: return library_.read_jpeg(bytes_, size_, 0, 1, nullptr, 0);
      case Format::kTiff: return library_.read_tiff(bytes_, size_, page);
    }
    return nullptr;
  }

  // To what OCR takes; returns by how much.
  double Shrink() {
    int width = 0, height = 0, bits = 0;
    if (pix_ == nullptr || library_.size(pix_, &width, &height, &bits) != 0) return 1;
    const double scale = std::sqrt(kMaxOcrPixels / (static_cast<double>(width) * height));
    if (scale >= 1) return 1;
    Replace(library_.scale(pix_, static_cast<float>(scale), static_cast<float>(scale)));
    return scale;
  }

  void Replace(Pix* next) {
    Drop();
    pix_ = next;
  }
  void Drop() {
    if (pix_ != nullptr) library_.destroy(&pix_);
  }

  const Leptonica& library_;
  const uint8_t* const bytes_;
  const size_t size_;
  const Format format_;
  const int quarters_;
  Pix* pix_ = nullptr;
};

struct ReadPages {
  std::vector<PdfPage> pages;
  std::vector<int> with_words, without;  // numbers from 1
};

Result<ReadPages> ReadAll(const Source& source, PictureFile* file) {
  ReadPages read;
  std::unique_ptr<OcrReader> reader;
  for (int i = 0;; ++i) {
    ASSIGN_OR_RETURN(const bool more, file->Has(i));
    if (!more) return read;
    if (i == kMaxOcrPages) {
      return InvalidArgument(StrCat("has more than ", kMaxOcrPages, " pages; split it"));
    }
    // The first page was asked for already.
    ASSIGN_OR_RETURN(const bool may, i == 0 ? Result<bool>(true) : source.may_ocr());
    PdfPage& page = read.pages.emplace_back();
    const PagePicture picture = may ? file->Decode(i) : PagePicture();
    if (picture.pixels != nullptr) {
      if (!reader) {
        ASSIGN_OR_RETURN(reader, OcrReader::Open());
      }
      page.height = picture.height * 72 / picture.dots_per_inch;
      ASSIGN_OR_RETURN(page.words, reader->Read(picture));
    } else if (may && i == 0) {
      return InvalidArgument("is a damaged picture; fetch or save it again");
    }
    (page.words.empty() ? read.without : read.with_words).push_back(i + 1);
  }
}

}  // namespace

Result<std::string> WordsOfPicture(std::string_view bytes, OcrReader* reader) {
  Leptonica library{};
  if (!OcrIsLoaded() || !FindAll(&library)) return std::string();
  BeQuiet(library);
  PictureFile file(bytes, library);
  const auto has = file.Has(0);
  if (!has.ok() || !*has) return std::string();
  const PagePicture picture = file.Decode(0);
  if (picture.pixels == nullptr) return std::string();
  std::vector<PdfPage> pages(1);
  pages[0].height = picture.height * 72 / picture.dots_per_inch;
  ASSIGN_OR_RETURN(pages[0].words, reader->Read(picture));
  return LayOutPdf(std::move(pages));
}

Result<ParsedDocument> ParsePicture(const Source& source) {
  const std::string_view label = TellKind(source.bytes, source.name, "").label;
  Result<bool> may = false;
  if (source.may_ocr) may = source.may_ocr();
  RETURN_IF_ERROR(may.status());
  Leptonica library{};
  if (!OcrIsLoaded() || !FindAll(&library)) {
    return NotFound(StrCat("is ", label, "; its words can be read by OCR: install tesseract-ocr"));
  }
  if (!*may) {
    return NotFound(StrCat("is ", label, " behind ", kMaxOcrPages,
                           " other pages for OCR, the limit for one file; unpack it"));
  }
  BeQuiet(library);
  PictureFile file(source.bytes, library);
  ASSIGN_OR_RETURN(ReadPages read, ReadAll(source, &file));
  if (read.with_words.empty()) {
    return NotFound(StrCat("is ", label, " in which Tesseract sees no text"));
  }
  ParsedDocument document;
  const size_t page_count = read.pages.size();
  if (page_count > 1) {
    document.first_page = 1;
    document.metadata["pages"] = static_cast<double>(page_count);
  }
  document.metadata["ocr_pages"] = NumberList(read.with_words);
  if (!read.without.empty()) document.metadata["pages_without_text"] = NumberList(read.without);
  document.text = LayOutPdf(std::move(read.pages));
  if (document.text.empty()) return NotFound("has no text that can be read");
  document.mime_type = MimeTypeOf(file.format());
  document.title = TitleOf(document.text, document.mime_type, source.name);
  return document;
}

}  // namespace vade
