#include "index/language_lift.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace vade {
namespace {

// The mean of few passages says more about them than about their language, and taken off it would
// make them all alike. So this many passages of the collection's mean are counted with them.
constexpr double kPriorPassages = 32;

double Dot(const std::vector<double>& sum, std::span<const float> question) {
  double dot = 0;
  for (size_t i = 0; i < question.size(); ++i) dot += sum[i] * question[i];
  return dot;
}

}  // namespace

void LanguageSums::Move(const VectorRows& rows, size_t slot, int sign) {
  std::vector<float> vector(rows.dimension);
  kernels::Active().vector.from_kv(kernels::KvType::kF16, rows.halves + slot * rows.dimension,
                                   rows.dimension, vector.data());
  const LanguageCode language = rows.languages[slot];
  Sum& sum = sums_[language];
  sum.components.resize(rows.dimension);
  for (size_t i = 0; i < rows.dimension; ++i) sum.components[i] += sign * double{vector[i]};
  sum.count += static_cast<uint64_t>(sign);
  if (sum.count == 0) sums_.erase(language);
}

LanguageLift::LanguageLift(const LanguageSums& sums, std::span<const float> question) {
  if (sums.by_language().size() < 2) return;
  double all_dots = 0, all_count = 0;
  std::vector<std::pair<double, double>> parts;  // dot, count
  for (const auto& [language, sum] : sums.by_language()) {
    parts.emplace_back(Dot(sum.components, question), static_cast<double>(sum.count));
    all_dots += parts.back().first;
    all_count += parts.back().second;
    lifts_.push_back({language, 0});
  }
  const double prior = kPriorPassages * all_dots / all_count;
  std::vector<double> means;
  for (const auto& [dot, count] : parts) means.push_back((dot + prior) / (count + kPriorPassages));
  const double nearest = *std::max_element(means.begin(), means.end());
  for (size_t i = 0; i < means.size(); ++i) lifts_[i].lift = static_cast<float>(nearest - means[i]);
}

float LanguageLift::Of(LanguageCode language) const {
  for (const Lift& lift : lifts_) {
    if (lift.language == language) return lift.lift;
  }
  return 0;
}

}  // namespace vade
