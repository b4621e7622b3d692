#include "model/inspect.h"

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "base/unicode.h"

namespace vade {
namespace {

std::string Padded(std::string_view text, size_t width) {
  std::string out(text);
  if (out.size() < width) out.append(width - out.size(), ' ');
  return out;
}

// Names come from the file: control characters must not reach a terminal.
std::string Printable(std::string_view text) {
  std::string out = ReplaceInvalidUtf8(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

struct TypeTotal {
  uint64_t tensors = 0;
  uint64_t bytes = 0;
};

}  // namespace

std::string DescribeGguf(const GgufFile& file) {
  std::string out = StrCat(file.path(), "\nfingerprint ", file.fingerprint(), "\n\n");
  const auto summary = file.Summary();
  size_t key_width = 0;
  for (const auto& line : summary) key_width = std::max(key_width, line.key.size());
  key_width = std::min<size_t>(key_width, 48);
  for (const auto& line : summary) {
    out += StrCat(Padded(Printable(line.key), key_width), "  ", Padded(line.type, 14), "  ",
                  line.value, "\n");
  }
  out += "\n";
  std::map<std::string_view, TypeTotal> totals;
  for (const GgufTensor& tensor : file.tensors()) {
    const std::string_view type = InfoOf(tensor.type).name;
    out += StrCat(Padded(Printable(tensor.name), 32), "  ", Padded(type, 5), "  ",
                  Padded(ShapeText(tensor.shape), 20), "  ", tensor.bytes.size(), " bytes\n");
    ++totals[type].tensors;
    totals[type].bytes += tensor.bytes.size();
  }
  out += StrCat("\n", file.tensors().size(), " tensors:");
  for (const auto& [type, total] : totals) {
    out += StrCat(" ", type, " x ", total.tensors, " (", total.bytes, " bytes)");
  }
  return out + "\n";
}

}  // namespace vade
