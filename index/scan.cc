#include "index/scan.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "kernels/kernels.h"

namespace vade {
namespace {

constexpr size_t kScanRows = 256;          // scored by one call of the kernel
constexpr size_t kCandidatesForPlace = 8;  // by nibbles, for a place in the head
constexpr float kDeviations = 4;           // of the noise of nibbles

bool Better(const Found& a, const Found& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.source != b.source ? a.source < b.source : a.slot < b.slot;
}

// Lifts of rows one after the other: neighbours are most often of one language.
class LiftReader {
 public:
  explicit LiftReader(const Question& question) : question_(question) {}
  float Of(LanguageCode language) {
    if (language != language_ || !read_) {
      language_ = language;
      lift_ = question_.LiftOfCodes(language);
      read_ = true;
    }
    return lift_;
  }

 private:
  const Question& question_;
  LanguageCode language_ = kUnknownLanguage;
  float lift_ = 0;
  bool read_ = false;
};

// Calls block(begin, count, kept) for blocks of rows of which `kept`, at least one, may be found.
template <typename F>
Status ForEachBlock(const Source& source, const Context& ctx, F block) {
  const SlotFilter& filter = source.filter;
  const bool all_kept = !filter.restricted() && !filter.any_dead();
  for (size_t begin = 0; begin < source.rows.count; begin += kScanRows) {
    if (begin % (64 * kScanRows) == 0) RETURN_IF_ERROR(ctx.Check());
    const size_t count = std::min(kScanRows, source.rows.count - begin);
    if (filter.KeepsNone(begin, count)) continue;
    size_t kept = all_kept ? count : 0;
    for (size_t i = 0; !all_kept && i < count; ++i) kept += filter.Keeps(begin + i);
    if (kept > 0) block(begin, count, kept);
  }
  return OkStatus();
}

// Rows that are nearly all to be found are scored many at a time, the rest one by one.
bool ManyAtATime(size_t kept, size_t count) { return kept * 4 >= count; }

class Scanner {
 public:
  Scanner(const Source& source, uint32_t number, const Question& question, Head* head)
      : source_(source),
        rows_(source.rows),
        number_(number),
        query_(question.code.data()),
        distance_(kernels::Active().distance),
        lift_(question),
        one_lift_(question.lift.none() || source.language),
        head_(head) {}

  void ScoreCodes(size_t begin, size_t count, size_t kept) {
    if (!ManyAtATime(kept, count)) return ScoreOneByOne(begin, count);
    int32_t dots[kScanRows];
    distance_.dot_i8_rows(query_, rows_.codes + begin * rows_.stride, rows_.stride, count,
                          rows_.dimension, dots);
    OfferKept(begin, count, kept, head_, [&](size_t i) { return static_cast<float>(dots[i]); });
  }

  // Into `coarse` 16 * (product with nibbles) less `excess`; rows that are scored one by one go to
  // the head at once.
  void ScoreNibbles(size_t begin, size_t count, size_t kept, float excess, Head* coarse) {
    if (!ManyAtATime(kept, count)) return ScoreOneByOne(begin, count);
    int32_t dots[kScanRows];
    distance_.dot_u4_rows(query_, rows_.nibbles + begin * NibbleBytes(rows_.dimension),
                          NibblePieces(rows_.dimension), count, dots);
    OfferKept(begin, count, kept, coarse,
              [&](size_t i) { return kNibbleStep * static_cast<float>(dots[i]) - excess; });
  }

  // By codes, into the head as well.
  std::vector<float> ScoreAgain(const std::vector<Found>& found, const Question& question) {
    std::vector<uint32_t> slots;
    slots.reserve(found.size());
    for (const Found& f : found) slots.push_back(f.slot);
    std::vector<float> scores;
    scores.reserve(found.size());
    for (const SlotScore& one : ScoreByCodes(rows_, question, slots)) {
      scores.push_back(Offer(one.score, one.slot));
    }
    return scores;
  }

 private:
  // `product` is that of the codes times the row's scale.
  float Offer(float product, size_t slot) {
    const float score = product + lift_.Of(rows_.languages[slot]);
    head_->Offer(score, number_, static_cast<uint32_t>(slot));
    return score;
  }

  void ScoreOneByOne(size_t begin, size_t count) {
    for (size_t slot = begin; slot < begin + count; ++slot) {
      if (!source_.filter.Keeps(slot)) continue;
      const int32_t dot =
          distance_.dot_i8(query_, rows_.codes + slot * rows_.stride, rows_.dimension);
      Offer(static_cast<float>(dot) * rows_.scales[slot], slot);
    }
  }

