// PDF through poppler: its words in reading order become lines, lines become paragraphs
// (pdf_layout).
#include <poppler/cpp/poppler-document.h>
#include <poppler/cpp/poppler-global.h>
#include <poppler/cpp/poppler-page-renderer.h>
#include <poppler/cpp/poppler-page.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/ocr.h"
#include "ingest/formats/pdf_layout.h"
#include "ingest/formats/text.h"

namespace vade {
namespace {

constexpr int kMaxPages = 100'000;

std::string Utf8(const poppler::ustring& text) {
  const poppler::byte_array bytes = text.to_utf8();
  return ReplaceInvalidUtf8(std::string_view(bytes.data(), bytes.size()));
}

// RFC 3339; "" when there is none.
std::string Date(time_t seconds) {
  tm parts{};
  if (seconds <= 0 || gmtime_r(&seconds, &parts) == nullptr) return "";
  char text[32];
  return std::string(text, strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts));
}

std::vector<PdfWord> WordsOf(const poppler::page& page) {
  std::vector<PdfWord> words;
  for (const poppler::text_box& box : page.text_list(poppler::page::text_list_include_font)) {
    PdfWord word;
    word.text = Utf8(box.text());
    const poppler::rectf area = box.bbox();
    word.left = area.left();
    word.right = area.right();
    word.top = area.top();
    word.bottom = area.bottom();
    word.space_after = box.has_space_after();
    word.upright = box.rotation() == 0;
    if (box.has_font_info()) {
      word.font_size = box.get_font_size();
      const std::string font = AsciiLower(box.get_font_name());
      word.bold = font.find("bold") != std::string::npos || font.find("black") != std::string::npos;
    }
    if (!word.text.empty()) words.push_back(std::move(word));
  }
  return words;
}

using Document = std::unique_ptr<poppler::document>;

Result<Document> Open(const Source& source) {
  const std::string password(source.password);
  Document document(poppler::document::load_from_raw_data(
      source.bytes.data(), static_cast<int>(source.bytes.size()), password, password));
  if (!document) return InvalidArgument("is a damaged PDF; fetch or save it again");
  if (document->is_locked()) {
    return InvalidArgument(source.password.empty()
                               ? "is encrypted; give a password with --password"
                               : "is encrypted, with another password than the one given");
  }
  if (document->pages() <= 0) return InvalidArgument("is a damaged PDF: it has no pages");
  if (document->pages() > kMaxPages) {
    return InvalidArgument(StrCat("has more than ", kMaxPages, " pages; split it"));
  }
  return document;
}

// Sharp enough for small print; a poster's picture is as sharp as its size allows.
constexpr double kOcrDotsPerInch = 300;

// Words of pages that have none, by OCR where it is installed.
class ScanReader {
 public:
  explicit ScanReader(const Source& source) : source_(source) {}

  // None: OCR is not installed, or sees none. An error is the file's.
  Result<std::vector<PdfWord>> Read(const poppler::page& page) {
    std::vector<PdfWord> none;
    if (!source_.may_ocr || !poppler::page_renderer::can_render()) return none;
    ASSIGN_OR_RETURN(const bool may, source_.may_ocr());
    if (!may) return none;
    if (!reader_) {
      ASSIGN_OR_RETURN(reader_, OcrReader::Open());
    }
    const poppler::rectf area = page.page_rect();
    const double square_inches = std::max(1e-3, area.width() / 72 * area.height() / 72);
    const double sharpness = std::min(kOcrDotsPerInch, std::sqrt(kMaxOcrPixels / square_inches));
    poppler::page_renderer renderer;
    renderer.set_image_format(poppler::image::format_gray8);
    renderer.set_render_hint(poppler::page_renderer::antialiasing);
    renderer.set_render_hint(poppler::page_renderer::text_antialiasing);
    const poppler::image image = renderer.render_page(&page, sharpness, sharpness);
    if (!image.is_valid()) return none;
    return reader_->Read({.pixels = reinterpret_cast<const unsigned char*>(image.const_data()),
                          .width = image.width(),
                          .height = image.height(),
                          .bytes_per_row = image.bytes_per_row(),
                          .dots_per_inch = sharpness});
  }

