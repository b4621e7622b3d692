#include "ingest/formats/ocr_data.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace vade {
namespace {

namespace fs = std::filesystem;

// Debian's, for versions 5 and 4 of the data.
constexpr const char* kFolders[] = {"/usr/share/tesseract-ocr/5/tessdata",
                                    "/usr/share/tesseract-ocr/4.00/tessdata"};
constexpr std::string_view kEnding = ".traineddata";

bool ComesFirst(const std::string& a, const std::string& b) {
  return (a != "eng") != (b != "eng") ? a == "eng" : a < b;
}

std::vector<std::string> LanguagesIn(const char* folder) {
  std::vector<std::string> languages;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.ends_with(kEnding)) continue;
    const std::string language = name.substr(0, name.size() - kEnding.size());
    // Orientation and equations are no languages.
    if (language != "osd" && language != "equ") languages.push_back(language);
  }
  std::sort(languages.begin(), languages.end(), ComesFirst);
  languages.resize(std::min(languages.size(), kMaxOcrLanguages));
  return languages;
}

}  // namespace

OcrData FindOcrData() {
  for (const char* folder : kFolders) {
    std::vector<std::string> languages = LanguagesIn(folder);
    if (!languages.empty()) return {folder, std::move(languages)};
  }
  return {};
}

const OcrData& OcrAtStart() {
  static const auto* const found = new OcrData(FindOcrData());
  return *found;
}

}  // namespace vade
