#include "ingest/formats/pdf_layout.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/formats/markdown_writer.h"
#include "ingest/formats/pdf_lines.h"

namespace vade {
namespace {

constexpr double kHeadingRatio = 1.12;  // of a heading's font size to the text's, at least
constexpr size_t kMaxHeadingBytes = 200;
constexpr int kMaxHeadingLevel = 4;
// Where more than this share of the text is in larger letters, size does not mean a heading.
constexpr double kMaxHeadingShare = 0.3;

// Gaps between lines, in heights of a line.
constexpr double kNarrowGap = 0.3, kWidestGap = 1.7;
constexpr double kExtraGap = 0.4;  // over the usual one: a new paragraph
constexpr size_t kEnoughGaps = 8;  // to say what is usual
// A line that ends by that share of the column before its edge ends a paragraph.
constexpr double kShortLine = 0.25;
constexpr double kBucketPoints = 24;  // lines that begin so near to one another are of one column

constexpr std::array<std::string_view, 10> kBullets = {"\u2022", "\u25E6", "\u25AA", "\u25CF",
                                                       "\u2023", "\u2043", "\u25A0", "\uF0B7",
                                                       "\uF0A7", "\u00B7"};

char32_t FirstCodePoint(std::string_view text) {
  size_t pos = 0;
  return text.empty() ? 0 : NextCodePoint(text, &pos);
}

bool BeginsLower(std::string_view text) {
  const char32_t c = FirstCodePoint(text);
  return (c >= 'a' && c <= 'z') || (c >= 0xDF && c <= 0xFF && c != 0xF7);
}

bool EndsSentence(std::string_view text) {
  for (std::string_view end : {".", "!", "?", ":", ";", ".\"", "\u3002", "\uFF01", "\uFF1F"}) {
    if (text.ends_with(end)) return true;
  }
  return false;
}

// "• " and its like in front of a line: how many bytes; 0 when there is none.
size_t BulletBytes(std::string_view text) {
  for (std::string_view bullet : kBullets) {
    if (text.starts_with(bullet) && text.size() > bullet.size()) return bullet.size();
  }
  return 0;
}

// "1. ", "2.3 ", "(a) ", "- ".
bool BeginsNumbered(std::string_view text) {
  const std::string_view word = text.substr(0, text.find(' '));
  if (word.size() == text.size() || word.size() > 4) return false;  // "2023." is a year
  if (word == "-" || word == "\u2013") return true;
  const bool mark = word.ends_with('.') || word.ends_with(')');
  const bool digit =
      std::any_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
  return mark && (digit || word.size() <= 3);
}

// Letters of the words of all lines, to tell "inter-national" from "well-known".
std::unordered_set<std::string> VocabularyOf(const std::vector<PdfLine>& lines) {
  std::unordered_set<std::string> words;
  for (const PdfLine& line : lines) {
    for (const std::string& word : Split(line.text, ' ')) {
      size_t end = word.size();
      while (end > 0 && std::ispunct(static_cast<unsigned char>(word[end - 1]))) --end;
      words.insert(AsciiLower(word.substr(0, end)));
    }
  }
  return words;
}

// Font sizes that are headings, the largest first.
std::vector<double> HeadingSizes(const std::vector<PdfLine>& lines) {
  std::map<double, size_t> bytes;
  size_t all = 0;
  for (const PdfLine& line : lines) {
    bytes[line.font_size] += line.text.size();
    all += line.text.size();
  }
  if (bytes.empty()) return {};
  const double body =
      std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      })->first;
  std::vector<double> sizes;
  size_t larger = 0;
  for (const auto& [size, count] : bytes) {
    if (body <= 0 || size < body * kHeadingRatio) continue;
    larger += count;
    sizes.push_back(size);
  }
  if (static_cast<double>(larger) > kMaxHeadingShare * static_cast<double>(all)) return {};
  std::sort(sizes.begin(), sizes.end(), std::greater<>());
  return sizes;
}

// Between lines of one size that stand below one another, in their heights: texts are set narrow or
// with a blank line's room after each line.
double UsualGap(const std::vector<PdfLine>& lines) {
  std::vector<double> gaps;
  for (size_t i = 1; i < lines.size(); ++i) {
    const PdfLine& line = lines[i - 1];
    const PdfLine& next = lines[i];
    if (line.page != next.page || line.font_size != next.font_size) continue;
    const double gap = (next.top - line.bottom) / std::max(1.0, line.height());
    if (gap > -0.5 && gap < kWidestGap) gaps.push_back(gap);
  }
  if (gaps.size() < kEnoughGaps) return kNarrowGap;
  const auto middle = gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2);
  std::nth_element(gaps.begin(), middle, gaps.end());
  return std::max(kNarrowGap, *middle);
}

class PdfWriter {
 public:
  explicit PdfWriter(std::vector<PdfLine> lines)
      : lines_(std::move(lines)),
        vocabulary_(VocabularyOf(lines_)),
        heading_sizes_(HeadingSizes(lines_)),
        usual_gap_(UsualGap(lines_)) {
    for (const PdfLine& line : lines_) {
      double& right = rights_[{line.page, BucketOf(line)}];
      right = std::max(right, line.right);
    }
  }

  std::string Write() {
    for (size_t begin = 0; begin < lines_.size();) {
      if (const size_t rows = RowsFrom(begin); rows > 1) {
        WriteRows(begin, begin + rows);
        begin += rows;
        continue;
      }
      size_t end = begin + 1;
      while (end < lines_.size() && Continues(lines_[end - 1], lines_[end])) ++end;
      WriteBlock(begin, end);
      begin = end;
    }
    return out_.Take();
  }

