#include "generator/json_numbers.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"

namespace vade {
namespace {

constexpr int kMaxDigits = 18;
constexpr uint64_t kBeyond = 1'000'000'000'000'000'000;  // 10^18

using Bound = NumberBounds::Bound;

// <0, 0, >0 as a is less, equal or greater; signs left out. Digits behind the point compare as
// text because neither has zeros at its end.
int CompareMagnitude(const Decimal& a, const Decimal& b) {
  if (a.whole != b.whole) return a.whole < b.whole ? -1 : 1;
  return a.fraction.compare(b.fraction);
}

int Compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  return a.negative ? CompareMagnitude(b, a) : CompareMagnitude(a, b);
}

class NumberForms {
 public:
  explicit NumberForms(GrammarBuilder* builder) : builder_(*builder) {}

  // Magnitudes from low to high.
  ExprId Integers(const Bound& low, const Bound& high) {
    const bool skip_first = low.exclusive || !low.value.fraction.empty();
    const bool skip_last = high.exclusive && high.value.fraction.empty();
    if (skip_last && high.value.whole == 0) return kNothing;
    return Whole(low.value.whole + (skip_first ? 1 : 0), high.value.whole - (skip_last ? 1 : 0));
  }

  ExprId Numbers(const Bound& low, const Bound& high) {
    const uint64_t first = low.value.whole, last = high.value.whole;
    if (first > last) return kNothing;
    if (first == last) return builder_.Sequence({Whole(first, first), Fraction(&low, &high)});
    const ExprId any_fraction = Fraction(nullptr, nullptr);
    return builder_.Alternatives(
        {builder_.Sequence({Whole(first, first), Fraction(&low, nullptr)}),
         builder_.Sequence({Whole(first + 1, last - 1), any_fraction}),
         builder_.Sequence({Whole(last, last), Fraction(nullptr, &high)})});
  }

 private:
  ExprId Digits(char first, char last) {
    return builder_.Set(
        CodePointSet({{static_cast<char32_t>(first), static_cast<char32_t>(last)}}));
  }

  // Whole numbers from low to high below 10^18, by their number of digits.
  ExprId Whole(uint64_t low, uint64_t high) {
    high = std::min(high, kBeyond - 1);
    std::vector<ExprId> lengths;
    uint64_t smallest = 0, largest = 9;
    for (int digits = 1; digits <= kMaxDigits; ++digits) {
      const uint64_t a = std::max(low, smallest), b = std::min(high, largest);
      if (a <= b) lengths.push_back(SameLength(StrCat(a), StrCat(b), {true, true}));
      smallest = largest + 1;
      largest = largest * 10 + 9;
    }
    return builder_.Alternatives(std::move(lengths));
  }

  // Whether what was written so far equals the beginning of the lower or the upper end.
  struct Tight {
    bool low = false, high = false;
  };

  // A digit of first..last, then what `rest` gives for the bounds that still hold behind it: the
  // lower one only behind `first`, the upper one only behind `last`.
  template <typename Rest>
  ExprId FirstDigit(char first, char last, Tight tight, const Rest& rest) {
    std::vector<ExprId> ways;
    const auto add = [&](char from, char to, Tight next) {
      if (from > to) return;
      const ExprId behind = rest(next);
      ways.push_back(builder_.Sequence({Digits(from, to), behind}));
    };
    if (first == last) {
      add(first, last, tight);
    } else {
      if (tight.low) add(first, first, {.low = true});
      add(static_cast<char>(first + tight.low), static_cast<char>(last - tight.high), {});
      if (tight.high) add(last, last, {.high = true});
    }
    return builder_.Alternatives(std::move(ways));
  }

  ExprId SameLength(std::string_view low, std::string_view high, Tight tight) {
    tight.low &= low.find_first_not_of('0') != low.npos;
    tight.high &= high.find_first_not_of('9') != high.npos;
    const auto left = static_cast<int>(low.size());
    if (!tight.low && !tight.high) return builder_.Repeat(Digits('0', '9'), left, left);
    const char first = tight.low ? low[0] : '0', last = tight.high ? high[0] : '9';
    return FirstDigit(first, last, tight,
                      [&](Tight next) { return SameLength(low.substr(1), high.substr(1), next); });
  }

  // What may stand behind a whole part that equals that of `low` and of `high`; null = no bound.
  ExprId Fraction(const Bound* low, const Bound* high) {
    low_ = low, high_ = high;
    const Tight tight = {low != nullptr, high != nullptr};
    const ExprId digits = MoreDigits(0, tight);
    return builder_.Alternatives(
        {MayEnd(0, tight) ? builder_.Empty() : kNothing,
         digits == kNothing ? kNothing : builder_.Sequence({builder_.Literal("."), digits})});
  }

  bool MayEnd(size_t at, Tight tight) const {
    if (tight.low && (at < low_->value.fraction.size() || low_->exclusive)) return false;
    return !(tight.high && at >= high_->value.fraction.size() && high_->exclusive);
  }

