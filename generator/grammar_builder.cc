#include "generator/grammar_builder.h"

#include <algorithm>

#include "base/strings.h"

namespace vade {
namespace {

constexpr size_t kMaxExpressions = 200'000;

}  // namespace

ExprId GrammarBuilder::Add(Expr expr) {
  if (exprs_.size() >= kMaxExpressions) {
    if (status_.ok()) status_ = ResourceExhausted("the grammar is too large; make it smaller");
    return 0;
  }
  exprs_.push_back(std::move(expr));
  return static_cast<ExprId>(exprs_.size() - 1);
}

ExprId GrammarBuilder::Literal(std::string_view utf8) {
  return Add({.kind = Expr::Kind::kLiteral, .literal = std::string(utf8)});
}

ExprId GrammarBuilder::Set(CodePointSet set) {
  if (set.empty()) return kNothing;
  return Add({.kind = Expr::Kind::kSet, .set = std::move(set)});
}

ExprId GrammarBuilder::Sequence(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts[0];
  if (std::find(parts.begin(), parts.end(), kNothing) != parts.end()) return kNothing;
  return Add({.kind = Expr::Kind::kSequence, .parts = std::move(parts)});
}

ExprId GrammarBuilder::Alternatives(std::vector<ExprId> parts) {
  parts.erase(std::remove(parts.begin(), parts.end(), kNothing), parts.end());
  if (parts.empty()) return kNothing;
  if (parts.size() == 1) return parts[0];
  return Add({.kind = Expr::Kind::kAlternatives, .parts = std::move(parts)});
}

ExprId GrammarBuilder::Repeat(ExprId part, int min, int max) {
  if (min < 0 || min > kMaxRepeat || max > kMaxRepeat || (max != kUnbounded && max < min)) {
    if (status_.ok()) {
      status_ = InvalidArgument(StrCat("a repetition of ", min, " to ", max,
                                       " is out of range; counts go from 0 to ", kMaxRepeat));
    }
    return kNothing;
  }
  if (part == kNothing) return min == 0 ? Empty() : kNothing;
  return Add({.kind = Expr::Kind::kRepeat, .parts = {part}, .min = min, .max = max});
}

ExprId GrammarBuilder::Ref(RuleId rule) { return Add({.kind = Expr::Kind::kRule, .rule = rule}); }

RuleId GrammarBuilder::Declare(std::string_view name) {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return found->second;
  const auto rule = static_cast<RuleId>(rules_.size());
  rules_.push_back({std::string(name)});
  by_name_.emplace(std::string(name), rule);
  return rule;
}

bool GrammarBuilder::Define(RuleId rule, ExprId body) {
  if (rules_[rule].defined) return false;
  rules_[rule].body = body;
  rules_[rule].defined = true;
  return true;
}

}  // namespace vade
