#include "generator/grammar_program.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"

namespace vade {
namespace {

using Edge = GrammarProgram::Edge;
using EdgeKind = GrammarProgram::EdgeKind;

struct LoweredRule {
  std::string name;
  ExprId body = kNothing;
  uint32_t start = 0, end = 0;
};

// Turns expressions into nodes. Lower(e, from, to) adds no edge into `from` and none out of `to`,
// so that neighbours may share them.
class Lowering {
 public:
  explicit Lowering(const GrammarBuilder& grammar) : grammar_(grammar) {
    rule_index_.assign(grammar.rule_count(), -1);
  }

  Status Run(RuleId root) {
    Enter(root);
    // Lowering one rule makes known which others are needed.
    for (current_ = 0; current_ < rules_.size() && !too_large_; ++current_) {
      const LoweredRule rule = rules_[current_];
      Lower(rule.body, rule.start, rule.end);
    }
    if (too_large_) {
      return ResourceExhausted(StrCat("the grammar needs more than ", kMaxNodes,
                                      " states; use smaller counts or fewer rules"));
    }
    return OkStatus();
  }

  const std::vector<LoweredRule>& rules() const { return rules_; }
  const std::vector<uint32_t>& rule_of() const { return rule_of_; }
  std::vector<std::pair<uint32_t, Edge>>& edges() { return edges_; }

 private:
  size_t AddRule(std::string name, ExprId body) {
    LoweredRule rule{std::move(name), body, 0, 0};
    rule.start = NewNode(rules_.size());
    rule.end = NewNode(rules_.size());
    rules_.push_back(std::move(rule));
    return rules_.size() - 1;
  }

  size_t Enter(RuleId id) {
    if (rule_index_[id] < 0) {
      rule_index_[id] = static_cast<int64_t>(AddRule(grammar_.name(id), grammar_.body(id)));
    }
    return rule_index_[id];
  }

  // A rule without a name for an expression that is repeated: each repetition is then one call.
  size_t EnterRepeated(ExprId part) {
    const auto found = repeated_.find(part);
    if (found != repeated_.end()) return found->second;
    return repeated_[part] = AddRule(rules_[current_].name, part);
  }

  uint32_t NewNode(size_t rule) {
    if (rule_of_.size() >= kMaxNodes) {
      too_large_ = true;
      return 0;
    }
    rule_of_.push_back(static_cast<uint32_t>(rule));
    return static_cast<uint32_t>(rule_of_.size() - 1);
  }
  uint32_t NewNode() { return NewNode(current_); }

  void AddEmpty(uint32_t from, uint32_t to) {
    edges_.push_back({from, {.kind = EdgeKind::kEmpty, .target = to}});
  }
  void AddBytes(uint32_t from, ByteRange bytes, uint32_t to) {
    edges_.push_back({from, {EdgeKind::kBytes, bytes.first, bytes.last, to, 0}});
  }
  void AddCall(size_t rule, uint32_t from, uint32_t to) {
    const EdgeKind kind = to == rules_[current_].end ? EdgeKind::kTailCall : EdgeKind::kCall;
    edges_.push_back({from, {.kind = kind, .target = rules_[rule].start, .next = to}});
  }

  void Lower(ExprId id, uint32_t from, uint32_t to) {
    if (too_large_ || id == kNothing) return;
    const Expr& expr = grammar_.expr(id);
    switch (expr.kind) {
      case Expr::Kind::kLiteral: return LowerLiteral(expr.literal, from, to);
      case Expr::Kind::kSet: return LowerSet(expr.set, from, to);
      case Expr::Kind::kSequence: return LowerSequence(expr, from, to);
      case Expr::Kind::kAlternatives: return LowerAlternatives(expr, from, to);
      case Expr::Kind::kRepeat: return LowerRepeat(expr, from, to);
      case Expr::Kind::kRule: return AddCall(Enter(expr.rule), from, to);
    }
  }

  void LowerLiteral(std::string_view text, uint32_t from, uint32_t to) {
    if (text.empty()) return AddEmpty(from, to);
    for (size_t i = 0; i < text.size() && !too_large_; ++i) {
      const auto byte = static_cast<uint8_t>(text[i]);
      const uint32_t next = i + 1 == text.size() ? to : NewNode();
      AddBytes(from, {byte, byte}, next);
      from = next;
    }
  }

  void LowerSet(const CodePointSet& set, uint32_t from, uint32_t to) {
    uint32_t rest[4] = {to, 0, 0, 0};  // rest[k]: any k continuation bytes, then `to`; 0 = not made
    for (const auto& sequence : Utf8Sequences(set)) {
      if (too_large_) return;
      uint32_t node = from;
      for (size_t i = 0; i < sequence.size(); ++i) {
        const bool free_rest =
            std::all_of(sequence.begin() + i + 1, sequence.end(),
                        [](ByteRange range) { return range.first == 0x80 && range.last == 0xBF; });
        const uint32_t next = free_rest ? Continuation(sequence.size() - 1 - i, rest) : NewNode();
        AddBytes(node, sequence[i], next);
        if (free_rest) break;
        node = next;
      }
    }
  }

