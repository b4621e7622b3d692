#include "ingest/formats/pdf_order.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/unicode.h"

namespace vade {
namespace {

constexpr double kRowShare = 0.45;  // of the height: centres closer than that are one row
// A strip between columns, in median heights: narrow ones only between many rows.
constexpr double kGutterShare = 0.6;
constexpr double kWideGutterShare = 1.5;
constexpr size_t kLeastRows = 2;  // of a column
constexpr size_t kManyRows = 4;
constexpr double kLeastWords = 3;    // of a column's rows, on average
constexpr int kMaxColumnSplits = 6;  // columns within columns

struct Strip {
  double left, right;
};

double Height(const PdfWord& word) { return std::max(1.0, word.bottom - word.top); }
double Centre(const PdfWord& word) { return (word.top + word.bottom) / 2; }

std::vector<PdfRow> RowsOf(std::vector<PdfWord> words) {
  std::stable_sort(words.begin(), words.end(),
                   [](const PdfWord& a, const PdfWord& b) { return Centre(a) < Centre(b); });
  std::vector<PdfRow> rows;
  double centre = 0, height = 0;
  for (PdfWord& word : words) {
    const bool same = !rows.empty() &&
                      std::abs(Centre(word) - centre) < kRowShare * std::max(height, Height(word));
    if (!same) {
      rows.emplace_back();
      height = 0;
    }
    if (Height(word) >= height) {  // a superscript does not move its row
      centre = Centre(word);
      height = Height(word);
    }
    rows.back().push_back(std::move(word));
  }
  for (PdfRow& row : rows) {
    std::stable_sort(row.begin(), row.end(),
                     [](const PdfWord& a, const PdfWord& b) { return a.left < b.left; });
  }
  return rows;
}

double MedianHeight(const std::vector<PdfRow>& rows) {
  std::vector<double> heights;
  for (const PdfRow& row : rows) {
    for (const PdfWord& word : row) heights.push_back(Height(word));
  }
  if (heights.empty()) return 1;
  const auto middle = heights.begin() + static_cast<std::ptrdiff_t>(heights.size() / 2);
  std::nth_element(heights.begin(), middle, heights.end());
  return *middle;
}

// What a row leaves free, the outer parts included.
std::vector<Strip> FreeStrips(const PdfRow& row, double least) {
  std::vector<Strip> strips;
  double from = -std::numeric_limits<double>::infinity();
  for (const PdfWord& word : row) {
    if (word.left - from >= least) strips.push_back({from, word.left});
    from = std::max(from, word.right);
  }
  strips.push_back({from, std::numeric_limits<double>::infinity()});
  return strips;
}

std::vector<Strip> Intersect(const std::vector<Strip>& a, const std::vector<Strip>& b,
                             double least) {
  std::vector<Strip> both;
  for (const Strip& one : a) {
    for (const Strip& other : b) {
      const Strip common{std::max(one.left, other.left), std::min(one.right, other.right)};
      if (common.right - common.left >= least) both.push_back(common);
    }
  }
  return both;
}

// Han and kana are counted in pairs: they are written without blanks.
double WordsIn(const PdfWord& word) {
  size_t pos = 0;
  const size_t characters = CodePointCount(word.text);
  const bool unspaced = !word.text.empty() && IsHan(NextCodePoint(word.text, &pos));
  return unspaced ? static_cast<double>(characters) / 2 : 1;
}

class Page {
 public:
  explicit Page(std::vector<PdfRow> rows)
      : rows_(std::move(rows)), least_(kGutterShare * MedianHeight(rows_)) {}

  std::vector<PdfRow> Read(int splits) {
    std::vector<PdfRow> out;
    for (size_t begin = 0; begin < rows_.size();) {
      Strip gutter{};
      const size_t end = splits > 0 ? ColumnsFrom(begin, &gutter) : begin;
      if (end == begin) {
        out.push_back(std::move(rows_[begin++]));
        continue;
      }
      AppendColumns(begin, end, gutter, splits, &out);
      begin = end;
    }
    return out;
  }

 private:
  // The end of the rows from `begin` that are columns; `begin` when they are none.
  size_t ColumnsFrom(size_t begin, Strip* gutter) const {
    std::vector<Strip> strips = FreeStrips(rows_[begin], least_);
    if (strips.size() < 3) return begin;  // the first row of columns has words in both
    size_t end = begin + 1;
    for (; end < rows_.size(); ++end) {
      std::vector<Strip> both = Intersect(strips, FreeStrips(rows_[end], least_), least_);
      const bool inner = std::any_of(both.begin(), both.end(), [](const Strip& strip) {
        return std::isfinite(strip.left) && std::isfinite(strip.right);
      });
      if (!inner) break;
      strips = std::move(both);
    }
    for (const Strip& strip : strips) {
      if (!std::isfinite(strip.left) || !std::isfinite(strip.right)) continue;
      if (!AreTextColumns(begin, end, strip)) continue;
      *gutter = strip;
      return end;
    }
    return begin;
  }

  bool AreTextColumns(size_t begin, size_t end, const Strip& gutter) const {
    size_t left_rows = 0, right_rows = 0;
    double left_words = 0, right_words = 0;
    for (size_t i = begin; i < end; ++i) {
      double left = 0, right = 0;
      for (const PdfWord& word : rows_[i]) {
        (word.right <= gutter.left ? left : right) += WordsIn(word);
      }
      left_rows += left > 0 ? 1 : 0;
      right_rows += right > 0 ? 1 : 0;
      left_words += left;
      right_words += right;
    }
    const bool wide = gutter.right - gutter.left >= least_ / kGutterShare * kWideGutterShare;
    const size_t least_rows = wide ? kLeastRows : kManyRows;
    return left_rows >= least_rows && right_rows >= least_rows &&
           left_words >= kLeastWords * static_cast<double>(left_rows) &&
           right_words >= kLeastWords * static_cast<double>(right_rows);
  }

  // Each side is a page of its own: its rows may be columns again.
  void AppendColumns(size_t begin, size_t end, const Strip& gutter, int splits,
                     std::vector<PdfRow>* out) {
    std::vector<PdfWord> left, right;
    for (size_t i = begin; i < end; ++i) {
      for (PdfWord& word : rows_[i]) {
        (word.right <= gutter.left ? left : right).push_back(std::move(word));
      }
    }
    for (std::vector<PdfWord>* side : {&left, &right}) {
      std::vector<PdfRow> rows = Page(RowsOf(std::move(*side))).Read(splits - 1);
      std::move(rows.begin(), rows.end(), std::back_inserter(*out));
    }
  }

  std::vector<PdfRow> rows_;
  const double least_;
};

}  // namespace

std::vector<PdfRow> RowsInOrder(const std::vector<PdfWord>& words) {
  std::vector<PdfWord> upright, turned;
  for (const PdfWord& word : words) (word.upright ? upright : turned).push_back(word);
  std::vector<PdfRow> rows = Page(RowsOf(std::move(upright))).Read(kMaxColumnSplits);
  if (!turned.empty()) rows.push_back(std::move(turned));
  return rows;
}

}  // namespace vade
