#include "ingest/formats/pdf_lines.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/pdf_order.h"

namespace vade {
namespace {

// Headers and footers stand within that share of the page's height.
constexpr double kMarginShare = 0.12;
// And on at least so many pages, and on that share of them (left and right pages differ).
constexpr size_t kLeastRepeats = 3;
constexpr double kRepeatShare = 0.3;

constexpr std::array<std::string_view, 7> kLigatures = {"ff", "fi", "fl", "ffi", "ffl", "st", "st"};

// U+FB00..U+FB06 as letters.
std::string WithoutLigatures(std::string_view text) {
  if (text.find("\xEF\xAC") == std::string_view::npos) return std::string(text);
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = NextCodePoint(text, &pos);
    if (c >= 0xFB00 && c <= 0xFB06) {
      out += kLigatures[c - 0xFB00];
    } else {
      AppendCodePoint(&out, c);
    }
  }
  return out;
}

// A gap as wide as that, in heights of the letters, divides the cells of a table.
constexpr double kCellGap = 1.6;

void Append(const PdfWord& word, bool space, PdfLine* line) {
  if (space) line->text.push_back(' ');
  line->text += WithoutLigatures(word.text);
  line->right = std::max(line->right, word.right);
  line->top = std::min(line->top, word.top);
  line->bottom = std::max(line->bottom, word.bottom);
}

PdfLine LineOf(const PdfRow& row, size_t page) {
  const PdfWord& first = row.front();
  PdfLine line{.text = "",
               .left = first.left,
               .top = first.top,
               .right = first.left,
               .bottom = first.bottom,
               .font_size = 0,
               .bold = true,
               .page = page,
               .cells = {}};
  std::map<double, size_t> sizes;  // font size -> bytes
  bool space = false;              // behind the last word
  for (const PdfWord& word : row) {
    const double height = std::max(1.0, word.bottom - word.top);
    const double gap = word.left - line.right;
    const bool divides = word.upright && !line.text.empty() && gap > kCellGap * height;
    if (line.cells.empty() || divides) line.cells.emplace_back();
    const bool apart = !line.text.empty() && (space || gap > 0.15 * height || !word.upright);
    std::string& cell = line.cells.back();
    if (apart && !cell.empty()) cell.push_back(' ');
    cell += WithoutLigatures(word.text);
    Append(word, apart, &line);
    line.bold = line.bold && word.bold;
    sizes[std::round(word.font_size * 2) / 2] += word.text.size();
    space = word.space_after;
  }
  if (line.cells.size() < 2) line.cells.clear();
  line.font_size = std::max_element(sizes.begin(), sizes.end(), [](const auto& a, const auto& b) {
                     return a.second < b.second;
                   })->first;
  return line;
}

bool IsInMargin(const PdfLine& line, double page_height) {
  return line.bottom < kMarginShare * page_height || line.top > (1 - kMarginShare) * page_height;
}

// "Page 3 of 12" and "Page 4 of 12" are the same.
std::string Pattern(std::string_view text) {
  std::string out;
  for (char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (digit && out.ends_with('#')) continue;
    if (c != ' ') out.push_back(digit ? '#' : c);
  }
  return out;
}

void DropRepeated(const std::vector<PdfPage>& pages, std::vector<PdfLine>* lines) {
  std::map<std::string, size_t> counts;
  for (const PdfLine& line : *lines) {
    if (IsInMargin(line, pages[line.page].height)) ++counts[Pattern(line.text)];
  }
  const size_t enough = std::max(
      kLeastRepeats, static_cast<size_t>(kRepeatShare * static_cast<double>(pages.size())));
  std::map<std::string, bool> kept;
  const auto repeated = [&](const PdfLine& line) {
    if (!IsInMargin(line, pages[line.page].height)) return false;
    const std::string pattern = Pattern(line.text);
    if (counts[pattern] < enough) return false;
    const bool only_number = pattern == "#" || pattern == "-#-";
    return only_number || std::exchange(kept[pattern], true);
  };
  lines->erase(std::remove_if(lines->begin(), lines->end(), repeated), lines->end());
}

}  // namespace

std::vector<PdfLine> LinesOf(const std::vector<PdfPage>& pages) {
  std::vector<PdfLine> lines;
  for (size_t i = 0; i < pages.size(); ++i) {
    for (const PdfRow& row : RowsInOrder(pages[i].words)) lines.push_back(LineOf(row, i));
  }
  DropRepeated(pages, &lines);
  return lines;
}

}  // namespace vade
