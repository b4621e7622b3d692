// JSON numbers within bounds, as expressions of a grammar. Exact in decimal digits: nothing is
// rounded. A number has at most 18 digits before the point and 18 behind it (with bounds: no
// exponent), so that no reader overflows and a model cannot loop in digits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "generator/grammar_builder.h"

namespace vade {

struct Decimal {
  bool negative = false;
  uint64_t whole = 0;
  std::string fraction;  // its digits, no zeros at the end
};

struct NumberBounds {
  struct Bound {
    Decimal value;
    bool exclusive = false;
  };
  std::optional<Bound> min, max;

  // Keeps the stronger of both.
  void AtLeast(Bound bound);
  void AtMost(Bound bound);
  bool any() const { return min || max; }
};

// "-12.50" -> a Decimal; a whole part beyond 10^18 becomes 10^18, which no number reaches.
// INVALID_ARGUMENT: no such text, or more than 18 digits behind the point.
Result<Decimal> ParseDecimal(std::string_view text);

// kNothing when no number lies between. Without bounds: use the rules of json_forms.h.
ExprId IntegersWithin(const NumberBounds& bounds, GrammarBuilder* builder);
ExprId NumbersWithin(const NumberBounds& bounds, GrammarBuilder* builder);

}  // namespace vade
