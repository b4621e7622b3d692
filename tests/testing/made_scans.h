// Scans, made by the tests themselves: poppler draws a page with text, and its picture becomes a
// page of a PDF without any, or a picture in a file.
#pragma once

#include <poppler/cpp/poppler-document.h>
#include <poppler/cpp/poppler-global.h>
#include <poppler/cpp/poppler-image.h>
#include <poppler/cpp/poppler-page-renderer.h>
#include <poppler/cpp/poppler-page.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "base/strings.h"
#include "tests/testing/made_files.h"
#include "tests/testing/temp_dir.h"

namespace vade::testing {

inline constexpr int kScanDotsPerInch = 200;

// A page of A4 with these words, as an upright picture or turned clockwise.
inline poppler::image Drawn(const std::string& words,
                            poppler::rotation_enum turned = poppler::rotate_0,
                            poppler::image::format_enum format = poppler::image::format_gray8) {
  const std::string pdf = PdfOf({words});
  // That the file has no table of its objects.
  poppler::set_debug_error_function([](const std::string&, void*) {}, nullptr);
  const std::unique_ptr<poppler::document> document(
      poppler::document::load_from_raw_data(pdf.data(), static_cast<int>(pdf.size())));
  const std::unique_ptr<poppler::page> page(document->create_page(0));
  poppler::page_renderer renderer;
  renderer.set_image_format(format);
  renderer.set_render_hint(poppler::page_renderer::text_antialiasing);
  return renderer.render_page(page.get(), kScanDotsPerInch, kScanDotsPerInch, -1, -1, -1, -1,
                              turned);
}

// A byte a pixel, without gaps between rows.
inline std::string GrayPixels(const poppler::image& image) {
  std::string pixels;
  for (int y = 0; y < image.height(); ++y) {
    pixels.append(image.const_data() + y * image.bytes_per_row(), image.width());
  }
  return pixels;
}

// PDF: a page a text, each a picture.
inline std::string ScanOf(const std::vector<std::string>& pages) {
  std::string kids, objects;
  for (size_t i = 0; i < pages.size(); ++i) {
    const poppler::image picture = Drawn(pages[i]);
    const std::string draw = "q 595 0 0 842 0 0 cm /I Do Q", pixels = GrayPixels(picture);
    const size_t n = 10 + 3 * i;
    kids += StrCat(n, " 0 R ");
    objects += StrCat(n, " 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents ", n + 1,
                      " 0 R/Resources<</XObject<</I ", n + 2, " 0 R>>>>>>endobj\n", n + 1,
                      " 0 obj<</Length ", draw.size(), ">>stream\n", draw, "\nendstream endobj\n");
    objects +=
        StrCat(n + 2, " 0 obj<</Type/XObject/Subtype/Image/Width ", picture.width(), "/Height ",
               picture.height(), "/ColorSpace/DeviceGray/BitsPerComponent 8/Length ", pixels.size(),
               ">>stream\n", pixels, "\nendstream endobj\n");
  }
  return StrCat("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[",
                kids, "]/Count ", pages.size(), ">>endobj\n", objects, "trailer<</Root 1 0 R>>\n");
}

// `format`: "png", "jpeg" or "tiff", as poppler writes them.
inline std::string PictureOf(const poppler::image& image, const std::string& format) {
  const TempDir folder;
  const std::string path = folder.File("picture");
  VADE_CHECK(image.save(path, format, kScanDotsPerInch), "poppler writes such pictures");
  return ReadFile(path, 64 << 20).value();
}

// A TIFF of gray pages without compression: "II", 42, the place of the first directory; a directory
// is a count, entries of 12 bytes (tag, type, count, value), and the place of the next.
inline std::string TiffOf(const std::vector<poppler::image>& pages) {
  constexpr uint16_t kShort = 3, kLong = 4;
  std::string out("II*\0", 4);
  AppendFixed<uint32_t>(&out, 8);
  for (size_t i = 0; i < pages.size(); ++i) {
    const std::string pixels = GrayPixels(pages[i]);
    const uint32_t width = pages[i].width(), height = pages[i].height();
    struct Entry {
      uint16_t tag, type;
      uint32_t value;
    };
    constexpr size_t kEntries = 9, kDirectoryBytes = 2 + 12 * kEntries + 4;
    const auto data = static_cast<uint32_t>(out.size() + kDirectoryBytes);
    const Entry entries[kEntries] = {
        {256, kLong, width},  {257, kLong, height},
        {258, kShort, 8},     {259, kShort, 1},  // no compression
        {262, kShort, 1},                        // 0 is black
        {273, kLong, data},   {277, kShort, 1},
        {278, kLong, height}, {279, kLong, static_cast<uint32_t>(pixels.size())}};
    AppendFixed<uint16_t>(&out, kEntries);
    for (const Entry& entry : entries) {
      AppendFixed(&out, entry.tag);
      AppendFixed(&out, entry.type);
      AppendFixed<uint32_t>(&out, 1);
      AppendFixed(&out, entry.value);
    }
    const bool last = i + 1 == pages.size();
    AppendFixed<uint32_t>(&out, last ? 0 : data + static_cast<uint32_t>(pixels.size()));
    out += pixels;
  }
  return out;
}

}  // namespace vade::testing