 private:
  int LevelOf(const PdfLine& line) const {
    if (line.text.size() > kMaxHeadingBytes) return 0;
    const auto at = std::find(heading_sizes_.begin(), heading_sizes_.end(), line.font_size);
    if (at == heading_sizes_.end()) return 0;
    return std::min(static_cast<int>(at - heading_sizes_.begin()) + 1, kMaxHeadingLevel);
  }

  // A bullet with its words is no row of a table.
  static bool IsRow(const PdfLine& line) {
    return !line.cells.empty() && BulletBytes(line.text) == 0 && !BeginsNumbered(line.text);
  }

  // Whether `next` goes on with the paragraph or heading that `line` is in.
  bool Continues(const PdfLine& line, const PdfLine& next) const {
    if (BulletBytes(next.text) > 0 || BeginsNumbered(next.text)) return false;
    if (IsRow(line) || IsRow(next)) return false;
    if (std::abs(line.font_size - next.font_size) > 0.1 * line.font_size) return false;
    if (LevelOf(line) != LevelOf(next)) return false;
    const double size = std::max(1.0, line.height());
    const bool below = line.page == next.page && next.top > line.top + 0.3 * size;
    if (!below) {
      // Of another column or page: only a sentence in its middle goes on there.
      return LevelOf(line) == 0 && !EndsSentence(line.text) && BeginsLower(next.text);
    }
    if (line.bold != next.bold) return false;
    if (next.top - line.bottom > (usual_gap_ + kExtraGap) * size) return false;
    if (next.left > line.right || next.right < line.left) return false;
    const double right = RightEdge(line);
    const bool ended_short = line.right < right - kShortLine * (right - line.left);
    if (ended_short && !BeginsLower(next.text)) return false;
    const bool indented = next.left > line.left + size && EndsSentence(line.text);
    return !indented;
  }

  size_t RowsFrom(size_t begin) const {
    size_t end = begin;
    while (end < lines_.size() && IsRow(lines_[end]) && lines_[end].page == lines_[begin].page) {
      ++end;
    }
    return end - begin;
  }

  void WriteRows(size_t begin, size_t end) {
    for (; page_ < lines_[begin].page; ++page_) out_.PageBreak();
    out_.EndTable();
    for (size_t i = begin; i < end; ++i) out_.Row(lines_[i].cells);
    out_.EndTable();
  }

  static int BucketOf(const PdfLine& line) { return static_cast<int>(line.left / kBucketPoints); }

  // How far the lines reach that begin about where this one does.
  double RightEdge(const PdfLine& line) const {
    double right = line.right;
    for (int bucket = BucketOf(line) - 1; bucket <= BucketOf(line) + 1; ++bucket) {
      const auto at = rights_.find({line.page, bucket});
      if (at != rights_.end()) right = std::max(right, at->second);
    }
    return right;
  }

  // The lines of a block as words; a line end is "\n", a page end "\f".
  std::string Join(size_t begin, size_t end) const {
    std::string words = lines_[begin].text;
    for (size_t i = begin + 1; i < end; ++i) {
      const PdfLine& line = lines_[i];
      const size_t pages = line.page - std::min(lines_[i - 1].page, line.page);
      if (pages > 0) {
        words.append(pages, '\f');
      } else if (JoinsHyphen(words, line.text)) {
        if (!KeepsHyphen(words, line.text)) words.pop_back();
      } else {
        words.push_back('\n');
      }
      words += line.text;
    }
    return words;
  }

  static bool JoinsHyphen(std::string_view words, std::string_view next) {
    if (!words.ends_with('-') || words.size() < 2 || !BeginsLower(next)) return false;
    const auto before = static_cast<unsigned char>(words[words.size() - 2]);
    return std::isalpha(before) != 0 || before >= 0x80;
  }

  bool KeepsHyphen(std::string_view words, std::string_view next) const {
    const size_t begin = words.find_last_of(" \n\f");
    const std::string first(words.substr(begin == std::string_view::npos ? 0 : begin + 1));
    std::string second(next.substr(0, next.find(' ')));
    while (!second.empty() && std::ispunct(static_cast<unsigned char>(second.back()))) {
      second.pop_back();
    }
    const std::string whole = AsciiLower(first.substr(0, first.size() - 1) + second);
    return vocabulary_.count(whole) == 0 && vocabulary_.count(AsciiLower(first + second)) > 0;
  }

  void WriteBlock(size_t begin, size_t end) {
    const PdfLine& first = lines_[begin];
    for (; page_ < first.page; ++page_) out_.PageBreak();
    const std::string words = Join(begin, end);
    page_ = lines_[end - 1].page;
    const int level = LevelOf(first);
    if (const size_t bullet = BulletBytes(words); bullet > 0) {
      return out_.ListItem(0, "-", std::string_view(words).substr(bullet));
    }
    if (level > 0 && words.size() <= kMaxHeadingBytes) return out_.Heading(level, words);
    out_.Paragraph(words);
  }

  const std::vector<PdfLine> lines_;
  const std::unordered_set<std::string> vocabulary_;
  const std::vector<double> heading_sizes_;
  const double usual_gap_;                           // between lines, in heights of a line
  std::map<std::pair<size_t, int>, double> rights_;  // page and bucket -> right edge
  MarkdownWriter out_;
  size_t page_ = 0;  // that the text is on
};

}  // namespace

std::string LayOutPdf(std::vector<PdfPage> pages) { return PdfWriter(LinesOf(pages)).Write(); }

}  // namespace vade
