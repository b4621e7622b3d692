// A grammar as an automaton over bytes: nodes and edges of all rules, where an edge may call a rule
// and go on behind it. grammar_automaton.h runs it.
//
// What a running automaton relies on is checked here, so that no grammar can make it hang: no rule
// can come back to itself before a byte has been read (left recursion), every rule can come to an
// end, and there are at most kMaxNodes nodes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "generator/grammar_builder.h"

namespace vade {

constexpr size_t kMaxNodes = 200'000;

struct GrammarProgram {
  enum class EdgeKind : uint8_t {
    kBytes,     // one byte of first..last
    kEmpty,     // nothing
    kCall,      // a whole text of the rule that begins at `target`, then on at `next`
    kTailCall,  // the same where nothing follows in the calling rule: no need to come back
  };
  struct Edge {
    EdgeKind kind = EdgeKind::kEmpty;
    uint8_t first = 0, last = 0;
    uint32_t target = 0;
    uint32_t next = 0;
  };
  struct Node {
    uint32_t edges_begin = 0, edges_end = 0;
    bool is_end = false;  // of its rule; has no edges
    bool reads = false;   // has an edge of kBytes
  };

  std::span<const Edge> EdgesOf(uint32_t node) const {
    return std::span(edges).subspan(nodes[node].edges_begin,
                                    nodes[node].edges_end - nodes[node].edges_begin);
  }

  std::vector<Node> nodes;
  std::vector<Edge> edges;
  uint32_t start = 0;
  // Bytes of one class are alike in every node; class_byte holds one of each class.
  std::array<uint8_t, 256> byte_class{};
  std::vector<uint8_t> class_byte;
};

// INVALID_ARGUMENT names the rule that is left-recursive or endless; RESOURCE_EXHAUSTED: too large.
// Precondition: every rule that `root` leads to is defined.
Result<GrammarProgram> CompileGrammar(const GrammarBuilder& grammar, RuleId root);

}  // namespace vade
