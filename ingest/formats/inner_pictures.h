// Pictures within a document (Word, PowerPoint, OpenDocument, a book, a mail), read by OCR as
// pictures in files of their own are: their words stand behind the block that holds them, as a
// quote that begins with "Picture: ".
//
//   InnerPictures pictures(source);
//   if (pictures.Wants("media/a.png"))            // before it is unpacked
//     pictures.Write(bytes, &out);                // behind what was written last
//   RETURN_IF_ERROR(pictures.Finish(&document.metadata));
//
// What is small (icons, rules, logos mostly), what the document has shown before and what lies
// beyond the limits is passed over, and so is what cannot be decoded or says next to nothing: a
// picture that cannot be read is no failure of its document.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/status.h"
#include "index/passage.h"
#include "ingest/formats/formats.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/ocr.h"

namespace vade {

inline constexpr int kMaxInnerPictures = 100;         // of a document, that are read
inline constexpr size_t kMaxPicturesLookedAt = 1000;  // small ones among them
inline constexpr size_t kMaxInnerPictureBytes = 32 << 20;

struct PictureSize {
  uint32_t width = 0, height = 0;
};
// By the headers of a PNG or JPEG picture; nothing for all else and where they are damaged.
std::optional<PictureSize> SizeOfPicture(std::string_view bytes);
// Whether there is room in it for words that anybody misses.
bool IsWorthReading(PictureSize size);

class InnerPictures {
 public:
  explicit InnerPictures(const Source& source) : source_(source) {}

  // Whether the picture of this name in the file is to be unpacked: not twice.
  bool Wants(const std::string& part);
  // `name`: of a picture that has one; "": "Picture: " says it all.
  void Write(std::string_view bytes, MarkdownWriter* out, std::string_view name = "");
  // The first error, which is the whole file's: the document is for another parser. Else says how
  // many pictures had words.
  Status Finish(Metadata* metadata) const;

 private:
  Result<std::string> Read(std::string_view bytes);

  const Source& source_;
  std::set<std::string> parts_;
  std::set<uint64_t> seen_;
  std::unique_ptr<OcrReader> reader_;
  int with_words_ = 0;
  Status status_;
};

}  // namespace vade