  template <typename F>
  void OfferKept(size_t begin, size_t count, size_t kept, Head* head, F product) {
    if (one_lift_) {
      const float lift = lift_.Of(rows_.languages[begin]);
      OfferKept(begin, count, kept, head, product, [lift](size_t) { return lift; });
    } else {
      OfferKept(begin, count, kept, head, product,
                [this](size_t slot) { return lift_.Of(rows_.languages[slot]); });
    }
  }

  template <typename F, typename L>
  void OfferKept(size_t begin, size_t count, size_t kept, Head* head, F product, L lift) {
    float floor = head->floor();
    for (size_t i = 0; i < count; ++i) {
      const size_t slot = begin + i;
      const float score = product(i) * rows_.scales[slot] + lift(slot);
      if (score < floor) continue;
      if (kept < count && !source_.filter.Keeps(slot)) continue;
      head->Offer(score, number_, static_cast<uint32_t>(slot));
      floor = head->floor();
    }
  }

  const Source& source_;
  const VectorRows& rows_;
  const uint32_t number_;
  const int8_t* const query_;
  const kernels::DistanceKernels& distance_;
  LiftReader lift_;
  const bool one_lift_;  // the same for every row
  Head* const head_;
};

Status ScanCodes(const Source& source, const Context& ctx, Scanner* scanner) {
  return ForEachBlock(source, ctx, [&](size_t begin, size_t count, size_t kept) {
    scanner->ScoreCodes(begin, count, kept);
  });
}

// What 16 times a product with nibbles is to be lessened by to give the greatest product with codes
// that is taken as possible. A remainder is uniform over 16 values, of variance (16^2 - 1) / 12.
float NibbleExcess(const Question& question) {
  float sum = 0, squares = 0;
  for (int8_t code : question.code) {
    sum += static_cast<float>(code);
    squares += static_cast<float>(code * code);
  }
  return kNibbleOffset * sum - kDeviations * std::sqrt(squares * 255 / 12);
}

// Whether rows that are below `floor` at the most cannot be among the best k of those with
// `scores`.
bool Suffice(float floor, size_t k, std::vector<float>* scores) {
  if (floor == kNoFloor) return true;  // none was left out
  if (k == 0 || k > scores->size()) return false;
  std::nth_element(scores->begin(), scores->begin() + (k - 1), scores->end(), std::greater<>());
  return floor < (*scores)[k - 1];
}

}  // namespace

Question::Question(const LanguageSums& sums, std::span<const float> asked)
    : vector(asked),
      code(NibblePieces(vector.size()) * kNibblePiece),
      scale(QuantizeRow(vector.data(), vector.size(), code.data())),
      lift(sums, vector) {}

std::vector<Found> Head::Take() {
  if (found_.size() > capacity_) Shrink();
  floor_ = kNoFloor;
  return std::exchange(found_, {});
}

void Head::Remove(uint32_t source) {
  std::erase_if(found_, [source](const Found& f) { return f.source == source; });
}

void Head::Shrink() {
  const auto last = found_.begin() + (capacity_ - 1);
  std::nth_element(found_.begin(), last, found_.end(), Better);
  floor_ = last->score;
  found_.resize(capacity_);
}

std::vector<SlotScore> ScoreByCodes(const VectorRows& rows, const Question& question,
                                    std::span<const uint32_t> slots) {
  std::vector<int32_t> dots(slots.size());
  kernels::Active().distance.dot_i8_slots(question.code.data(), rows.codes, rows.stride,
                                          slots.data(), slots.size(), rows.dimension, dots.data());
  std::vector<SlotScore> scored;
  scored.reserve(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    scored.push_back({static_cast<float>(dots[i]) * rows.scales[slots[i]], slots[i]});
  }
  return scored;
}

Status Scan(const Source& source, uint32_t number, const Question& question,
            const ScanOptions& options, const Context& ctx, Head* head) {
  const VectorRows& rows = source.rows;
  Scanner scanner(source, number, question, head);
  Head coarse(kCandidatesForPlace * head->capacity());
  if (!rows.nibbles || rows.count <= coarse.capacity() ||
      rows.count * rows.dimension < options.nibbles_from_bytes) {
    return ScanCodes(source, ctx, &scanner);
  }
  const float excess = NibbleExcess(question);
  RETURN_IF_ERROR(ForEachBlock(source, ctx, [&](size_t begin, size_t count, size_t kept) {
    scanner.ScoreNibbles(begin, count, kept, excess, &coarse);
  }));
  const float floor = coarse.floor();
  std::vector<float> scores = scanner.ScoreAgain(coarse.Take(), question);
  if (Suffice(floor, options.k, &scores)) return OkStatus();
  head->Remove(number);
  return ScanCodes(source, ctx, &scanner);
}

}  // namespace vade
