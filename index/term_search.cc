#include "index/term_search.h"

#include <algorithm>
#include <cmath>

namespace vade {
namespace {

// Sums of the same numbers in another order may differ in their last bits.
constexpr double kRounding = 1 + 1e-12;

bool Better(const TermHit& a, const TermHit& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

// The k best so far; the worst of them on top.
class BestHits {
 public:
  explicit BestHits(size_t k) : k_(k) {}
  // Whether a passage behind all that were offered can still be among them.
  bool MayTake(double bound) const { return heap_.size() < k_ || bound > heap_.front().score; }
  void Offer(const TermHit& hit) {
    if (heap_.size() == k_) {
      if (!Better(hit, heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end(), Better);
      heap_.pop_back();
    }
    heap_.push_back(hit);
    std::push_heap(heap_.begin(), heap_.end(), Better);
  }
  std::vector<TermHit> Take() {
    std::sort(heap_.begin(), heap_.end(), Better);
    return std::move(heap_);
  }

 private:
  const size_t k_;
  std::vector<TermHit> heap_;
};

// A term's place in its blocks.
class Cursor {
 public:
  Cursor(const QueryTerm& term, const TermStatistics& statistics)
      : term_(&term), score_(statistics) {}

  bool AtEnd() const { return block_ == term_->blocks.size(); }
  const PostingBlock& block() const { return term_->blocks[block_]; }

  // To the block that holds or follows `id`.
  void SkipTo(PassageId id) {
    while (!AtEnd() && block().last < id) {
      ++block_;
      decoded_ = bounded_ = false;
    }
  }
  // What any passage of the block gets from this term at most.
  double Bound() {
    if (bounded_) return bound_;
    bound_ = 0;
    for (const PostingMaximum& m : block().maxima()) {
      bound_ = std::max(bound_, term_->weight * score_(m.count, m.length));
    }
    bounded_ = true;
    return bound_;
  }
  Status Decode(TermSearchCounts* counts) {
    if (decoded_) return OkStatus();
    ++counts->decoded;
    RETURN_IF_ERROR(ReadPostings(block(), &postings_));
    next_ = 0;
    decoded_ = true;
    return OkStatus();
  }
  // Of a decoded block: its first passage at or behind `id`; null when there is none.
  const Posting* PostingFrom(PassageId id) {
    while (next_ < postings_.size() && postings_[next_].id < id) ++next_;
    return next_ < postings_.size() ? &postings_[next_] : nullptr;
  }
  double ScoreOf(const Posting& posting) const {
    return term_->weight * score_(posting.count, posting.length);
  }

 private:
  const QueryTerm* term_;
  const TermScore score_;
  size_t block_ = 0;
  bool decoded_ = false, bounded_ = false;
  double bound_ = 0;
  std::vector<Posting> postings_;
  size_t next_ = 0;
};

class TermSearch {
 public:
  TermSearch(std::span<const QueryTerm> terms, const TermStatistics& statistics, size_t k,
             const std::function<bool(PassageId)>& keeps)
      : keeps_(keeps), best_(k) {
    for (const QueryTerm& term : terms) cursors_.emplace_back(term, statistics);
  }

  Result<std::vector<TermHit>> Run(const Context& ctx, TermSearchCounts* counts) {
    size_t windows = 0;
    for (PassageId at = 1; FindWindow(at); at = end_ + 1) {
      if (windows++ % 256 == 0) RETURN_IF_ERROR(ctx.Check());
      double bound = 0;
      for (Cursor* cursor : in_window_) bound += cursor->Bound();
      if (best_.MayTake(bound * kRounding)) RETURN_IF_ERROR(ScoreWindow(counts));
      if (end_ == UINT64_MAX) break;
    }
    return best_.Take();
  }

 private:
  // The next window at or behind `at`: [begin_, end_], and the terms with a block in it. False at
  // the end of all terms.
  bool FindWindow(PassageId at) {
    begin_ = end_ = UINT64_MAX;
    for (Cursor& cursor : cursors_) {
      cursor.SkipTo(at);
      if (!cursor.AtEnd()) begin_ = std::min(begin_, std::max(at, cursor.block().first));
    }
    in_window_.clear();
    for (Cursor& cursor : cursors_) {
      if (cursor.AtEnd()) continue;
      const PostingBlock& block = cursor.block();
      if (block.first > begin_) {
        end_ = std::min(end_, block.first - 1);
      } else {
        end_ = std::min(end_, block.last);
        in_window_.push_back(&cursor);
      }
    }
    return !in_window_.empty();
  }

  // Terms of the window without which nothing in it can be among the best: those whose bounds,
  // after all smaller ones, exceed the worst of them.
  void ChooseEssential() {
    essential_ = in_window_;
    std::sort(essential_.begin(), essential_.end(),
              [](Cursor* a, Cursor* b) { return a->Bound() < b->Bound(); });
    double bound = 0;
    size_t idle = 0;
    for (; idle < essential_.size(); ++idle) {
      bound += essential_[idle]->Bound();
      if (best_.MayTake(bound * kRounding)) break;
    }
    essential_.erase(essential_.begin(), essential_.begin() + static_cast<std::ptrdiff_t>(idle));
  }

  Status ScoreWindow(TermSearchCounts* counts) {
    ChooseEssential();
    for (Cursor* cursor : essential_) RETURN_IF_ERROR(cursor->Decode(counts));
    for (PassageId at = begin_;;) {
      PassageId next = UINT64_MAX;
      for (Cursor* cursor : essential_) {
        if (const Posting* p = cursor->PostingFrom(at)) next = std::min(next, p->id);
      }
      if (next > end_ || next == UINT64_MAX) return OkStatus();
      if (keeps_(next)) RETURN_IF_ERROR(Score(next, counts));
      at = next + 1;
    }
  }

  Status Score(PassageId id, TermSearchCounts* counts) {
    double score = 0;
    for (Cursor* cursor : in_window_) {
      RETURN_IF_ERROR(cursor->Decode(counts));
      const Posting* p = cursor->PostingFrom(id);
      if (p && p->id == id) score += cursor->ScoreOf(*p);
    }
    best_.Offer({id, score});
    return OkStatus();
  }

  const std::function<bool(PassageId)>& keeps_;
  BestHits best_;
  std::vector<Cursor> cursors_;
  std::vector<Cursor*> in_window_, essential_;
  PassageId begin_ = 0, end_ = 0;
};

}  // namespace

double TermWeight(const TermStatistics& statistics, uint64_t passages_with_term) {
  const double n = static_cast<double>(statistics.passages);
  // Blocks may still list passages that are gone.
  const double df = std::min(n, static_cast<double>(passages_with_term));
  return std::log(1 + (n - df + 0.5) / (df + 0.5));
}

TermScore::TermScore(const TermStatistics& statistics)
    : least_norm_(kTermSaturation * (1 - kLengthShare)),
      norm_of_word_(kTermSaturation * kLengthShare / std::max(1.0, statistics.mean_length)) {}

Result<std::vector<TermHit>> BestByTerms(std::span<const QueryTerm> terms,
                                         const TermStatistics& statistics, size_t k,
                                         const std::function<bool(PassageId)>& keeps,
                                         const Context& ctx, TermSearchCounts* counts) {
  if (k == 0) return std::vector<TermHit>();
  return TermSearch(terms, statistics, k, keeps).Run(ctx, counts);
}

}  // namespace vade
