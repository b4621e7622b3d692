// Any bytes as a file of the format that the first byte picks: the parsers of ours, and what is
// ours around those of others. Office formats get the bytes as their main part.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/unicode.h"
#include "ingest/formats/parser.h"
#include "tests/testing/made_files.h"

namespace {

struct Target {
  std::string_view name;
  std::string (*wrap)(const std::string& bytes);
};

std::string AsItIs(const std::string& bytes) { return bytes; }
std::string InDocx(const std::string& bytes) { return vade::testing::DocxOf(bytes); }
std::string InPptx(const std::string& bytes) { return vade::testing::PptxOf({bytes}); }
std::string InXlsx(const std::string& bytes) {
  return vade::testing::XlsxOf(bytes, "<si><t>a</t></si>",
                               "<cellXfs><xf numFmtId='14'/></cellXfs>");
}
std::string InOdt(const std::string& bytes) { return vade::testing::OpenDocumentOf("text", bytes); }
std::string InEpub(const std::string& bytes) { return vade::testing::EpubOf({bytes}); }

constexpr std::array<Target, 15> kTargets = {{{"a.rtf", AsItIs},
                                              {"a.eml", AsItIs},
                                              {"a.mbox", AsItIs},
                                              {"a.csv", AsItIs},
                                              {"a.json", AsItIs},
                                              {"a.jsonl", AsItIs},
                                              {"a.ipynb", AsItIs},
                                              {"a.xml", AsItIs},
                                              {"a.html", AsItIs},
                                              {"a.srt", AsItIs},
                                              {"a.docx", InDocx},
                                              {"a.pptx", InPptx},
                                              {"a.xlsx", InXlsx},
                                              {"a.odt", InOdt},
                                              {"a.epub", InEpub}}};

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const Target& target = kTargets[data[0] % kTargets.size()];
  const std::string bytes =
      target.wrap(std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  const auto check = [](vade::ParsedPart part) {
    Require(vade::IsValidUtf8(part.document.inner) && vade::IsValidUtf8(part.status.message()));
    if (!part.status.ok()) return vade::OkStatus();
    Require(vade::IsValidUtf8(part.document.text) && vade::IsValidUtf8(part.document.title));
    Require(part.document.text.find('\0') == std::string::npos);
    return vade::OkStatus();
  };
  const vade::Status status = vade::ParseFile(
      {.name = target.name, .mime_type = "", .password = "", .bytes = bytes}, check);
  Require(vade::IsValidUtf8(status.message()));
  return 0;
}
