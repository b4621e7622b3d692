#include "index/diversity.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace vade {
namespace {

class Diversifier {
 public:
  Diversifier(double share, std::vector<Candidate>* candidates)
      : share_(share), candidates_(*candidates), taken_(candidates->size(), false) {}

  Status Read(const VectorOf& vector_of) {
    for (const Candidate& candidate : candidates_) {
      ASSIGN_OR_RETURN(vectors_.emplace_back(), vector_of(candidate));
    }
    return OkStatus();
  }

  std::vector<Candidate> Order(size_t count) {
    std::vector<Candidate> ordered;
    while (ordered.size() < std::min(count, candidates_.size())) {
      const size_t next = ordered.empty() ? 0 : Best();
      taken_[next] = true;
      ordered.push_back(candidates_[next]);
      Compare(next);
      if (ordered.size() == 1) SetScale();
    }
    for (size_t i = 0; i < candidates_.size(); ++i) {
      if (!taken_[i]) ordered.push_back(candidates_[i]);
    }
    return ordered;
  }

 private:
  // The likeness of all that are left to the one that was taken.
  void Compare(size_t to) {
    const auto dot = kernels::Active().distance.dot_f32;
    for (size_t i = 0; i < candidates_.size(); ++i) {
      if (taken_[i]) continue;
      const double cosine = dot(vectors_[i].data(), vectors_[to].data(), vectors_[to].size());
      candidates_[i].likeness = first_ ? cosine : std::max(candidates_[i].likeness, cosine);
    }
    first_ = false;
  }

  void SetScale() {
    best_ = candidates_.front().score;
    span_ = best_ - candidates_.back().score;
    for (size_t i = 1; i < candidates_.size(); ++i) {
      least_likeness_ = std::min(least_likeness_, candidates_[i].likeness);
    }
  }

  double Worth(const Candidate& candidate) const {
    const double relevance = span_ > 0 ? 1 - (best_ - candidate.score) / span_ : 1;
    const double room = 1 - least_likeness_;
    const double likeness =
        room > 0 ? std::max(0.0, (candidate.likeness - least_likeness_) / room) : 1;
    return share_ * relevance - (1 - share_) * likeness;
  }

  // Of equals the one with the better score.
  size_t Best() const {
    size_t best = candidates_.size();
    double worth = 0;
    for (size_t i = 0; i < candidates_.size(); ++i) {
      if (taken_[i]) continue;
      const double own = Worth(candidates_[i]);
      if (best < candidates_.size() && own <= worth) continue;
      best = i;
      worth = own;
    }
    return best;
  }

  const double share_;
  std::vector<Candidate>& candidates_;
  std::vector<bool> taken_;
  std::vector<std::vector<float>> vectors_;
  bool first_ = true;
  double best_ = 0, span_ = 0, least_likeness_ = 1;
};

}  // namespace

Status Diversify(double share, size_t count, const VectorOf& vector_of,
                 std::vector<Candidate>* candidates) {
  if (candidates->size() < 2) return OkStatus();
  Diversifier diversifier(share, candidates);
  RETURN_IF_ERROR(diversifier.Read(vector_of));
  *candidates = diversifier.Order(count);
  return OkStatus();
}

}  // namespace vade
