#include "ingest/formats/inner_pictures.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

// 200 by 200, or a line of text of 40 by 1,000.
constexpr uint64_t kLeastPixels = 40'000;
constexpr uint32_t kLeastSide = 32;
// Letters and digits: what Tesseract sees in a photograph of leaves is shorter.
constexpr size_t kLeastLetters = 8;
constexpr size_t kMaxWordsBytes = 64 << 10;  // of one picture

uint32_t BigEndian(std::string_view bytes, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// The frame header of a JPEG: FF C0 to CF but for C4, C8 and CC; length, bits, height, width.
std::optional<PictureSize> SizeOfJpeg(std::string_view bytes) {
  for (size_t at = 2; at + 9 <= bytes.size() && bytes[at] == '\xFF';) {
    const auto kind = static_cast<unsigned char>(bytes[at + 1]);
    if (kind == 0xFF) {  // filled up
      ++at;
      continue;
    }
    const bool frame = kind >= 0xC0 && kind <= 0xCF && kind != 0xC4 && kind != 0xC8 && kind != 0xCC;
    if (frame) return PictureSize{BigEndian(bytes, at + 7, 2), BigEndian(bytes, at + 5, 2)};
    const uint32_t length = BigEndian(bytes, at + 2, 2);
    if (kind == 0xDA || length < 2) break;
    at += 2 + length;
  }
  return std::nullopt;
}

size_t LettersIn(std::string_view words) {
  size_t letters = 0;
  for (size_t pos = 0; pos < words.size();) {
    const char32_t c = NextCodePoint(words, &pos);
    letters +=
        c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  }
  return letters;
}

}  // namespace

std::optional<PictureSize> SizeOfPicture(std::string_view bytes) {
  constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n";
  if (bytes.starts_with(kPng) && bytes.size() >= 24 && bytes.substr(12, 4) == "IHDR") {
    return PictureSize{BigEndian(bytes, 16, 4), BigEndian(bytes, 20, 4)};
  }
  return bytes.starts_with("\xFF\xD8") ? SizeOfJpeg(bytes) : std::nullopt;
}

bool IsWorthReading(PictureSize size) {
  return std::min(size.width, size.height) >= kLeastSide &&
         uint64_t{size.width} * size.height >= kLeastPixels;
}

bool InnerPictures::Wants(const std::string& part) {
  if (!status_.ok() || seen_.size() >= kMaxInnerPictures || parts_.size() >= kMaxPicturesLookedAt) {
    return false;
  }
  return parts_.insert(part).second;
}

void InnerPictures::Write(std::string_view bytes, MarkdownWriter* out, std::string_view name) {
  if (!status_.ok() || bytes.size() > kMaxInnerPictureBytes || seen_.size() >= kMaxInnerPictures) {
    return;
  }
  const auto size = SizeOfPicture(bytes);
  if (!size || !IsWorthReading(*size) || !seen_.insert(Checksum64(bytes)).second) return;
  auto words = Read(bytes);
  if (!words.ok()) {
    status_ = words.status();
    return;
  }
  if (LettersIn(*words) < kLeastLetters) return;
  words->resize(FloorToCodePoint(*words, std::min(words->size(), kMaxWordsBytes)));
  ++with_words_;
  out->Quote(StrCat("Picture", name.empty() ? "" : " ", name, ": ", *words));
}

// "" where there are none, and where OCR is not installed.
Result<std::string> InnerPictures::Read(std::string_view bytes) {
  if (!source_.may_ocr) return std::string();
  ASSIGN_OR_RETURN(const bool may, source_.may_ocr());
  if (!may) return std::string();
  if (!reader_) {
    ASSIGN_OR_RETURN(reader_, OcrReader::Open());
  }
  return WordsOfPicture(bytes, reader_.get());
}

Status InnerPictures::Finish(Metadata* metadata) const {
  RETURN_IF_ERROR(status_);
  if (with_words_ > 0) (*metadata)["ocr_pictures"] = static_cast<double>(with_words_);
  return OkStatus();
}

}  // namespace vade