  // One digit or more, the first of them at place `at` behind the point.
  ExprId MoreDigits(size_t at, Tight tight) {
    if (at >= kMaxDigits) return kNothing;
    if (tight.low && at >= low_->value.fraction.size() && !low_->exclusive) tight.low = false;
    // The upper end is reached: more digits would be zeros, or too much.
    if (tight.high && at >= high_->value.fraction.size()) return kNothing;
    const int left = kMaxDigits - static_cast<int>(at);
    if (!tight.low && !tight.high) return builder_.Repeat(Digits('0', '9'), 1, left);
    const char first = !tight.low                         ? '0'
                       : at < low_->value.fraction.size() ? low_->value.fraction[at]
                                                          : '0';
    const char last = tight.high ? high_->value.fraction[at] : '9';
    return FirstDigit(first, last, tight, [&](Tight next) {
      const ExprId more = MoreDigits(at + 1, next);
      return builder_.Alternatives({MayEnd(at + 1, next) ? builder_.Empty() : kNothing, more});
    });
  }

  GrammarBuilder& builder_;
  const Bound* low_ = nullptr;
  const Bound* high_ = nullptr;
};

// Magnitudes at or above zero that the bounds leave on one side; nothing when low > high.
struct Side {
  Bound low, high;
};

std::optional<Side> Positive(const NumberBounds& bounds) {
  Side side = {{{}, false}, {{false, kBeyond, ""}, true}};
  if (bounds.max) {
    if (bounds.max->value.negative) return std::nullopt;
    side.high = *bounds.max;
  }
  if (bounds.min && !bounds.min->value.negative) side.low = *bounds.min;
  return side;
}

std::optional<Side> Negative(const NumberBounds& bounds) {
  Side side = {{{}, true}, {{false, kBeyond, ""}, true}};  // zero is written without a sign
  if (bounds.min) {
    if (!bounds.min->value.negative) return std::nullopt;
    side.high = *bounds.min;
  }
  if (bounds.max && bounds.max->value.negative) side.low = *bounds.max;
  return side;
}

bool IsEmpty(const Side& side) {
  const int order = CompareMagnitude(side.low.value, side.high.value);
  return order > 0 || (order == 0 && (side.low.exclusive || side.high.exclusive));
}

template <typename Form>
ExprId BothSides(const NumberBounds& bounds, GrammarBuilder* builder, Form form) {
  std::vector<ExprId> sides;
  if (const auto side = Negative(bounds); side && !IsEmpty(*side)) {
    const ExprId magnitudes = form(*side);
    if (magnitudes != kNothing) {
      sides.push_back(builder->Sequence({builder->Literal("-"), magnitudes}));
    }
  }
  if (const auto side = Positive(bounds); side && !IsEmpty(*side)) sides.push_back(form(*side));
  return builder->Alternatives(std::move(sides));
}

}  // namespace

void NumberBounds::AtLeast(Bound bound) {
  const int order = min ? Compare(bound.value, min->value) : 1;
  if (order > 0 || (order == 0 && bound.exclusive)) min = std::move(bound);
}

void NumberBounds::AtMost(Bound bound) {
  const int order = max ? Compare(bound.value, max->value) : -1;
  if (order < 0 || (order == 0 && bound.exclusive)) max = std::move(bound);
}

Result<Decimal> ParseDecimal(std::string_view text) {
  Decimal decimal;
  std::string_view digits = text;
  if (digits.starts_with('-')) digits.remove_prefix(1), decimal.negative = true;
  const size_t point = std::min(digits.find('.'), digits.size());
  const std::string_view whole = digits.substr(0, point);
  if (whole.empty() || whole.find_first_not_of("0123456789") != whole.npos) {
    return InvalidArgument(StrCat("'", text, "' is not a decimal number"));
  }
  decimal.whole = kBeyond;
  if (whole.size() <= kMaxDigits) decimal.whole = *ParseUint(whole);
  if (point < digits.size() && decimal.whole != kBeyond) {
    decimal.fraction = digits.substr(point + 1);
    while (decimal.fraction.ends_with('0')) decimal.fraction.pop_back();
    if (decimal.fraction.size() > kMaxDigits) {
      return InvalidArgument(
          StrCat("a bound has at most ", kMaxDigits, " digits behind the point"));
    }
  }
  if (decimal.whole == 0 && decimal.fraction.empty()) decimal.negative = false;
  return decimal;
}

ExprId IntegersWithin(const NumberBounds& bounds, GrammarBuilder* builder) {
  return BothSides(bounds, builder, [&](const Side& side) {
    return NumberForms(builder).Integers(side.low, side.high);
  });
}

ExprId NumbersWithin(const NumberBounds& bounds, GrammarBuilder* builder) {
  return BothSides(bounds, builder, [&](const Side& side) {
    return NumberForms(builder).Numbers(side.low, side.high);
  });
}

}  // namespace vade