  uint32_t Continuation(size_t count, uint32_t (&rest)[4]) {
    for (size_t k = 1; k <= count; ++k) {
      if (rest[k] != 0) continue;
      rest[k] = NewNode();
      AddBytes(rest[k], {0x80, 0xBF}, rest[k - 1]);
    }
    return rest[count];
  }

  void LowerSequence(const Expr& expr, uint32_t from, uint32_t to) {
    if (expr.parts.empty()) return AddEmpty(from, to);
    for (size_t i = 0; i < expr.parts.size() && !too_large_; ++i) {
      const uint32_t next = i + 1 == expr.parts.size() ? to : NewNode();
      Lower(expr.parts[i], from, next);
      from = next;
    }
  }

  // Literals among the alternatives share their beginnings: an enum of a thousand words is one
  // position, not a thousand.
  void LowerAlternatives(const Expr& expr, uint32_t from, uint32_t to) {
    std::vector<std::string_view> literals;
    for (const ExprId part : expr.parts) {
      if (grammar_.expr(part).kind == Expr::Kind::kLiteral) {
        literals.push_back(grammar_.expr(part).literal);
      } else {
        Lower(part, from, to);
      }
    }
    std::sort(literals.begin(), literals.end());
    literals.erase(std::unique(literals.begin(), literals.end()), literals.end());
    LowerLiterals(literals, 0, from, to);
  }

  // `sorted` agree in their first `at` bytes.
  void LowerLiterals(std::span<const std::string_view> sorted, size_t at, uint32_t from,
                     uint32_t to) {
    if (!sorted.empty() && sorted[0].size() == at) {
      AddEmpty(from, to);
      sorted = sorted.subspan(1);
    }
    while (!sorted.empty() && !too_large_) {
      const char byte = sorted[0][at];
      size_t count = 1;
      while (count < sorted.size() && sorted[count][at] == byte) ++count;
      const auto group = sorted.first(count);
      sorted = sorted.subspan(count);
      if (count == 1) {
        LowerLiteral(group[0].substr(at), from, to);
        continue;
      }
      const std::string_view low = group.front(), high = group.back();
      const auto differ = std::mismatch(low.begin(), low.end(), high.begin(), high.end());
      const auto common = static_cast<size_t>(differ.first - low.begin());
      const uint32_t fork = NewNode();
      LowerLiteral(low.substr(at, common - at), from, fork);
      LowerLiterals(group, common, fork, to);
    }
  }

  bool IsOneEdge(const Expr& expr) const {
    return expr.kind == Expr::Kind::kRule ||
           (expr.kind == Expr::Kind::kLiteral && expr.literal.size() == 1) ||
           (expr.kind == Expr::Kind::kSet && expr.set.ranges().size() == 1 &&
            expr.set.ranges()[0].last < 0x80);
  }

  void LowerRepeat(const Expr& expr, uint32_t from, uint32_t to) {
    const int copies = expr.max == kUnbounded ? std::max(expr.min, 1) : expr.max;
    const ExprId part = expr.parts[0];
    const bool call = copies > 1 && !IsOneEdge(grammar_.expr(part));
    const auto once = [&](uint32_t a, uint32_t b) {
      if (call) {
        AddCall(EnterRepeated(part), a, b);
      } else {
        Lower(part, a, b);
      }
    };
    if (expr.max == 0) return AddEmpty(from, to);
    for (int i = 1; i < copies && !too_large_; ++i) {
      if (i > expr.min) AddEmpty(from, to);
      const uint32_t next = NewNode();
      once(from, next);
      from = next;
    }
    if (expr.max != kUnbounded) {
      if (copies > expr.min) AddEmpty(from, to);
      return once(from, to);
    }
    const uint32_t before = NewNode(), after = NewNode();
    AddEmpty(from, before);
    once(before, after);
    AddEmpty(after, before);
    AddEmpty(after, to);
    if (expr.min == 0) AddEmpty(from, to);
  }

