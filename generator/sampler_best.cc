// The sampler where logits lie on a GPU: it is given the best of a row, the tokens whose logits it
// changes by themselves, and the weights of parts of the row; and gives the token that it would
// give over the whole row, or says that these do not tell.
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "generator/cuts.h"
#include "generator/sampler.h"

namespace vade {
namespace {

// Where a draw over a whole row falls is computed in doubles, token by token; the same by parts
// differs by less than this share of the whole: 150,000 roundings of 2^-53, and as many tokens
// whose weight may or may not count as negligible.
constexpr double kDrawError = 1e-8;

using Logit = std::pair<int32_t, float>;  // (token, logit)

bool ComesBefore(const Logit& a, const Logit& b) {
  return a.second != b.second ? a.second > b.second : a.first < b.first;
}

// Null where the token is not among them. `ascending` by token.
Logit* Find(std::vector<Logit>* ascending, int32_t token) {
  const auto found = std::ranges::lower_bound(*ascending, token, {}, &Logit::first);
  return found != ascending->end() && found->first == token ? &*found : nullptr;
}

// The best of all tokens: of those that were set apart, which now have the logits `apart`, the ones
// that come before the last of the others that are known. Without those that are banned.
std::vector<Logit> BestOfAll(const BestLogits& best, const std::vector<Logit>& apart) {
  const size_t known = best.best.size() + best.apart.size();
  const bool all = known == static_cast<size_t>(best.vocab_size);
  std::vector<Logit> merged = best.best;
  for (const Logit& one : apart) {
    if (one.second == kBannedLogit) continue;
    if (all || (!best.best.empty() && ComesBefore(one, best.best.back()))) merged.push_back(one);
  }
  std::ranges::sort(merged, ComesBefore);
  return merged;
}

// CutToMass where the weight of the whole is `total` to within kBestSumError, and candidates beyond
// these weigh `beyond` at most. False where that does not tell which are kept.
bool CutToUncertainMass(std::vector<Candidate>* candidates, double share, double total,
                        double beyond) {
  std::sort(candidates->begin(), candidates->end(), Heavier);
  const double least = total * (1 - kBestSumError) * share;
  const double most = total * (1 + kBestSumError) * share;
  double mass = 0;
  for (size_t keep = 0; keep < candidates->size(); ++keep) {
    const double weight = (*candidates)[keep].first;
    if (weight <= beyond) return false;
    mass += weight;
    if (mass < least) continue;
    if (mass < most) return false;
    candidates->resize(keep + 1);
    return true;
  }
  return false;
}

}  // namespace

// What the penalties count may grow by each of `next` before a row's turn comes.
std::vector<int32_t> Sampler::ChangedTokens(std::span<const int32_t> next) const {
  std::vector<int32_t> tokens;
  for (const auto& [id, bias] : sampling_.logit_bias) tokens.push_back(id);
  if (penalized()) {
    for (const auto& [id, count] : occurrences_) tokens.push_back(id);
    tokens.insert(tokens.end(), next.begin(), next.end());
  }
  std::ranges::sort(tokens);
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

WantedBest Sampler::Wanted(int limit, std::span<const int32_t> next) const {
  constexpr double kLeastTemperature = 1e-6;  // of a float
  const Sampling& s = sampling_;
  if (constraint_ || limit < std::max(1, s.top_logprobs)) return {};
  if (s.temperature > 0 && s.temperature <= kLeastTemperature) return {};
  const int reported = std::max(1, s.top_logprobs);
  if (s.temperature == 0) return {.count = reported, .apart = ChangedTokens(next)};
  if (cuts_nothing()) return {.count = reported, .weights = true, .apart = ChangedTokens(next)};
  const bool to_number = s.top_k > 0 && s.top_k < limit;
  const bool to_mass = s.top_k == 0 && s.typical_p == 1;
  if (!to_number && !to_mass) return {};
  return {.count = limit, .apart = ChangedTokens(next)};
}

bool Sampler::cuts_nothing() const {
  return sampling_.top_k == 0 && sampling_.typical_p == 1 && sampling_.top_p == 1 &&
         sampling_.min_p == 0;
}

// Of the tokens that were set apart, the logits that are chosen from; nothing where one that is to
// be changed is not among them.
std::optional<std::vector<Logit>> Sampler::ChangeApart(const BestLogits& best) const {
  std::vector<Logit> apart = best.apart;
  for (const auto& [id, bias] : sampling_.logit_bias) {
    Logit* const logit = Find(&apart, id);
    if (!logit) return std::nullopt;
    logit->second = Biased(logit->second, bias);
  }
  if (!penalized()) return apart;
  for (const auto& [id, count] : occurrences_) {
    Logit* const logit = Find(&apart, id);
    if (!logit) return std::nullopt;
    logit->second = Penalized(logit->second, count);
  }
  return apart;
}

Result<std::optional<SampledToken>> Sampler::NextOf(const BestLogits& best, const RowPart& part) {
  const auto nothing = std::optional<SampledToken>();
  const size_t known = best.best.size() + best.apart.size();
  if (!best.finite || known == 0) return nothing;
  const auto reported = static_cast<size_t>(sampling_.top_logprobs);
  if (best.best.size() < reported && known < static_cast<size_t>(best.vocab_size)) return nothing;
  const std::optional<std::vector<Logit>> apart = ChangeApart(best);
  if (!apart) return nothing;
  std::optional<Logit> chosen;  // with the model's own logit
  if (sampling_.temperature > 0 && cuts_nothing()) {
    ASSIGN_OR_RETURN(chosen, DrawByWeights(best, *apart, part));
  } else {
    chosen = ChooseOf(best, *apart);
  }
  if (!chosen) return nothing;
  RETURN_IF_ERROR(Accept(chosen->first));
  return std::optional<SampledToken>(ReportOf(best, *chosen));
}

std::optional<Logit> Sampler::ChooseOf(const BestLogits& best, const std::vector<Logit>& apart) {
  BestLogits changed = {.finite = true, .vocab_size = best.vocab_size};
  changed.best = BestOfAll(best, apart);
  if (changed.best.empty()) return std::nullopt;
  int32_t id = changed.best[0].first;
  if (sampling_.temperature > 0) {
    const float greatest = changed.best[0].second;
    const auto weight_of = [&](float logit) {
      return DeterministicExp((static_cast<double>(logit) - greatest) / sampling_.temperature);
    };
    if (!best.best.empty())
      changed.tempered_sum = best.tempered_sum * weight_of(best.best[0].second);
    for (const auto& [token, logit] : apart) {
      if (logit == kBannedLogit) --changed.vocab_size;
      changed.tempered_sum += weight_of(logit);
    }
    const std::optional<int32_t> drawn = DrawOf(changed);
    if (!drawn) return std::nullopt;
    id = *drawn;
  }
  const auto is_it = [&](const Logit& one) { return one.first == id; };
  const auto found = std::ranges::find_if(best.apart, is_it);
  return found != best.apart.end() ? *found : *std::ranges::find_if(best.best, is_it);
}

SampledToken Sampler::ReportOf(const BestLogits& best, const Logit& chosen) const {
  const double greatest = best.greatest();
  SampledToken token{chosen.first, DeterministicExp(chosen.second - greatest) / best.sum};
  if (sampling_.top_logprobs == 0) return token;
  std::vector<Logit> likeliest = BestOfAll(best, best.apart);
  likeliest.resize(std::min(likeliest.size(), static_cast<size_t>(sampling_.top_logprobs)));
  const double log_sum = DeterministicLog(best.sum);
  for (const auto& [id, logit] : likeliest) {
    token.alternatives.emplace_back(id, logit - greatest - log_sum);
  }
  return token;
}

// Draw() among the best, where what is beyond them cannot have a part in it.
std::optional<int32_t> Sampler::DrawOf(const BestLogits& best) {
  // Equal weights come of logits that differ by less than this.
  constexpr double kTrifle = 1e-9;
  const float max = best.best[0].second;
  candidates_.clear();
  for (const auto& [id, logit] : best.best) {
    const double x = (static_cast<double>(logit) - max) / sampling_.temperature;
    if (x > kNegligibleExponent) candidates_.emplace_back(DeterministicExp(x), id);
  }
  // The others are negligible as well where one of these is.
  const bool all = candidates_.size() < best.best.size() ||
                   best.best.size() == static_cast<size_t>(best.vocab_size);
  const double beyond = all ? 0 : candidates_.back().first * (1 + kTrifle);  // nothing weighs more
  const auto top_k = static_cast<size_t>(sampling_.top_k);
  const bool to_number = top_k > 0 && top_k < candidates_.size();
  const bool to_mass = top_k == 0 && sampling_.top_p < 1;
  const bool to_share =
      top_k == 0 && !to_mass && beyond < sampling_.min_p;  // the greatest weighs 1
  if (!all && !to_number && !to_mass && !to_share) return std::nullopt;
  if (!all && !to_number && sampling_.typical_p < 1) return std::nullopt;

  std::ranges::sort(candidates_, {}, &Candidate::second);  // as over all tokens
  if (to_number) CutToNumber(&candidates_, top_k);
  if (to_number && candidates_.back().first <= beyond) return std::nullopt;
  if (sampling_.typical_p < 1) {
    const std::unordered_map<int32_t, float> logits(best.best.begin(), best.best.end());
    const auto logit_of = [&](int32_t id) { return logits.at(id); };
    CutToTypical(&candidates_, sampling_.typical_p, logit_of, max);
  }
  if (!all && to_mass) {
    if (!CutToUncertainMass(&candidates_, sampling_.top_p, best.tempered_sum, beyond))
      return std::nullopt;
  } else if (sampling_.top_p < 1) {
    CutToMass(&candidates_, sampling_.top_p, Heavier);
  }
  if (sampling_.min_p > 0) CutToShareOfGreatest(&candidates_, sampling_.min_p);
  return Take();
}

// Draw() where nothing is cut: the weights of parts tell in which part the draw falls, and the
// part's logits on which token. Nothing where it falls too near to the border of a token.
Result<std::optional<Logit>> Sampler::DrawByWeights(const BestLogits& best,
                                                    const std::vector<Logit>& apart,
                                                    const RowPart& part) {
  const std::vector<double>& weights = best.weights;
  const auto nothing = std::optional<Logit>();
  if (weights.empty() || best.part_tokens < 1) return nothing;
  float greatest = best.best.empty() ? kBannedLogit : best.best[0].second;
  for (const Logit& one : apart) greatest = std::max(greatest, one.second);
  if (greatest == kBannedLogit) return nothing;
  const auto weight_of = [&](float logit) {
    const double x = (static_cast<double>(logit) - greatest) / sampling_.temperature;
    return x > kNegligibleExponent ? DeterministicExp(x) : 0;
  };
  const double scale = best.best.empty() ? 0 : weight_of(best.best[0].second);
  std::vector<double> of_parts;
  for (double weight : weights) of_parts.push_back(weight * scale);
  for (const auto& [token, logit] : apart) {
    if (static_cast<size_t>(token / best.part_tokens) >= of_parts.size()) return nothing;
    of_parts[static_cast<size_t>(token / best.part_tokens)] += weight_of(logit);
  }
  double total = 0;
  for (double weight : of_parts) total += weight;
  const double drawn = UniformAt(sampling_.seed, drawn_) * total, error = kDrawError * total;
  size_t at = 0;
  double before = 0;
  while (at + 1 < of_parts.size() && before + of_parts[at] <= drawn) before += of_parts[at++];

  const int32_t begin = static_cast<int32_t>(at) * best.part_tokens;
  const int32_t count = std::min(best.part_tokens, best.vocab_size - begin);
  ASSIGN_OR_RETURN(const std::vector<float> logits, part(begin, count));
  auto changed = std::ranges::lower_bound(apart, begin, {}, &Logit::first);
  for (int32_t i = 0; i < count; ++i) {
    float logit = logits[static_cast<size_t>(i)];
    if (changed != apart.end() && changed->first == begin + i) logit = (changed++)->second;
    const double weight = weight_of(logit), behind = before + weight;
    if (drawn < behind) {
      if (drawn - before < error || behind - drawn < error) return nothing;
      ++drawn_;
      return std::optional<Logit>({begin + i, logits[static_cast<size_t>(i)]});
    }
    before = behind;
  }
  return nothing;
}

}  // namespace vade
