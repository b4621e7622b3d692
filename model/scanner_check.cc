#include "model/scanner_check.h"

#include <algorithm>
#include <random>

namespace vade {
namespace {

using kernels::RowQuestion;
using kernels::ScoredRow;

constexpr size_t kRows = 5000, kWidth = 192, kBest = 100;
constexpr uint16_t kLabels = 3;

struct MadeUpRows {
  MadeUpRows() {
    std::mt19937 random(8);
    const auto code_of = [&] {
      return static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    };
    for (size_t i = 0; i < kRows * kWidth; ++i) codes.push_back(code_of());
    for (size_t i = 0; i < kRows; ++i) {
      scales.push_back(static_cast<float>(random() % 1000) / 1e5f);
      labels.push_back(static_cast<uint16_t>(random() % kLabels));
      kept[i / 64] |= uint64_t{random() % 3 == 0} << (i % 64);
    }
    for (size_t i = 0; i < kWidth; ++i) question.push_back(code_of());
  }
  kernels::ScanRows rows() const {
    return {kRows, kWidth, kWidth, codes.data(), scales.data(), labels.data()};
  }
  float Score(size_t row) const {
    int32_t dot = 0;
    for (size_t i = 0; i < kWidth; ++i) dot += codes[row * kWidth + i] * question[i];
    const float product = static_cast<float>(dot) * scales[row];
    return product + lifts[labels[row]];
  }

  std::vector<int8_t> codes, question;
  std::vector<float> scales, lifts = {0.5f, -20, 30};
  std::vector<uint16_t> labels;
  std::vector<uint64_t> kept = std::vector<uint64_t>((kRows + 63) / 64);
};

std::vector<ScoredRow> Sorted(std::vector<ScoredRow> scored) {
  std::sort(scored.begin(), scored.end(), [](const ScoredRow& a, const ScoredRow& b) {
    return a.score != b.score ? a.score > b.score : a.row < b.row;
  });
  if (scored.size() > kBest) scored.resize(kBest);
  return scored;
}

}  // namespace

Result<std::vector<BackendCheck>> CheckScanner(kernels::RowScanner& scanner) {
  const MadeUpRows made;
  ASSIGN_OR_RETURN(const auto held, scanner.Hold(made.rows()));
  std::vector<BackendCheck> checks;
  for (const bool filtered : {false, true}) {
    RowQuestion question = {.code = made.question, .lifts = made.lifts, .best = kBest};
    if (filtered) question.kept = made.kept;
    std::vector<ScoredRow> expected;
    for (uint32_t row = 0; row < kRows; ++row) {
      if (!filtered || (made.kept[row / 64] >> (row % 64) & 1)) {
        expected.push_back({made.Score(row), row});
      }
    }
    expected = Sorted(std::move(expected));
    ASSIGN_OR_RETURN(std::vector<ScoredRow> found, scanner.Best(*held, question));
    ASSIGN_OR_RETURN(std::vector<ScoredRow> again, scanner.Best(*held, question));
    found = Sorted(std::move(found));
    size_t wrong = 0;
    for (size_t i = 0; i < kBest; ++i) wrong += i >= found.size() || found[i] != expected[i];
    checks.push_back(
        {.what = filtered ? "search over the rows that a filter keeps" : "search over all rows",
         .difference = static_cast<double>(wrong) / kBest,
         .allowed = 0,
         .repeatable = found == Sorted(std::move(again))});
  }
  return checks;
}

}  // namespace vade