  const GrammarBuilder& grammar_;
  std::vector<int64_t> rule_index_;  // of the grammar's rules, in rules_; -1 = not needed so far
  std::map<ExprId, size_t> repeated_;
  std::vector<LoweredRule> rules_;
  std::vector<uint32_t> rule_of_;  // of nodes, an index of rules_
  std::vector<std::pair<uint32_t, Edge>> edges_;
  size_t current_ = 0;
  bool too_large_ = false;
};

GrammarProgram Assemble(Lowering& lowering) {
  GrammarProgram program;
  program.nodes.resize(lowering.rule_of().size());
  auto& edges = lowering.edges();
  std::stable_sort(edges.begin(), edges.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [from, edge] : edges) {
    GrammarProgram::Node& node = program.nodes[from];
    if (node.edges_end == 0) node.edges_begin = static_cast<uint32_t>(program.edges.size());
    program.edges.push_back(edge);
    node.edges_end = static_cast<uint32_t>(program.edges.size());
    node.reads |= edge.kind == EdgeKind::kBytes;
  }
  for (const LoweredRule& rule : lowering.rules()) program.nodes[rule.end].is_end = true;
  program.start = lowering.rules()[0].start;
  return program;
}

void ClassifyBytes(GrammarProgram* program) {
  bool begins[257] = {true};
  for (const Edge& edge : program->edges) {
    if (edge.kind != EdgeKind::kBytes) continue;
    begins[edge.first] = true;
    begins[edge.last + 1] = true;
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (begins[byte]) program->class_byte.push_back(static_cast<uint8_t>(byte));
    program->byte_class[byte] = static_cast<uint8_t>(program->class_byte.size() - 1);
  }
}

// From the beginning of every rule, going over bytes only where `over_bytes`: which nodes can be
// reached, and which rules can come to their end so. A call goes on once its rule can end.
struct Reach {
  std::vector<bool> nodes, rules;
};
enum class Over { kNothing, kBytes };

Reach FindReach(const GrammarProgram& program, const Lowering& lowering, Over over) {
  const auto& rule_of = lowering.rule_of();
  Reach reach{std::vector<bool>(program.nodes.size()), std::vector<bool>(lowering.rules().size())};
  std::vector<std::vector<uint32_t>> waiting(lowering.rules().size());
  std::vector<uint32_t> pending;
  const auto visit = [&](uint32_t node) {
    if (reach.nodes[node]) return;
    reach.nodes[node] = true;
    pending.push_back(node);
  };
  for (const LoweredRule& rule : lowering.rules()) visit(rule.start);
  while (!pending.empty()) {
    const uint32_t node = pending.back();
    pending.pop_back();
    const uint32_t rule = rule_of[node];
    if (program.nodes[node].is_end && !reach.rules[rule]) {
      reach.rules[rule] = true;
      for (const uint32_t next : waiting[rule]) visit(next);
    }
    for (const Edge& edge : program.EdgesOf(node)) {
      if (edge.kind == EdgeKind::kEmpty) {
        visit(edge.target);
      } else if (edge.kind == EdgeKind::kBytes) {
        if (over == Over::kBytes) visit(edge.target);
      } else if (reach.rules[rule_of[edge.target]]) {
        visit(edge.next);
      } else {
        waiting[rule_of[edge.target]].push_back(edge.next);
      }
    }
  }
  return reach;
}

Status CheckEndings(const GrammarProgram& program, const Lowering& lowering) {
  const Reach reach = FindReach(program, lowering, Over::kBytes);
  for (size_t rule = 0; rule < lowering.rules().size(); ++rule) {
    if (reach.rules[rule]) continue;
    return InvalidArgument(StrCat("'", lowering.rules()[rule].name,
                                  "' can never come to an end; give it an alternative that does "
                                  "not need itself"));
  }
  return OkStatus();
}

// A cycle of calls that are reached without a byte. Depth first, without recursion of our own.
Status CheckLeftRecursion(const GrammarProgram& program, const Lowering& lowering) {
  const Reach reach = FindReach(program, lowering, Over::kNothing);
  std::vector<std::vector<uint32_t>> calls(lowering.rules().size());
  for (uint32_t node = 0; node < program.nodes.size(); ++node) {
    if (!reach.nodes[node]) continue;
    for (const Edge& edge : program.EdgesOf(node)) {
      if (edge.kind != EdgeKind::kCall && edge.kind != EdgeKind::kTailCall) continue;
      calls[lowering.rule_of()[node]].push_back(lowering.rule_of()[edge.target]);
    }
  }
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> state(calls.size(), kNew);
  std::vector<uint32_t> path;
  for (uint32_t first = 0; first < calls.size(); ++first) {
    if (state[first] == kNew) path.push_back(first);
    while (!path.empty()) {
      const uint32_t rule = path.back();
      state[rule] = kOpen;
      if (calls[rule].empty()) {
        state[rule] = kDone;
        path.pop_back();
        continue;
      }
      const uint32_t callee = calls[rule].back();
      calls[rule].pop_back();
      if (state[callee] == kOpen) {
        return InvalidArgument(StrCat("'", lowering.rules()[callee].name,
                                      "' refers to itself before any text (left recursion); put "
                                      "what repeats behind, or use *"));
      }
      if (state[callee] == kNew) path.push_back(callee);
    }
  }
  return OkStatus();
}

}  // namespace

Result<GrammarProgram> CompileGrammar(const GrammarBuilder& grammar, RuleId root) {
  RETURN_IF_ERROR(grammar.status());
  Lowering lowering(grammar);
  RETURN_IF_ERROR(lowering.Run(root));
  GrammarProgram program = Assemble(lowering);
  RETURN_IF_ERROR(CheckEndings(program, lowering));
  RETURN_IF_ERROR(CheckLeftRecursion(program, lowering));
  ClassifyBytes(&program);
  return program;
}

}  // namespace vade