 private:
  const Source& source_;
  std::unique_ptr<OcrReader> reader_;  // opened for the first page that needs it
};

Metadata MetadataOf(const poppler::document& document) {
  Metadata metadata;
  KeepFact("author", Utf8(document.get_author()), &metadata);
  KeepFact("subject", Utf8(document.get_subject()), &metadata);
  KeepFact("keywords", Utf8(document.get_keywords()), &metadata);
  KeepFact("created", Date(document.get_creation_date_t()), &metadata);
  KeepFact("modified", Date(document.get_modification_date_t()), &metadata);
  metadata["pages"] = static_cast<double>(document.pages());
  return metadata;
}

// What programs write into the title of a file that has none.
bool IsRealTitle(std::string_view title, std::string_view name) {
  const std::string lower = AsciiLower(title);
  if (title.size() < 3 || lower.starts_with("untitled") || lower.starts_with("microsoft word")) {
    return false;
  }
  for (std::string_view end : {".doc", ".docx", ".pdf", ".indd", ".dvi", ".tex", ".qxd", ".ppt"}) {
    if (lower.ends_with(end)) return false;
  }
  return lower != AsciiLower(name);
}

void NoOutput(const std::string&, void*) {}

}  // namespace

Result<ParsedDocument> ParsePdf(const Source& source) {
  ASSIGN_OR_RETURN(const Document pdf, Open(source));
  std::vector<PdfPage> pages(static_cast<size_t>(pdf->pages()));
  std::vector<int> without_text, by_ocr;
  ScanReader scans(source);
  for (int i = 0; i < pdf->pages(); ++i) {
    const std::unique_ptr<poppler::page> page(pdf->create_page(i));
    if (page) {
      pages[i].height = page->page_rect().height();
      pages[i].words = WordsOf(*page);
    }
    if (page && pages[i].words.empty()) {
      ASSIGN_OR_RETURN(pages[i].words, scans.Read(*page));
      if (!pages[i].words.empty()) by_ocr.push_back(i + 1);
    }
    if (pages[i].words.empty()) without_text.push_back(i + 1);
  }
  ParsedDocument document;
  document.metadata = MetadataOf(*pdf);
  if (without_text.size() == pages.size()) {
    return NotFound(
        OcrIsLoaded()
            ? StrCat("has no text on its ", pages.size(), " page(s), and Tesseract sees none")
            : StrCat("has no text layer on its ", pages.size(),
                     " page(s): it is a scan or a drawing; install tesseract-ocr, or run OCR over "
                     "it first, with ocrmypdf for one"));
  }
  if (!by_ocr.empty()) document.metadata["ocr_pages"] = NumberList(by_ocr);
  if (!without_text.empty()) document.metadata["pages_without_text"] = NumberList(without_text);
  document.text = LayOutPdf(std::move(pages));
  if (document.text.empty()) return InvalidArgument("has no text that can be read");
  document.mime_type = "application/pdf";
  document.first_page = 1;
  document.title = CleanWords(Utf8(pdf->get_title()));
  if (!IsRealTitle(document.title, source.name)) {
    document.title = TitleOf(document.text, document.mime_type, source.name);
  }
  return document;
}

void WarmPdf() {
  poppler::set_debug_error_function(NoOutput, nullptr);
  // A page with one word: poppler reads its lists of tables and builds those of names.
  static constexpr std::string_view kSmall =
      "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
      "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
      "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F "
      "5 0 R>>>>>>endobj\n4 0 obj<</Length 26>>stream\nBT /F 9 Tf (word) Tj ET  \nendstream "
      "endobj\n"
      "5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
      "trailer<</Root 1 0 R>>\n";
  const auto unused = ParsePdf({.bytes = kSmall, .name = "warm.pdf", .password = ""});
  static_cast<void>(unused);
}

}  // namespace vade
