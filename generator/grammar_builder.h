// A grammar while it is put together: expressions over code points, and rules that name them. Both
// readers (grammar_text.h, json_schema.h) write into one; grammar_program.h makes the automaton.
//
//   GrammarBuilder builder;
//   const RuleId root = builder.Declare("root");
//   builder.Define(root, builder.Sequence({builder.Literal("a"), builder.Ref(root)}));
//
// kNothing is an expression that no text matches; a sequence with it in it is kNothing, an
// alternative that is kNothing falls away. What exceeds a limit is remembered in status(), so that
// the readers need not look after every step.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "generator/code_points.h"

namespace vade {

using ExprId = int32_t;
using RuleId = int32_t;

constexpr ExprId kNothing = -1;
constexpr int kUnbounded = -1;
// Counts beyond this are refused: each repetition is a state.
constexpr int kMaxRepeat = 20'000;

struct Expr {
  enum class Kind { kLiteral, kSet, kSequence, kAlternatives, kRepeat, kRule };
  Kind kind = Kind::kLiteral;
  std::string literal = {};        // kLiteral; "" matches the empty text
  CodePointSet set = {};           // kSet
  std::vector<ExprId> parts = {};  // kSequence, kAlternatives; the repeated one of kRepeat
  int min = 0, max = 0;            // kRepeat; max may be kUnbounded
  RuleId rule = -1;                // kRule
};

class GrammarBuilder {
 public:
  ExprId Empty() { return Literal(""); }
  ExprId Literal(std::string_view utf8);
  ExprId Set(CodePointSet set);
  ExprId Sequence(std::vector<ExprId> parts);
  ExprId Alternatives(std::vector<ExprId> parts);
  ExprId Repeat(ExprId part, int min, int max);
  ExprId Optional(ExprId part) { return Repeat(part, 0, 1); }
  ExprId Ref(RuleId rule);

  // The rule of that name, which need not be defined yet.
  RuleId Declare(std::string_view name);
  // False when it has been defined already; nothing has changed then.
  bool Define(RuleId rule, ExprId body);
  bool IsDefined(RuleId rule) const { return rules_[rule].defined; }

  // RESOURCE_EXHAUSTED once there was too much, INVALID_ARGUMENT after a repetition out of range.
  const Status& status() const { return status_; }

  const Expr& expr(ExprId id) const { return exprs_[id]; }
  ExprId body(RuleId rule) const { return rules_[rule].body; }
  const std::string& name(RuleId rule) const { return rules_[rule].name; }
  int rule_count() const { return static_cast<int>(rules_.size()); }

 private:
  struct Rule {
    std::string name;
    ExprId body = kNothing;
    bool defined = false;
  };
  ExprId Add(Expr expr);

  std::vector<Expr> exprs_;
  std::vector<Rule> rules_;
  std::map<std::string, RuleId, std::less<>> by_name_;
  Status status_;
};

}  // namespace vade
