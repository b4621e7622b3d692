// Where Tesseract's language data lie on this machine. Both sides of the jail ask: one opens the
// files, the other must know when pages can be read that could not be read before.
#pragma once

#include <string>
#include <vector>

namespace vade {

struct OcrData {
  std::string folder;                  // "": Tesseract is not installed
  std::vector<std::string> languages;  // "eng" first, then by name; at most kMaxOcrLanguages
};

inline constexpr size_t kMaxOcrLanguages = 4;

OcrData FindOcrData();
// What was found when this process first asked: parsers that were started then know no other.
const OcrData& OcrAtStart();

}  // namespace vade
