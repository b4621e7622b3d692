#include "ingest/formats/ocr.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/ocr_data.h"

namespace vade {
namespace {

constexpr const char* kLibrary = "libtesseract.so.5";
// Values of its C interface (capi.h).
constexpr int kLstmOnly = 1;
constexpr int kLevelLine = 2, kLevelWord = 3;
// Below that (of 100) a word is a stain or a drawing.
constexpr float kLeastConfidence = 30;

// The part of its C interface that is used; an int stands for its BOOL and its enumerations.
struct Library {
  void* (*create)();
  void (*destroy)(void*);
  int (*init)(void*, const char* folder, const char* languages, int mode);
  void (*set_image)(void*, const unsigned char*, int width, int height, int pixel_bytes,
                    int stride);
  void (*set_resolution)(void*, int dots_per_inch);
  int (*recognize)(void*, void* monitor);
  void (*clear)(void*);
  void* (*iterator)(void*);
  void (*delete_iterator)(void*);
  int (*next)(void*, int level);
  char* (*text)(const void*, int level);
  void (*delete_text)(const char*);
  float (*confidence)(const void*, int level);
  const void* (*place)(const void*);
  int (*begins)(const void*, int level);
  int (*box)(const void*, int level, int* left, int* top, int* right, int* bottom);
};

template <typename Function>
bool Find(void* library, const char* name, Function* out) {
  *out = reinterpret_cast<Function>(dlsym(library, name));
  return *out != nullptr;
}

bool FindAll(void* from, Library* to) {
  return Find(from, "TessBaseAPICreate", &to->create) &&
         Find(from, "TessBaseAPIDelete", &to->destroy) &&
         Find(from, "TessBaseAPIInit2", &to->init) &&
         Find(from, "TessBaseAPISetImage", &to->set_image) &&
         Find(from, "TessBaseAPISetSourceResolution", &to->set_resolution) &&
         Find(from, "TessBaseAPIRecognize", &to->recognize) &&
         Find(from, "TessBaseAPIClear", &to->clear) &&
         Find(from, "TessBaseAPIGetIterator", &to->iterator) &&
         Find(from, "TessResultIteratorDelete", &to->delete_iterator) &&
         Find(from, "TessResultIteratorNext", &to->next) &&
         Find(from, "TessResultIteratorGetUTF8Text", &to->text) &&
         Find(from, "TessDeleteText", &to->delete_text) &&
         Find(from, "TessResultIteratorConfidence", &to->confidence) &&
         Find(from, "TessResultIteratorGetPageIteratorConst", &to->place) &&
         Find(from, "TessPageIteratorIsAtBeginningOf", &to->begins) &&
         Find(from, "TessPageIteratorBoundingBox", &to->box);
}

struct Loaded {
  void* handle = nullptr;  // null: not loaded
  Library library{};
};

// Stays for the life of the process.
Loaded& TheLibrary() {
  static auto* const loaded = new Loaded;
  return *loaded;
}

// What Tesseract takes the bullet of a list for. In other languages than English "e" is a word.
bool LooksLikeBullet(std::string_view text) {
  if (text == "e") return OcrAtStart().languages == std::vector<std::string>{"eng"};
  return text == "\u00A9" || text == "\u00AB" || text == "\u00A2" || text == "\u00BB";
}

// Chinese and Japanese words are found apart but not written apart.
bool EndsInHan(std::string_view text) {
  if (text.empty()) return false;
  size_t last = FloorToCodePoint(text, text.size() - 1);
  return IsHan(NextCodePoint(text, &last));
}

// The word at which `at` stands.
PdfWord WordAt(const Library& library, const void* at, double points_per_pixel) {
  PdfWord word;
  int left = 0, top = 0, right = 0, bottom = 0, unused = 0;
  const void* const place = library.place(at);
  library.box(place, kLevelWord, &left, &top, &right, &bottom);
  // Words of a line stand at the same height, whichever letters they have.
  library.box(place, kLevelLine, &unused, &top, &unused, &bottom);
  word.left = left * points_per_pixel;
  word.right = right * points_per_pixel;
  word.top = top * points_per_pixel;
  word.bottom = bottom * points_per_pixel;
  char* const text = library.text(at, kLevelWord);
  if (text != nullptr) word.text = StripAsciiWhitespace(ReplaceInvalidUtf8(text));
  library.delete_text(text);
  word.space_after = !EndsInHan(word.text);
  if (LooksLikeBullet(word.text) && library.begins(place, kLevelLine) != 0) word.text = "\u2022";
  return word;
}

}  // namespace

void LoadOcr() {
  Loaded& loaded = TheLibrary();
  if (loaded.handle != nullptr || OcrAtStart().languages.empty()) return;
  // Threads cannot be started behind the door.
  setenv("OMP_THREAD_LIMIT", "1", 1);
  void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr && FindAll(library, &loaded.library)) loaded.handle = library;
}

bool OcrIsLoaded() { return TheLibrary().handle != nullptr; }
void* OcrLibrary() { return TheLibrary().handle; }

Result<std::unique_ptr<OcrReader>> OcrReader::Open() {
  const Library& library = TheLibrary().library;
  if (!OcrIsLoaded()) return FailedPrecondition("needs OCR, and Tesseract is not installed");
  std::unique_ptr<OcrReader> reader(new OcrReader(library.create()));
  const OcrData& data = OcrAtStart();
  if (reader->engine_ == nullptr ||
      library.init(reader->engine_, data.folder.c_str(), Join(data.languages, "+").c_str(),
                   kLstmOnly) != 0) {
    return FailedPrecondition(
        StrCat("needs OCR, and Tesseract cannot read its data in ", data.folder));
  }
  return reader;
}

OcrReader::~OcrReader() {
  if (engine_ != nullptr) TheLibrary().library.destroy(engine_);
}

Result<std::vector<PdfWord>> OcrReader::Read(const PagePicture& picture) {
  const Library& library = TheLibrary().library;
  library.set_image(engine_, picture.pixels, picture.width, picture.height, 1,
                    picture.bytes_per_row);
  library.set_resolution(engine_, static_cast<int>(picture.dots_per_inch));
  std::vector<PdfWord> words;
  if (library.recognize(engine_, nullptr) != 0) return Internal("Tesseract failed");
  void* const at = library.iterator(engine_);
  if (at != nullptr) {
    do {
      if (library.confidence(at, kLevelWord) < kLeastConfidence) continue;
      PdfWord word = WordAt(library, at, 72 / picture.dots_per_inch);
      if (!word.text.empty()) words.push_back(std::move(word));
    } while (library.next(at, kLevelWord) != 0);
    library.delete_iterator(at);
  }
  library.clear(engine_);
  return words;
}

}  // namespace vade
